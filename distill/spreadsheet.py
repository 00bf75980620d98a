"""CSV files that a person edits in a spreadsheet: a byte order mark, either line end, commas or semicolons."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from distill.errors import DataError
from distill.files import write_atomically

FORMULA = re.compile(r"'*[=+\-@]")
"""What a spreadsheet would compute, so that `- Why?` became `#NAME?`; numbers may be computed."""

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def guarded(field: str) -> str:
    """Return a field that a spreadsheet leaves as it is: a formula gets an apostrophe before it."""
    return f"'{field}" if FORMULA.match(field) and not NUMBER.fullmatch(field) else field


def unguarded(field: str) -> str:
    """Return a field without the apostrophe of `guarded`."""
    return field[1:] if field.startswith("'") and FORMULA.match(field) else field


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table that spreadsheets open as UTF-8."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guarded(field) for field in row] for row in rows)
    write_atomically(path, table.getvalue().encode("utf-8-sig", "replace"))  # spreadsheets want the mark


def read_sheet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with these columns, each with the line it ends on; empty lines are left out.

    Raises:
        DataError: the file cannot be read, has other columns, or a row is malformed; with file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(str(path), "not UTF-8", hint="save it as UTF-8 (CSV UTF-8 in spreadsheets)") from error
    delimiter = ";" if ";" in text.partition("\n")[0] else ","  # spreadsheets of some countries write semicolons
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        if tuple(header) != tuple(columns):
            expected = f"{', '.join(columns)}; between commas or semicolons"
            raise DataError(f"{path}:1", f"columns {', '.join(header)}", expected=expected)
        for fields in reader:
            if not any(fields):
                continue
            if len(fields) != len(columns):
                found = f"{len(fields)} fields"
                raise DataError(f"{path}:{reader.line_num}", found, expected=f"{len(columns)} as in the header")
            yield reader.line_num, dict(zip(columns, map(unguarded, fields), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}", f"no CSV: {error}") from error
