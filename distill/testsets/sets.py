"""What a test set is: scored pairs, translations, queries with documents, or labelled texts.

Every kind has a `suite` (the name of its group), a `pair` (its languages, such as `en-uk`), a `note` (what a reader of
its scores should know, such as who translated it) and `texts()`. `__test__` tells pytest that it is no test case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import xxhash


@dataclass(frozen=True)
class StsSet:
    """Pairs of sentences with a likeness that people gave them.

    Attributes:
        first: sentences of the first language.
        second: sentences of the second language.
        gold: scores, higher is more alike.
    """

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "sts"

    suite: str
    pair: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    gold: tuple[float, ...]
    note: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return all its sentences."""
        return self.first + self.second

    def gold_scores(self) -> npt.NDArray[np.float64]:
        """Return the gold scores (n,)."""
        return np.array(self.gold, np.float64)


@dataclass(frozen=True)
class BitextSet:
    """Translations: sentence i of `first` and of `second` mean the same, and no others do."""

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "bitext"

    suite: str
    pair: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    note: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return all its sentences."""
        return self.first + self.second


@dataclass(frozen=True)
class RetrievalSet:
    """Queries and the documents that answer them.

    Attributes:
        queries: texts of the first language.
        documents: texts of the second language.
        relevance: number of a query, number of a document, grade (1 and above); documents not named have grade 0.
    """

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "retrieval"

    suite: str
    pair: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    relevance: tuple[tuple[int, int, float], ...]
    note: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return all queries and documents."""
        return self.queries + self.documents


@dataclass(frozen=True)
class ClassificationSet:
    """Labelled texts; a probe is fitted to the vectors of the training texts.

    Attributes:
        train: texts of the first language to fit the probe to.
        train_labels: the label of each.
        test: texts of the second language to score it on.
        test_labels: the label of each.
    """

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "classification"

    suite: str
    pair: str
    train: tuple[str, ...]
    train_labels: tuple[str, ...]
    test: tuple[str, ...]
    test_labels: tuple[str, ...]
    note: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return all texts."""
        return self.train + self.test


TestSet = StsSet | BitextSet | RetrievalSet | ClassificationSet


def label(found: TestSet) -> str:
    """Return suite, kind and pair, for messages."""
    return f"{found.suite} {found.kind} {found.pair}"


def digest(found: TestSet) -> str:
    """Return a hash of a set's content."""
    content = repr([value for name, value in sorted(vars(found).items()) if name not in ("suite", "pair", "note")])
    return xxhash.xxh3_128(content.encode("utf-8", "surrogatepass")).hexdigest()


def sentences_by_suite(sets: Iterable[TestSet]) -> dict[str, list[str]]:
    """Return every sentence of some test sets by suite, each once."""
    found: dict[str, dict[str, None]] = {}
    for test_set in sets:
        found.setdefault(test_set.suite, {}).update(dict.fromkeys(test_set.texts()))
    return {suite: list(texts) for suite, texts in found.items()}


def sentences(sets: Iterable[TestSet]) -> list[str]:
    """Return every sentence of some test sets, each once."""
    return list(dict.fromkeys(text for found in sets for text in found.texts()))
