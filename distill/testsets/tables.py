"""Some columns of a file or of a data set on the Hub, each row with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill.corpora.readers import COLUMNS_HINT, check_columns, read_rows
from distill.corpora.sources import hub_error
from distill.errors import DataError, DistillError, nearest
from distill.files import disk_errors

if TYPE_CHECKING:
    from datasets import DatasetDict


@dataclass(frozen=True)
class Table:
    """Rows, by column.

    Attributes:
        source: the file or data set, for messages.
        columns: name → values.
        rows: line of each row in the file, or its number in the data set.
    """

    source: str
    columns: Mapping[str, Sequence[object]]
    rows: Sequence[int]

    def place(self, index: int) -> str:
        """Return where a row is."""
        return f"{self.source}:{self.rows[index]}"

    def where(self, wanted: Mapping[str, str]) -> Table:
        """Return the rows that have the wanted values in their columns.

        Raises:
            DataError: there are none.
        """
        if not wanted:
            return self
        chosen = range(len(self.rows))
        for column, value in wanted.items():
            values = self.columns[column]
            there = chosen
            chosen = [index for index in there if str(values[index]) == value]  # type: ignore[assignment]
            if not chosen:
                known = sorted({str(values[index]) for index in there})
                raise DataError(
                    self.source,
                    f"no rows whose {column} is {value!r}",
                    expected=f"one of {', '.join(known[:20])}" if known else "rows",
                    hint=nearest(value, known),
                )
        columns = {name: [values[index] for index in chosen] for name, values in self.columns.items()}
        return Table(self.source, columns, [self.rows[index] for index in chosen])


def file_table(path: Path, columns: Sequence[str], *, hint: str = "call the columns so in the file") -> Table:
    """Return some columns of a parquet, TSV, CSV or JSONL file.

    Args:
        path: the file.
        columns: names of the columns.
        hint: what to do about a column that is not there.

    Raises:
        DataError: it cannot be read, lacks a column, or has a malformed row; with file and line.
    """
    lines, rows = [], []
    try:
        for line, values in read_rows(path, columns):
            if isinstance(values, str):
                raise DataError(f"{path}:{line}", values, expected=f"a row with {', '.join(columns)}")
            lines.append(line)
            rows.append(values)
    except DataError as error:
        if error.hint != COLUMNS_HINT:
            raise
        raise DataError(error.where, error.found, expected=error.expected, hint=hint) from None
    by_column = zip(*rows, strict=True) if rows else [() for _ in columns]
    return Table(str(path), dict(zip(columns, by_column, strict=True)), lines)


def hub_table(where: str, hub: str, config: str | None, revision: str, split: str, columns: Sequence[str]) -> Table:
    """Return some columns of one split of a data set on the Hub.

    Args:
        where: file and key that name the set.
        hub: owner and name.
        config: its configuration, None for the default.
        revision: full commit.
        split: name of the split.
        columns: names of the columns.

    Raises:
        DataError: the set, configuration, split or a column cannot be had.
    """
    splits = _load(where, hub, config, revision)
    if split not in splits:
        raise DataError(
            f"{where}: {hub}",
            f"no split {split!r}",
            expected=f"one of {', '.join(splits)}",
            hint=nearest(split, splits) or f"set {where}.split",
        )
    rows = splits[split]
    check_columns(f"{where}: {hub}", columns, rows.column_names, hint=f"set {where}.columns")
    values = rows.select_columns(list(dict.fromkeys(columns))).with_format(None)[:]
    label = " ".join(part for part in (hub, config, split) if part)
    return Table(label, values, range(1, len(rows) + 1))


def hub_part(where: str, hub: str, configs: Sequence[str], revision: str, split: str, columns: Sequence[str]) -> Table:
    """Return a table of a retrieval set: of the first of some configurations that there is.

    The only split of a configuration will do for any, as in MTEB, where a corpus may have one for all.
    """
    for config in configs[:-1]:
        try:
            return _only_split(where, hub, config, revision, split, columns)
        except DataError as error:
            if not error.found.startswith("no configuration"):
                raise
    return _only_split(where, hub, configs[-1], revision, split, columns)


def _only_split(where: str, hub: str, config: str, revision: str, split: str, columns: Sequence[str]) -> Table:
    splits = _load(where, hub, config, revision)
    split = next(iter(splits)) if split not in splits and len(splits) == 1 else split
    there = splits[split].column_names if split in splits else ()
    names = {"id" if column == "_id" and "id" in there and "_id" not in there else column: column for column in columns}
    if "title" not in there:
        names.pop("title", None)
    table = hub_table(where, hub, config, revision, split, list(names))
    return Table(table.source, {names[name]: values for name, values in table.columns.items()}, table.rows)


def _load(where: str, hub: str, config: str | None, revision: str) -> DatasetDict:
    import datasets

    try:
        with disk_errors(Path(datasets.config.HF_DATASETS_CACHE)):
            return datasets.load_dataset(hub, config, revision=revision)
    except DistillError:
        raise
    except Exception as error:
        raise hub_error(f"{where}: {hub}", config or "default", error, key=where) from error
