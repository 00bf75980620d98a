"""Candidates: the passages that BM25 or a bi-encoder ranks highest for a text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.encode import EncodeTexts, Vectors
from distill.mining.models import Floats, Numbers
from distill.mining.packages import require
from distill.neighbours import search, unit

log = logging.getLogger("distill")

EXACT_PASSAGES = 50_000
"""With more passages the search is approximate."""

LEAST_RECALL = 0.95
"""Share of the true neighbours that an approximate search is to find, on a sample."""

SAMPLE = 200
LINKS = 32
BUILD_EFFORT = 80
MOST_EFFORT = 3_200
"""HNSW (Malkov & Yashunin 2016): links of a node, and nodes looked at in building and, at most, in searching.

91,413 sentences, 384 dimensions, one thread: 21 s to build, recall@100 0.99 at 0.6 ms a text; inverted lists take 5 s
to build and 0.9 ms for a recall of 0.95; the exact search takes 1.8 ms.
"""

UNPARTED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = rf"(?u)[{UNPARTED}]|[^\W{UNPARTED}]+"
"""A word, or one letter where words are not parted by spaces: Thai, Lao, Japanese, Chinese."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranked:
    """The passages found for some texts, best first.

    Attributes:
        passages: numbers (n, k), -1 from where there are no more.
        scores: (n, k).
    """

    passages: Numbers
    scores: Floats


Find = Callable[[Numbers, "Mask | None"], Ranked]
"""Finds passages for the queries of some numbers, among the passages of a mask (all if None)."""

MakeFind = Callable[[Sequence[str], Sequence[str], int], Find]
"""Makes a search from queries, passages and how many to find."""


def bm25(queries: Sequence[str], passages: Sequence[str], k: int) -> Find:
    """Return a search by BM25 (Lucene's form, k1 1.5, b 0.75; Kamphuis et al. 2020) over words, folded and unstemmed.

    A passage without a word of the query is not found.
    """
    require("bm25s")
    import bm25s

    def words(texts: Sequence[str]) -> list[list[str]]:
        found = bm25s.tokenize(
            [text.casefold() for text in texts],
            token_pattern=WORD,
            stopwords=None,
            return_ids=False,
            show_progress=False,
        )
        return list(found)

    found_in = words(passages)
    if not any(found_in):  # such as emojis, or punctuation alone
        return lambda rows, allowed: Ranked(np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32))
    index = bm25s.BM25()
    index.index(found_in, show_progress=False)
    k = min(k, len(passages))

    def find(rows: Numbers, allowed: Mask | None) -> Ranked:
        weights = None if allowed is None else allowed.astype(np.float32)
        asked = words([queries[row] for row in rows])
        found, scores = index.retrieve(asked, k=k, weight_mask=weights, show_progress=False)
        return Ranked(np.where(scores > 0, found, -1).astype(np.int64), np.asarray(scores, np.float32))

    return find


def dense(encode_texts: EncodeTexts, queries: Sequence[str], passages: Sequence[str], k: int) -> Find:
    """Return a search by cosine: exact up to `EXACT_PASSAGES` passages, beyond that by faiss."""
    asked, vectors = unit(encode_texts(queries)), unit(encode_texts(passages))
    k = min(k, len(passages))
    if len(passages) > EXACT_PASSAGES:
        return approximate_search(asked, vectors, k)[0]

    def find(rows: Numbers, allowed: Mask | None) -> Ranked:
        numbers = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
        if not len(numbers):
            return Ranked(np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32))
        found = search(asked[rows], vectors if allowed is None else vectors[numbers], k)
        return Ranked(numbers[found.index], found.similarity)

    return find


def approximate_search(queries: Vectors, passages: Vectors, k: int) -> tuple[Find, float]:
    """Return a search in a graph of neighbours (HNSW), and its recall.

    The search looks at twice as many nodes until it finds `LEAST_RECALL` of the neighbours that the exact search finds
    for a sample of the queries; the recall reached is logged.

    Args:
        queries: unit vectors (n, dimension).
        passages: unit vectors (m, dimension).
        k: how many to find.
    """
    require("faiss")
    import faiss as package

    faiss: Any = package  # what SWIG makes is typed in part
    index = faiss.IndexHNSWFlat(passages.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    index.add(passages)
    sample = np.random.default_rng(0).permutation(len(queries))[:SAMPLE]
    exact = search(queries[sample], passages, k).index
    effort, recall = k, 0.0
    while recall < LEAST_RECALL and effort < MOST_EFFORT:
        effort = min(2 * effort, MOST_EFFORT)
        index.hnsw.efSearch = effort
        _, found = index.search(queries[sample], k)
        recall = float(np.mean([np.isin(true, near).mean() for true, near in zip(exact, found, strict=True)]))
    log.info("%d passages: approximate search, recall@%d %.3f on %d queries", len(passages), k, recall, len(sample))
    if recall < LEAST_RECALL:
        log.warning("the approximate search misses %.0f %% of the %d nearest passages", 100 * (1 - recall), k)

    def find(rows: Numbers, allowed: Mask | None) -> Ranked:
        chosen = None if allowed is None else faiss.IDSelectorBatch(np.flatnonzero(allowed))
        parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=chosen)
        scores, numbers = index.search(queries[rows], k, params=parameters)
        return Ranked(numbers.astype(np.int64), scores)

    return find, recall


@dataclass(frozen=True)
class Candidates:
    """Pairs of a query and a passage that a search found, each once, sorted by query, then passage.

    Attributes:
        query: numbers (m,).
        passage: numbers (m,).
        ranks: search → rank of the passage for the query, from 1; 0 where it did not find it (m,).
        scores: search → its score, not a number where it did not find it (m,).
    """

    query: Numbers
    passage: Numbers
    ranks: dict[str, Numbers]
    scores: dict[str, Floats]

    def where(self, chosen: npt.NDArray[Any]) -> Candidates:
        """Return some of the pairs, by mask or number."""
        return Candidates(
            self.query[chosen],
            self.passage[chosen],
            {name: ranks[chosen] for name, ranks in self.ranks.items()},
            {name: scores[chosen] for name, scores in self.scores.items()},
        )


def candidates(searches: dict[str, Find], rows: Numbers, n_passages: int, allowed: Mask | None = None) -> Candidates:
    """Return what any of some searches finds for some queries.

    Args:
        searches: by name.
        rows: numbers of the queries.
        n_passages: how many passages there are.
        allowed: the passages to search, all if None.
    """
    keys, ranks, scores = {}, {}, {}
    for name, find in searches.items():
        found = find(rows, allowed)
        place = np.broadcast_to(np.arange(1, found.passages.shape[1] + 1), found.passages.shape)
        valid = found.passages >= 0
        keys[name] = (np.asarray(rows)[:, None] * n_passages + found.passages)[valid]
        ranks[name], scores[name] = place[valid], found.scores[valid]
    every = np.unique(np.concatenate(list(keys.values())))
    query, passage = np.divmod(every, n_passages)
    for name, own in keys.items():
        at = np.searchsorted(every, own)
        rank, score = np.zeros(len(every), np.int64), np.full(len(every), np.nan, np.float32)
        rank[at], score[at] = ranks[name], scores[name]
        ranks[name], scores[name] = rank, score
    return Candidates(query, passage, ranks, scores)
