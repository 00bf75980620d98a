"""From the recipe's corpora to memory-mapped rows, split into training and dev rows.

Which rows train is an array of row numbers: nothing is copied to drop or hold out a row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from distill.corpora.cache import CachedRows, cached_rows
from distill.corpora.held_out import Flags, SentenceFilter
from distill.corpora.readers import ROWS_PER_BATCH
from distill.corpora.sources import corpus_source
from distill.errors import DataError
from distill.recipe import CorpusSection, Recipe
from distill.recipe.corpora import RowKind
from distill.store import Keys, Rows, text_keys

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger("distill")

DEV_ROWS = 300
DEV_SHARE = 0.02


@dataclass
class Corpus:
    """The rows of one source in one language.

    Attributes:
        name: the corpus's name in the recipe.
        language: code of the non-English side of parallel rows, else of the texts.
        kind: what a row is.
        source: where the rows come from.
        rows: all rows, a column for each part, memory-mapped.
        columns: the parts that are texts, such as english and non_english.
        keys: per text column, the hashes of the texts (n, 2).
        train: numbers of the rows to train on.
        dev: numbers of the rows held out to watch the loss.
        counts: rows read, dropped by reason, kept; rows read are the sum of the others.
        overlap: per suite that has sentences of this corpus, in any column, the rows with the same sentence and with
            a near-duplicate only; a row counts for each suite it overlaps with.
    """

    name: str
    language: str
    kind: RowKind
    source: str
    rows: Dataset
    columns: tuple[str, ...]
    keys: dict[str, Keys]
    train: Rows
    dev: Rows
    counts: dict[str, int] = field(default_factory=dict)
    overlap: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def public_source(self) -> str:
        """Where the rows come from without the folders of this machine, for model cards."""
        return Path(self.source).name if self.source.startswith("/") else self.source

    @property
    def languages(self) -> str:
        """The pair of parallel rows, such as en-uk, else the language of the texts."""
        return f"en-{self.language}" if self.kind == "parallel" else self.language

    @property
    def label(self) -> str:
        """Name and languages, for messages and logs."""
        return f"{self.name} {self.languages}"

    def digest(self) -> str:
        """Return a hash of the rows to train on and held out, in their order."""
        found = xxhash.xxh3_128()
        for rows in (self.train, self.dev):
            for column in self.columns:
                found.update(self.keys[column][rows].tobytes())
        return found.hexdigest()

    def texts(self, column: str, rows: Rows) -> list[str]:
        """Return the texts of one column at some rows."""
        return list(self.rows.select_columns([column])[rows][column])

    def values(self, column: str) -> list[Any]:
        """Return the scores, labels or domains of all rows."""
        return list(self.rows[column])

    def batches(self, rows: Rows) -> Iterator[tuple[list[str], ...]]:
        """Yield the texts of some rows in batches, a list for each column."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            batch = self.rows[rows[start : start + ROWS_PER_BATCH]]
            yield tuple(list(batch[column]) for column in self.columns)


def load_corpora(recipe: Recipe, held_out: SentenceFilter) -> list[Corpus]:
    """Return the corpora of a recipe, one per name and language, sentences of `held_out` removed.

    Near-duplicates of them are removed too unless the recipe keeps them (`evaluation.near_duplicates`). Triplets
    without a negative become a corpus of pairs of their own.

    Raises:
        DataError: a source is missing, empty or malformed.
    """
    corpora = [
        corpus
        for name, section in recipe.corpora.items()
        for language in section.languages
        for corpus in _load_corpus(name, section, language, held_out, recipe.evaluation.near_duplicates == "remove")
    ]
    _keep_dev_apart(corpora)
    for corpus in corpora:
        used = {"train": len(corpus.train), "dev": len(corpus.dev)}
        dropped = sum(corpus.counts.values()) - corpus.counts["read"]
        left_over = corpus.counts["read"] - dropped - sum(used.values())  # more than max_rows or dev_rows
        corpus.counts |= ({"left over": left_over} if left_over else {}) | used
        if not len(corpus.train):
            counts = ", ".join(f"{count} {name}" for name, count in corpus.counts.items() if count)
            raise DataError(
                f"corpora.{corpus.name} ({corpus.languages})",
                f"no rows left to train on from {corpus.source}: {counts}",
                expected="rows that are neither held out nor in a test set",
                hint="use a larger corpus, fewer dev_rows, or other suites",
            )
    return corpora


