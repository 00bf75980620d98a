"""Reader of files with one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from distill.corpora.readers.columns import listing, nested_value
from distill.corpora.readers.delimited import empty_file
from distill.corpora.readers.rows import ColumnSpec, RawBatch
from distill.corpora.readers.streams import Entry, LineBlock, line_blocks, open_stream
from distill.errors import DataError

ROWS_FOR_KEYS = 100
"""Rows at the start of a file whose keys say what it has; not every row need have all."""


def jsonl_keys(entry: Entry) -> list[str]:
    """Return the keys of the first rows of a file, and with dots those of the objects in them.

    Raises:
        DataError: the file is empty, or its first row is malformed.
    """
    keys: dict[str, None] = {}
    with open_stream(entry) as stream:
        block = next(line_blocks(stream), LineBlock(1, []))
    rows = (
        (line, block.broken.get(line) or _parsed(text))
        for line, text in zip(block.numbers(), block.lines, strict=True)
        if text or line in block.broken
    )
    for number, (line, row) in enumerate(islice(rows, ROWS_FOR_KEYS)):
        if not isinstance(row, str):
            keys |= dict.fromkeys(_flat_keys(row))
        elif number == 0:
            raise DataError(f"{entry.place}:{line}", row, expected="one JSON object per line")
    if not keys:
        raise empty_file(entry)
    return list(keys)


def _flat_keys(row: Mapping[str, object]) -> Iterator[str]:
    for key, value in row.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in _flat_keys(value))


def read_jsonl(entry: Entry, specs: Sequence[ColumnSpec]) -> Iterator[RawBatch]:
    """Yield the rows of a file with one JSON object per line; empty lines are none.

    Raises:
        DataError: columns are named by number.
    """
    keys = named_columns(entry, specs)
    with open_stream(entry) as stream:
        for block in line_blocks(stream):
            lines: list[int] = []
            rows: list[list[object]] = []
            bad = list(block.broken.items())
            for line, text in zip(block.numbers(), block.lines, strict=True):
                if text:
                    values = _values(text, keys, specs)
                    if isinstance(values, str):
                        bad.append((line, values))
                    else:
                        lines.append(line)
                        rows.append(values)
            yield RawBatch(lines, [[row[place] for row in rows] for place in range(len(keys))], bad)


def named_columns(entry: Entry, specs: Sequence[ColumnSpec]) -> list[str]:
    """Return the names of wanted columns.

    Raises:
        DataError: one is a number.
    """
    for spec in specs:
        if isinstance(spec.source, int):
            raise DataError(
                str(entry.place), f"column {spec.source} by number", expected="names; numbers are for TSV and CSV files"
            )
    return [str(spec.source) for spec in specs]


def _values(text: str, keys: Sequence[str], specs: Sequence[ColumnSpec]) -> list[object] | str:
    """Return some values of a row, or what is wrong with it."""
    row = _parsed(text)
    if isinstance(row, str):
        return row
    values: list[object] = []
    for key, spec in zip(keys, specs, strict=True):
        try:
            value = nested_value(row, key)
        except KeyError:
            if not spec.optional:
                return f"no key {key!r} among {listing(row)}"
            value = None
        if "\\u" in text and not _is_unicode(str(value)):
            return f"{key!r} holds half of a surrogate pair, which is no character"
        values.append(value)
    return values


def _parsed(text: str) -> dict[str, object] | str:
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
