"""Near-duplicate sentences: pairs whose sets of character trigrams have at least some Jaccard similarity.

A sentence is compared in its normal form, as the set of its trigrams. The search misses nothing: a text whose
similarity with a sentence B is at least t shares at least ⌈t·|B|⌉ trigrams with it, so it has one of any
|B| - ⌈t·|B|⌉ + 1 of them. Taking the rarest for these ("prefix filtering": Chaudhuri, Ganti & Kaushik 2006; Bayardo,
Ma & Srikant 2007) leaves few candidates, which are compared in full. MinHash, the usual way, misses pairs near the
threshold and costs a hundred hashes per trigram.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bitmaps = npt.NDArray[np.uint64]

SHORTEST = 15
"""Distinct trigrams a sentence needs to have near-duplicates; shorter ones are alike by chance."""

THRESHOLD = 0.8
"""Jaccard similarity from which two sentences are near-duplicates, where nothing else is said."""

CHARACTERS_PER_BATCH = 500_000
MOST_LOOKUPS = 10_000_000
"""Entries looked at together; more would take more than a gigabyte."""

_NOT_WORD = re.compile(r"[\W_]+")
_CODE_POINT_BITS = 21
HASH_BITS = 46
_TEXT_BITS = 16
_SIZE_BITS = 20


def normal_form(text: str) -> str:
    """Return a text casefolded (NFKC), with punctuation and runs of blanks as one blank.

    A text of punctuation alone is only casefolded.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or folded.strip()


@dataclass(frozen=True)
class DuplicateIndex:
    """Sentences to find near-duplicates of: n sentences with v different trigrams, numbered from the rarest.

    Attributes:
        threshold: least Jaccard similarity of a near-duplicate.
        trigrams: all trigrams, sorted (v,).
        numbers: the number of each (v,).
        sets: the numbers of each sentence's distinct trigrams, sorted, joined over the sentences.
        starts: where each sentence's set starts (n + 1,).
        entries: see `_entry`, sorted; one for each of the rarest trigrams of each sentence.
        sentences: the sentence of each entry.
        places: the place of the trigram in the sentence's set.
        bitmaps: see `bitmaps_of` (n, 4).
    """

    threshold: float
    trigrams: Numbers
    numbers: Numbers
    sets: Numbers
    starts: Numbers
    entries: Numbers
    sentences: Numbers
    places: Numbers
    bitmaps: Bitmaps


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of a text and a sentence of an index, sorted by text, then sentence.

    Attributes:
        texts: numbers of the texts (k,).
        sentences: numbers of the sentences (k,).
        similarity: Jaccard similarity of their trigrams (k,).
    """

    texts: Numbers
    sentences: Numbers
    similarity: Floats


def index_duplicates(forms: Sequence[str], threshold: float = THRESHOLD) -> DuplicateIndex:
    """Return an index of sentences in their normal form.

    Args:
        forms: the sentences; those with fewer than `SHORTEST` distinct trigrams are never found.
        threshold: least Jaccard similarity of a near-duplicate, above 0.
    """
    found, owner = trigrams_of(forms)
    trigrams, place = np.unique(found, return_inverse=True)
    v = max(1, len(trigrams))
    owner, place = np.divmod(distinct(owner * v + place), v)
    frequency = np.bincount(place, minlength=len(trigrams))
    numbers = np.empty(len(trigrams), np.int64)
    numbers[np.argsort(frequency, kind="stable")] = np.arange(len(trigrams))
    owner, sets = np.divmod(np.sort(owner * v + numbers[place]), v)
    starts = np.searchsorted(owner, np.arange(len(forms) + 1))
    sizes = np.diff(starts)[owner]
    places = np.arange(len(sets)) - starts[owner]
    chosen = np.flatnonzero((places <= sizes - at_least(threshold * sizes)) & (sizes >= SHORTEST))
    entries = _entry(sets[chosen], sizes[chosen])
    order = np.argsort(entries, kind="stable")
    chosen = chosen[order]
    entries, bitmaps = entries[order], bitmaps_of(sets, starts)
    return DuplicateIndex(threshold, trigrams, numbers, sets, starts, entries, owner[chosen], places[chosen], bitmaps)


def near_duplicates(index: DuplicateIndex, forms: Sequence[str]) -> NearDuplicates:
    """Return all pairs of a text and a sentence of an index at or above its threshold; equal ones are among them.

    Args:
        index: the sentences.
        forms: the texts, in their normal form.
    """
    return _joined([_search(index, batch, first) for first, batch in text_batches(forms) if len(index.entries)])


def _joined(parts: Sequence[NearDuplicates]) -> NearDuplicates:
    return NearDuplicates(
        np.concatenate([np.empty(0, np.int64), *(part.texts for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.sentences for part in parts)]),
        np.concatenate([np.empty(0), *(part.similarity for part in parts)]),
    )


def _search(index: DuplicateIndex, forms: Sequence[str], first: int) -> NearDuplicates:
    """Return the pairs of some texts, the first of which has number `first`."""
    sets, starts = _numbered_sets(index, forms)
    sizes = np.diff(starts)
    text = np.repeat(np.arange(len(forms)), sizes)
    place = np.arange(len(sets)) - starts[text]
    # The text's own rarest suffice: of two sets in the same order, the rarest must meet.
    rare = (place <= (sizes - at_least(index.threshold * sizes))[text]) & (sets >= 0)
    text, place, number = text[rare], place[rare], sets[rare]
    smallest, largest = at_least(index.threshold * sizes), (sizes / index.threshold + 1e-9).astype(np.int64)
    low = np.searchsorted(index.entries, _entry(number, smallest[text]))
    counts = np.searchsorted(index.entries, _entry(number, largest[text]), side="right") - low
    if counts.sum() > MOST_LOOKUPS and len(forms) > 1:
        half = len(forms) // 2
        return _joined([_search(index, forms[:half], first), _search(index, forms[half:], first + half)])

    entry = ranges(low, counts)
    text, place, sentence = np.repeat(text, counts), np.repeat(place, counts), index.sentences[entry]
    text_size, size = sizes[text], np.diff(index.starts)[sentence]
    least = at_least(index.threshold / (1 + index.threshold) * (text_size + size))
    # At the first shared trigram, no more can be shared than are left on either side.
    enough = least <= np.minimum(text_size - place, size - index.places[entry])
    n = len(index.starts) - 1
    text, sentence = np.divmod(distinct(text[enough] * n + sentence[enough]), n)

    text_size, size = sizes[text], np.diff(index.starts)[sentence]
    least = at_least(index.threshold / (1 + index.threshold) * (text_size + size))
    differing = np.bitwise_count(bitmaps_of(sets, starts)[text] ^ index.bitmaps[sentence]).sum(axis=1, dtype=np.int64)
    enough = 2 * least <= text_size + size - differing  # each bit that differs is for a trigram that is not shared
    text, sentence, text_size, size = text[enough], sentence[enough], text_size[enough], size[enough]

    v = len(index.trigrams)
    known = np.repeat(np.arange(len(forms)), sizes)[sets >= 0] * v + sets[sets >= 0]
    wanted = np.repeat(text * v, size) + index.sets[ranges(index.starts[sentence], size)]
    shared = np.append(0, np.cumsum(_is_in(known, wanted)))
    ends = np.cumsum(size)
    overlap = shared[ends] - shared[ends - size]
    similarity = overlap / (size + text_size - overlap)
    near = similarity >= index.threshold
    return NearDuplicates(text[near] + first, sentence[near], similarity[near])


def _numbered_sets(index: DuplicateIndex, forms: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return the numbers of each text's distinct trigrams, sorted and joined, and where each text's start.

    Trigrams that the index lacks are the rarest of all: they come first, as -1.
    """
    trigrams, owner = trigrams_of(forms)
    place = np.minimum(np.searchsorted(index.trigrams, trigrams), len(index.trigrams) - 1)
    known = index.trigrams[place] == trigrams
    # One sort of one number for all: text, whether the trigram is known, its number or else a hash of it.
    keys = np.where(known, index.numbers[place] | 1 << HASH_BITS, hash_trigrams(trigrams))
    keys = distinct(keys | owner << HASH_BITS + 1)
    starts = np.searchsorted(keys, np.arange(len(forms) + 1) << HASH_BITS + 1)
    known = (keys >> HASH_BITS & 1).astype(bool)
    return np.where(known, keys & (1 << HASH_BITS) - 1, -1), starts


