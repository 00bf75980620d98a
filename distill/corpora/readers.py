"""Readers of files with columns: they yield rows in constant memory, and say where a bad row is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from distill.errors import DataError, nearest

ROWS_PER_BATCH = 10_000

NUMBERS = ("score", "label")
"""Parts of a row that need not be text."""

Record = tuple[int, "tuple[object, ...] | str"]
"""The line (or row number) of a row, and its values, or what is wrong with it."""

COLUMNS_HINT = (
    "name the columns in the recipe: columns: {english: …, non_english: …}; "
    "the first line of a file without a schema must name them too"
)


@dataclass
class RowBatch:
    """Some rows of a source.

    Attributes:
        file: where they are from.
        parts: names of what a row has, such as english and non_english.
        bad: rows that cannot be used.
        one_sided: rows left out because a translation is not there.
    """

    file: Path
    parts: Sequence[str]
    columns: dict[str, list[object]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    one_sided: int = 0

    def __post_init__(self) -> None:
        self.columns = {part: [] for part in self.parts}

    def add(self, file: Path, line: int, row: Sequence[object]) -> None:
        """Add one row; a row with something else than text, or a number for a score, goes to `bad`."""
        fitted = []
        for part, value in zip(self.parts, row, strict=True):
            try:
                fitted.append(_fit(part, value))
            except ValueError:
                self.bad.append(BadRow(file, line, f"{part} holds {_show(value)}"))
                return
        self.lines.append(line)
        for column, fit in zip(self.columns.values(), fitted, strict=True):
            column.append(fit)

    def full(self) -> bool:
        """Return whether it is time for the next batch."""
        return len(self.lines) + len(self.bad) >= ROWS_PER_BATCH


def _fit(part: str, value: object) -> object:
    """Return a value as its part needs it: a number for a score, else text.

    Raises:
        ValueError: it is something else.
    """
    if part == "score":
        return float(str(value))
    if part == "label" and isinstance(value, int):
        return str(value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError
    return value


def _show(value: object) -> str:
    if value is None or isinstance(value, str):
        return "nothing"
    if isinstance(value, bytes):
        return f"bytes that are not UTF-8: {value[:20]!r}"
    return f"{type(value).__name__} {str(value)[:80]}"


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, with its place and what is wrong."""

    file: Path
    line: int
    found: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found}"


def read_batches(path: Path, columns: Mapping[str, str]) -> Iterator[RowBatch]:
    """Yield the rows of a parquet, TSV, CSV or JSONL file, by the end of its name.

    Args:
        path: the file.
        columns: what a row has, such as english and non_english → the column it is in.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    if path.suffix.lower() == ".parquet":
        types = column_types(path)
        check_columns(str(path), list(columns.values()), types)
        check_text(str(path), [name for part, name in columns.items() if part not in NUMBERS], types)
    batch = RowBatch(path, list(columns))
    for line, values in read_rows(path, list(columns.values())):
        if isinstance(values, str):
            batch.bad.append(BadRow(path, line, values))
        else:
            batch.add(path, line, values)
        if batch.full():
            yield batch
            batch = RowBatch(path, list(columns))
    yield batch


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield some columns of a parquet, TSV, CSV or JSONL file, by the end of its name.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    with _readable(path):
        yield from READERS[path.suffix.lower()](path, columns)


def column_types(path: Path) -> Mapping[str, str]:
    """Return the columns of a file and their types, empty texts where the format has none.

    Raises:
        DataError: the file cannot be read.
    """
    with _readable(path):
        match path.suffix.lower():
            case ".parquet":
                with _open_parquet(path) as file:
                    schema = file.schema_arrow
                    return dict(zip(schema.names, map(str, schema.types), strict=True))
            case ".jsonl":
                with path.open("rb") as lines:
                    for number, text in _decoded_lines(path, lines):
                        row = text.found if isinstance(text, BadRow) else text.strip() and _parse_json(text)
                        if row and isinstance(row, str):
                            raise DataError(f"{path}:{number}", row, expected="one JSON object per line")
                        if row:
                            return dict.fromkeys(row, "")
                raise _empty(path)
            case ".csv":
                with path.open("rb") as lines:
                    _, header = next(_decoded_lines(path, lines), (1, ""))
                    return dict.fromkeys(next(csv.reader([header if isinstance(header, str) else ""]), []), "")
            case _:
                with path.open("rb") as lines:
                    return dict.fromkeys(_header(path, _decoded_lines(path, lines)).split("\t"), "")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if path.suffix.lower() not in READERS:
        raise DataError(str(path), f"unknown format {path.suffix!r}", expected="one of " + ", ".join(READERS))
    if not path.is_file():
        raise DataError(str(path), "no such file")
    try:
        yield
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowException as error:
        raise _damaged_parquet(path, error) from error
    except OSError as error:  # pyarrow raises a plain OSError for damaged pages
        if error.errno is not None:
            raise
        raise _damaged_parquet(path, error) from error


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a parquet file."""
    with _open_parquet(path) as file:
        check_columns(str(path), columns, file.schema_arrow.names)
        number = 0
        for records in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(columns)):
            values = [_column_values(records.column(name)) for name in columns]
            yield from enumerate(zip(*values, strict=True), start=number + 1)
            number += len(records)


def _column_values(column: Any) -> list[object]:
    """Return the values of an Arrow column; texts that are not UTF-8 stay bytes."""
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_decoded(raw) for raw in column.cast(pa.binary()).to_pylist()]


