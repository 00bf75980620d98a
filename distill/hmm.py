"""A hidden Markov model of aligned pieces: where a piece stands says which of its candidates it translates.

Vogel et al. 1996, "HMM-Based Word Alignment in Statistical Translation". The positions of one sentence are states that
emit the pieces of the other, one after the other. All states are as likely to be the first; how likely one follows
another depends on how far it jumps, and is learnt. A piece is emitted by its state's piece or, `UNLINKED` of the times,
by none: then frequent pieces are likelier.

As in `distill.alignment`, both directions are fitted together and a link counts as the geometric mean of what they give
it. Pairs of sentences are padded and computed many at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from distill.spread import spread

UNLINKED = 0.1
"""How often a piece is expected to translate none."""

MAX_LENGTH = 100
"""A sentence of more pieces, counting repeated ones, is left out."""

MAX_LINKS = 60_000_000
"""Most links between positions, for memory: 4 bytes each, with the padding. 73,000 short pairs have 22 million."""

LINKS_AT_A_TIME = 300_000
"""Links of the pairs that are computed together: each of their few arrays takes about a megabyte."""

SMOOTHING = 1e-6
"""How much the counts to start from count, so that what stands in long sentences alone keeps them."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Sentence pairs of like lengths, padded on the right.

    Attributes:
        links: number of the distinct pair of pieces at each two positions (sentences, target length, source length);
            their number where either is padding.
        target: share of each position's piece among all pieces, 0 for padding (sentences, target length).
        source: likewise (sentences, source length).
    """

    links: npt.NDArray[np.int32]
    target: Floats
    source: Floats


def refine_counts(
    target: Numbers,
    source: Numbers,
    counts: Counts,
    sentences: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    rounds: int,
) -> Counts:
    """Return the expected count of each distinct pair of pieces after some rounds of EM.

    Args:
        target: target piece of each distinct pair that occurs (pairs,).
        source: its source piece (pairs,); ascending by target and source.
        counts: expected counts to start from, greater than 0 (pairs,).
        sentences: target and source piece ids of sentence pairs, all of whose pairs of pieces are among `target` and
            `source`.
        rounds: rounds of expectation maximisation.
    """
    batches = list(_batches(target, source, sentences))
    smoothing = SMOOTHING * counts
    jumps = np.arange(1 - MAX_LENGTH, MAX_LENGTH)
    there = back = np.exp(-np.abs(jumps - 1) / 2) + 0.01  # mostly to the next position
    for _ in range(rounds):
        forward, backward = (
            np.append((1 - UNLINKED) * counts / np.bincount(given, counts)[given], 0).astype(np.float32)
            for given in (source, target)
        )
        found = np.zeros(len(counts) + 1)
        jumped_there, jumped_back = np.zeros(len(jumps)), np.zeros(len(jumps))
        for batch in batches:
            of_target, jumped = posteriors(forward[batch.links], batch.target, batch.source > 0, there)
            jumped_there += jumped
            reversed_links = batch.links.transpose(0, 2, 1)
            of_source, jumped = posteriors(backward[reversed_links], batch.source, batch.target > 0, back)
            jumped_back += jumped
            agreed = np.sqrt(of_target * of_source.transpose(0, 2, 1))
            np.add.at(found, batch.links.astype(np.int64), agreed.astype(np.float64))  # other types are slow
        counts = found[:-1] + smoothing
        there, back = (jumped / max(1, jumped.sum()) + SMOOTHING for jumped in (jumped_there, jumped_back))
    return counts


def _batches(
    target: Numbers, source: Numbers, sentences: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> Iterator[Batch]:
    """Yield the sentence pairs in batches, short ones first; empty and long ones are left out."""
    width = int(source.max(initial=0)) + 1
    codes = target * width + source
    lengths = np.array([[len(side) for side in pair] for pair in sentences]).reshape(-1, 2)
    longest = lengths.max(axis=1, initial=0)
    order = np.lexsort((*lengths.T, longest))
    order = order[(lengths.min(axis=1, initial=MAX_LENGTH) > 0)[order] & (longest <= MAX_LENGTH)[order]]
    total = int((longest[order] ** 2).sum())
    if total > MAX_LINKS:
        order = spread(order, len(order) * MAX_LINKS // total)
    shares = [_shares([sentences[pair][side] for pair in order]) for side in (0, 1)]
    while len(order):
        n_links = np.arange(1, len(order) + 1) * longest[order] ** 2
        n = max(1, int(np.searchsorted(n_links, LINKS_AT_A_TIME, side="right")))
        batch, order = order[:n], order[n:]
        targets, sources = (_padded([sentences[pair][side] for pair in batch]) for side in (0, 1))
        of_links = targets[:, :, None] * width + sources[:, None, :]
        links = np.searchsorted(codes, of_links.ravel()).reshape(of_links.shape)
        links[(targets < 0)[:, :, None] | (sources < 0)[:, None, :]] = len(codes)
        yield Batch(links.astype(np.int32), shares[0][targets], shares[1][sources])


def _shares(sentences: Sequence[Sequence[int]]) -> Floats:
    """Return the share of each piece among all pieces, (pieces + 1,); the last, for padding (-1), is 0."""
    counts = np.bincount(np.fromiter(chain.from_iterable(sentences), np.int64))
    return np.append(counts / max(1, counts.sum()), 0).astype(np.float32)


def _padded(sentences: Sequence[Sequence[int]]) -> Numbers:
    """Return piece ids (sentences, greatest length), -1 after the end of a sentence."""
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    ids = np.full((len(sentences), int(lengths.max(initial=0))), -1)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(sentences), np.int64)
    return ids


def posteriors(by_state: Floats, shares: Floats, states: Bools, jumps: Counts) -> tuple[Floats, Counts]:
    """Return how likely each position is linked with each state, and how often each jump is expected.

    The forward-backward algorithm, with the probabilities of each position scaled to sum to 1. Jumps are counted as
    they are, though fewer are possible in a short sentence.

    Args:
        by_state: how likely a position's piece is emitted by a state's piece (sentences, positions, states); 0 for
            padding.
        shares: share of the position's piece among all pieces, 0 for padding (sentences, positions).
        states: whether a state is there, or padding (sentences, states).
        jumps: weights of the jumps from 1 - `MAX_LENGTH` to `MAX_LENGTH` - 1.

    Returns:
        Probabilities (sentences, positions, states), 0 for padding; expected jumps, as `jumps`.
    """
    positions, n = by_state.shape[1:]
    present = shares > 0
    emitted = (by_state + UNLINKED * shares[:, :, None] + ~present[:, :, None]) * states[:, None]
    offsets = np.arange(n) - np.arange(n)[:, None] + MAX_LENGTH - 1
    weights = jumps[offsets].astype(np.float32)
    leaving = 1 / (states.astype(np.float32) @ weights.T)  # jumps go to states that are there

    reached = np.empty_like(emitted)  # given the pieces up to a position
    scales = np.empty_like(shares)
    step = states / states.sum(axis=1, keepdims=True, dtype=np.float32)
    for position in range(positions):
        if position:
            step = (reached[:, position - 1] * leaving) @ weights
        step = step * emitted[:, position]
        scales[:, position] = step.sum(axis=1)
        reached[:, position] = step / scales[:, position, None]

    jumped = np.zeros((n, n))
    links = reached
    onward = np.ones_like(step)  # how much likelier a state gets by the pieces after its position
    for position in range(positions - 2, -1, -1):
        left = reached[:, position] * leaving
        entered = emitted[:, position + 1] * onward / scales[:, position + 1, None]
        jumped += (left * present[:, position + 1, None]).T @ entered
        onward = leaving * (entered @ weights.T)
        links[:, position] *= onward
    links *= by_state / np.maximum(emitted, np.finfo(np.float32).tiny)
    return links, np.bincount(offsets.ravel(), (jumped * weights).ravel(), len(jumps)).astype(float)
