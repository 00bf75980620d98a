"""Texts out of local files, and mined rows into files that are corpora."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from distill.errors import DataError
from distill.files import write_atomically
from distill.testsets.tables import file_table

FORMATS = (".parquet", ".tsv", ".jsonl")


def read_texts(path: Path, options: Mapping[str, str]) -> list[list[str]]:
    """Return some columns of a parquet, TSV, CSV or JSONL file.

    Args:
        path: the file.
        options: option of the command line that names a column → the column.

    Raises:
        DataError: the file cannot be read, lacks a column, has no rows, or holds something else than text in one.
    """
    table = file_table(path, list(options.values()), hint=f"name the columns with {', '.join(options)}")
    if not table.rows:
        raise DataError(str(path), "has no rows")
    for column in options.values():
        for number, value in enumerate(table.columns[column]):
            if not isinstance(value, str) or not value.strip():
                raise DataError(table.place(number), f"column {column!r} holds {value!r}", expected="text")
    return [[str(value) for value in table.columns[column]] for column in options.values()]


def check_format(path: Path) -> None:
    """Check that mined rows can be written to a file.

    Raises:
        DataError: its name ends with no known format.
    """
    if path.suffix.lower() not in FORMATS:
        raise DataError(str(path), f"unknown format {path.suffix!r}", expected="one of " + ", ".join(FORMATS))


def write_rows(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Write rows as parquet, TSV or JSONL, by the end of the file's name.

    A missing value is null, in TSV an empty field. A line end or tab within a text is a blank in TSV.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    match path.suffix.lower():
        case ".parquet":
            buffer = io.BytesIO()
            pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), buffer)
            content = buffer.getvalue()
        case ".jsonl":
            rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        case _:
            lines = ["\t".join(columns)]
            lines += ["\t".join(map(_field, row)) for row in zip(*columns.values(), strict=True)]
            content = "".join(f"{line}\n" for line in lines).encode()
    write_atomically(path, content)


def _field(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())