def _decoded(raw: bytes | None) -> object:
    try:
        return raw.decode("utf-8") if raw is not None else None
    except UnicodeDecodeError:
        return raw


def _damaged_parquet(path: Path, error: Exception) -> DataError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return DataError(
        str(path),
        f"not a readable parquet file: {first}",
        expected="a whole parquet file",
        hint="the file is damaged or incomplete: get it again",
    )


def read_tsv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a tab-separated file with a header line and no quoting."""
    with path.open("rb") as file:
        lines = _decoded_lines(path, file)
        header = _header(path, lines).split("\t")
        places = _places(path, columns, header)
        yield from _records(lines, lambda text: _fields(text.split("\t"), places, len(header)))


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a comma-separated file with a header line; quoted fields may span lines."""
    with path.open("rb") as file:
        lines = _CsvLines(path, file)
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, None)
            if header is None:
                raise _empty(path)
            if broken := lines.broken_before(rows.line_num):
                raise DataError(f"{path}:1", broken, expected="a header line in UTF-8")
            places = _places(path, columns, header)
            end = rows.line_num
            for row in rows:
                line, end = end + 1, rows.line_num
                broken = lines.broken_before(end)
                if row or broken:  # no empty line
                    yield line, broken or _fields(row, places, len(header))
        except csv.Error as error:
            raise DataError(
                f"{path}:{rows.line_num}",
                f"malformed CSV: {error}",
                expected="fields with commas, quotes or line ends in double quotes, quotes in them doubled",
            ) from error


class _CsvLines:
    """The lines of a CSV file as text; lines that are not UTF-8 are kept in mind for the row they belong to."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._lines = _decoded_lines(path, file)
        self._broken: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        for number, text in self._lines:
            if isinstance(text, BadRow):
                self._broken[number] = text.found
                yield "\n"
            else:
                yield text

    def broken_before(self, end: int) -> str:
        """Return what is wrong with the lines read since the last call, an empty string if nothing is."""
        return next((self._broken.pop(number) for number in list(self._broken) if number <= end), "")


def read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a file with one JSON object per line."""

    def parse(text: str) -> tuple[object, ...] | str:
        row = _parse_json(text)
        if isinstance(row, str):
            return row
        for key in columns:
            if key not in row:
                return f"no key {key!r} among {_listing(row)}"
            if not _is_unicode(str(row[key])):
                return f"{key!r} holds half of a surrogate pair, which is no character"
        return tuple(row[key] for key in columns)

    with path.open("rb") as file:
        yield from _records(_decoded_lines(path, file), parse)


def _parse_json(text: str) -> dict[str, object] | str:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return row if isinstance(row, dict) else f"a JSON {type(row).__name__}, expected an object"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[Record]]] = {
    ".parquet": read_parquet,
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
}

Lines = Iterator[tuple[int, "str | BadRow"]]


def _decoded_lines(path: Path, file: BinaryIO) -> Lines:
    """Yield line numbers and lines with their ends; a line that is not UTF-8 comes as a `BadRow`."""
    for number, raw in enumerate(file, start=1):
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = f"not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"
            yield number, BadRow(path, number, found)


def _header(path: Path, lines: Lines) -> str:
    _, header = next(lines, (1, ""))
    if isinstance(header, BadRow):
        raise DataError(f"{path}:1", header.found, expected="a header line in UTF-8")
    if not header.strip():
        raise _empty(path)
    return header.rstrip("\r\n")


def _empty(path: Path) -> DataError:
    return DataError(str(path), "the file is empty", expected="a header line with the names of the columns")


def _records(lines: Lines, parse: Callable[[str], tuple[object, ...] | str]) -> Iterator[Record]:
    """Yield parsed lines, empty ones left out; `parse` returns the values, or says what is wrong."""
    for number, text in lines:
        if isinstance(text, BadRow):
            yield number, text.found
        elif line := text.rstrip("\r\n"):
            yield number, parse(line)


def _places(path: Path, columns: Sequence[str], header: list[str]) -> list[int]:
    check_columns(str(path), columns, header)
    return [header.index(column) for column in columns]


def _fields(fields: list[str], places: list[int], expected: int) -> tuple[str, ...] | str:
    if len(fields) != expected:
        return f"{len(fields)} fields, expected {expected} as in the header"
    return tuple(fields[place] for place in places)


def check_columns(where: str, wanted: Sequence[str], there: Collection[str], *, hint: str = COLUMNS_HINT) -> None:
    """Check that columns exist, each once.

    Raises:
        DataError: a column is missing or stands twice.
    """
    for column in wanted:
        if column not in there:
            raise DataError(
                where,
                f"no column {column!r}",
                expected=f"columns {', '.join(wanted)}; there are {_listing(there)}",
                hint=nearest(column, there) or hint,
            )
        if list(there).count(column) > 1:
            raise DataError(where, f"column {column!r} stands twice in the header", expected="once")


def check_text(where: str, wanted: Sequence[str], types: Mapping[str, str]) -> None:
    """Check that columns hold text.

    Raises:
        DataError: one holds something else.
    """
    for column in wanted:
        if "string" not in types[column] and types[column] != "null":
            raise DataError(where, f"column {column!r} holds {types[column]}", expected="text")


def _listing(names: Collection[str]) -> str:
    """Return names for a message, the first ten and none too long."""
    shown = ", ".join(name if len(name) <= 40 else name[:40] + "…" for name in list(names)[:10])
    return f"{shown}, …" if len(names) > 10 else shown or "none"
