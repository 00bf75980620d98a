"""Rows before training: by alignment, by spelling, by language, and fitted to whole sentences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from distill import rows
from distill.rows import Translations, fit_rows, start_rows

N_OLD, HIDDEN = 6, 40
EMBEDDINGS = np.random.default_rng(0).normal(size=(N_OLD, HIDDEN)).astype(np.float32)
NOTHING_SPELLED = sparse.csr_array((8, N_OLD), dtype=np.float32)

# Old pieces 0–5 keep their ids; 6 and 7 are new. In the other language 0 means what English says with 1.
SAME = np.array([0, 1, 2, 3, 4, 5, -1, -1])
BOOKS = [([6, 0], [2, 1]), ([6, 4], [2, 4]), ([7, 0], [3, 1]), ([7, 4], [3, 4])] * 5


def translations(pairs: list[tuple[list[int], list[int]]]) -> list[Translations]:
    return [Translations([source for _, source in pairs], [target for target, _ in pairs])]


def cosines(row: np.ndarray) -> np.ndarray:
    return EMBEDDINGS @ row / np.linalg.norm(EMBEDDINGS, axis=1) / np.linalg.norm(row)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RIDGE", 1e9)  # no fit


@pytest.mark.usefixtures("start")
def test_a_new_piece_starts_at_what_it_is_aligned_with() -> None:
    found = start_rows(EMBEDDINGS, SAME, translations(BOOKS), NOTHING_SPELLED, rounds=20)
    assert cosines(found[6]).argmax() == 2
    assert cosines(found[7]).argmax() == 3
    assert found.dtype == np.float32


@pytest.mark.usefixtures("start")
def test_a_piece_of_the_teachers_that_english_does_not_use_starts_at_its_translation() -> None:
    found = start_rows(EMBEDDINGS, SAME, translations(BOOKS), NOTHING_SPELLED, rounds=20)
    assert cosines(found[0]).argmax() == 1
    assert np.array_equal(found[[1, 2, 3, 4, 5]], EMBEDDINGS[[1, 2, 3, 4, 5]])


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(("in_english", "share"), [(0, 1.0), (1, 2 / 3), (3, 0.0)])
def test_the_more_english_a_piece_is_the_more_it_stays(
    in_english: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ENGLISH_WEIGHT", 5.0)
    pairs = [*BOOKS, *[([], [0])] * in_english]  # 0 stands in 10 sentences of the other language
    alone = start_rows(EMBEDDINGS, SAME, translations(BOOKS), NOTHING_SPELLED, rounds=20)[0]
    found = start_rows(EMBEDDINGS, SAME, translations(pairs), NOTHING_SPELLED, rounds=20)[0]
    # 10 / (10 + 5 · 1) of it are the other language's; 10 / (10 + 5 · 3) are less than half, and count as none.
    assert found == pytest.approx(share * alone + (1 - share) * EMBEDDINGS[0], abs=1e-5)


@pytest.mark.usefixtures("start")
def test_how_english_a_piece_is_is_asked_of_as_much_english_as_a_language_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ENGLISH_WEIGHT", 5.0)
    large = translations([([4], [4])] * 180 + [([4], [0])] * 20)[0]  # a tenth of its English is piece 0
    small = translations([([6, 0], [1])] * 20 + [([6], [1])] * 20)[0]  # 0 stands in 20 sentences, in its English never
    alone = start_rows(EMBEDDINGS, SAME, [small], NOTHING_SPELLED, rounds=20)[0]
    assert cosines(alone).argmax() == 1
    found = start_rows(EMBEDDINGS, SAME, [large, small], NOTHING_SPELLED, rounds=20)[0]
    # 40 English pieces of both have 40 · 20 / 240 times piece 0, 20 / (20 + 5 · 3.3) of it are the other language's;
    # all of their English, 20 times, would keep it English.
    share = 20 / (20 + 5 * 40 * 20 / 240)
    assert found == pytest.approx(share * alone + (1 - share) * EMBEDDINGS[0], abs=1e-5)
    rare = translations([([6, 0], [1])] * 2 + [([6], [1])] * 38)[0]  # twice, where 3.3 are to be expected
    kept = start_rows(EMBEDDINGS, SAME, [large, rare], NOTHING_SPELLED, rounds=20)[0]
    assert np.array_equal(kept, EMBEDDINGS[0])


@pytest.mark.usefixtures("start")
def test_a_rare_piece_is_read_by_its_spelling_and_a_frequent_one_by_its_translations() -> None:
    spelled = sparse.csr_array(([1.0, 1.0], ([6, 7], [5, 5])), shape=(8, N_OLD))
    rare = start_rows(EMBEDDINGS, SAME, translations(BOOKS[:4]), spelled, rounds=20)
    assert cosines(rare[6]).argmax() == 5
    often = start_rows(EMBEDDINGS, SAME, translations(BOOKS * 20), spelled, rounds=20)
    assert cosines(often[6]).argmax() == 2
    unseen = start_rows(EMBEDDINGS, SAME, translations([]), spelled, rounds=20)
    assert cosines(unseen[7])[5] == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("start")
def test_a_piece_never_seen_is_the_mean_of_all() -> None:
    found = start_rows(EMBEDDINGS, SAME, translations([]), NOTHING_SPELLED, rounds=2)
    mean = EMBEDDINGS.mean(axis=0)
    assert found[6] @ mean / np.linalg.norm(found[6]) / np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found[:6], EMBEDDINGS)


def test_the_fit_is_the_solution_of_the_normal_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FIT_NUMBERS", 16 * 60)  # 40 dimensions in three parts
    rng = np.random.default_rng(1)
    pairs = [(list(rng.integers(0, 8, 1 + i % 5)), list(rng.integers(0, N_OLD, 1 + i % 3))) for i in range(60)]
    before = rng.normal(size=(8, HIDDEN)).astype(np.float32)
    free = np.array([0, 0, 0, 1, 0, 1, 1, 1], bool)
    found = before.copy()
    fit_rows(found, free, EMBEDDINGS, translations([*pairs, ([], [1]), ([2], [])]))

    bags, wanted = np.zeros((60, 8)), np.zeros((60, HIDDEN))
    for i, (target, source) in enumerate(pairs):
        for piece in target:
            bags[i, piece] += 1 / len(target)
        wanted[i] = EMBEDDINGS[source].mean(axis=0)
    part = bags[:, free]
    change = np.linalg.solve(part.T @ part + rows.RIDGE * np.eye(4), part.T @ (wanted - bags @ before))
    assert found[free] == pytest.approx(before[free] + change, abs=1e-4)
    assert np.array_equal(found[~free], before[~free])
