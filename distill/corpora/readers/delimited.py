"""Readers of tab- and comma-separated files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

from distill.corpora.readers.columns import check_columns
from distill.corpora.readers.rows import ROWS_PER_BATCH, ColumnSpec, RawBatch
from distill.corpora.readers.streams import Entry, LineBlock, Stream, line_blocks, open_stream
from distill.errors import DataError


def tsv_header(entry: Entry) -> list[str]:
    """Return the fields of the first line of a tab-separated file."""
    with open_stream(entry) as stream:
        return _first_line(entry, next(line_blocks(stream), None)).split("\t")


def csv_header(entry: Entry) -> list[str]:
    """Return the fields of the first row of a comma-separated file."""
    with open_stream(entry) as stream:
        return _CsvRows(entry, stream).header()


def read_tsv(entry: Entry, specs: Sequence[ColumnSpec]) -> Iterator[RawBatch]:
    """Yield the rows of a tab-separated file without quoting; empty lines are none.

    The first line is a header, unless the columns are named by number.
    """
    with open_stream(entry) as stream:
        blocks = line_blocks(stream)
        first = next(blocks, None)
        header = _first_line(entry, first).split("\t")
        assert first is not None
        places, has_header = column_places(entry, specs, header)
        for block in chain([first.drop(1) if has_header else first], blocks):
            yield _tsv_rows(block, places, len(header))


def _tsv_rows(block: LineBlock, places: list[int], width: int) -> RawBatch:
    if width > 1 and not block.broken and set(map(str.count, block.lines, repeat("\t"))) == {width - 1}:
        fields = "\t".join(block.lines).split("\t")  # a list for each row would cost twice the time
        return RawBatch(block.numbers(), [fields[place::width] for place in places])
    good: list[tuple[int, list[str]]] = []
    bad = list(block.broken.items())
    for number, line in zip(block.numbers(), block.lines, strict=True):
        if not line:
            continue
        row = line.split("\t")
        if len(row) == width:
            good.append((number, row))
        else:
            bad.append((number, _wrong_width(row, width)))
    return RawBatch([number for number, _ in good], [[row[place] for _, row in good] for place in places], bad)


def read_csv(entry: Entry, specs: Sequence[ColumnSpec]) -> Iterator[RawBatch]:
    """Yield the rows of a comma-separated file; quoted fields may span lines.

    The first row is a header, unless the columns are named by number.
    """
    with open_stream(entry) as stream:
        rows = _CsvRows(entry, stream)
        header = rows.header()
        places, has_header = column_places(entry, specs, header)
        batch = RawBatch([], [[] for _ in places])
        lines: list[int] = []
        for line, row in chain([] if has_header else [(1, header)], rows):
            if not isinstance(row, str) and len(row) == len(header):
                lines.append(line)
                for place, values in zip(places, batch.columns, strict=True):
                    values.append(row[place])
            else:
                batch.bad.append((line, row if isinstance(row, str) else _wrong_width(row, len(header))))
            if len(lines) + len(batch.bad) >= ROWS_PER_BATCH:
                batch.lines = lines
                yield batch
                batch, lines = RawBatch([], [[] for _ in places]), []
        batch.lines = lines
        yield batch


class _CsvRows:
    """The rows of a CSV file with the line each begins on, or what is wrong with it; empty lines are none."""

    def __init__(self, entry: Entry, stream: Stream) -> None:
        self._entry, self._stream = entry, stream
        self._broken: dict[int, str] = {}
        self._rows = csv.reader(self._lines(), strict=True)

    def _lines(self) -> Iterator[str]:
        for block in line_blocks(self._stream, keep_returns=True):
            self._broken |= block.broken
            yield from (line + "\n" for line in block.lines)

    def header(self) -> list[str]:
        """Return the first row.

        Raises:
            DataError: there is none, or it is malformed.
        """
        for line, row in islice(self, 1):
            if isinstance(row, str) or line > 1:
                raise _bad_header(self._entry, row if isinstance(row, str) else "an empty line")
            return row
        raise empty_file(self._entry)

    def __iter__(self) -> Iterator[tuple[int, list[str] | str]]:
        end = self._rows.line_num
        while True:
            start = end + 1
            try:
                row = next(self._rows, None)
            except csv.Error as error:
                # A quote that is never closed swallows lines: each of them is lost, and each is counted.
                end = self._rows.line_num
                for line in range(start, end + 1):
                    yield line, self._broken.pop(line, f"malformed CSV: {error}")
                continue
            end = self._rows.line_num
            if row is None:
                return
            if self._broken:
                faults = [self._broken.pop(line) for line in range(start, end + 1) if line in self._broken]
                if faults:
                    yield start, faults[0]
                    continue
            if row:
                yield start, row


def column_places(entry: Entry, specs: Sequence[ColumnSpec], header: list[str]) -> tuple[list[int], bool]:
    """Return the place of each wanted column in a row, and whether the first row is a header.

    Raises:
        DataError: a column is missing, or some are named and others numbered.
    """
    named = [spec.source for spec in specs if isinstance(spec.source, str)]
    if len(named) == len(specs):
        check_columns(str(entry.place), named, header)
        return [header.index(name) for name in named], True
    if named:
        raise DataError(
            str(entry.place),
            f"column {named[0]!r} is named, others are numbered",
            expected="all columns by name, or all by number",
        )
    numbers = [int(spec.source) for spec in specs]
    for number in numbers:
        if not 1 <= number <= len(header):
            raise DataError(f"{entry.place}:1", f"no column {number} among {len(header)}", expected="numbers from 1")
    return [number - 1 for number in numbers], False


def _first_line(entry: Entry, block: LineBlock | None) -> str:
    if block and block.first in block.broken:
        raise _bad_header(entry, block.broken[block.first])
    if block is None or not block.lines[0].strip():
        raise empty_file(entry)
    return block.lines[0]


def _bad_header(entry: Entry, found: str) -> DataError:
    return DataError(f"{entry.place}:1", found, expected="a header line in UTF-8")


def empty_file(entry: Entry) -> DataError:
    """Return the error of a file without a first line."""
    return DataError(str(entry.place), "the file is empty", expected="a header line with the names of the columns")


def _wrong_width(row: list[str], width: int) -> str:
    return f"{len(row)} fields, expected {width} as in the first line"
