"""Which pieces of one language stand for which of another: IBM model 1, then a hidden Markov model if wanted.

Model 1 is of Brown et al. 1993, "The Mathematics of Statistical Machine Translation"; each sentence is the set of its
pieces. `distill.hmm` looks at their order, and starts from what model 1 has found.

Both directions are fitted together: in each round a link counts as the geometric mean of what the directions give
it, so that links that both see win (Liang et al. 2006, "Alignment by Agreement", who take the product).

A link is a target piece and a source piece that stand in the same sentence pair. All links are held as the rows
of sparse 0/1 matrices, so that a round of expectation maximisation is two products of a matrix and a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy import sparse

from distill.hmm import refine_counts
from distill.spread import spread

log = logging.getLogger("distill")

MAX_PIECES = 64
"""A sentence with more distinct pieces is left out: it says little and costs the square."""

MOST_LONG = 0.2
"""Share of the sentence pairs that may be left out for their length without a warning."""

MAX_LINKS = 20_000_000
"""Most links kept, for memory: about 50 bytes each while they are sorted. 73,000 short pairs have 16 million."""

PAIRS_AT_A_TIME = 500_000
"""Distinct pairs whose links are held as numbers at a time; a pair has about four."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """All links of a set of sentence pairs, by distinct pair of pieces.

    A place is one piece in one sentence; its links are the candidates that explain it.

    Attributes:
        target: target piece of each distinct pair (pairs,), ascending.
        source: source piece of each distinct pair (pairs,).
        target_places: 1 where a link of the pair explains a target place (pairs, target places).
        source_places: likewise for source places (pairs, source places).
        sentences: numbers of the sentence pairs that these are of, ascending.
    """

    target: Numbers
    source: Numbers
    target_places: sparse.csr_array
    source_places: sparse.csr_array
    sentences: Numbers


def align(
    languages: Iterable[Sequence[tuple[Sequence[int], Sequence[int]]]],
    *,
    n_target: int,
    n_source: int,
    rounds: int,
    hmm_rounds: int = 0,
) -> sparse.csr_array:
    """Return for each target piece the weights of the source pieces it stands for.

    Languages are aligned one after the other, and a piece of several has the weights of all: the memory is that of the
    links of the largest, and of all weights.

    Args:
        languages: target and source piece ids of each sentence pair, by language.
        n_target: number of target pieces.
        n_source: number of source pieces.
        rounds: rounds of expectation maximisation.
        hmm_rounds: further rounds, which look at the order of the pieces.

    Returns:
        Matrix (n_target, n_source); a row sums to 1, or is empty where the piece was never seen.
    """
    counts = sparse.csr_array((n_target, n_source))
    for sentences in languages:
        links = find_links([target for target, _ in sentences], [source for _, source in sentences])
        joint = _expected_counts(links, rounds)
        target, source, numbers = links.target, links.source, links.sentences
        del links  # most of the memory
        if hmm_rounds:
            used = [sentences[number] for number in numbers]
            joint = refine_counts(target, source, joint, used, rounds=hmm_rounds)
        counts += sparse.csr_array((joint, (target, source)), shape=counts.shape)
    totals = np.repeat(counts.sum(axis=1), np.diff(counts.indptr))
    counts.data = np.divide(counts.data, totals, out=np.zeros_like(counts.data), where=totals > 0)
    return counts


def find_links(targets: Sequence[Sequence[int]], sources: Sequence[Sequence[int]]) -> Links:
    """Return the links of sentence pairs, given the piece ids of both sides.

    Sentences without pieces or with more than `MAX_PIECES` are left out. Of more than `MAX_LINKS` links an even
    sample of the sentences is kept.
    """
    target_places, source_places = _places(targets), _places(sources)
    n_targets, n_sources = (np.bincount(places[0], minlength=len(targets)) for places in (target_places, source_places))
    used = _used_sentences(n_targets, n_sources)
    target_places, source_places = (places[:, used[places[0]]] for places in (target_places, source_places))
    target_places = target_places[:, np.argsort(target_places[1], kind="stable")]
    (target_sentence, target), (source_sentence, source) = target_places, source_places

    # A target place is linked to all source places of its sentence, whose numbers follow each other.
    n_links = n_sources[target_sentence]
    target_place = np.repeat(np.arange(len(target), dtype=np.int32), n_links)
    first_source = np.searchsorted(source_sentence, target_sentence)
    skipped = first_source - (np.cumsum(n_links) - n_links)
    source_place = (np.arange(len(target_place)) + np.repeat(skipped, n_links)).astype(np.int32)

    width = int(source.max(initial=0)) + 1
    codes = np.repeat(target * width, n_links) + source[source_place]
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(_is_first(codes))
    row_starts = np.append(starts, len(codes)).astype(np.int32)
    ones = np.ones(len(codes))
    pair_target, pair_source = np.divmod(codes[starts], width)
    return Links(
        pair_target,
        pair_source,
        sparse.csr_array((ones, target_place[order], row_starts), shape=(len(starts), len(target))),
        sparse.csr_array((ones, source_place[order], row_starts), shape=(len(starts), len(source))),
        np.flatnonzero(used),
    )


def _places(sentences: Sequence[Sequence[int]]) -> Numbers:
    """Return sentence number and piece of every distinct piece of every sentence, ordered by both, (2, places)."""
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    pieces = np.fromiter(chain.from_iterable(sentences), np.int64, int(lengths.sum()))
    width = int(pieces.max(initial=0)) + 1
    codes = np.sort(np.repeat(np.arange(len(sentences)), lengths) * width + pieces)
    return np.stack(np.divmod(codes[_is_first(codes)], width))


def _is_first(ordered: Numbers) -> npt.NDArray[np.bool_]:
    """Return for each of some ordered numbers whether it is the first of its value."""
    return np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]


def _used_sentences(n_targets: Numbers, n_sources: Numbers) -> npt.NDArray[np.bool_]:
    """Return which sentences are aligned, given the number of distinct pieces of both sides."""
    long = np.maximum(n_targets, n_sources) > MAX_PIECES
    if long.sum() > MOST_LONG * len(long):
        log.warning(
            "alignment: %d of %d sentence pairs are left out, a side has more than %d distinct pieces: the new pieces "
            "start better from sentences than from paragraphs", long.sum(), len(long), MAX_PIECES,
        )  # fmt: skip
    fits = (np.minimum(n_targets, n_sources) > 0) & ~long
    usable = np.flatnonzero(fits)
    n_links = int((n_targets * n_sources)[usable].sum())
    if n_links > MAX_LINKS:
        usable = spread(usable, len(usable) * MAX_LINKS // n_links)
        log.info("alignment: %d of %d sentence pairs are aligned, to save memory", len(usable), len(fits))
    used = np.zeros(len(fits), bool)
    used[usable] = True
    return used


def _expected_counts(links: Links, rounds: int) -> npt.NDArray[np.float64]:
    """Return the expected count of each distinct pair after some rounds of EM, from the uniform distribution.

    A link's posterior is the geometric mean of those of the two directions, sqrt(f / F · b / B), where f and b are the
    probabilities of its pair, and F and B their sums over the links of its target place and of its source place.
    """
    forward = backward = counts = np.ones(len(links.target))
    starts = links.target_places.indptr
    for _ in range(rounds):
        per_target_place = 1 / np.sqrt(links.target_places.T @ forward)
        per_source_place = 1 / np.sqrt(links.source_places.T @ backward)
        counts = np.sqrt(forward * backward)
        for first in range(0, len(counts), PAIRS_AT_A_TIME):  # a number for each link would be most of the memory
            own = slice(first, first + PAIRS_AT_A_TIME)
            of_links = slice(starts[first], starts[min(first + PAIRS_AT_A_TIME, len(counts))])
            shares = per_target_place[links.target_places.indices[of_links]]
            shares *= per_source_place[links.source_places.indices[of_links]]
            counts[own] *= np.add.reduceat(shares, starts[:-1][own] - starts[first])
        counts = np.maximum(counts, np.finfo(float).tiny)  # after many rounds
        forward = counts / np.bincount(links.source, counts)[links.source]
        backward = counts / np.bincount(links.target, counts)[links.target]
    return counts
