"""From the recipe's corpora to memory-mapped rows, split into training and dev rows.

A source is read once into an Arrow file in the cache, under the checksums of its files; later runs map that
file. Which rows train is an array of row numbers: nothing is copied to drop or hold out a row.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from distill.corpora.readers import ROWS_PER_BATCH, BadRow, RowBatch, read_parallel_file
from distill.errors import DataError
from distill.files import disk_errors, file_checksum, write_atomically
from distill.recipe import CorpusSection, Recipe
from distill.store import Keys, Rows, cache_root, text_keys

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger("distill")

Side = Literal["english", "non_english"]
SIDES: tuple[Side, Side] = ("english", "non_english")
FORMAT_VERSION = 1
DEV_ROWS = 300
DEV_SHARE = 0.02
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass
class Corpus:
    """The rows of one source in one language.

    Attributes:
        name: the corpus's name in the recipe.
        language: code of the non-English side.
        source: where the rows come from.
        rows: all rows, columns `english` and `non_english`, memory-mapped.
        keys: per side, the hashes of the texts (n, 2).
        train: numbers of the rows to train on.
        dev: numbers of the rows held out to watch the loss.
        counts: rows read, dropped by reason, kept.
    """

    name: str
    language: str
    source: str
    rows: Dataset
    keys: dict[Side, Keys]
    train: Rows
    dev: Rows
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def public_source(self) -> str:
        """Where the rows come from without the folders of this machine, for model cards."""
        return Path(self.source).name if self.source.startswith("/") else self.source

    @property
    def label(self) -> str:
        """Name and pair, for messages and logs."""
        return f"{self.name} en-{self.language}"

    def texts(self, side: Side, rows: Rows) -> list[str]:
        """Return the texts of one side at some rows."""
        return list(self.rows[rows][side])

    def pairs(self, rows: Rows) -> Iterator[tuple[list[str], list[str]]]:
        """Yield English and non-English texts in batches."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            batch = self.rows[rows[start : start + ROWS_PER_BATCH]]
            yield list(batch["english"]), list(batch["non_english"])


class SentenceFilter:
    """A set of sentences that may not be trained on, equal up to case, blanks and punctuation."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        keys = text_keys([normal_form(text) for text in texts])
        self._keys = np.unique(keys[:, 0]) if len(keys) else np.empty(0, np.uint64)

    def matches(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return for each text whether it is in the set."""
        if not len(self._keys):
            return np.zeros(len(texts), bool)
        return np.isin(text_keys([normal_form(text) for text in texts])[:, 0], self._keys)


def normal_form(text: str) -> str:
    """Return a text casefolded (NFKC), with punctuation and runs of blanks as one blank.

    A text of punctuation alone is only casefolded.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or folded.strip()


def load_corpora(recipe: Recipe, held_out: SentenceFilter) -> list[Corpus]:
    """Return the corpora of a recipe, one per name and language, sentences of `held_out` removed.

    Raises:
        DataError: a source is missing, empty or malformed.
    """
    corpora = [
        _load_corpus(name, section, language, held_out)
        for name, section in recipe.corpora.items()
        for language in section.languages
    ]
    _keep_dev_apart(corpora)
    for corpus in corpora:
        corpus.counts["train"], corpus.counts["dev"] = len(corpus.train), len(corpus.dev)
        if not len(corpus.train):
            raise DataError(
                f"corpora.{corpus.name} (en-{corpus.language})",
                f"no rows left to train on of {corpus.counts['read']} read from {corpus.source}",
                hint="see the counts above" if corpus.counts["read"] else "check the source and its columns",
            )
    return corpora


def _load_corpus(name: str, section: CorpusSection, language: str, held_out: SentenceFilter) -> Corpus:
    from datasets import concatenate_datasets

    where = f"corpora.{name} (en-{language})"
    train_rows, bad = _ingest(where, section, language, "train")
    if not len(train_rows):
        raise DataError(where, f"no rows in {section.source}", expected="at least one row with both sides")
    parts, n_train = [train_rows], len(train_rows)
    if section.dev_rows != 0:
        dev_rows, dev_bad = _ingest(where, section, language, "dev")
        parts, bad = [train_rows, dev_rows], bad + dev_bad
    rows = concatenate_datasets([part for part in parts if len(part)])
    keys, leaked = _hash_texts(rows, held_out)
    train, dev = np.arange(n_train), np.arange(n_train, len(rows))
    counts = {"read": len(rows) + bad, "bad": bad, "in a test set": int(leaked.sum())}
    train, dev = train[~leaked[train]], dev[~leaked[dev]]
    train = _spread(train, section.max_rows)
    if not len(dev) and section.dev_rows != 0:
        wanted = section.dev_rows or min(DEV_ROWS, int(len(train) * DEV_SHARE))
        train, dev = _hold_out(keys["english"], train, wanted)
    dev = _spread(dev, section.dev_rows or DEV_ROWS)
    return Corpus(name, language, section.source, rows, keys, train, dev, counts)


def _spread(rows: Rows, most: int | None) -> Rows:
    """Return at most `most` rows, evenly spread."""
    if most is None or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _hold_out(english: Keys, rows: Rows, wanted: int) -> tuple[Rows, Rows]:
    """Split rows into training and dev rows; all rows of one English sentence go to the same side.

    Which sentences are held out depends on their hashes alone, not on the order of the rows.
    """
    if wanted <= 0:
        return rows, rows[:0]
    distinct = np.unique(english[rows, 0])
    if len(distinct) <= wanted:
        wanted = len(distinct) // 2
    chosen = np.isin(english[rows, 0], distinct[:wanted])
    return rows[~chosen], rows[chosen]


def _keep_dev_apart(corpora: Sequence[Corpus]) -> None:
    """Remove from training every row that shares a sentence with any corpus's dev rows."""
    for side in SIDES:
        dev = np.unique(np.concatenate([corpus.keys[side][corpus.dev, 0] for corpus in corpora]))
        for corpus in corpora:
            shared = np.isin(corpus.keys[side][corpus.train, 0], dev)
            corpus.counts["shared with dev"] = corpus.counts.get("shared with dev", 0) + int(shared.sum())
            corpus.train = corpus.train[~shared]


