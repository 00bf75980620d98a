"""Rows of a file as all readers give them: columns of values, the line of each row, and the rows that are malformed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROWS_PER_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, with its place and what is wrong."""

    file: Path
    line: int
    found: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found}"


@dataclass(frozen=True)
class ColumnSpec:
    """A wanted column.

    Attributes:
        name: what it is called in a batch.
        source: what it is called in the file, with dots into nested objects; or its number, from 1, in a file
            without a header.
        value: what it holds; labels become text, and of `any` nothing is checked.
        optional: a row without a text here is counted as one-sided, not yielded.
    """

    name: str
    source: str | int
    value: Literal["text", "number", "label", "any"] = "text"
    optional: bool = False


@dataclass
class RowBatch:
    """Some rows of a file.

    Attributes:
        file: where they are from.
        columns: the values of each wanted column; texts may be empty.
        lines: the line (or row number) of each row.
        bad: malformed rows, which are not in the columns.
        one_sided: number of rows left out because a translation is not there.
    """

    file: Path
    columns: dict[str, list[Any]]
    lines: Sequence[int]
    bad: list[BadRow] = field(default_factory=list)
    one_sided: int = 0


@dataclass
class RawBatch:
    """Some rows of a file before their values are checked.

    Attributes:
        lines: the line (or row number) of each row.
        columns: the values of each wanted column.
        bad: line and fault of malformed rows.
    """

    lines: Sequence[int]
    columns: list[list[Any]]
    bad: list[tuple[int, str]] = field(default_factory=list)


def checked_batch(file: Path, specs: Sequence[ColumnSpec], raw: RawBatch) -> RowBatch:
    """Return rows with the values their columns are to hold; a row with a value of another type goes to `bad`."""
    faults: dict[int, str] = {}
    columns = [_checked(spec, values, faults) for spec, values in zip(specs, raw.columns, strict=True)]
    absent = {
        row
        for spec, values in zip(specs, columns, strict=True)
        if spec.optional
        for row, value in enumerate(values)
        if row not in faults and not value.strip()
    }
    lines, bad = raw.lines, raw.bad + [(raw.lines[row], found) for row, found in faults.items()]
    if faults or absent:
        kept = [row for row in range(len(lines)) if row not in faults and row not in absent]
        columns = [[values[row] for row in kept] for values in columns]
        lines = [lines[row] for row in kept]
    return RowBatch(
        file,
        {spec.name: values for spec, values in zip(specs, columns, strict=True)},
        lines,
        [BadRow(file, line, found) for line, found in sorted(bad)],
        len(absent),
    )


def _checked(spec: ColumnSpec, values: list[Any], faults: dict[int, str]) -> list[Any]:
    if spec.value != "number" and set(map(type, values)) <= {str}:
        return values
    convert = CONVERSIONS[spec.value]
    results = list(map(convert, values))
    for row, result in enumerate(results):
        if result is None:
            faults.setdefault(row, f"{spec.source!r} holds {_show(values[row])}, expected {EXPECTED[spec.value]}")
    return results


def _text(value: object) -> str | None:
    if value is None:
        return ""
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _label(value: object) -> str | None:
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else _text(value)


CONVERSIONS: dict[str, Callable[[object], str | float | None]] = {"text": _text, "number": _number, "label": _label}
EXPECTED = {"text": "text", "number": "a finite number", "label": "a text or a number"}


def _show(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bytes):
        return f"bytes that are not UTF-8: {value[:20]!r}"
    return f"{type(value).__name__} {str(value)[:80]}"