def _load_corpus(
    name: str, section: CorpusSection, language: str, held_out: SentenceFilter, remove_near: bool
) -> list[Corpus]:
    from datasets import concatenate_datasets

    where = f"corpora.{name} ({'en-' * (section.rows == 'parallel')}{language})"
    parts = [_read_train(where, section, language)]
    if section.dev_rows != 0 and (source := corpus_source(where, section, language, "dev")):
        parts.append(cached_rows(where, source, section.bad_rows))
    bad = sum(part.bad for part in parts)
    if bad:
        examples = [example for part in parts for example in part.examples]
        log.warning("%s: bad rows skipped: %d; the first: %s", where, bad, "; ".join(examples[:3]))
    rows = concatenate_datasets([part.rows for part in parts if len(part.rows)])
    keys, exact, near, overlap = _read_texts(rows, section.texts, held_out)
    near &= remove_near
    leaked = exact | near
    n_train = len(parts[0].rows)
    train, dev = np.arange(n_train), np.arange(n_train, len(rows))
    counts = {
        "read": len(rows) + bad,
        "bad": bad,
        "in a test set": int(exact.sum()),
        "near a test set": int(near.sum()),
    }
    train, dev = train[~leaked[train]], dev[~leaked[dev]]
    train = _spread(train, section.max_rows)
    if not len(dev) and section.dev_rows != 0:
        wanted = section.dev_rows or min(DEV_ROWS, int(len(train) * DEV_SHARE))
        train, dev = _hold_out(where, keys[section.texts[0]], train, wanted)
    dev = _spread(dev, section.dev_rows or DEV_ROWS)
    corpus = Corpus(
        name, language, section.rows, section.source, rows, section.texts, keys, train, dev, counts, overlap
    )
    return _split_off_pairs(corpus) if section.rows == "triplets" else [corpus]


def _split_off_pairs(corpus: Corpus) -> list[Corpus]:
    """Return the triplets of a corpus and, as a corpus of pairs, its rows without any negative."""
    (nothing,) = text_keys([""])
    lacking = np.all([(corpus.keys[column] == nothing).all(axis=1) for column in corpus.columns[2:]], axis=0)
    pairs = replace(
        corpus,
        kind="pairs",
        columns=corpus.columns[:2],
        train=corpus.train[lacking[corpus.train]],
        dev=corpus.dev[lacking[corpus.dev]],
        counts={},
        overlap={},
    )
    corpus.train, corpus.dev = corpus.train[~lacking[corpus.train]], corpus.dev[~lacking[corpus.dev]]
    if not len(pairs.train):
        return [corpus]
    pairs.counts["read"] = len(pairs.train) + len(pairs.dev)
    corpus.counts["without a negative"] = pairs.counts["read"]
    return [corpus, pairs] if len(corpus.train) else [replace(pairs, counts=corpus.counts, overlap=corpus.overlap)]


def _read_train(where: str, section: CorpusSection, language: str) -> CachedRows:
    source = corpus_source(where, section, language, "train")
    if source is None:
        raise DataError(where, f"no files in {section.source}", expected="files to train on")
    found = cached_rows(where, source, section.bad_rows)
    if not len(found.rows):
        bad = f"; bad rows skipped: {found.bad}, the first: {found.examples[0]}" if found.bad else ""
        raise DataError(where, f"no rows in {source.label}{bad}", expected="at least one row with text on both sides")
    return found


def _spread(rows: Rows, most: int | None) -> Rows:
    """Return at most `most` rows, evenly spread."""
    if most is None or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _hold_out(where: str, english: Keys, rows: Rows, wanted: int) -> tuple[Rows, Rows]:
    """Split rows into training and dev rows; all rows of one English sentence go to the same side.

    Which sentences are held out depends on their hashes alone, not on the order of the rows.
    """
    if wanted <= 0:
        return rows, rows[:0]
    distinct = np.unique(english[rows, 0])
    if len(distinct) <= wanted:
        log.warning("%s: only %d sentences, half of them are held out, not %d", where, len(distinct), wanted)
        wanted = len(distinct) // 2
    chosen = np.isin(english[rows, 0], distinct[:wanted])
    return rows[~chosen], rows[chosen]


def _keep_dev_apart(corpora: Sequence[Corpus]) -> None:
    """Remove from training every row that shares a text with any corpus's dev rows; negatives may be shared."""

    def texts(corpus: Corpus, rows: Rows) -> list[Keys]:
        return [corpus.keys[column][rows, 0] for column in corpus.columns if not column.startswith("negative")]

    dev = np.unique(np.concatenate([keys for corpus in corpora for keys in texts(corpus, corpus.dev)]))
    for corpus in corpora:
        shared = np.any([np.isin(keys, dev) for keys in texts(corpus, corpus.train)], axis=0)
        corpus.counts["shared with dev"] = int(shared.sum())
        corpus.train = corpus.train[~shared]


def _read_texts(
    rows: Dataset, columns: Sequence[str], held_out: SentenceFilter
) -> tuple[dict[str, Keys], Flags, Flags, dict[str, tuple[int, int]]]:
    """Return the keys of all columns, which rows have a text in `held_out`, which nearly only, and `Corpus.overlap`."""
    keys: dict[str, list[Keys]] = {column: [] for column in columns}
    exact, near, sums = [], [], np.zeros((2, len(held_out.sources)), np.int64)
    for start in range(0, len(rows), ROWS_PER_BATCH):
        batch = rows[start : start + ROWS_PER_BATCH]
        texts = {column: list(batch[column]) for column in columns}
        for column in columns:
            keys[column].append(text_keys(texts[column]))
        hits = held_out.sources_of(map(held_out.find, texts.values()), len(texts[columns[0]]))
        sums += [found.sum(axis=0) for found in hits]
        exact.append(hits[0].any(axis=1))
        near.append(hits[1].any(axis=1) & ~exact[-1])
    overlap = {
        source: (int(same), int(nearly))
        for source, same, nearly in zip(held_out.sources, *sums, strict=True)
        if same or nearly
    }
    joined = {column: np.concatenate(found) for column, found in keys.items()}
    return joined, np.concatenate(exact), np.concatenate(near), overlap
