"""Readers of corpus files: they yield rows in constant memory, and say where a bad row is."""

from distill.corpora.readers.columns import (
    COLUMNS_HINT,
    check_columns,
    check_text,
    nested_value,
    resolve_columns,
)
from distill.corpora.readers.read import Record, column_types, corpus_files, open_rows, read_batches, read_rows
from distill.corpora.readers.rows import ROWS_PER_BATCH, BadRow, ColumnSpec, RawBatch, RowBatch, checked_batch

__all__ = [
    "COLUMNS_HINT",
    "ROWS_PER_BATCH",
    "BadRow",
    "ColumnSpec",
    "RawBatch",
    "Record",
    "RowBatch",
    "check_columns",
    "check_text",
    "checked_batch",
    "column_types",
    "corpus_files",
    "nested_value",
    "open_rows",
    "read_batches",
    "read_rows",
    "resolve_columns",
]
