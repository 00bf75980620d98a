"""The ways in: rows of any file, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from distill.corpora.readers.archives import zip_parallel, zip_tables
from distill.corpora.readers.columns import resolve_columns
from distill.corpora.readers.delimited import csv_header, read_csv, read_tsv, tsv_header
from distill.corpora.readers.jsonl import jsonl_keys, read_jsonl
from distill.corpora.readers.moses import Pair, language_of_entry, moses_partner, read_moses
from distill.corpora.readers.parquet import parquet_types, read_parquet
from distill.corpora.readers.rows import ColumnSpec, RawBatch, RowBatch, checked_batch
from distill.corpora.readers.streams import Entry
from distill.corpora.readers.tmx import read_tmx
from distill.errors import DataError
from distill.recipe.corpora import COMPRESSIONS, CORPUS_FORMATS, RowKind

Record = tuple[int, "tuple[object, ...] | str"]
"""The line (or row number) of a row, and its values, or what is wrong with it."""

READERS: dict[str, Callable[[Entry, Sequence[ColumnSpec]], Iterator[RawBatch]]] = {
    ".parquet": read_parquet,
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".txt": read_tsv,
}

UNNAMED = {"english": 1, "non_english": 2}
"""Columns of a text file without a header, such as a manythings export."""


def open_rows(
    path: Path, wanted: Mapping[str, str | int] | None = None, *, language: str, kind: RowKind = "parallel"
) -> Iterator[RowBatch]:
    """Yield the rows of a corpus file: one with columns, a Moses pair, TMX, or a zip archive of such files.

    Args:
        path: the file; of a Moses pair, either.
        wanted: what its columns are called, by what they hold; None to find them.
        language: code of the non-English side.
        kind: kind of the rows; Moses and TMX files hold parallel ones only.

    Raises:
        DataError: the file cannot be read, or does not hold such rows.
    """
    for part in _parts(Entry(path), language, kind):
        if isinstance(part, Entry) and part.format != ".tmx":
            yield from _read(part, _columns(part, wanted, language, kind))
            continue
        if wanted or kind != "parallel":
            place = part.place if isinstance(part, Entry) else part[0].place
            raise DataError(str(place), "holds pairs of texts without columns", expected="parallel rows, no `columns`")
        yield from read_tmx(part, language) if isinstance(part, Entry) else read_moses(part)


def corpus_files(path: Path, language: str) -> tuple[Path, ...]:
    """Return the files whose rows `open_rows` reads for a file: of a Moses pair both, else the file alone.

    Raises:
        DataError: a file of the pair is not there.
    """
    return tuple(entry.path for entry in moses_partner(path, language)) if _is_moses(Entry(path), language) else (path,)


def _is_moses(entry: Entry, language: str) -> bool:
    known = entry.format in READERS or entry.format in (".tmx", ".zip")
    return not known and language_of_entry(entry) in ("en", language) and entry.path.is_file()


def _parts(given: Entry, language: str, kind: RowKind) -> Sequence[Entry | Pair]:
    if _is_moses(given, language):
        return [moses_partner(given.path, language)]
    if given.format == ".zip" and not given.compression:
        return zip_parallel(given.path, language) if kind == "parallel" else zip_tables(given.path)
    if given.format in READERS or given.format == ".tmx":
        return [given]
    raise _unknown_format(given, (*CORPUS_FORMATS, ".zip", ".en", f".{language}"))


def read_batches(path: Path, columns: Sequence[ColumnSpec | str]) -> Iterator[RowBatch]:
    """Yield some columns of a file with columns, or of those in a zip archive.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    specs = [ColumnSpec(column, column) if isinstance(column, str) else column for column in columns]
    for entry in _tables(path):
        yield from _read(entry, specs)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Yield some columns of a file with columns, row by row in their order, whatever their values are.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    specs = [ColumnSpec(column, column, "any") for column in columns]
    for entry in _tables(path):
        for raw in READERS[entry.format](entry, specs):
            rows: list[Record] = list(zip(raw.lines, zip(*raw.columns, strict=True), strict=True))
            yield from sorted([*rows, *raw.bad], key=lambda row: row[0]) if raw.bad else rows


def column_types(path: Path) -> Mapping[str, str]:
    """Return the columns of a file and their types, empty texts where the format has none.

    Fields inside of columns are there too, with dots in their names.

    Raises:
        DataError: the file cannot be read.
    """
    return _types(_tables(path)[0])


def _read(entry: Entry, specs: Sequence[ColumnSpec]) -> Iterator[RowBatch]:
    return (checked_batch(entry.place, specs, raw) for raw in READERS[entry.format](entry, specs))


def _columns(
    entry: Entry, wanted: Mapping[str, str | int] | None, language: str, kind: RowKind
) -> Sequence[ColumnSpec]:
    where = str(entry.place)
    if wanted and any(isinstance(source, int) for source in wanted.values()):
        return resolve_columns(where, {}, wanted, language=language, kind=kind)
    types = _types(entry)
    try:
        return resolve_columns(where, types, wanted, language=language, kind=kind)
    except DataError:
        if entry.format != ".txt" or wanted or kind != "parallel":
            raise
    if len(tsv_header(entry)) < 2:
        raise DataError(
            f"{entry.place}:1",
            "no tab in a text file",
            expected=f"columns between tabs; plain texts are named NAME.en and NAME.{language}",
        )
    return [ColumnSpec(name, number) for name, number in UNNAMED.items()]


def _tables(path: Path) -> list[Entry]:
    given = Entry(path)
    if given.format == ".zip" and not given.compression:
        return zip_tables(path)
    if given.format not in READERS:
        raise _unknown_format(given, READERS)
    return [given]


def _types(entry: Entry) -> dict[str, str]:
    match entry.format:
        case ".parquet":
            return parquet_types(entry)
        case ".jsonl":
            return dict.fromkeys(jsonl_keys(entry), "")
        case ".csv":
            return dict.fromkeys(csv_header(entry), "")
        case _:
            return dict.fromkeys(tsv_header(entry), "")


def _unknown_format(entry: Entry, known: Iterable[str]) -> DataError:
    if not entry.path.is_file():
        return DataError(str(entry.path), "no such file")
    packed = ", ".join(filter(None, COMPRESSIONS))
    return DataError(
        str(entry.path),
        f"unknown format {entry.format!r}",
        expected=f"one of {', '.join(known)}; all but .zip also with {packed}",
    )
