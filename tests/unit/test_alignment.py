"""IBM model 1 against a slow implementation with dictionaries, and on a corpus one can solve by eye."""

from __future__ import annotations

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import alignment
from distill.alignment import MAX_PIECES, align

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]
Counts = dict[tuple[int, int], float]

pieces = st.lists(st.integers(0, 7), max_size=6)
corpora = st.lists(st.tuples(pieces, pieces), max_size=8)

GERMAN = ["das", "haus", "buch", "ein"]
ENGLISH = ["the", "house", "book", "a"]
BOOKS: Pairs = [([0, 1], [0, 1]), ([0, 2], [0, 2]), ([3, 2], [3, 2])]  # das haus, das buch, ein buch


def slow_align(pairs: Pairs, n_target: int, n_source: int, rounds: int) -> np.ndarray:
    """Return what `align` does, dense: model 1 (Brown et al. 1993, section 4.1) with posteriors of both directions."""
    there: Counts = defaultdict(lambda: 1.0)  # of a target given a source
    back: Counts = defaultdict(lambda: 1.0)
    counts: Counts = {}
    for _ in range(rounds):
        counts = defaultdict(float)
        for targets, sources in pairs:
            for target, source in itertools.product(set(targets), set(sources)):
                forward = there[target, source] / sum(there[target, other] for other in set(sources))
                backward = back[target, source] / sum(back[other, source] for other in set(targets))
                counts[target, source] += math.sqrt(forward * backward)
        for target, source in counts:
            there[target, source] = counts[target, source] / sum(n for (_, s), n in counts.items() if s == source)
            back[target, source] = counts[target, source] / sum(n for (t, _), n in counts.items() if t == target)
    weights = np.zeros((n_target, n_source))
    for (target, source), count in counts.items():
        weights[target, source] = count
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)


@given(pairs=corpora, rounds=st.integers(1, 7))
def test_weights_are_those_of_the_slow_implementation(pairs: Pairs, rounds: int) -> None:
    found = align([pairs], n_target=9, n_source=8, rounds=rounds).toarray()
    assert found == pytest.approx(slow_align(pairs, 9, 8, rounds), abs=1e-9)


@given(pairs=corpora)
def test_a_row_sums_to_one_where_its_piece_was_seen_and_is_empty_elsewhere(pairs: Pairs) -> None:
    found = align([pairs], n_target=9, n_source=8, rounds=3)
    seen = {target for targets, sources in pairs if sources for target in targets}
    assert found.sum(axis=1) == pytest.approx([float(target in seen) for target in range(9)])
    assert set(np.flatnonzero(np.diff(found.indptr))) == seen


@given(pairs=corpora)
def test_both_directions_see_the_same_links(pairs: Pairs) -> None:
    there = align([pairs], n_target=8, n_source=8, rounds=4).toarray()
    back = align([[(sources, targets) for targets, sources in pairs]], n_target=8, n_source=8, rounds=4).toarray()
    # `there` is one matrix with its rows scaled, `back` the same with its columns scaled: scale-free products agree.
    one = np.einsum("ij,kl,il,kj->ijkl", there, there, back.T, back.T)
    two = np.einsum("il,kj,ij,kl->ijkl", there, there, back.T, back.T)
    assert np.allclose(one, two, rtol=1e-6, atol=1e-15)


@given(one=corpora, other=corpora)
def test_languages_are_aligned_apart_and_their_counts_added(one: Pairs, other: Pairs) -> None:
    shifted = [([8 + target for target in targets], sources) for targets, sources in other]  # no piece of both
    found = align([one, shifted], n_target=16, n_source=8, rounds=4).toarray()
    assert found[:8] == pytest.approx(slow_align(one, 8, 8, 4), abs=1e-9)
    assert found[8:] == pytest.approx(slow_align(other, 8, 8, 4), abs=1e-9)


def test_a_piece_of_two_languages_has_the_weights_of_both() -> None:
    found = align([[([0], [0])] * 3, [([0], [1])]], n_target=1, n_source=2, rounds=4).toarray()
    assert found == pytest.approx(np.array([[0.75, 0.25]]))


def test_words_that_always_come_together_are_found() -> None:
    weights = align([BOOKS], n_target=4, n_source=4, rounds=12).toarray()
    assert [ENGLISH[source] for source in weights.argmax(axis=1)] == ["the", "house", "book", "a"]
    assert weights.max(axis=1).min() > 0.9


def test_counting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = align([BOOKS], n_target=4, n_source=4, rounds=3).toarray()
    monkeypatch.setattr(alignment, "PAIRS_AT_A_TIME", 3)
    assert align([BOOKS], n_target=4, n_source=4, rounds=3).toarray() == pytest.approx(whole)


def test_a_sentence_is_a_set_of_pieces() -> None:
    repeated = [([*targets, *targets], [*reversed(sources), *sources]) for targets, sources in BOOKS]
    once = align([BOOKS], n_target=4, n_source=4, rounds=5).toarray()
    assert np.array_equal(align([repeated], n_target=4, n_source=4, rounds=5).toarray(), once)


@pytest.mark.parametrize("n", [MAX_PIECES, MAX_PIECES + 1])
def test_a_sentence_with_too_many_pieces_is_left_out(n: int) -> None:
    long = (list(range(4, 4 + n)), [0, 1])
    weights = align([[*BOOKS, long]], n_target=4 + n, n_source=4, rounds=2)
    assert (np.diff(weights.indptr)[4:] > 0).all() == (n <= MAX_PIECES)
    swapped = align([[*BOOKS, long[::-1]]], n_target=4, n_source=4 + n, rounds=2)
    assert (swapped.indices.max() >= 4) == (n <= MAX_PIECES)


@pytest.mark.parametrize(("n", "warned"), [(1, False), (2, True)])
def test_corpora_of_paragraphs_are_warned_of(n: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    long = (list(range(MAX_PIECES + 1)), [0, 1])
    align([[*BOOKS, *BOOKS, *[long] * n]], n_target=MAX_PIECES + 1, n_source=4, rounds=1)
    assert (f"{n} of {2 * len(BOOKS) + n} sentence pairs are left out" in caplog.text) == warned


def test_over_the_limit_of_links_sentences_are_taken_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [([n], [n, n + 1]) for n in range(100)]
    monkeypatch.setattr(alignment, "MAX_LINKS", 50)
    with caplog.at_level(logging.INFO, logger="distill"):
        weights = align([pairs], n_target=100, n_source=101, rounds=1)
    assert weights.nnz == 50
    assert "25 of 100" in caplog.text
    used = np.flatnonzero(np.diff(weights.indptr))
    assert used[0] == 0
    assert used[-1] == 99
    assert np.diff(used).max() <= 5
