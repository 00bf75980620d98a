"""Reader of parquet files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, cast

from distill.corpora.readers.columns import check_columns, check_text
from distill.corpora.readers.jsonl import named_columns
from distill.corpora.readers.rows import ROWS_PER_BATCH, ColumnSpec, RawBatch
from distill.corpora.readers.streams import Entry, open_stream
from distill.errors import DataError


@contextmanager
def _open_parquet(entry: Entry) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not entry.path.is_file():
        raise DataError(str(entry.path), "no such file")
    with ExitStack() as stack:
        source: Any = entry.path
        if entry.member or entry.compression:  # its index is at its end: unpack it onto the disk
            source = stack.enter_context(tempfile.TemporaryFile())
            with open_stream(entry) as stream:
                shutil.copyfileobj(cast("IO[bytes]", stream), source)
        try:
            yield stack.enter_context(pq.ParquetFile(source))
        except pa.ArrowException as error:
            raise _damaged(entry, error) from error
        except OSError as error:  # pyarrow raises a plain OSError for damaged pages
            if error.errno is not None:
                raise DataError(str(entry.place), f"cannot be read: {error.strerror}") from error
            raise _damaged(entry, error) from error


def _damaged(entry: Entry, error: Exception) -> DataError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return DataError(
        str(entry.place),
        f"not a readable parquet file: {first}",
        expected="a whole parquet file",
        hint="the file is damaged or incomplete: get it again",
    )


def parquet_types(entry: Entry) -> dict[str, str]:
    """Return the columns of a parquet file and their types, with dots the fields inside of columns."""
    with _open_parquet(entry) as file:
        return dict(_flat_types("", file.schema_arrow))


def _flat_types(prefix: str, fields: Any) -> Iterator[tuple[str, str]]:
    import pyarrow as pa

    for part in fields:
        name = prefix + part.name
        yield name, str(part.type)
        if pa.types.is_struct(part.type):
            yield from _flat_types(f"{name}.", part.type)


def read_parquet(entry: Entry, specs: Sequence[ColumnSpec]) -> Iterator[RawBatch]:
    """Yield the rows of a parquet file.

    Raises:
        DataError: it cannot be read, lacks a column, or a column of texts holds something else.
    """
    names = named_columns(entry, specs)
    with _open_parquet(entry) as file:
        there = file.schema_arrow.names
        types = dict(_flat_types("", file.schema_arrow))
        check_columns(str(entry.place), names, [*there, *(name for name in types if name not in there)])
        check_text(str(entry.place), [n for n, spec in zip(names, specs, strict=True) if spec.value == "text"], types)
        first = 1
        for records in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=names):
            columns = [_values(_column(records, name)) for name in names]
            yield RawBatch(range(first, first + len(records)), columns)
            first += len(records)


def _column(records: Any, name: str) -> Any:
    import pyarrow.compute as pc

    if name in records.schema.names:
        return records.column(name)
    outer, *inner = name.split(".")
    return pc.struct_field(records.column(outer), inner)


def _values(column: Any) -> list[object]:
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
