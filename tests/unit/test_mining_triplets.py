"""Triplets by category, and their review by a person in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import DataError
from distill.mining.candidates import bm25
from distill.mining.models import Judge, ScorePairs
from distill.mining.review import COLUMNS, accept, check_review, margin, triplet_id, write_review
from distill.mining.triplets import Evidence, Triplet, TripletSettings, mine_triplets
from distill.spreadsheet import guarded, read_sheet, write_sheet

TOPICS = ["sport", "food", "weather"]


def shared_words(left: Sequence[str], right: Sequence[str]) -> ScorePairs:
    """Judge pairs by the share of words they have in common."""

    def score(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        sets = [(set(left[a].split()), set(right[b].split())) for a, b in zip(i, j, strict=True)]
        return np.array([len(a & b) / len(a | b) for a, b in sets], np.float32)

    return score


def mine(texts: Sequence[str], categories: Sequence[str], judge: Judge = shared_words, **how: int) -> list[Triplet]:
    return mine_triplets(texts, categories, {"bm25": bm25}, judge, TripletSettings(**how))


def test_a_triplet_has_the_hardest_text_of_another_category() -> None:
    texts = ["we won the match", "the match was lost", "fry the onions in butter", "butter the match", "rain all day"]
    found = mine(texts, ["sport", "sport", "food", "food", "weather"], per_anchor=1)
    assert {(t.anchor, t.positive, t.negative) for t in found} == {
        ("we won the match", "the match was lost", "butter the match"),
        ("the match was lost", "we won the match", "butter the match"),
        ("fry the onions in butter", "butter the match", "we won the match"),  # equally near: the lower number
        ("butter the match", "fry the onions in butter", "we won the match"),
    }
    first = next(t for t in found if t.anchor == "butter the match")
    assert (first.category, first.negative_category) == ("food", "sport")
    assert (first.positive_score, first.negative_score) == (round(2 / 6, 4), round(2 / 5, 4))
    assert margin(first) == round(first.positive_score - first.negative_score, 4)
    assert first.found["bm25"].rank == 1


@given(st.integers(0, 1_000), st.integers(1, 9), st.integers(1, 3))
def test_triplets_are_balanced_and_of_their_categories(seed: int, per_category: int, per_anchor: int) -> None:
    random = np.random.default_rng(seed)
    words = ["red", "blue", "car", "boat", "house", "tree", "sea"]
    texts = [" ".join(random.choice(words, 4)) for _ in range(40)]
    category = dict(zip(texts, random.choice(TOPICS, 40), strict=True))
    rows = list(category)
    found = mine(rows, [str(category[text]) for text in rows], per_category=per_category, per_anchor=per_anchor)
    forms = Counter(category[text] for text in {" ".join(text.split()): text for text in rows}.values())
    for topic in TOPICS:
        own = [t for t in found if t.category == topic]
        if forms[topic] > 1:
            assert len(own) == min(per_category, sum(min(per_anchor, 1) * per_anchor for _ in range(forms[topic])))
    assert max(Counter(t.anchor for t in found).values(), default=0) <= per_anchor
    assert len({(t.anchor, t.negative) for t in found}) == len(found)
    for t in found:
        assert category[t.anchor] == category[t.positive] == t.category != t.negative_category == category[t.negative]
        assert t.anchor != t.positive


def test_a_text_of_two_categories_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["the match", "The match!", "the goal", "the goal was late", "the soup", "the salt", "the soup"]
    found = mine(texts, ["sport", "food", "sport", "sport", "food", "food", "food"])
    assert not any("match" in t.anchor + t.positive + t.negative for t in found)
    assert "1 texts are left out" in caplog.text
    assert {t.category for t in found} == {"sport", "food"}


@pytest.mark.parametrize("categories", [["a", "a", "a"], ["a", "b", "c"]])
def test_triplets_need_two_categories_and_a_pair(categories: list[str]) -> None:
    with pytest.raises(DataError, match="two categories"):
        mine(["one text", "two texts", "three texts"], categories)


def test_other_searches_are_told_apart() -> None:
    def second(queries: Sequence[str], passages: Sequence[str], k: int) -> Callable[..., object]:
        return bm25(queries, passages, 1)

    searches = {"bm25": bm25, "dense": second}
    found = mine_triplets(
        ["a b c", "a b d", "a c e", "b c d e"],
        ["x", "x", "y", "y"],
        searches,  # type: ignore[arg-type]
        shared_words,
        TripletSettings(per_anchor=2),
    )
    ranks = {(t.found["bm25"].rank, t.found["dense"].rank) for t in found}
    assert ranks == {(1, 1), (2, None)}


def triplet(number: int, positive: float, negative: float) -> Triplet:
    texts = (f"anchor {number}", f'positive, "{number}"; so', f"négative\n{number}")
    return Triplet(*texts, "sport", "food", positive, negative, {"bm25": Evidence(number, 1.5)})


TRIPLETS = [triplet(1, 0.9, 0.2), triplet(2, 0.3, 0.5), triplet(3, 0.6, 0.5), triplet(4, 0.8, 0.1)]
IDS = [triplet_id((t.anchor, t.positive, t.negative)) for t in TRIPLETS]


def sheet(path: Path) -> list[dict[str, str]]:
    return [row for _, row in read_sheet(path, COLUMNS)]


def save(path: Path, rows: list[dict[str, str]], delimiter: str = ",", end: str = "\n", mark: str = "") -> None:
    """Write a review file as a spreadsheet would."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows({name: guarded(field) for name, field in row.items()} for row in rows)
    path.write_bytes((mark + table.getvalue()).encode())


