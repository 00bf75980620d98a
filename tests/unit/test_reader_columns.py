"""Which columns are read: named, numbered, called by languages, nested; and by the kind of rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.corpora.readers import ColumnSpec, RowBatch, column_types, open_rows, read_batches, resolve_columns
from distill.errors import DataError
from distill.languages import language_of_tag


def rows(path: Path, wanted: dict[str, str | int] | None = None, **how: Any) -> RowBatch:
    [batch] = open_rows(path, wanted, **{"language": "uk", **how})
    return batch


def write(path: Path, *lines: str) -> Path:
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


TALKS = ("en\tuk\tno\tpt_BR", "One.\tРаз.\tEn.\tUm.", "Two.\t\tTo.\t", "\tТри.\tTre.\t", "Four.\tЧотири.\t \tQuatro.")


@pytest.mark.parametrize("name", ["talks.tsv", "talks.tsv.gz"])
def test_columns_called_by_languages_lack_some_translations(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, *TALKS)
    batch = rows(path)
    assert batch.columns == {"english": ["One.", "Four."], "non_english": ["Раз.", "Чотири."]}
    assert list(batch.lines) == [2, 5]
    assert (batch.bad, batch.one_sided) == ([], 2)
    assert rows(path, language="nb").columns["non_english"] == ["En.", "To."]
    assert rows(path, language="pt").columns["non_english"] == ["Um.", "Quatro."]
    with pytest.raises(DataError, match="no column 'english'") as caught:
        rows(path, language="da")
    assert "there are en, uk, no, pt_BR" in caught.value.expected


def test_columns_that_are_named_hold_empty_texts_not_missing_ones(tmp_path: Path) -> None:
    batch = rows(write(tmp_path / "a.tsv", *TALKS), {"english": "no", "non_english": "uk"})
    assert batch.columns == {"english": ["En.", "To.", "Tre.", " "], "non_english": ["Раз.", "", "Три.", "Чотири."]}
    assert batch.one_sided == 0


def test_english_and_non_english_go_before_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "en\tuk\tenglish\tnon_english", "1\t2\t3\t4")
    assert rows(path).columns == {"english": ["3"], "non_english": ["4"]}


def test_two_columns_of_one_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="columns en_GB and en_US are both en"):
        rows(write(tmp_path / "a.tsv", "en_GB\ten_US\tuk", "1\t2\t3"))
    assert rows(write(tmp_path / "a.tsv", "en_GB\ten\tuk", "1\t2\t3")).columns["english"] == ["2"]


NESTED = [
    {"id": 1, "translation": {"en": "One.", "uk": "Раз."}},
    {"id": 2, "translation": {"en": "Two.", "uk": None}},
    {"id": 3, "translation": None},
    {"id": 4, "translation": {"en": "Four.", "uk": "Чотири."}},
]


def test_nested_translations_are_found(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in NESTED]
    path = write(tmp_path / "a.jsonl", *lines, json.dumps({"id": 5, "translation": {"en": "x", "da": "y"}}), "{}")
    batch = rows(path)
    assert batch.columns == {"english": ["One.", "Four."], "non_english": ["Раз.", "Чотири."]}
    assert list(batch.lines) == [1, 4]
    assert batch.one_sided == 4
    assert rows(path, language="da").columns == {"english": ["x"], "non_english": ["y"]}
    pq.write_table(pa.Table.from_pylist(NESTED), tmp_path / "a.parquet")
    batch = rows(tmp_path / "a.parquet")
    assert batch.columns == {"english": ["One.", "Four."], "non_english": ["Раз.", "Чотири."]}
    assert list(batch.lines) == [1, 4]
    assert batch.one_sided == 2
    assert list(column_types(tmp_path / "a.parquet")) == ["id", "translation", "translation.en", "translation.uk"]


def test_names_with_dots_reach_into_objects(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": {"b": {"c": "deep"}}, "a.x": "flat"}', '{"a": "text", "a.x": "flat"}')
    [batch] = read_batches(path, (ColumnSpec("one", "a.b.c"), ColumnSpec("two", "a.x")))
    assert batch.columns == {"one": ["deep"], "two": ["flat"]}
    assert [str(row) for row in batch.bad] == [f"{path}:2: no key 'a.b.c' among a, a.x"]


def test_columns_are_named_by_number_where_there_is_no_header(tmp_path: Path) -> None:
    lines = ("1\tOne.\tРаз.", "2\tTwo.\tДва.", "3\tThree.", "4\tFour.\t")
    batch = rows(write(tmp_path / "a.tsv", *lines), {"english": 2, "non_english": 3})
    assert batch.columns == {"english": ["One.", "Two.", "Four."], "non_english": ["Раз.", "Два.", ""]}
    assert list(batch.lines) == [1, 2, 4]
    assert [row.line for row in batch.bad] == [3]
    path = write(tmp_path / "a.csv", '"One, two.",x,Раз.', "Two.,x,Два.")
    assert rows(path, {"english": 1, "non_english": 3}).columns["english"] == ["One, two.", "Two."]
    for wanted, says in (
        ({"english": 1, "non_english": 4}, "no column 4 among 3"),
        ({"english": 0, "non_english": 1}, "no column 0 among 3"),
        ({"english": 1, "non_english": "uk"}, "no column 'uk'"),
    ):
        with pytest.raises(DataError, match=says):
            rows(path, wanted)
    with pytest.raises(DataError, match="column 1 by number"):
        rows(write(tmp_path / "a.jsonl", '{"en": "x"}'), {"english": 1, "non_english": 2})


def test_text_files_hold_english_first_unless_a_header_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "ukr.txt", "Go.\tЙди.\tCC-BY", "Hi.\tПривіт.\tCC-BY", "Hm.\tХм.")
    batch = rows(path)
    assert batch.columns == {"english": ["Go.", "Hi."], "non_english": ["Йди.", "Привіт."]}
    assert [str(row) for row in batch.bad] == [f"{path}:3: 2 fields, expected 3 as in the first line"]
    assert rows(write(tmp_path / "b.txt", "uk\ten", "Раз.\tOne.")).columns["english"] == ["One."]
    assert rows(write(tmp_path / "same.txt", "Hotel\tHotel", "Taxi\tТаксі")).columns["non_english"] == [
        "Hotel",
        "Таксі",
    ]
    with pytest.raises(DataError, match=r"c.txt:1: no tab in a text file\n  expected: columns between tabs"):
        rows(write(tmp_path / "c.txt", "One.", "Two."))


def specs(there: list[str], wanted: dict[str, str | int] | None, kind: Any) -> list[tuple[str, str | int, str]]:
    found = resolve_columns("x", dict.fromkeys(there, ""), wanted, language="nb", kind=kind)
    return [(spec.name, spec.source, spec.value) for spec in found]


def test_each_kind_of_rows_has_its_columns() -> None:
    assert specs(["anchor", "positive", "domain"], None, "pairs") == [
        ("anchor", "anchor", "text"),
        ("positive", "positive", "text"),
        ("domain", "domain", "text"),
    ]
    there = ["premise", "positive", "negative", "negative_2", "negative_10", "negative_x"]
    assert [source for _, source, _ in specs(there, {"anchor": "premise"}, "triplets")] == [
        *("premise", "positive", "negative", "negative_2", "negative_10")
    ]
    assert specs(["sentence1", "sentence2", "gold"], {"score": "gold"}, "scored")[2] == ("score", "gold", "number")
    assert specs(["text", "label"], None, "labelled") == [("text", "text", "text"), ("label", "label", "label")]
    with pytest.raises(DataError, match="no column 'negative'"):
        specs(["anchor", "positive"], None, "triplets")


def test_scored_rows_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "sentence1\tsentence2\tscore", "a\tb\t4", "a\tc\tfour")
    batch = rows(path, kind="scored")
    assert batch.columns == {"sentence1": ["a"], "sentence2": ["b"], "score": [4.0]}
    assert [row.line for row in batch.bad] == [3]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *[("en-GB", "en"), ("uk_UA", "uk"), ("NO", "nb"), ("nor", "nb"), ("zh-Hans-CN", "zh"), ("es-419", "es")],
        *[("nn", "nn"), ("english", None), ("e", None), ("", None), ("en.uk", None), ("sentence1", None), ("qx", None)],
    ],
)
def test_tags_of_languages(tag: str, code: str | None) -> None:
    assert language_of_tag(tag) == code
