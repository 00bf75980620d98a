"""Where the rows of a corpus come from: files, the bundled corpus, or a data set on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distill.corpora.readers import (
    ROWS_PER_BATCH,
    ColumnSpec,
    RawBatch,
    RowBatch,
    check_columns,
    check_text,
    checked_batch,
    corpus_files,
    nested_value,
    open_rows,
    resolve_columns,
)
from distill.errors import DataError, DistillError, nearest
from distill.files import disk_errors, file_checksum
from distill.languages import spellings
from distill.recipe import CorpusSection

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder

Split = Literal["train", "dev"]

KNOWN_VALUES = 20
"""Values of a column that a message names."""


@dataclass(frozen=True)
class Source:
    """The rows of one split of a corpus in one language, not yet read.

    Attributes:
        label: the files or the data set, for messages.
        parts: what a row has, such as english and non_english.
        identity: what the rows depend on.
        batches: reads them, from the start each time it is called.
    """

    label: str
    parts: tuple[str, ...]
    identity: dict[str, Any]
    batches: Callable[[], Iterator[RowBatch]]


def corpus_sources(where: str, section: CorpusSection, language: str) -> dict[Split, Source]:
    """Return where the rows come from, of the splits that the corpus has; no `dev` if there are to be no dev rows.

    Raises:
        DataError: a data set on the Hub, or its configuration or columns, cannot be had.
    """
    splits: tuple[Split, ...] = ("train", "dev") if section.dev_rows != 0 else ("train",)
    if section.hub is not None:
        return _hub_sources(where, section, language, splits)
    files = {split: _files(section, language, split) for split in splits}
    return {split: _file_source(section, language, own) for split, own in files.items() if own}


def bundled_file(name: str, split: str) -> Path:
    """Return a file of a corpus that ships with this program."""
    return Path(str(resources.files("distill"))) / name / f"{split}.tsv"


def _files(section: CorpusSection, language: str, split: Split) -> list[Path]:
    if section.folder:
        found = section.split_file(language, split)
        return [found] if found else []
    if split != "train":
        return []
    return [bundled_file(section.bundled, split)] if section.bundled else section.matching_files(language)


def _wanted(section: CorpusSection, language: str) -> dict[str, str | int] | None:
    """Return what the columns are called, None if that is to be found."""
    if section.bundled:
        return {"english": "en", "non_english": language}
    return section.columns.names() or None


def _file_source(section: CorpusSection, language: str, files: list[Path]) -> Source:
    wanted = _wanted(section, language)
    read: dict[tuple[Path, ...], Path] = {}  # a pattern may match both files of a Moses pair
    for path in files:
        read.setdefault(corpus_files(path, language), path)
    identity = {
        "files": [(path.name, file_checksum(path)) for paths in read for path in paths],
        "columns": wanted,
        "language": language,
        "parts": [*section.texts, *section.values],
    }

    def batches() -> Iterator[RowBatch]:
        for path in read.values():
            yield from open_rows(path, wanted, language=language, kind=section.rows)

    return Source(", ".join(map(str, read.values())), (*section.texts, *section.values), identity, batches)


def _hub_sources(where: str, section: CorpusSection, language: str, splits: Sequence[Split]) -> dict[Split, Source]:
    import datasets

    wanted = {"train": section.split, "dev": section.dev_split}
    try:
        with disk_errors(Path(datasets.config.HF_DATASETS_CACHE)):
            builder = _builder(section, language)  # a dozen requests: once for all splits
            builder.download_and_prepare()
            there = builder.info.splits or {}
            chosen = [split for split in splits if split == "train" or wanted[split] in there]
            rows = {split: builder.as_dataset(split=wanted[split]) for split in chosen}
    except DistillError:
        raise
    except Exception as error:
        config = _configs(section, language)[0]
        raise hub_error(f"{where}: {section.hub}", config, error, key=where.split()[0]) from error
    return {split: _hub_source(where, section, language, own) for split, own in rows.items()}


def _hub_source(where: str, section: CorpusSection, language: str, rows: Dataset) -> Source:
    name = str(section.hub)
    types = dict(_feature_types("", rows.features))
    columns = resolve_columns(
        f"{where}: {name}", types, _wanted(section, language), language=language, kind=section.rows
    )
    columns = [column for column in columns if column.name in (*section.texts, *section.values)]
    for column, value in section.where.items():
        rows = _rows_with(f"{where}: {name}", rows, column, value)
    check_text(f"{where}: {name}", [str(column.source) for column in columns if column.value == "text"], types)
    return Source(
        name,
        tuple(column.name for column in columns),
        {"hub": name, "fingerprint": rows._fingerprint, "columns": {column.name: column.source for column in columns}},
        lambda: _hub_batches(name, rows, columns),
    )


def _rows_with(where: str, rows: Dataset, column: str, value: str) -> Dataset:
    """Return the rows of a set that have a value in a column.

    Raises:
        DataError: there is no such column, or no such row.
    """
    check_columns(where, [column], rows.column_names, hint="")
    chosen = rows.filter(lambda values: [str(found) == value for found in values], batched=True, input_columns=column)
    if not len(chosen):
        known = sorted(map(str, rows.unique(column)[:KNOWN_VALUES]))
        raise DataError(
            where,
            f"no rows whose {column} is {value!r}",
            expected=f"one of {', '.join(known)}",
            hint=nearest(value, known),
        )
    return chosen


def _hub_place(section: CorpusSection, language: str) -> dict[str, str | None]:
    """Return which files of a set on the Hub to take, as `datasets` calls it."""
    folder = section.data_dir and section.data_dir.format(language=language)
    return {"revision": section.revision, "data_dir": folder}


def _configs(section: CorpusSection, language: str) -> list[str | None]:
    """Return the configurations of a set that may hold a pair, either way round; None is the set's only one."""
    if section.config:
        return [section.config.format(language=language)]
    if section.rows != "parallel" or section.data_dir:
        return [None]
    codes = spellings(language)
    return [*(f"en-{code}" for code in codes), *(f"{code}-en" for code in codes), None]