def edit(path: Path, **decisions: dict[str, str]) -> None:
    """Fill in columns of the rows of some triplets, `_2` for the second."""
    rows = sheet(path)
    for name, values in decisions.items():
        next(row for row in rows if row["id"] == IDS[int(name[1:]) - 1]).update(values)
    save(path, rows)


def test_the_most_doubtful_come_first_and_clear_ones_are_filled_in(tmp_path: Path) -> None:
    review = write_review(tmp_path / "talks.tsv", TRIPLETS, 0.65)
    assert review.name == "talks.review.csv"
    rows = sheet(review)
    assert [row["id"] for row in rows] == [IDS[1], IDS[2], IDS[0], IDS[3]]
    assert [row["decision"] for row in rows] == ["", "", "keep", "keep"]
    assert rows[0]["margin"] == "-0.2"
    assert rows[0]["why"].startswith("doubtful")
    assert rows[2]["why"] == "clear: the margin is at least 0.65; bm25 ranks the negative 1"
    assert (rows[2]["bm25_rank"], rows[2]["dense_rank"], rows[2]["positive_score"]) == ("1", "", "0.9")
    assert review.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("delimiter", "end", "mark"), [(",", "\n", ""), (";", "\r\n", "\ufeff"), (",", "\r\n", "\ufeff"), (";", "\n", "")]
)
def test_a_review_becomes_training_data(tmp_path: Path, delimiter: str, end: str, mark: str) -> None:
    out = tmp_path / "talks.jsonl"
    review = write_review(out, TRIPLETS, 0.65)
    edit(
        review,
        _1={"decision": "fix", "fixed_negative": " a better  one ", "note": "two words"},
        _2={"decision": " Drop "},
    )
    rows = sheet(review)[::-1]
    for row in rows:  # as spreadsheets of some countries do
        row["margin"] = row["margin"].replace(".", ",")
    save(review, rows, delimiter, end, mark)
    assert accept(review) == {out: Counter({"fix": 1, "drop": 1, "": 1, "keep": 1})}
    kept, fixed = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert (kept["anchor"], kept["positive"], kept["negative"]) == ("anchor 4", 'positive, "4"; so', "négative\n4")
    assert (kept["positive_score"], kept["negative_score"], kept["bm25_rank"]) == (0.8, 0.1, 4)
    assert (kept["decision"], kept["id"]) == ("keep", IDS[3])
    assert (fixed["anchor"], fixed["negative"]) == ("anchor 1", "a better one")
    assert (fixed["decision"], fixed["positive_score"], fixed["bm25_rank"]) == ("fix", None, None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    accept(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@given(st.lists(st.text("'=+-@1.,xe ", max_size=6)))
def test_spreadsheets_compute_numbers_only(fields: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.csv"
        write_sheet(path, ["first", *(f"{n}" for n in range(len(fields)))], [["a", *fields]])
        ((_, row),) = read_sheet(path, ["first", *(f"{n}" for n in range(len(fields)))])
        assert list(row.values())[1:] == fields
        (_, written) = csv.reader(path.open(encoding="utf-8-sig", newline=""))
    for field in written:
        if field[:1] in ("=", "+", "-", "@"):
            float(field.replace(",", "."))


def test_no_id_looks_like_a_number() -> None:
    assert all(triplet_id([str(n)] * 3)[0].isalpha() for n in range(20))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision": "kep"}, r'decision .kep.(.|\n)*did you mean "keep"'),
        ({"decision": "fix"}, "nothing is corrected"),
        ({"decision": "keep", "fixed_anchor": "new"}, "a text is corrected, but the decision is keep"),
        ({"fixed_positive": "new"}, "but the decision is empty"),
        ({"id": "0123"}, "id '0123' is none of this review"),
        ({"id": IDS[1]}, f"a second row with id {IDS[1]}|anchor was changed"),
        ({"anchor": "Anchor 1"}, r"anchor was changed to 'Anchor 1'(.|\n)*fixed_anchor"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    review = write_review(tmp_path / "talks.tsv", TRIPLETS, None)
    edit(review, _1=change, _2={"decision": "keep"})
    before = review.read_bytes()
    for command in (accept, lambda path: write_review(tmp_path / "talks.tsv", TRIPLETS, None), check):
        with pytest.raises(DataError, match=message) as error:
            command(review)
        assert error.value.where.startswith(f"{review}:")
    assert review.read_bytes() == before
    assert not (tmp_path / "talks.tsv").exists()


def check(review: Path) -> None:
    check_review(review.with_name("talks.tsv"))


def test_missing_rows_and_columns_are_told(tmp_path: Path) -> None:
    out = tmp_path / "talks.tsv"
    review = write_review(out, TRIPLETS, 0.1)
    rows = sheet(review)
    save(review, [row for row in rows if row["id"] != IDS[1]])
    with pytest.raises(DataError, match=f"1 rows are missing, such as {IDS[1]}"):
        accept(review)
    write_review(out, TRIPLETS, 0.1)
    assert len(sheet(review)) == 4
    review.write_text(review.read_text(encoding="utf-8").replace("decision", "verdict", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"columns .*verdict"):
        accept(review)
    review.write_bytes("decision;ä".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        accept(review)


def test_nothing_accepted_is_an_error(tmp_path: Path) -> None:
    review = write_review(tmp_path / "talks.tsv", TRIPLETS, None)
    with pytest.raises(DataError, match="no row would be left"):
        accept(review)
    with pytest.raises(DataError, match="no review"):
        accept(tmp_path / "talks.tsv")


def test_mining_again_loses_nothing_a_person_wrote(tmp_path: Path) -> None:
    out = tmp_path / "talks.tsv"
    review = write_review(out, TRIPLETS[:3], 0.65)
    edit(
        review,
        _1={"decision": ""},  # takes back what was filled in
        _2={"decision": "fix", "fixed_anchor": "mine", "note": "why"},
        _3={"note": "ask Olha"},
    )
    write_review(out, TRIPLETS[2:], 0.0)  # the first two are not mined any more
    rows = {row["id"]: row for row in sheet(review)}
    assert list(rows) == [IDS[1], IDS[2], IDS[3], IDS[0]]
    assert (rows[IDS[0]]["decision"], rows[IDS[0]]["anchor"]) == ("", "anchor 1")
    assert (rows[IDS[1]]["decision"], rows[IDS[1]]["fixed_anchor"], rows[IDS[1]]["note"]) == ("fix", "mine", "why")
    assert (rows[IDS[2]]["decision"], rows[IDS[2]]["note"]) == ("", "ask Olha")
    assert rows[IDS[3]]["decision"] == "keep"
    accept(review)
    assert [line.split("\t")[0] for line in out.read_text(encoding="utf-8").splitlines()[1:]] == ["mine", "anchor 4"]
    review.unlink()  # what was accepted is known without it
    write_review(out, TRIPLETS, None)
    again = {row["id"]: row for row in sheet(review)}
    assert (again[IDS[1]]["fixed_anchor"], again[IDS[2]]["note"]) == ("mine", "ask Olha")
    assert again[IDS[3]]["decision"] == ""  # was the program's


def test_a_persons_keep_outlives_a_looser_threshold(tmp_path: Path) -> None:
    out = tmp_path / "talks.tsv"
    review = write_review(out, TRIPLETS, None)
    edit(review, _1={"decision": "keep"})
    for auto_keep in (0.1, 0.1, None):
        write_review(out, TRIPLETS, auto_keep)
    assert {row["id"]: row["decision"] for row in sheet(review)}[IDS[0]] == "keep"


def test_a_kill_between_record_and_review_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "talks.tsv"
    review = write_review(out, TRIPLETS[:2], None)
    edit(review, _1={"decision": "keep"}, _2={"decision": "drop"})
    with monkeypatch.context() as patch:
        patch.setattr("distill.mining.review.write_sheet", None)
        with pytest.raises(TypeError):
            write_review(out, TRIPLETS[1:], 0.0)
    with pytest.raises(DataError, match="rows are missing"):
        accept(review)
    write_review(out, TRIPLETS[1:], 0.0)
    rows = {row["id"]: row["decision"] for row in sheet(review)}
    assert rows == {IDS[0]: "keep", IDS[1]: "drop", IDS[2]: "keep", IDS[3]: "keep"}


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "talks.tsv"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match=r"talks\.mined\.json"):
        write_review(out, TRIPLETS, None)
    out.rename(tmp_path / "talks.review.csv")
    with pytest.raises(DataError, match=r"talks\.mined\.json"):
        check_review(out)
    (tmp_path / "talks.review.csv").unlink()
    write_review(out, TRIPLETS, None)
    with pytest.raises(DataError, match=r"is of talks\.tsv"):
        check_review(tmp_path / "talks.jsonl")
    (tmp_path / "talks.mined.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        accept(tmp_path)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4, unique_by=lambda texts: triplet_id(texts[:3]))
)
def test_any_text_and_note_survives(tmp_path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    out = folder / "talks.jsonl"
    mined = [replace(TRIPLETS[0], anchor=a, positive=p, negative=n) for a, p, n, _ in rows]
    review = write_review(out, mined, 0)
    table = sheet(review)
    notes = {triplet_id(texts[:3]): " ".join(texts[3].split()) for texts in rows}
    for row in table:
        row["note"] = notes[row["id"]]
    save(review, table)
    write_review(out, mined, 0)
    assert {row["id"]: row["note"] for row in sheet(review)} == notes
    accept(review)
    kept = [json.loads(line) for line in out.read_text(encoding="utf-8").split("\n")[:-1]]
    assert {(row["anchor"], row["positive"], row["negative"]) for row in kept} == {texts[:3] for texts in rows}
