"""Readers of parallel files: formats, and where each bad row is."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.corpora.readers import ROWS_PER_BATCH, read_batches
from distill.errors import DataError

PAIRS = [("A dog.", "Собака."), ('A "cat", two', "Кіт\tі ще"), ("Æ ø å", "Їжак")]
HEADER = "english\tnon_english\n"
COLUMNS = {"english": "english", "non_english": "non_english"}


def parquet(english: object, non_english: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"english": english, "non_english": non_english}), sink)
    return bytes(sink.getvalue())


def read(path: Path, content: bytes | str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the good rows and the bad ones, as `line: fault`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    good: list[tuple[str, str]] = []
    bad: list[str] = []
    for batch in read_batches(path, COLUMNS):
        good += zip(*batch.values, strict=True)
        bad += [f"{row.line}: {row.found}" for row in batch.bad]
        assert all(row.file == path for row in batch.bad)
    return good, bad


def tsv(pairs: list[tuple[str, str]]) -> str:
    return HEADER + "".join(f"{a}\t{b}\n".replace("Кіт\t", "Кіт ") for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'english,non_english\nA dog.,Собака.\n"A ""cat"", two","Кіт\tі ще"\nÆ ø å,Їжак\n'),
        ("a.jsonl", "".join(json.dumps({"non_english": b, "english": a, "id": 1}) + "\n\n" for a, b in PAIRS)),
        ("a.parquet", parquet([a for a, _ in PAIRS], [b for _, b in PAIRS])),
        ("dictionary.parquet", parquet(pa.array([a for a, _ in PAIRS]).dictionary_encode(), [b for _, b in PAIRS])),
        ("large.PARQUET", parquet(pa.array([a for a, _ in PAIRS], pa.large_string()), [b for _, b in PAIRS])),
    ],
)
def test_formats_give_the_same_rows(tmp_path: Path, name: str, content: bytes | str) -> None:
    assert read(tmp_path / name, content) == (PAIRS, [])


@pytest.mark.parametrize(
    "change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.rstrip("\n")]
)
def test_windows_lines_and_byte_order_marks_are_no_text(tmp_path: Path, change: Callable[[str], str]) -> None:
    good, bad = read(tmp_path / "a.tsv", change(HEADER + 'A "dog.\tСобака."\n'))
    assert good == [('A "dog.', 'Собака."')]
    assert bad == []
    good, bad = read(tmp_path / "a.csv", change("english,non_english\nA dog.,Собака.\n"))
    assert good == [("A dog.", "Собака.")]
    assert bad == []


def test_quoted_fields_of_csv_span_lines(tmp_path: Path) -> None:
    good, bad = read(tmp_path / "a.csv", 'english,non_english\n"one\n\ntwo",раз\n\nthree,\n')
    assert good == [("one\n\ntwo", "раз")]
    assert bad == ["6: non_english holds nothing"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", HEADER + "one\n", ["2: 1 fields, expected 2 as in the header"]),
        ("a.tsv", HEADER + "one\tраз\tdrei\n", ["2: 3 fields, expected 2 as in the header"]),
        ("a.tsv", HEADER + "\n\nA dog.\t  \n", ["4: non_english holds nothing"]),
        ("a.tsv", HEADER + "\tСобака.\n", ["2: english holds nothing"]),
        ("a.tsv", HEADER.encode() + b"bl\xe5\tbl\xe5\n", ["2: not UTF-8: byte 0xe5 at column 3"]),
        ("a.csv", "english,non_english\none\n", ["2: 1 fields, expected 2 as in the header"]),
        ("a.csv", b'english,non_english\n"x\n\xff\n",y\n', ["2: not UTF-8: byte 0xff at column 1"]),
        ("a.jsonl", '{"english": "x", "non_eng\n', ["1: not JSON: Unterminated string"]),
        ("a.jsonl", "[1]\n", ["1: a JSON list, expected an object"]),
        ("a.jsonl", '{"en": "x", "uk": "y"}\n', ["1: no key 'english' among en, uk"]),
        ("a.jsonl", '{"english": null, "non_english": "y"}\n', ["1: english holds nothing"]),
        ("a.jsonl", '{"english": 1, "non_english": "y"}\n', ["1: english holds int 1"]),
        ("a.jsonl", '{"english": "\\ud800", "non_english": "y"}\n', ["1: 'english' holds half of a surrogate pair"]),
        ("a.jsonl", "[" * 100_000 + "\n", ["1: not JSON: "]),
        ("a.parquet", parquet(["x", None], ["y", "z"]), ["2: english holds nothing"]),
        ("a.parquet", parquet(pa.nulls(1), ["y"]), ["1: english holds nothing"]),
    ],
)
def test_bad_rows_are_reported_with_their_lines(
    tmp_path: Path, name: str, content: bytes | str, expected: list[str]
) -> None:
    _, bad = read(tmp_path / name, content)
    assert len(bad) == len(expected)
    assert all(found.startswith(start) for found, start in zip(bad, expected, strict=True)), bad


def test_parquet_texts_that_are_not_utf_8_are_bad_rows(tmp_path: Path) -> None:
    buffers = pa.array([b"fine", b"\xff\xfe"], pa.binary()).buffers()
    content = parquet(pa.Array.from_buffers(pa.string(), 2, buffers), ["a", "b"])
    good, bad = read(tmp_path / "a.parquet", content)
    assert good == [("fine", "a")]
    assert bad == ["2: english holds bytes that are not UTF-8: b'\\xff\\xfe'"]


GOOD_PARQUET = parquet([f"Sentence {n}." for n in range(100)], [f"Речення {n}." for n in range(100)])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", "", "the file is empty"),
        ("a.tsv", "\n", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.tsv", "One\tРаз\n", "no column 'english'\n  expected: columns english, non_english; there are One, Раз"),
        ("a.tsv", "englsh\tnon_english\nA\tB\n", 'did you mean "englsh"'),
        ("a.tsv", "english\tenglish\tnon_english\n", "column 'english' stands twice"),
        ("a.tsv", HEADER.encode("utf-16"), "1: not UTF-8: byte 0xff at column 1"),
        ("a.csv", b"english\xff,non_english\n", "1: not UTF-8: byte 0xff at column 8"),
        ("a.csv", 'english,non_english\n"a"b,c\n', "2: malformed CSV: "),
        ("a.csv", 'english,non_english\na,b\n"never closed,b\n', "3: malformed CSV: unexpected end of data"),
        ("a.parquet", b"", "not a readable parquet file"),
        ("a.parquet", HEADER, "not a readable parquet file"),
        ("a.parquet", GOOD_PARQUET[: len(GOOD_PARQUET) // 2], "not a readable parquet file"),
        ("a.parquet", GOOD_PARQUET[:60] + bytes(30) + GOOD_PARQUET[90:], "not a readable parquet file"),
        ("a.parquet", parquet([1, 2], ["a", "b"]), "column 'english' holds int64\n  expected: text"),
        ("a.parquet", parquet(["a"], ["b"]).replace(b"non_english", b"non_englisc"), "no column 'non_english'"),
        ("a.txt", "A\tB\n", "unknown format '.txt'\n  expected: one of .parquet, .tsv, .csv, .jsonl"),
        ("a.tsv.gz", gzip.compress(HEADER.encode()), "unknown format '.gz'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes | str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, content)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert says in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_batches(tmp_path / "a.tsv", COLUMNS))


def test_a_parquet_file_without_rows_has_none(tmp_path: Path) -> None:
    empty = pa.array([], pa.string())
    assert read(tmp_path / "a.parquet", parquet(empty, empty)) == ([], [])


@pytest.mark.parametrize("row", ["good\tдобре\n", "bad\n"])
def test_files_of_any_size_are_read_in_batches_bad_rows_too(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(HEADER + row * 100_000, encoding="utf-8")
    tracemalloc.start()
    sizes = [len(batch.values[0]) + len(batch.bad) for batch in read_batches(path, COLUMNS)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 100_000
    assert max(sizes) == ROWS_PER_BATCH
    assert peak < 10e6
