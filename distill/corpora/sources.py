"""Where the rows of a corpus come from: files, the bundled corpus, or a data set on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distill.corpora.readers import NUMBERS, ROWS_PER_BATCH, RowBatch, check_columns, check_text, read_batches
from distill.errors import DataError, DistillError
from distill.files import disk_errors, file_checksum
from distill.recipe import CorpusSection

if TYPE_CHECKING:
    from datasets import Dataset

Split = Literal["train", "dev"]


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


def corpus_source(where: str, section: CorpusSection, language: str, split: Split) -> Source | None:
    """Return where a split's rows come from, None if the corpus has no such split.

    Raises:
        DataError: a data set on the Hub, or its configuration or columns, cannot be had.
    """
    if section.hub is not None:
        return _hub_source(where, section, language, split)
    files = _files(section, language, split)
    return _file_source(section, language, files) if files else None


def bundled_file(name: str, split: str) -> Path:
    """Return a file of a corpus that ships with this program."""
    return Path(str(resources.files("distill"))) / name / f"{split}.tsv"


def _files(section: CorpusSection, language: str, split: Split) -> list[Path]:
    if section.folder:
        found = section.split_file(language, split)
        return [found] if found else []
    if split != "train":
        return []
    return [bundled_file(section.bundled, split)] if section.bundled else section.matching_files()


def _file_source(section: CorpusSection, language: str, files: list[Path]) -> Source:
    columns = {"english": "en", "non_english": language} if section.bundled else _columns(section)
    identity = {
        "files": [(path.name, file_checksum(path)) for path in files],
        "columns": columns,
    }
    return Source(
        ", ".join(map(str, files)),
        tuple(columns),
        identity,
        lambda: (batch for path in files for batch in read_batches(path, columns)),
    )


def _columns(section: CorpusSection) -> dict[str, str]:
    """Return what a row of a corpus has → the column it is in."""
    return {part: part for part in (*section.texts, *section.values)} | section.columns.names()


def _hub_source(where: str, section: CorpusSection, language: str, split: Split) -> Source | None:
    import datasets

    name, columns = str(section.hub), _columns(section)
    config = (section.config or "en-{language}").format(language=language)
    wanted = section.split if split == "train" else section.dev_split
    try:
        with disk_errors(Path(datasets.config.HF_DATASETS_CACHE)):
            builder = datasets.load_dataset_builder(name, config, revision=section.revision)
            splits = list(builder.info.splits or [])
            if split == "dev" and (wanted is None or (splits and wanted not in splits)):
                return None
            rows = datasets.load_dataset(name, config, revision=section.revision, split=wanted)
    except DistillError:
        raise
    except Exception as error:
        if split == "dev" and isinstance(error, ValueError) and "split" in str(error).lower():
            return None
        raise hub_error(f"{where}: {name}", config, error, key=where.split()[0]) from error
    types = {column: str(getattr(feature, "dtype", feature)) for column, feature in rows.features.items()}
    check_columns(f"{where}: {name}", list(columns.values()), types)
    check_text(f"{where}: {name}", [column for part, column in columns.items() if part not in NUMBERS], types)
    return Source(
        name,
        tuple(columns),
        {"hub": name, "fingerprint": rows._fingerprint, "columns": columns},
        lambda: _hub_batches(name, rows, columns),
    )


def _hub_batches(name: str, rows: Dataset, columns: Mapping[str, str]) -> Iterator[RowBatch]:
    for start in range(0, len(rows), ROWS_PER_BATCH):
        raw = rows[start : start + ROWS_PER_BATCH]
        batch = RowBatch(Path(name), list(columns))
        for number, row in enumerate(zip(*(raw[column] for column in columns.values()), strict=True), start=start + 1):
            batch.add(Path(name), number, row)
        yield batch


def hub_error(place: str, config: str, error: Exception, *, key: str) -> DataError:
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
