"""A corpus: memory-mapped rows, which of them train and which watch, and what became of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from distill.corpora.readers import ROWS_PER_BATCH
from distill.recipe.corpora import RowKind
from distill.store import Keys, Rows

if TYPE_CHECKING:
    from datasets import Dataset

MAX_EXAMPLES = 3
"""Examples kept of what was dropped or repaired, of each corpus and rule."""


@dataclass(frozen=True)
class Tally:
    """How many rows something happened to, and the first of them.

    Attributes:
        count: number of rows.
        examples: what is to be seen of some: a row's texts, a text before and after, a place and what is wrong there.
    """

    count: int
    examples: tuple[tuple[str, ...], ...] = ()


@dataclass
class Cleaning:
    """What cleaning did to one corpus.

    Attributes:
        malformed: rows of files that could not be read, with place and fault.
        repaired: repair → rows whose texts it changed, with a text before and after.
        dropped: rule → rows it dropped, with their texts; a row counts for the first rule that drops it.
        not_judged: rule that is on but says nothing about texts of this language → why.
    """

    malformed: Tally = Tally(0)
    repaired: dict[str, Tally] = field(default_factory=dict)
    dropped: dict[str, Tally] = field(default_factory=dict)
    not_judged: dict[str, str] = field(default_factory=dict)


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
        cleaning: what cleaning did, in detail.
        overlap: per suite that has sentences of this corpus, in any column, the rows with the same sentence and with
            a near-duplicate only; a row counts for each suite it overlaps with.
        split_off: whether these are the pairs among the rows of a corpus of triplets.
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
    cleaning: Cleaning = field(default_factory=Cleaning)
    overlap: dict[str, tuple[int, int]] = field(default_factory=dict)
    split_off: bool = False

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
        """Name and languages, for messages and logs; no two corpora of a recipe have the same."""
        return f"{self.name} {self.languages}" + "/pairs" * self.split_off

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


def english_columns(corpus: Corpus) -> tuple[str, ...]:
    """Return the columns of a corpus that are in English, which a teacher reads."""
    if corpus.kind == "parallel":
        return ("english",)
    return corpus.columns if corpus.language == "en" else ()
