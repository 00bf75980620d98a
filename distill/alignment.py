"""IBM model 1 over sets of pieces: which pieces of one language stand for which of another.

Brown et al. 1993, "The Mathematics of Statistical Machine Translation". Each sentence is the set of its pieces.
Both directions are fitted; their expected counts are joined by the geometric mean, which keeps links that both
directions see (symmetrisation as in Liang et al. 2006, "Alignment by Agreement").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

MAX_PIECES = 64
"""A sentence with more distinct pieces is left out: it says little and costs the square."""

MAX_LINKS = 40_000_000
"""Most candidate links (target piece, source piece, sentence) kept in memory: 12 bytes each."""

CHUNK = 4_000_000


class Links:
    """All candidate links of a set of sentence pairs, as flat arrays.

    Attributes:
        pair: index of the link's distinct (target, source) pair, (links,).
        target_place: index of the link's target occurrence (sentence, target piece), (links,).
        source_place: likewise for the source piece, (links,).
        target, source: piece ids of each distinct pair, (pairs,).
    """

    def __init__(self, sentences: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
        targets, sources, target_places, source_places = [], [], [], []
        n_links = n_targets = n_sources = 0
        for target_ids, source_ids in sentences:
            target, source = np.unique(target_ids), np.unique(source_ids)
            if not (0 < len(target) <= MAX_PIECES and 0 < len(source) <= MAX_PIECES):
                continue
            n_links += len(target) * len(source)
            if n_links > MAX_LINKS:
                break
            targets.append(np.repeat(target, len(source)))
            sources.append(np.tile(source, len(target)))
            target_places.append(np.repeat(np.arange(n_targets, n_targets + len(target), dtype=np.int32), len(source)))
            source_places.append(np.tile(np.arange(n_sources, n_sources + len(source), dtype=np.int32), len(target)))
            n_targets += len(target)
            n_sources += len(source)
        if not targets:
            targets = sources = target_places = source_places = [np.empty(0, np.int32)]
        width = max((int(s.max(initial=0)) for s in sources), default=0) + 1
        codes = np.concatenate(targets).astype(np.int64) * width + np.concatenate(sources)
        distinct, pair = np.unique(codes, return_inverse=True)
        self.pair = pair.astype(np.int32)
        self.target_place, self.source_place = np.concatenate(target_places), np.concatenate(source_places)
        self.target, self.source = distinct // width, distinct % width


def align(
    sentences: Iterable[tuple[Sequence[int], Sequence[int]]], *, n_target: int, n_source: int, rounds: int
) -> sparse.csr_array:
    """Return for each target piece the weights of the source pieces it stands for.

    Args:
        sentences: target and source piece ids of each sentence pair.
        n_target: number of target pieces.
        n_source: number of source pieces.
        rounds: rounds of expectation maximisation in each direction.

    Returns:
        Matrix (n_target, n_source); a row sums to 1, or is empty where the piece was never seen.
    """
    links = Links(sentences)
    forward = _expected_counts(links.pair, links.target_place, links.source, rounds)
    backward = _expected_counts(links.pair, links.source_place, links.target, rounds)
    joint = np.sqrt(forward * backward)
    totals = np.bincount(links.target, joint, minlength=n_target)
    weights = joint / np.maximum(totals[links.target], 1e-30)
    return sparse.csr_array((weights, (links.target, links.source)), shape=(n_target, n_source))


def _expected_counts(
    pair: npt.NDArray[np.int32], place: npt.NDArray[np.int32], given: npt.NDArray[np.int64], rounds: int
) -> npt.NDArray[np.float64]:
    """Return the expected count of each distinct pair after some rounds of EM in one direction.

    Args:
        pair: the pair of each link (links,).
        place: the occurrence each link explains (links,); its links' posteriors sum to 1.
        given: the piece each pair is conditioned on (pairs,).
        rounds: rounds of EM, from the uniform distribution.
    """
    probability = np.ones(len(given))
    counts = probability
    for _ in range(rounds):
        places = np.zeros(int(place.max(initial=-1)) + 1)
        for start in range(0, len(pair), CHUNK):
            part = slice(start, start + CHUNK)
            low = int(place[part].min())
            sums = np.bincount(place[part] - low, probability[pair[part]])
            places[low : low + len(sums)] += sums
        counts = np.zeros(len(given))
        for start in range(0, len(pair), CHUNK):
            part = slice(start, start + CHUNK)
            counts += np.bincount(pair[part], probability[pair[part]] / places[place[part]], minlength=len(given))
        probability = counts / np.bincount(given, counts)[given]
    return counts