def _builder(section: CorpusSection, language: str) -> DatasetBuilder:
    """Return what loads the configuration of a set to take.

    Raises:
        ValueError: the set has none of those asked for.
    """
    import datasets

    first: ValueError | None = None
    configs = _configs(section, language)
    for config in configs:
        try:
            builder = datasets.load_dataset_builder(str(section.hub), config, **_hub_place(section, language))
        except ValueError as error:
            if "config" not in str(error).lower():
                raise
            first = first or error
            continue
        if config or len(configs) == 1 or builder.config.name.startswith("default"):
            return builder
    raise first or ValueError(f"no config for {language}")


def _feature_types(prefix: str, features: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for column, feature in features.items():
        yield prefix + column, str(getattr(feature, "dtype", feature))
        if isinstance(feature, Mapping):
            yield from _feature_types(f"{prefix}{column}.", feature)
        for inner in getattr(feature, "languages", None) or ():  # datasets.Translation
            yield f"{prefix}{column}.{inner}", "string"


def _hub_batches(name: str, rows: Dataset, columns: Sequence[ColumnSpec]) -> Iterator[RowBatch]:
    outer = list(dict.fromkeys(_outer_column(str(column.source), rows) for column in columns))
    chosen = rows.select_columns(outer)
    for start in range(0, len(rows), ROWS_PER_BATCH):
        raw = chosen[start : start + ROWS_PER_BATCH]
        numbers = range(start + 1, start + 1 + len(raw[outer[0]]))
        values = [_hub_values(raw, str(column.source)) for column in columns]
        yield checked_batch(Path(name), columns, RawBatch(numbers, values))


def _outer_column(source: str, rows: Dataset) -> str:
    return source if source in rows.column_names else source.split(".")[0]


def _hub_values(raw: Mapping[str, Sequence[Any]], source: str) -> list[Any]:
    if source in raw:
        return list(raw[source])
    outer, inner = source.split(".", 1)
    return [None if row is None else nested_value(row, inner) for row in raw[outer]]


def hub_error(place: str, config: str | None, error: Exception, *, key: str) -> DataError:
    """Return what went wrong with a data set on the Hub in the user's terms.

    Args:
        place: where it is named, and its name.
        config: the configuration that was asked for.
        error: what the libraries raised.
        key: the section with the keys `config`, `revision` and `split`, for what to do.
    """
    from datasets.exceptions import DatasetNotFoundError

    first = next(iter(str(error).splitlines()), type(error).__name__)
    no_answer = isinstance(error, ConnectionError) or "connect" in type(error).__name__.lower()
    if no_answer or "offline" in first.lower() or "couldn't find cache" in first.lower():
        return DataError(
            place,
            f"the Hub cannot be reached: {first}",
            hint="check the network and that HF_HUB_OFFLINE is not set, or use a local folder",
        )
    if "scripts are no longer supported" in first and key.startswith("corpora."):
        hint = f"set {key}.revision: refs/convert/parquet, where the Hub may have converted it, and {key}.data_dir"
        return DataError(place, first, hint=hint)
    if isinstance(error, DatasetNotFoundError) and first.startswith("Revision"):
        return DataError(place, first, hint=f"check {key}.revision: a commit, branch or tag")
    if isinstance(error, DatasetNotFoundError):
        return DataError(
            place,
            "no such data set on the Hub, or no access to it",
            hint="check the name; for a private set log in with `hf auth login`",
        )
    if isinstance(error, ValueError) and "config" in first.lower():
        return DataError(
            place, f"no configuration {config!r}: {first}", hint=f"set {key}.config, in which braces stand for codes"
        )
    if isinstance(error, ValueError) and first.startswith("Unknown split"):
        return DataError(place, first, hint=f"set {key}.split")
    return DataError(place, f"cannot be loaded ({type(error).__name__}): {first}")
