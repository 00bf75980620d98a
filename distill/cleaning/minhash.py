"""Near-duplicates among millions of texts: MinHash and locality-sensitive hashing, every hit checked exactly.

A text is the set of its character trigrams, as in `distill.duplicates`, whose exact search takes more than linear time
to join a corpus with itself. Here each set gets `BANDS` keys, each of the minima of `ROWS` hash functions (Broder
1997); two sets of similarity s share at least one with probability 1 - (1 - s^ROWS)^BANDS (Leskovec, Rajaraman &
Ullman, Mining of Massive Datasets, 3.4): 0.998 at 0.8, 0.27 at 0.5, 0.0002 at 0.15. Pairs that share one are compared
in full. One-permutation hashing with optimal densification (Shrivastava 2017) takes three times as long for the same
recall: numpy multiplies numbers faster than it sorts them into bins.

Rows are taken in their order, and a row is dropped if it is near one that was kept. Connected components, the other
usual choice, would drop rows that are near nothing kept: a chain of small changes joins texts that differ altogether.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distill.duplicates import (
    HASH_BITS,
    SHORTEST,
    THRESHOLD,
    Bitmaps,
    Numbers,
    at_least,
    bitmaps_of,
    distinct,
    hash_trigrams,
    ranges,
    text_batches,
    trigrams_of,
)

Texts = Callable[[Numbers], Sequence[str]]
"""Gives the normal forms of the rows with some numbers."""

BANDS = 20
ROWS = 6
MOST_LEADERS = 256
"""Rows of one bucket, the first ones, that the others are compared with: a bound for corpora of one template."""

BLOCK = 256
"""Rows decided together; bounds the pairs looked at together: BLOCK × BANDS × MOST_LEADERS."""

MOST_PAIRS = 1 << 20
"""Pairs of one band whose sketches are compared together."""

PAIRS_PER_BATCH = 10_000
"""Pairs whose sets are compared together."""

_ROW_BITS = 32
_MULTIPLIERS = np.random.default_rng(0).integers(0, 1 << 32, BANDS * ROWS, np.uint32) | np.uint32(1)


@dataclass(frozen=True)
class Sketches:
    """What of n texts is needed to find candidates, 116 bytes each.

    Attributes:
        bands: key of each band (n, BANDS); 32 bits, by which of 100 million texts 0.02 share one by chance in a band.
        sizes: numbers of distinct trigrams (n,).
        bitmaps: see `distill.duplicates.bitmaps_of` (n, 4).
    """

    bands: npt.NDArray[np.uint32]
    sizes: npt.NDArray[np.int32]
    bitmaps: Bitmaps

    def take(self, rows: Numbers) -> Sketches:
        """Return those of some rows."""
        return Sketches(self.bands[rows], self.sizes[rows], self.bitmaps[rows])


@dataclass(frozen=True)
class Candidates:
    """Rows that share a band's key with others that they may be near to: e entries, sorted by row.

    Attributes:
        rows: the row of each entry (e,).
        buckets: number of its bucket, from 0 over all bands (e,).
        leads: whether the row is among the first `MOST_LEADERS` of all that have the key (e,).
    """

    rows: Numbers
    buckets: Numbers
    leads: npt.NDArray[np.bool_]


def sketch(forms: Sequence[str]) -> Sketches:
    """Return the sketches of texts in their normal form; they depend on nothing but the text."""
    return join_sketches([_sketch(batch) for _, batch in text_batches(forms)])


def join_sketches(parts: Sequence[Sketches]) -> Sketches:
    """Return sketches one after the other."""
    return Sketches(
        np.concatenate([part.bands for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.bitmaps for part in parts]),
    )


def join_candidates(parts: Sequence[Candidates]) -> Candidates:
    """Return the candidates of several bands or key ranges; buckets of different numbers stay apart."""
    rows = np.concatenate([part.rows for part in parts])
    buckets = np.unique(np.concatenate([part.buckets for part in parts]), return_inverse=True)[1]
    order = np.argsort(rows, kind="stable")
    return Candidates(rows[order], buckets[order], np.concatenate([part.leads for part in parts])[order])


def _sketch(forms: Sequence[str]) -> Sketches:
    trigrams, starts = _sets(forms)
    sizes = np.diff(starts)
    bands = np.zeros((len(forms), BANDS), np.uint64)
    full = sizes > 0
    first = starts[:-1][full]
    if len(first):
        # The hash is linear in the code points; without this, similar trigrams would have minima in common.
        mixed = trigrams.view(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
        values = (mixed >> np.uint64(32)).astype(np.uint32)
        for number, multiplier in enumerate(_MULTIPLIERS):
            least = np.minimum.reduceat(values * multiplier, first)
            bands[full, number // ROWS] += least
            bands[full, number // ROWS] *= np.uint64(0x9E3779B97F4A7C15)
    return Sketches((bands >> np.uint64(32)).astype(np.uint32), sizes.astype(np.int32), bitmaps_of(trigrams, starts))


def near_duplicates(sketches: Sketches, texts: Texts, threshold: float = THRESHOLD) -> Numbers:
    """Return for each row the first kept row it is a near-duplicate of, its own number if it is kept itself (n,).

    Texts of fewer than `SHORTEST` distinct trigrams have none. Equal texts are near-duplicates like others, but are
    cheaper removed before: by their hashes.

    Args:
        sketches: of the rows, in their order.
        texts: gives the normal forms of rows; called only for rows that have candidates.
        threshold: least Jaccard similarity of trigrams.
    """
    return decide(_candidates(sketches, threshold), sketches, texts, threshold)


def decide(candidates: Candidates, sketches: Sketches, texts: Texts, threshold: float) -> Numbers:
    """Return what `near_duplicates` does; rows of other candidates can be decided elsewhere."""
    near = np.arange(len(sketches.sizes))
    first = np.append(0, np.cumsum(np.bincount(candidates.buckets[candidates.leads])))
    kept = np.empty(first[-1], np.int64)  # the kept rows of each bucket, from `first`, `filled` of them
    filled = np.zeros(len(first), np.int64)
    for rows, buckets, leads in _blocks(candidates):
        counts = filled[buckets]
        earlier = kept[ranges(first[buckets], counts)]
        later, earlier = _near_pairs(np.repeat(rows, counts), earlier, sketches, texts, threshold)
        np.minimum.at(near, later, earlier)

        left = near[rows] == rows
        rows, buckets, leads = rows[left], buckets[left], leads[left]
        order = np.lexsort((rows, buckets))
        rows, buckets, leads = rows[order], buckets[order], leads[order]
        places = _places(buckets)
        at, leader = np.repeat(np.arange(len(rows)), places), ranges(np.arange(len(rows)) - places, places)
        at, leader = at[leads[leader]], leader[leads[leader]]
        later, earlier = _near_pairs(rows[at], rows[leader], sketches, texts, threshold)
        for row, other in zip(later.tolist(), earlier.tolist(), strict=True):
            if near[row] == row and near[other] == other:
                near[row] = other

        added = leads & (near[rows] == rows)
        rows, buckets = rows[added], buckets[added]
        kept[first[buckets] + filled[buckets] + _places(buckets)] = rows
        np.add.at(filled, buckets, 1)
    return near


def _candidates(sketches: Sketches, threshold: float) -> Candidates:
    """Return the rows that may be near others, one band sorted at a time."""
    parts = [Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))]
    long_enough = np.flatnonzero(sketches.sizes >= SHORTEST)
    count = 0
    for band in range(BANDS):
        keys, rows = sorted_keys(sketches.bands[long_enough, band], long_enough)
        shared, buckets = shared_keys(keys)
        rows = rows[shared]
        linked, leads = may_be_near(buckets, sketches.sizes[rows], sketches.bitmaps[rows], threshold)
        parts.append(Candidates(rows[linked], buckets[linked] + count, leads[linked]))
        count += len(buckets)
    return join_candidates(parts)


def sorted_keys(keys: npt.NDArray[np.uint32], rows: Numbers) -> tuple[npt.NDArray[np.uint32], Numbers]:
    """Return the keys of rows sorted, equal ones by row, and the rows in that order; rows are below 2^32."""
    joined = np.sort(keys.astype(np.uint64) << np.uint64(_ROW_BITS) | rows.astype(np.uint64))  # faster than lexsort
    return (joined >> np.uint64(_ROW_BITS)).astype(np.uint32), joined.astype(np.uint32).astype(np.int64)


def shared_keys(ordered: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.bool_], Numbers]:
    """Return which of some sorted keys occur more than once (n,), and those ones' keys numbered from 0."""
    new = np.ones(len(ordered) + 1, bool)
    new[1:-1] = ordered[1:] != ordered[:-1]
    shared = ~(new[:-1] & new[1:])
    return shared, np.cumsum(new[:-1][shared]) - 1


