"""Readers of parallel files: formats, and where each bad row is."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.corpora.readers import ROWS_PER_BATCH, ColumnSpec, RowBatch, open_rows, read_batches, read_rows
from distill.errors import DataError

PAIRS = [("A dog.", "Собака."), ('A "cat", two', "Кіт\tі ще"), ("Æ ø å", "Їжак")]
GOOD_JSON = '{"english": "One.", "non_english": "Раз."}\n'
HEADER = "english\tnon_english\n"


def parquet(english: object, non_english: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"english": english, "non_english": non_english}), sink)
    return bytes(sink.getvalue())


def read(path: Path, content: bytes | str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the good rows and the bad ones, as `line: fault`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    good: list[tuple[str, str]] = []
    bad: list[str] = []
    for batch in open_rows(path, language="uk"):
        good += zip(batch.columns["english"], batch.columns["non_english"], strict=True)
        assert len(batch.lines) == len(batch.columns["english"])
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
    assert good == [("one\n\ntwo", "раз"), ("three", "")]
    assert bad == []
    [batch] = open_rows(tmp_path / "a.csv", language="uk")
    assert list(batch.lines) == [2, 6]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", HEADER + "one\n", ["2: 1 fields, expected 2 as in the first line"]),
        ("a.tsv", HEADER + "one\tраз\tdrei\n", ["2: 3 fields, expected 2 as in the first line"]),
        ("a.tsv", HEADER + "a\tb\n\none\n\nc\td\ntwo\n", ["4: 1 fields", "7: 1 fields"]),
        ("a.tsv", HEADER.encode() + b"bl\xe5\tbl\xe5\n", ["2: not UTF-8: byte 0xe5 at column 3"]),
        ("a.csv", "english,non_english\none\n", ["2: 1 fields, expected 2 as in the first line"]),
        ("a.csv", b'english,non_english\n"x\n\xff\n",y\n', ["2: not UTF-8: byte 0xff at column 1"]),
        ("a.jsonl", GOOD_JSON + '{"english": "x", "non_eng\n', ["2: not JSON: Unterminated string"]),
        ("a.jsonl", GOOD_JSON + "[1]\n", ["2: a JSON list, expected an object"]),
        ("a.jsonl", GOOD_JSON + '{"en": "x", "uk": "y"}\n', ["2: no key 'english' among en, uk"]),
        ("a.jsonl", GOOD_JSON + '\n{"english": 1, "non_english": "y"}\n', ["3: 'english' holds int 1, expected text"]),
        ("a.jsonl", '{"english": ["x"], "non_english": "y"}\n', ["1: 'english' holds list ['x'], expected text"]),
        ("a.jsonl", '{"english": "\\ud800", "non_english": "y"}\n', ["1: 'english' holds half of a surrogate pair"]),
        ("a.jsonl", GOOD_JSON.encode() + b'{"english": "\xff"}\n', ["2: not UTF-8: byte 0xff at column 14"]),
        ("a.jsonl", GOOD_JSON + "[" * 100_000 + "\n", ["2: not JSON: "]),
        ("a.csv", 'english,non_english\n"a"b,c\nd,e\n', ["2: malformed CSV: "]),
        (
            "a.csv",
            'english,non_english\na,b\n"never closed,b\n\nc,d\n',
            [f"{line}: malformed CSV: unexpected end of data" for line in (3, 4, 5)],
        ),
        ("a.csv", "english,non_english\na,b\n" + '"' + "x" * 140_000 + "\ny,z\n", ["3: malformed CSV: field larger"]),
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
    assert bad == ["2: 'english' holds bytes that are not UTF-8: b'\\xff\\xfe', expected text"]


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
        ("a.csv", 'english,"non_english\n', "1: malformed CSV: unexpected end of data"),
        ("a.csv", "\nenglish,non_english\n", "1: an empty line\n  expected: a header line"),
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", "[1]\n", "1: a JSON list, expected an object\n  expected: one JSON object per line"),
        ("a.jsonl", '{"en": "x", "ru": "y"}\n', "no column 'english'\n  expected: columns english, non_english"),
        ("a.parquet", b"", "not a readable parquet file"),
        ("a.parquet", HEADER, "not a readable parquet file"),
        ("a.parquet", GOOD_PARQUET[: len(GOOD_PARQUET) // 2], "not a readable parquet file"),
        ("a.parquet", GOOD_PARQUET[:60] + bytes(30) + GOOD_PARQUET[90:], "not a readable parquet file"),
        ("a.parquet", parquet([1, 2], ["a", "b"]), "column 'english' holds int64\n  expected: text"),
        ("a.parquet", parquet(["a"], ["b"]).replace(b"non_english", b"non_englisc"), "no column 'non_english'"),
        ("a.xls", "A\tB\n", "unknown format '.xls'\n  expected: one of .parquet, .tsv, .csv, .jsonl, .tmx, .txt, .zip"),
        ("a.da", "A\n", "unknown format '.da'"),
        ("a", "A\n", "unknown format ''"),
        ("a.tsv", b"english\tnon_english\n" + b"x" * (1 << 25), "2: a line of more than 16,777,216 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes | str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, content)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert says in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(open_rows(tmp_path / "a.tsv", language="uk"))
    with pytest.raises(DataError, match="no such file"):
        list(open_rows(tmp_path / "a.en", language="uk"))


def test_a_parquet_file_without_rows_has_none(tmp_path: Path) -> None:
    empty = pa.array([], pa.string())
    assert read(tmp_path / "a.parquet", parquet(empty, empty)) == ([], [])


@pytest.mark.parametrize("row", ["good\tдобре\n", "bad\n"])
def test_files_of_any_size_are_read_in_batches_bad_rows_too(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(HEADER + row * 100_000, encoding="utf-8")
    tracemalloc.start()
    sizes = [len(batch.lines) + len(batch.bad) for batch in open_rows(path, language="uk")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 100_000
    assert max(sizes) == ROWS_PER_BATCH
    assert peak < 10e6


def test_empty_sides_are_rows_with_an_empty_text(tmp_path: Path) -> None:
    expected = ([("x", ""), ("", "y")], [])
    assert read(tmp_path / "a.tsv", HEADER + "x\t\n\ty\n") == expected
    assert read(tmp_path / "a.csv", "english,non_english\nx,\n,y\n") == expected
    lines = '{"english": "x", "non_english": null}\n{"english": "", "non_english": "y"}\n'
    assert read(tmp_path / "a.jsonl", lines) == expected
    assert read(tmp_path / "a.parquet", parquet(["x", None], ["", "y"])) == expected
    assert read(tmp_path / "b.parquet", parquet(pa.nulls(1), ["y"])) == ([("", "y")], [])


@pytest.mark.parametrize(("name", "rows"), [("a.tsv", "{}\t{}\n"), ("a.csv", "{},{}\n")])
def test_lines_and_bad_rows_keep_their_numbers_across_blocks(tmp_path: Path, name: str, rows: str) -> None:
    lines = [rows.format(f"Sentence {number}.", "Речення." * (number % 50)).encode() for number in range(2, 40_002)]
    faults = {7: b"too few\n", 12_345: b"bl\xe5\tbl\xe5\n", 23_456: b"\n", 39_999: b"a\tb\tc,d,e\n"}
    for line, fault in faults.items():
        lines[line - 2] = fault
    path = tmp_path / name
    path.write_bytes(rows.format("english", "non_english").encode() + b"".join(lines))
    batches = list(open_rows(path, language="uk"))
    assert [row.line for batch in batches for row in batch.bad] == [7, 12_345, 39_999]
    read_lines = [line for batch in batches for line in batch.lines]
    assert read_lines == [line for line in range(2, 40_002) if line not in faults]
    texts = [text for batch in batches for text in batch.columns["english"]]
    assert texts == [f"Sentence {line}." for line in read_lines]


def one(batches: Iterable[RowBatch]) -> RowBatch:
    [batch] = batches
    return batch


SCORED = (ColumnSpec("sentence1", "a"), ColumnSpec("sentence2", "b"), ColumnSpec("score", "s", "number"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "s\tb\ta\n4.5\tx\ty\n1e0\tx\tz\nhigh\tx\ty\nnan\tx\ty\n\tx\ty\n"),
        ("a.csv", "s,b,a\n4.5,x,y\n1e0,x,z\nhigh,x,y\nnan,x,y\n,x,y\n"),
        (
            "a.jsonl",
            "".join(
                json.dumps({"a": a, "b": "x", "s": s}) + "\n"
                for a, s in [("y", 4.5), ("z", 1), ("y", "high"), ("y", float("nan")), ("y", None)]
            ),
        ),
    ],
)
def test_numbers_are_read_and_what_is_none_is_malformed(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    batch = one(read_batches(tmp_path / name, SCORED))
    assert batch.columns == {"sentence1": ["y", "z"], "sentence2": ["x", "x"], "score": [4.5, 1.0]}
    first = 1 if name == "a.jsonl" else 2
    assert list(batch.lines) == [first, first + 1]
    assert [(row.line, row.found.split(",")[0]) for row in batch.bad] == [
        (first + 2, "'s' holds str high"),
        (first + 3, f"'s' holds {'float' if name == 'a.jsonl' else 'str'} nan"),
        (first + 4, "'s' holds nothing"),
    ]


def test_labels_become_text(tmp_path: Path) -> None:
    labels = ["sport", 3, 2.0, 0.5, True, None, ["x"]]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "t", "label": label}) + "\n" for label in labels))
    batch = one(read_batches(path, ("text", ColumnSpec("label", "label", "label"))))
    assert batch.columns["label"] == ["sport", "3", "2", "0.5", "true", ""]
    assert [str(row) for row in batch.bad] == [f"{path}:7: 'label' holds list ['x'], expected a text or a number"]


def test_read_rows_gives_good_and_bad_rows_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n1\t2\nbad\n3\t\n")
    assert list(read_rows(path, ("b", "a"))) == [
        (2, ("2", "1")),
        (3, "1 fields, expected 2 as in the first line"),
        (4, ("", "3")),
    ]
