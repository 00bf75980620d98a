"""Sentences that may not be trained on, and where a corpus has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from distill.duplicates import Numbers, index_duplicates, near_duplicates, normal_form

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """Pairs of a text and a held-out sentence that are the same or nearly.

    Attributes:
        texts: numbers of the texts (k,).
        sentences: numbers of the sentences (k,).
        similarity: Jaccard similarity of their trigrams (k,).
        exact: whether the two are equal up to case, blanks and punctuation (k,).
    """

    texts: Numbers
    sentences: Numbers
    similarity: npt.NDArray[np.float64]
    exact: Flags


class SentenceFilter:
    """A set of sentences that may not be trained on, with their sources.

    Attributes:
        sources: names of where the sentences are from, such as suites.
        sentences: the sentences, each once up to case, blanks and punctuation.
        membership: which sentence is in which source (sentences, sources).
    """

    def __init__(self, texts: Mapping[str, Iterable[str]] | None = None) -> None:
        """Take the sentences of each source."""
        texts = texts or {}
        first: dict[str, str] = {}
        forms = {source: [(normal_form(text), text) for text in found] for source, found in texts.items()}
        for pairs in forms.values():
            for form, text in pairs:
                first.setdefault(form, text)
        self.sources = tuple(forms)
        self.sentences = tuple(first.values())
        self._numbers = {form: number for number, form in enumerate(first)}
        self._index = index_duplicates(list(first))
        self.membership: Flags = np.zeros((len(first), len(forms)), bool)
        for column, pairs in enumerate(forms.values()):
            self.membership[[self._numbers[form] for form, _ in pairs], column] = True

    def digest(self) -> str:
        """Return a hash of the sentences and their sources."""
        found = xxhash.xxh3_128(self.membership.tobytes())
        for text in (*self.sources, *self._numbers):
            found.update(text.encode("utf-8", "surrogatepass") + b"\n")
        return found.hexdigest()

    def find(self, texts: Sequence[str]) -> Matches:
        """Return all pairs of a text and a sentence of the set that are the same or near-duplicates."""
        forms = [normal_form(text) for text in texts]
        same = np.fromiter((self._numbers.get(form, -1) for form in forms), np.int64, len(forms))
        equal = np.flatnonzero(same >= 0)
        near = near_duplicates(self._index, forms)
        other = near.sentences != same[near.texts]
        return Matches(
            np.concatenate([equal, near.texts[other]]),
            np.concatenate([same[equal], near.sentences[other]]),
            np.concatenate([np.ones(len(equal)), near.similarity[other]]),
            np.arange(len(equal) + int(other.sum())) < len(equal),
        )

    def sources_of(self, sides: Iterable[Matches], rows: int) -> tuple[Flags, Flags]:
        """Return which rows have a sentence of which source on any side: exactly, and nearly only (rows, sources)."""
        exact, near = np.zeros((2, rows, len(self.sources)), bool)
        for found in sides:
            for hits, flags in ((exact, found.exact), (near, ~found.exact)):
                np.logical_or.at(hits, found.texts[flags], self.membership[found.sentences[flags]])
        return exact, near & ~exact
