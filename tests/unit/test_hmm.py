"""The hidden Markov model against all ways to link short sentences, and on pieces that only their order tells apart."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import alignment, hmm
from distill.alignment import align
from distill.hmm import MAX_LENGTH, SMOOTHING, UNLINKED, posteriors, refine_counts

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]


def every_path(
    by_state: np.ndarray, shares: np.ndarray, n_states: int, jumps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `posteriors` does for one sentence, by going through all sequences of states."""
    n = len(by_state)
    linked, jumped, total = np.zeros((n, n_states)), np.zeros(len(jumps)), 0.0
    for path in itertools.product(range(n_states), repeat=n):
        likely = np.prod([by_state[j, i] + UNLINKED * shares[j] for j, i in enumerate(path)])
        for old, new in itertools.pairwise(path):
            reachable = [jumps[other - old + MAX_LENGTH - 1] for other in range(n_states)]
            likely *= jumps[new - old + MAX_LENGTH - 1] / sum(reachable)
        total += likely
        for j, i in enumerate(path):
            linked[j, i] += likely * by_state[j, i] / (by_state[j, i] + UNLINKED * shares[j])
        for old, new in itertools.pairwise(path):
            jumped[new - old + MAX_LENGTH - 1] += likely
    return linked / total, jumped / total


@pytest.mark.parametrize("seed", range(5))
def test_posteriors_are_those_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = [(1, 1), (4, 3), (2, 4), (5, 2)]
    by_state = np.zeros((4, 5, 4), np.float32)
    shares = np.zeros((4, 5), np.float32)
    for sentence, (n, n_states) in enumerate(lengths):
        by_state[sentence, :n, :n_states] = rng.random((n, n_states)) * (rng.random((n, n_states)) > 0.3)
        shares[sentence, :n] = rng.random(n) * 0.1
    states = np.arange(4) < np.array([n_states for _, n_states in lengths])[:, None]
    jumps = rng.random(2 * MAX_LENGTH - 1)
    found, jumped = posteriors(by_state, shares, states, jumps)
    expected = np.zeros(len(jumps))
    for sentence, (n, n_states) in enumerate(lengths):
        own = by_state[sentence, :n, :n_states]
        linked, of_sentence = every_path(own, shares[sentence, :n], n_states, jumps)
        assert found[sentence, :n, :n_states] == pytest.approx(linked, abs=1e-5)
        assert not found[sentence, n:].any()
        assert not found[sentence, :, n_states:].any()
        expected += of_sentence
    assert jumped == pytest.approx(expected, abs=1e-4)


def slow_refine(pairs: Pairs, counts: dict[tuple[int, int], float], rounds: int) -> dict[tuple[int, int], float]:
    """Return what `refine_counts` does, with dictionaries and by going through all sequences of states."""
    usable = [pair for pair in pairs if all(pair)]
    of_sides = [Counter(itertools.chain.from_iterable(side)) for side in zip(*usable, strict=True)]
    steps = np.arange(1 - MAX_LENGTH, MAX_LENGTH)
    jumps = [np.exp(-np.abs(steps - 1) / 2) + 0.01] * 2
    smoothing = {pair: SMOOTHING * count for pair, count in counts.items()}
    for _ in range(rounds):
        sums = [Counter[int](), Counter[int]()]
        for pair, count in counts.items():
            for side in (0, 1):
                sums[side][pair[side]] += count
        found, jumped = dict(smoothing), [np.zeros(len(steps)), np.zeros(len(steps))]
        for pair in usable:
            linked = []
            for side in (0, 1):  # emitted: the target pieces, then the source pieces
                other = 1 - side
                by_state = np.zeros((len(pair[side]), len(pair[other])))
                for j, i in np.ndindex(by_state.shape):
                    of_both = (pair[0][j], pair[1][i]) if side == 0 else (pair[0][i], pair[1][j])
                    by_state[j, i] = (1 - UNLINKED) * counts[of_both] / sums[other][of_both[other]]
                shares = np.array([of_sides[side][piece] / of_sides[side].total() for piece in pair[side]])
                of_sentence, expected = every_path(by_state, shares, len(pair[other]), jumps[side])
                linked.append(of_sentence)
                jumped[side] += expected
            for j, i in np.ndindex(linked[0].shape):
                found[pair[0][j], pair[1][i]] += np.sqrt(linked[0][j, i] * linked[1][i, j])
        counts = found
        jumps = [each / max(1, each.sum()) + SMOOTHING for each in jumped]
    return counts


