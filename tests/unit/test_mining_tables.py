"""Files that mining reads and writes, and tables for spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.corpora.readers import read_rows
from distill.errors import DataError
from distill.mining.tables import check_format, read_texts, write_rows
from distill.spreadsheet import read_sheet, write_sheet

ROWS = {"anchor": ["one\ttwo", 'a "b", c'], "negative": ["кіт", None], "judge": [0.25, None]}


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".parquet", [("one\ttwo", "кіт", 0.25), ('a "b", c', None, None)]),
        (".jsonl", [("one\ttwo", "кіт", 0.25), ('a "b", c', None, None)]),
        (".tsv", [("one two", "кіт", "0.25"), ('a "b", c', "", "")]),
    ],
)
def test_rows_come_back(tmp_path: Path, suffix: str, expected: list[tuple[object, ...]]) -> None:
    path = tmp_path / f"mined{suffix}"
    check_format(path)
    write_rows(path, ROWS)
    assert [values for _, values in read_rows(path, list(ROWS))] == expected


def test_other_formats_are_refused() -> None:
    with pytest.raises(DataError, match=r"\.csv"):
        check_format(Path("mined.csv"))


def test_texts_are_read_by_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('question,n,answer\n"one, two",1,x\nthree,2,y\n', encoding="utf-8")
    assert read_texts(path, {"--anchor": "question", "--positive": "answer"}) == [["one, two", "three"], ["x", "y"]]


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("anchor\tpositive\na\t \n", ":2", "column 'positive' holds ' '"),
        ("anchor\tpositive\na\tb\nc\n", ":3", "1 fields"),
        ("anchor\tother\na\tb\n", "", "no column 'positive'(.|\n)*--positive"),
        ("anchor\tpositive\n", "", "has no rows"),
    ],
)
def test_bad_rows_are_told_with_their_line(tmp_path: Path, content: str, where: str, message: str) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        read_texts(path, {"--anchor": "anchor", "--positive": "positive"})
    assert error.value.where == f"{path}{where}"


def test_a_sheet_comes_back_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_sheet(path, ("a", "b"), [["x;y", 'a "quote"'], ["two\nlines", ""], ["z", ","]])
    assert list(read_sheet(path, ("a", "b"))) == [
        (2, {"a": "x;y", "b": 'a "quote"'}),
        (4, {"a": "two\nlines", "b": ""}),
        (5, {"a": "z", "b": ","}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a;b\r\n1;2;3\r\n", ":2: 3 fields"),
        (b'a,b\n1,"2\n', ":2: no CSV"),
        (b"a,c\n", ":1: columns a, c"),
        (b"", ":1: columns"),
        ("a,ä\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_malformed_sheet_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_sheet(path, ("a", "b")))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_sheet(tmp_path, ("a", "b")))