def may_be_near(
    buckets: Numbers, sizes: npt.NDArray[np.int32], bitmaps: Bitmaps, threshold: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which entries are of a bucket with rows that may be near, and which the first `MOST_LEADERS` of theirs.

    Args:
        buckets: the bucket of each entry, sorted; within one, entries are in the order of their rows.
        sizes: see `Sketches`, of each entry.
        bitmaps: likewise.
        threshold: least Jaccard similarity.
    """
    places = _places(buckets)
    own = np.arange(len(buckets))
    found = np.zeros(int(buckets[-1]) + 1 if len(buckets) else 0, bool)
    for leader in range(min(MOST_LEADERS, int(places.max(initial=0)))):
        own = own[(places[own] > leader) & ~found[buckets[own]]]
        for start in range(0, len(own), MOST_PAIRS):
            later = own[start : start + MOST_PAIRS]
            earlier = later - places[later] + leader
            near = _fits(sizes[later], bitmaps[later], sizes[earlier], bitmaps[earlier], threshold)
            found[buckets[later[near]]] = True
    return found[buckets], places < MOST_LEADERS


def _blocks(entries: Candidates) -> Iterator[tuple[Numbers, Numbers, npt.NDArray[np.bool_]]]:
    """Yield the entries of `BLOCK` rows at a time."""
    starts = np.flatnonzero(np.append(True, entries.rows[1:] != entries.rows[:-1])[: len(entries.rows)])
    cuts = [*starts[::BLOCK].tolist(), len(entries.rows)]
    for start, end in itertools.pairwise(cuts):
        yield entries.rows[start:end], entries.buckets[start:end], entries.leads[start:end]


def _places(ordered: Numbers) -> Numbers:
    """Return the place of each entry among those with its number, 0 for the first."""
    return np.arange(len(ordered)) - np.searchsorted(ordered, ordered)


def _near_pairs(
    later: Numbers, earlier: Numbers, sketches: Sketches, texts: Texts, threshold: float
) -> tuple[Numbers, Numbers]:
    """Return the near-duplicates among pairs of rows, each pair once, sorted."""
    later, earlier = np.divmod(distinct(later << _ROW_BITS | earlier), 1 << _ROW_BITS)
    sizes, bitmaps = sketches.sizes, sketches.bitmaps
    fits = _fits(sizes[later], bitmaps[later], sizes[earlier], bitmaps[earlier], threshold)
    later, earlier = later[fits], earlier[fits]
    shared = np.empty(len(later), np.int64)
    for start in range(0, len(later), PAIRS_PER_BATCH):
        batch = slice(start, start + PAIRS_PER_BATCH)
        shared[batch] = _overlaps(later[batch], earlier[batch], texts)
    near = shared >= _to_share(sizes[later], sizes[earlier], threshold)
    return later[near], earlier[near]


def _to_share(size: npt.NDArray[np.int32], other: npt.NDArray[np.int32], threshold: float) -> Numbers:
    """Return how many trigrams two sets must share."""
    return at_least(threshold / (1 + threshold) * (size + other).astype(np.float64))


def _fits(
    size: npt.NDArray[np.int32], bitmap: Bitmaps, other: npt.NDArray[np.int32], other_bitmap: Bitmaps, threshold: float
) -> npt.NDArray[np.bool_]:
    """Return which pairs of sets can share enough, by their sizes and bitmaps; no near-duplicate is refused."""
    differing = np.bitwise_count(bitmap ^ other_bitmap).sum(axis=1, dtype=np.int64)
    least = _to_share(size, other, threshold)
    # Each bit that differs is for a trigram that is not shared.
    shared = np.minimum(np.minimum(size, other), (size + other - differing) // 2)  # at most
    fits: npt.NDArray[np.bool_] = least <= shared
    return fits


def _overlaps(left: Numbers, right: Numbers, texts: Texts) -> Numbers:
    """Return how many trigrams the texts of each pair of rows share (k,)."""
    rows = distinct(np.concatenate([left, right]))
    trigrams, starts = _sets(texts(rows))
    codes = np.unique(trigrams, return_inverse=True)[1]
    pairs = []
    for side in (left, right):
        place = np.searchsorted(rows, side)
        sizes = np.diff(starts)[place]
        pairs.append(np.repeat(np.arange(len(side)), sizes) << _ROW_BITS | codes[ranges(starts[place], sizes)])
    joined = np.sort(np.concatenate(pairs))
    return np.bincount(joined[1:][joined[1:] == joined[:-1]] >> _ROW_BITS, minlength=len(left))


def _sets(forms: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return the hashes of each text's distinct trigrams, joined, and where each text's start (n + 1,).

    Two trigrams of a text have the same hash in one of a billion texts.
    """
    trigrams, owner = trigrams_of(forms)
    keys = distinct(owner << HASH_BITS | hash_trigrams(trigrams))
    return keys & (1 << HASH_BITS) - 1, np.searchsorted(keys, np.arange(len(forms) + 1) << HASH_BITS)