def _hash_texts(
    rows: Dataset, held_out: SentenceFilter
) -> tuple[dict[Side, Keys], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return the keys of both sides and which rows have a side in `held_out`."""
    keys: dict[Side, list[Keys]] = {"english": [], "non_english": []}
    leaked = []
    for start in range(0, len(rows), ROWS_PER_BATCH):
        batch = rows[start : start + ROWS_PER_BATCH]
        hit = np.zeros(len(batch["english"]), bool)
        for side in SIDES:
            texts = list(batch[side])
            keys[side].append(text_keys(texts))
            hit |= held_out.matches(texts)
        leaked.append(hit)
    return {side: np.concatenate(keys[side]) for side in SIDES}, np.concatenate(leaked)


def _ingest(where: str, section: CorpusSection, language: str, split: str) -> tuple[Dataset, int]:
    """Return the rows of one split from the cache, reading the source first if need be, and the bad rows' number."""
    if section.hub is not None:
        identity, batches = _hub_source(where, section, language, split)
    else:
        identity, batches = _file_source(section, language, split)
    identity |= {"version": FORMAT_VERSION, "bad_rows": section.bad_rows}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_root() / "corpora" / digest
    if not (folder / "manifest.json").is_file():
        _write_rows(where, section, folder, batches, identity)
    manifest = json.loads((folder / "manifest.json").read_text())
    if file_checksum(folder / "rows.arrow") != manifest["checksum"]:
        log.warning("%s: the cached rows in %s are damaged and are read again", where, folder)
        shutil.rmtree(folder)
        return _ingest(where, section, language, split)
    if manifest["bad"]:
        examples = "; ".join(manifest["examples"])
        log.warning("%s: %d bad rows skipped, the first: %s", where, manifest["bad"], examples)
    from datasets import Dataset

    return Dataset.from_file(str(folder / "rows.arrow")), int(manifest["bad"])


def _write_rows(
    where: str, section: CorpusSection, folder: Path, batches: Iterable[RowBatch], identity: dict[str, Any]
) -> None:
    """Read a source into `rows.arrow`; the folder appears under its name only when it is whole."""
    schema = pa.schema([("english", pa.string()), ("non_english", pa.string())])
    temporary = folder.with_name(f"tmp-{uuid.uuid4().hex}")
    with disk_errors(folder):
        temporary.mkdir(parents=True)
        try:
            rows, bad = 0, list[BadRow]()
            with (
                pa.OSFile(str(temporary / "rows.arrow"), "wb") as file,
                pa.ipc.new_stream(file, schema) as writer,
            ):
                for batch in batches:
                    if batch.bad and section.bad_rows == "error":
                        first = batch.bad[0]
                        raise DataError(
                            f"{first.file}:{first.line}",
                            first.found,
                            expected="a row with text on both sides, in UTF-8",
                            hint=f"mend the row, or set corpora.{where.split()[0].split('.', 1)[1]}.bad_rows: skip",
                        )
                    bad += batch.bad
                    rows += len(batch.english)
                    writer.write_batch(pa.record_batch([batch.english, batch.non_english], schema=schema))
            manifest = {
                "identity": identity,
                "rows": rows,
                "bad": len(bad),
                "examples": [str(row) for row in bad[:3]],
                "checksum": file_checksum(temporary / "rows.arrow"),
                "shards": [{"rows": rows}],
            }
            write_atomically(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
            if folder.exists():  # another process was faster
                shutil.rmtree(temporary)
            else:
                temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _file_source(section: CorpusSection, language: str, split: str) -> tuple[dict[str, Any], Iterator[RowBatch]]:
    """Return identity and rows of a local corpus; a split without files has no rows."""
    english, non_english = section.columns.english, section.columns.non_english
    if section.bundled:
        files = [bundled_file(section.bundled, split)] if split == "train" else []
        english, non_english = "en", language
    elif section.folder:
        found = section.split_file(language, split)
        files = [found] if found else []
    else:
        files = section.matching_files() if split == "train" else []
    identity = {
        "files": [(path.name, file_checksum(path)) for path in files if path.is_file()],
        "columns": [english, non_english],
    }
    return identity, (batch for path in files for batch in read_parallel_file(path, english, non_english))


def bundled_file(name: str, split: str) -> Path:
    """Return a file of a corpus that ships with this program."""
    return Path(str(resources.files("distill"))) / name / f"{split}.tsv"


def _hub_source(
    where: str, section: CorpusSection, language: str, split: str
) -> tuple[dict[str, Any], Iterator[RowBatch]]:
    """Return identity and rows of a data set on the Hub; a dev split that is not there has no rows."""
    import datasets

    name = str(section.hub)
    config = (section.config or "en-{language}").format(language=language)
    wanted = section.split if split == "train" else section.dev_split
    try:
        builder = datasets.load_dataset_builder(name, config, revision=section.revision)
        splits = list(builder.info.splits or [])
        if split == "dev" and (wanted is None or (splits and wanted not in splits)):
            return {"hub": name, "split": None}, iter(())
        rows = datasets.load_dataset(name, config, revision=section.revision, split=wanted)
    except Exception as error:
        if split == "dev" and isinstance(error, ValueError) and "split" in str(error).lower():
            return {"hub": name, "split": None}, iter(())
        raise _hub_error(where, name, config, error) from error
    for column in (section.columns.english, section.columns.non_english):
        if column not in rows.column_names:
            raise DataError(
                f"{where}: {name}",
                f"no column {column!r}",
                expected=f"one of {', '.join(rows.column_names)}",
                hint="name the columns in the recipe: columns: {english: …, non_english: …}",
            )
    return {"hub": name, "fingerprint": rows._fingerprint}, _hub_batches(name, rows, section)


def _hub_batches(name: str, rows: Dataset, section: CorpusSection) -> Iterator[RowBatch]:
    for start in range(0, len(rows), ROWS_PER_BATCH):
        raw = rows[start : start + ROWS_PER_BATCH]
        batch = RowBatch()
        columns = (raw[section.columns.english], raw[section.columns.non_english])
        for number, (left, right) in enumerate(zip(*columns, strict=True), start=start + 1):
            batch.add(Path(name), number, left, right)
        yield batch


def _hub_error(where: str, name: str, config: str, error: Exception) -> DataError:
    """Return what went wrong with a data set on the Hub in the user's terms."""
    from datasets.exceptions import DatasetNotFoundError

    first = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, DatasetNotFoundError):
        return DataError(
            f"{where}: {name}",
            "no such data set on the Hub, or no access to it",
            hint="check the name; for a private set log in with `hf auth login`",
        )
    if isinstance(error, ValueError) and "config" in first.lower():
        return DataError(
            f"{where}: {name}",
            f"no configuration {config!r}: {first}",
            hint="set corpora.<name>.config, {language} stands for the code",
        )
    if isinstance(error, ConnectionError) or "offline" in first.lower() or "connect" in type(error).__name__.lower():
        return DataError(
            f"{where}: {name}",
            f"the Hub cannot be reached: {first}",
            hint="check the network, or use a local folder",
        )
    return DataError(f"{where}: {name}", f"cannot be loaded ({type(error).__name__}): {first}")
