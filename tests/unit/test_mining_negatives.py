"""Hard negatives: the true-negative test, what is excluded, the choice, and the models that judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.duplicates import normal_form
from distill.errors import ModelError
from distill.mining import bm25, cosines, dense, load_encoder, load_judge
from distill.mining.candidates import Find, MakeFind, Ranked
from distill.mining.models import Judge, ScorePairs, is_cross_encoder
from distill.mining.negatives import (
    NegativeSettings,
    first_of_each,
    known_positives,
    mine_negatives,
    negative_columns,
)

ANCHORS = ["how tall is mount hoverla", "what do otters eat", "how tall is mount hoverla"]
POSITIVES = ["Hoverla is 2,061 metres high.", "Fish and crabs.", "It measures 2061 m."]
PASSAGES = [*POSITIVES, "It is 1,900 metres high.", "Bread.", "FISH AND CRABS", "Fish, mostly."]


def judging(scores: dict[tuple[str, str], float]) -> Judge:
    """Return a judge that gives the scores of a table, 0 for other pairs."""

    def judge(left: Sequence[str], right: Sequence[str]) -> ScorePairs:
        return lambda i, j: np.array(
            [scores.get((left[a], right[b]), 0.0) for a, b in zip(i, j, strict=True)], np.float32
        )

    return judge


def all_passages(queries: Sequence[str], passages: Sequence[str], k: int) -> Find:
    """Return a search that finds all passages, in their order."""
    row = np.arange(len(passages))

    def find(rows: np.ndarray, allowed: np.ndarray | None) -> Ranked:
        return Ranked(np.tile(row, (len(rows), 1)), np.tile(-row.astype(np.float32), (len(rows), 1)))

    return find


def mine(scores: dict[tuple[str, str], float], **settings: object) -> tuple[list[list[str | None]], object]:
    found = mine_negatives(
        ANCHORS,
        POSITIVES,
        PASSAGES,
        {"bm25": all_passages},
        judging(scores),
        NegativeSettings(**{"count": 9, **settings}),  # type: ignore[arg-type]
    )
    return [[PASSAGES[at] for at in row if at >= 0] for row in found.passages], found


HILL, OTTER = ANCHORS[0], ANCHORS[1]
SCORES = {
    (HILL, POSITIVES[0]): 0.9,
    (HILL, POSITIVES[2]): 0.6,
    (HILL, PASSAGES[3]): 0.5,
    (HILL, "Bread."): 0.1,
    (HILL, "Fish, mostly."): 0.48,
    (OTTER, POSITIVES[1]): 0.8,
    (OTTER, "Fish, mostly."): 0.7,
    (OTTER, "Bread."): 0.64,
    (OTTER, PASSAGES[3]): 0.3,
}


def test_a_negative_scores_well_below_the_least_positive_of_its_anchor() -> None:
    mined, found = mine(SCORES)
    # 0.8 of the lesser positive (0.6) is 0.48, which the fish meet; 0.5 is above. Of 0.8 it is 0.64.
    assert mined[0] == ["Fish, mostly.", "Bread.", "Fish and crabs.", "FISH AND CRABS"]
    assert mined[2] == mined[0]
    assert mined[1] == ["Bread.", PASSAGES[3], POSITIVES[0], POSITIVES[2]]
    np.testing.assert_allclose(found.judged[1, :2], [0.64, 0.3])
    np.testing.assert_allclose(found.positive, [0.9, 0.8, 0.6])
    assert found.ranks["bm25"][1, :2].tolist() == [5, 4]
    assert found.scores["bm25"][1, :2].tolist() == [-4, -3]
    assert (found.found.tolist(), found.known.tolist()) == ([7] * 3, [2, 2, 2])
    assert found.passed.tolist() == [4, 4, 4]


def test_both_margins_count() -> None:
    assert mine(SCORES, absolute_margin=0.45, relative_margin=0)[0][1][0] == PASSAGES[3]  # 0.8 - 0.45 = 0.35
    assert mine(SCORES, absolute_margin=0.05, relative_margin=0.05)[0][1][0] == "Fish, mostly."


def test_a_relative_margin_lowers_a_negative_score_too() -> None:
    scores = {(OTTER, POSITIVES[1]): -4.0, (OTTER, "Bread."): -4.5, (OTTER, "Fish, mostly."): -5.0}
    assert "Bread." not in mine(scores, relative_margin=0.2)[0][1]  # at most -4.8
    assert "Fish, mostly." in mine(scores, relative_margin=0.2)[0][1]


def test_rows_without_a_negative_stay() -> None:
    mined, found = mine(SCORES, absolute_margin=5)
    assert mined == [[], [], []]
    columns = negative_columns(ANCHORS, POSITIVES, PASSAGES, found)
    assert (columns["anchor"], columns["positive"], columns["negative"]) == (ANCHORS, POSITIVES, [None] * 3)
    assert (columns["judge"], columns["bm25_rank"], columns["passed"]) == ([None] * 3, [None] * 3, [0] * 3)


def test_columns_are_numbered_from_the_second_negative() -> None:
    _, found = mine(SCORES, count=2)
    columns = negative_columns(ANCHORS, POSITIVES, PASSAGES, found)
    assert columns["negative"] == ["Fish, mostly.", "Bread.", "Fish, mostly."]
    assert columns["negative_2"] == ["Bread.", PASSAGES[3], "Bread."]
    assert columns["judge_2"] == [0.1, 0.3, 0.1]
    assert columns["bm25_rank_2"] == [5, 4, 5]
    assert columns["judge_positive"] == [0.9, 0.8, 0.6]


def test_random_negatives_come_from_those_that_pass() -> None:
    passing = set(mine(SCORES)[0][0])
    drawn = {mine(SCORES, count=1, choose="random", seed=seed)[0][0][0] for seed in range(60)}
    assert drawn == passing
    assert mine(SCORES, choose="random", seed=3)[0] == mine(SCORES, choose="random", seed=3)[0]


def test_positives_anchors_and_near_duplicates_are_no_candidates() -> None:
    anchor, other = "A man is riding a horse across the field.", "Where is the nearest railway station?"
    passages = [
        "A man is riding a horse",  # positive
        "A man is riding a horse across the field",  # the anchor, nearly
        "a MAN is riding: a horse!",  # the positive in another form
        "A man is riding a horse across the fields.",
        "A man on a horse",  # positive in another row
        "A woman is riding a horse across a river with her dog.",
        other,
    ]
    known = known_positives([anchor, other], np.array([0, 1, 0]), [passages[0], "x", passages[4]], passages)
    assert known.tolist() == [0, 1, 2, 3, 4, 7 + 6]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 5)), max_size=30).map(sorted),
    st.integers(1, 4),
)
def test_the_first_of_each_group(members: list[tuple[int, int]], count: int) -> None:
    group, order = (np.array([m[side] for m in members], np.int64) for side in (0, 1))
    chosen = first_of_each(group, order, count)
    for number in range(6):
        mine = sorted(order[group == number])[:count]
        assert order[chosen][group[chosen] == number].tolist() == mine


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 0.5))
def test_every_negative_passes_and_none_that_passes_is_missed(seed: int, relative: float, absolute: float) -> None:
    random = np.random.default_rng(seed)
    words = ["red", "wet", "old", "car", "bus", "hut"]  # texts too short for near-duplicates
    texts = [" ".join(random.choice(words, 3)) for _ in range(12)]
    anchors, positives = texts[:6], texts[6:]
    passages = list(dict.fromkeys(positives))
    table = {(a, p): float(random.normal()) for a in anchors for p in passages}
    settings = NegativeSettings(count=6, relative_margin=relative, absolute_margin=absolute)
    found = mine_negatives(anchors, positives, passages, {"bm25": bm25}, judging(table), settings)
    for anchor, row in zip(anchors, found.passages, strict=True):
        own = [p for a, p in zip(anchors, positives, strict=True) if a == anchor]
        least = np.float32(min(np.float32(table[anchor, p]) for p in own))
        highest = min(least - absolute, least - relative * abs(least))
        expected = {
            p
            for p in passages
            if set(p.split()) & set(anchor.split())
            and normal_form(p) not in {normal_form(anchor), *map(normal_form, own)}
            and table[anchor, p] <= highest - 1e-6
        }
        mined = {passages[at] for at in row if at >= 0}
        assert expected <= mined
        assert all(table[anchor, p] <= highest + 1e-6 for p in mined)


def test_dense_mining_agrees_with_sentence_transformers(
    tiny_teacher: Path, everyday_rows: list[dict[str, str]]
) -> None:
    import datasets
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    model = SentenceTransformer(str(tiny_teacher), device="cpu")
    rows = list({normal_form(row["en"]): row for row in everyday_rows[:120]}.values())
    anchors, positives = [row["en"] for row in rows], [" ".join(row["en"].split()[::-1]) for row in rows]
    pairs = datasets.Dataset.from_dict({"anchor": anchors, "positive": positives})
    theirs = mine_hard_negatives(
        pairs, model, absolute_margin=0.002, range_max=40, num_negatives=1, output_format="n-tuple", verbose=False
    )
    expected = dict(zip(theirs["anchor"], theirs[theirs.column_names[-1]], strict=True))

    def encode(texts: Sequence[str]) -> np.ndarray:
        return model.encode(list(texts), show_progress_bar=False)

    passages = list(dict.fromkeys(positives))
    searches: dict[str, MakeFind] = {"dense": lambda queries, found, k: dense(encode, queries, found, k)}
    settings = NegativeSettings(top=41, absolute_margin=0.002, relative_margin=0)  # theirs finds the positive besides
    mined = mine_negatives(anchors, positives, passages, searches, cosines(encode), settings)
    ours = {a: passages[row[0]] for a, row in zip(anchors, mined.passages, strict=True) if row[0] >= 0}
    assert len(expected) > 40
    assert sum(ours.get(anchor) == negative for anchor, negative in expected.items()) >= len(expected) - 2


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory, plain_encoder: Path) -> Path:
    return save_cross_encoder(plain_encoder, tmp_path_factory.mktemp("cross"), 1)


def save_cross_encoder(plain: Path, folder: Path, labels: int) -> Path:
    import torch
    from sentence_transformers import CrossEncoder

    torch.manual_seed(0)
    model = CrossEncoder(str(plain), num_labels=labels, device="cpu")
    model.save_pretrained(str(folder))
    return folder


def test_a_cross_encoder_judges(
    cross_encoder: Path, tiny_teacher: Path, plain_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    assert is_cross_encoder(str(cross_encoder))
    assert not is_cross_encoder(str(tiny_teacher))
    assert not is_cross_encoder(str(plain_encoder))
    i, j = np.array([0, 0, 1]), np.array([1, 2, 0])
    pairs = [(ANCHORS[a], POSITIVES[b]) for a, b in zip(i, j, strict=True)]
    expected = CrossEncoder(str(cross_encoder), device="cpu").predict(pairs)
    np.testing.assert_allclose(load_judge("--judge", str(cross_encoder))(ANCHORS, POSITIVES)(i, j), expected, atol=1e-6)
    again = load_judge("--judge", str(cross_encoder))(ANCHORS, POSITIVES)
    monkeypatch.setattr(CrossEncoder, "predict", None)  # all scores are stored
    np.testing.assert_allclose(again(i[::-1], j[::-1]), expected[::-1], atol=1e-6)
    assert again(i[:0], j[:0]).shape == (0,)


def test_a_classifier_is_no_judge(plain_encoder: Path, tmp_path: Path) -> None:
    folder = save_cross_encoder(plain_encoder, tmp_path / "three", 3)
    with pytest.raises(ModelError, match="3 scores"):
        load_judge("--judge", str(folder))


def test_a_bi_encoder_judges_by_cosine(tiny_teacher: Path) -> None:
    encode = load_encoder("--model", str(tiny_teacher))
    left, right = encode(ANCHORS), encode(PASSAGES)
    i, j = np.array([0, 2, 1]), np.array([6, 0, 3])
    expected = [
        left[a] @ right[b] / np.linalg.norm(left[a]) / np.linalg.norm(right[b]) for a, b in zip(i, j, strict=True)
    ]
    judge = load_judge("--judge", str(tiny_teacher))
    np.testing.assert_allclose(judge(ANCHORS, PASSAGES)(i, j), expected, atol=1e-5)
