"""Readers of parallel files: each yields batches of rows in constant memory, and says where a bad row is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from distill.errors import DataError, nearest

ROWS_PER_BATCH = 10_000


@dataclass
class RowBatch:
    """Some rows of a file: two texts each, and the line (or row number) each came from."""

    english: list[str] = field(default_factory=list)
    non_english: list[str] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def add(self, file: Path, line: int, english: object, non_english: object) -> None:
        """Add one row; a row without text on a side goes to `bad`."""
        for side, text in (("English", english), ("non-English", non_english)):
            if not isinstance(text, str) or not text.strip():
                found = "nothing" if text is None or isinstance(text, str) else f"{type(text).__name__} {text!r}"
                self.bad.append(BadRow(file, line, f"the {side} side holds {found}"))
                return
        self.english.append(str(english))
        self.non_english.append(str(non_english))


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, with its place and what is wrong."""

    file: Path
    line: int
    found: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found}"


def read_parallel_file(path: Path, english: str, non_english: str) -> Iterator[RowBatch]:
    """Yield the rows of a parquet, TSV, CSV or JSONL file, by the end of its name.

    Args:
        path: the file.
        english: name of the column of English texts.
        non_english: name of the column of the other side.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(str(path), f"unknown format {path.suffix!r}", expected="one of " + ", ".join(READERS))
    if not path.is_file():
        raise DataError(str(path), "no such file")
    try:
        yield from reader(path, english, non_english)
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error


def read_parquet(path: Path, english: str, non_english: str) -> Iterator[RowBatch]:
    """Yield the rows of a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, (english, non_english), file.schema_arrow.names)
            number = 0
            for records in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=[english, non_english]):
                batch = RowBatch()
                columns = [records.column(name).to_pylist() for name in (english, non_english)]
                for row, (left, right) in enumerate(zip(*columns, strict=True), start=number + 1):
                    batch.add(path, row, left, right)
                number += len(columns[0])
                yield batch
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            str(path),
            f"not a readable parquet file: {str(error).splitlines()[0]}",
            hint="the file is damaged or incomplete: get it again",
        ) from error
    except OSError as error:  # pyarrow raises a plain OSError for damaged pages
        if error.errno is not None:
            raise
        raise DataError(str(path), f"damaged parquet data: {error}", hint="get the file again") from error


def read_tsv(path: Path, english: str, non_english: str) -> Iterator[RowBatch]:
    """Yield the rows of a tab-separated file with a header line and no quoting."""
    with path.open("rb") as file:
        lines = _decoded_lines(path, file)
        header = _header(path, lines).split("\t")
        _check_columns(path, (english, non_english), header)
        left, right = header.index(english), header.index(non_english)
        yield from _batches(path, lines, lambda text: _fields(text.split("\t"), left, right, len(header)))


def read_csv(path: Path, english: str, non_english: str) -> Iterator[RowBatch]:
    """Yield the rows of a comma-separated file with a header line; quoted fields may span lines."""
    with path.open("rb") as file:
        bad: list[BadRow] = []

        def texts() -> Iterator[str]:
            for _, text in _decoded_lines(path, file):
                if isinstance(text, BadRow):
                    bad.append(text)
                else:
                    yield text + "\n"

        rows = csv.reader(texts(), strict=True)
        header = next(rows, None)
        if header is None:
            raise DataError(str(path), "the file is empty", expected="a header line")
        _check_columns(path, (english, non_english), header)
        left, right = header.index(english), header.index(non_english)
        batch = RowBatch(bad=bad)
        try:
            for row in rows:
                pair = _fields(row, left, right, len(header))
                if isinstance(pair, str):
                    batch.bad.append(BadRow(path, rows.line_num, pair))
                else:
                    batch.add(path, rows.line_num, *pair)
                if len(batch.english) >= ROWS_PER_BATCH:
                    yield batch
                    batch = RowBatch()
        except csv.Error as error:
            raise DataError(f"{path}:{rows.line_num}", f"malformed CSV: {error}") from error
        yield batch


def read_jsonl(path: Path, english: str, non_english: str) -> Iterator[RowBatch]:
    """Yield the rows of a file with one JSON object per line."""

    def parse(text: str) -> tuple[object, object] | str:
        try:
            row = json.loads(text)
        except ValueError as error:
            return f"not JSON: {error}"
        if not isinstance(row, dict):
            return f"a JSON {type(row).__name__}, expected an object"
        return row.get(english), row.get(non_english)

    with path.open("rb") as file:
        yield from _batches(path, _decoded_lines(path, file), parse)


READERS: dict[str, Callable[[Path, str, str], Iterator[RowBatch]]] = {
    ".parquet": read_parquet,
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
}

Lines = Iterator[tuple[int, "str | BadRow"]]


def _decoded_lines(path: Path, file: BinaryIO) -> Lines:
    """Yield line numbers and lines without their ends; a line that is not UTF-8 comes as a `BadRow`."""
    for number, raw in enumerate(file, start=1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield (
                number,
                BadRow(path, number, f"not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"),
            )
            continue
        if text.strip("\r\n"):
            yield number, text.rstrip("\r\n")


def _header(path: Path, lines: Lines) -> str:
    _, header = next(lines, (1, ""))
    if isinstance(header, BadRow):
        raise DataError(f"{path}:1", header.found, expected="a header line in UTF-8")
    if not header:
        raise DataError(str(path), "the file is empty", expected="a header line with the names of the columns")
    return header


def _batches(path: Path, lines: Lines, parse: Callable[[str], tuple[object, object] | str]) -> Iterator[RowBatch]:
    """Yield batches of parsed lines; `parse` returns both sides, or says what is wrong."""
    batch = RowBatch()
    for number, text in lines:
        if isinstance(text, BadRow):
            batch.bad.append(text)
        elif isinstance(pair := parse(text), str):
            batch.bad.append(BadRow(path, number, pair))
        else:
            batch.add(path, number, *pair)
        if len(batch.english) >= ROWS_PER_BATCH:
            yield batch
            batch = RowBatch()
    yield batch


def _fields(fields: list[str], left: int, right: int, expected: int) -> tuple[str, str] | str:
    if len(fields) != expected:
        return f"{len(fields)} fields, expected {expected} as in the header"
    return fields[left], fields[right]


def _check_columns(path: Path, wanted: tuple[str, str], there: list[str]) -> None:
    for column in wanted:
        if column not in there:
            raise DataError(
                str(path),
                f"no column {column!r}",
                expected=f"one of {', '.join(there)}",
                hint=nearest(column, there) or "name the columns in the recipe: columns: {english: …, non_english: …}",
            )