def trigrams_of(forms: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return all trigrams of some texts with a blank on both ends, and the number of the text each is from.

    A trigram is its three code points in one number; no two have the same.
    """
    joined = f" {'  '.join(forms)} ".encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(joined, np.uint32).astype(np.int64)
    lengths = np.fromiter(map(len, forms), np.int64, len(forms))
    owner = np.repeat(np.arange(len(forms)), lengths)
    at = np.arange(len(owner)) + 2 * owner
    joined_points = (points[:-2] << 2 * _CODE_POINT_BITS) | (points[1:-1] << _CODE_POINT_BITS) | points[2:]
    return joined_points[at], owner


def bitmaps_of(sets: Numbers, starts: Numbers) -> Bitmaps:
    """Return 256 bits for each set, the bit of a trigram's number set (n, 4) (Sandes, Teodoro & Melo 2020)."""
    bits = np.zeros((len(starts) - 1, 256), bool)
    bits[np.repeat(np.arange(len(bits)), np.diff(starts))[sets >= 0], sets[sets >= 0] & 255] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def at_least(bound: Floats) -> Numbers:
    """Return the least whole number not below a bound, for bounds that floating point may have put just above it."""
    return np.ceil(bound - 1e-9).astype(np.int64)


def hash_trigrams(trigrams: Numbers) -> Numbers:
    """Return a hash of `HASH_BITS` bits: the upper ones of a product (Knuth, TAOCP 6.4)."""
    product = trigrams.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (product >> np.uint64(64 - HASH_BITS)).astype(np.int64)


def _entry(numbers: Numbers, sizes: Numbers) -> Numbers:
    """Return trigram and size of the sentence in one number; sizes beyond 20 bits count as that."""
    return numbers << _SIZE_BITS | np.minimum(sizes, (1 << _SIZE_BITS) - 1)


def distinct(numbers: Numbers) -> Numbers:
    """Return each number once, sorted; three times as fast as `numpy.unique`."""
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return np.extract(first, ordered)


def _is_in(ordered: Numbers, keys: Numbers) -> npt.NDArray[np.bool_]:
    """Return which keys are among some sorted numbers."""
    if not len(ordered):
        return np.zeros(len(keys), bool)
    return np.equal(ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)], keys)


def ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """Return start, start + 1, … of each range, joined."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(starts - ends + counts, counts)


def text_batches(forms: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the texts in batches, each with the number of its first text."""
    start = length = 0
    for number, form in enumerate(forms):
        if length > CHARACTERS_PER_BATCH or number - start == 1 << _TEXT_BITS - 1:
            yield start, forms[start:number]
            start, length = number, 0
        length += len(form)
    yield start, forms[start:]