def distinct(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return target and source of all pairs of pieces that stand in a sentence pair, ascending."""
    found = sorted({pair for targets, sources in pairs for pair in itertools.product(targets, sources)})
    return tuple(np.array(found, dtype=np.int64).reshape(-1, 2).T)  # type: ignore[return-value]


sides = st.lists(st.integers(0, 5), max_size=5)
short = st.lists(st.integers(0, 3), max_size=4)


@settings(max_examples=20)
@given(pairs=st.lists(st.tuples(short, short), min_size=1, max_size=5), rounds=st.integers(1, 3))
def test_counts_are_those_of_the_slow_implementation(pairs: Pairs, rounds: int) -> None:
    target, source = distinct(pairs)
    if not len(target):
        return
    start = np.random.default_rng(0).uniform(0.1, 2, len(target))
    found = refine_counts(target, source, start, pairs, rounds=rounds)
    names = list(zip(target.tolist(), source.tolist(), strict=True))
    expected = slow_refine(pairs, dict(zip(names, start, strict=True)), rounds)
    assert found == pytest.approx(np.array([expected[name] for name in names]), rel=1e-2, abs=1e-4)


@given(pairs=st.lists(st.tuples(sides, sides), min_size=1, max_size=8))
def test_how_sentences_are_put_together_changes_nothing(pairs: Pairs) -> None:
    target, source = distinct(pairs)
    counts = np.ones(len(target))
    together = refine_counts(target, source, counts, pairs, rounds=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hmm, "LINKS_AT_A_TIME", 1)  # each alone, without padding
        apart = refine_counts(target, source, counts, pairs, rounds=3)
    assert together == pytest.approx(apart, rel=1e-3, abs=1e-6)


@given(pairs=st.lists(st.tuples(sides, sides), min_size=1, max_size=8))
def test_both_directions_find_the_same(pairs: Pairs) -> None:
    target, source = distinct(pairs)
    there = refine_counts(target, source, np.ones(len(target)), pairs, rounds=3)
    swapped = [(sources, targets) for targets, sources in pairs]
    turned_target, turned_source = distinct(swapped)
    back = refine_counts(turned_target, turned_source, np.ones(len(target)), swapped, rounds=3)
    order = np.lexsort((turned_target, turned_source))
    assert there == pytest.approx(back[order], rel=1e-3, abs=1e-6)


def test_order_tells_pieces_apart_that_always_come_together() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(200):
        sentence = list(rng.integers(0, 10, 6))
        at = int(rng.integers(0, 6))
        pairs.append(([*sentence[:at], 10, 11, *sentence[at:]], [*sentence[:at], 10, 11, *sentence[at:]]))
    sizes = {"n_target": 12, "n_source": 12, "rounds": 6}
    by_sets = align([pairs], **sizes).toarray()
    by_order = align([pairs], **sizes, hmm_rounds=3).toarray()
    assert by_sets[10, 10] == pytest.approx(by_sets[10, 11])  # as sets they cannot be told apart
    assert by_order[10, 10] > 0.9
    assert by_order[11, 11] > 0.9
    assert by_order.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("length", [MAX_LENGTH, MAX_LENGTH + 1])
def test_a_piece_of_long_sentences_alone_keeps_what_it_had(length: int) -> None:
    long = [([0] * (length - 1) + [7], sources) for sources in ([5, 6], [5])]
    pairs = [([0, 1], [0, 1]), ([0, 2], [0, 2]), ([3, 2], [3, 2]), *long]
    sizes = {"n_target": 8, "n_source": 7, "rounds": 1}
    before = align([pairs], **sizes).toarray()
    after = align([pairs], **sizes, hmm_rounds=3).toarray()
    assert before[7, 5] > 1.5 * before[7, 6] > 0
    assert np.allclose(after[7], before[7]) == (length > MAX_LENGTH)
    assert after[3, 3] > before[3, 3]


def random_pairs() -> list[tuple[list[int], list[int]]]:
    """Return sentence pairs, each side of two to six of ten pieces."""
    rng = np.random.default_rng(0)
    return [tuple(rng.integers(0, 10, rng.integers(2, 7)).tolist() for _ in range(2)) for _ in range(50)]  # type: ignore[misc]


def test_sentences_that_model_1_leaves_out_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = random_pairs()
    sizes = {"n_target": 10, "n_source": 10, "rounds": 2, "hmm_rounds": 2}
    monkeypatch.setattr("distill.alignment.MAX_LINKS", 300)
    found = align([pairs], **sizes).toarray()
    used = alignment.find_links([target for target, _ in pairs], [source for _, source in pairs]).sentences
    assert 5 < len(used) < 45
    monkeypatch.undo()
    assert found == pytest.approx(align([[pairs[number] for number in used]], **sizes).toarray())


def test_over_the_limit_pieces_keep_what_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = random_pairs()
    sizes = {"n_target": 10, "n_source": 10, "rounds": 2}
    before, after = align([pairs], **sizes).toarray(), align([pairs], **sizes, hmm_rounds=2).toarray()
    assert not np.allclose(after, before)
    monkeypatch.setattr(hmm, "MAX_LINKS", 1)
    assert align([pairs], **sizes, hmm_rounds=2).toarray() == pytest.approx(before)


def test_sentences_without_pieces_are_left_out() -> None:
    pairs: Pairs = [([], [0]), ([0], []), ([0], [1]), ([], [])]
    weights = align([pairs], n_target=1, n_source=2, rounds=2, hmm_rounds=2)
    assert weights.toarray() == pytest.approx(np.array([[0, 1]]))
    assert align([[([], [])]], n_target=1, n_source=2, rounds=2, hmm_rounds=2).nnz == 0
    assert align([[]], n_target=1, n_source=2, rounds=2, hmm_rounds=2).nnz == 0
