"""Embedding rows of a vocabulary before training: from alignments, from spelling, and fitted to whole sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy import sparse

from distill.alignment import align
from distill.ridge import ridge_regression

ENGLISH_WEIGHT = 10.0
"""How much more an occurrence in English says about a piece that the teacher has than one in another language."""

SPELLING_WEIGHT = 20.0
"""Occurrences that outweigh how a piece is spelt: names are read by their letters, frequent endings by alignment."""

RIDGE = 1.0
"""What a row's squared change costs in the fit, where a sentence's squared error costs 1."""

FIT_ROUNDS = 15
"""Conjugate gradients: the scores are the same after 10 and 30."""

FIT_NUMBERS = 20_000_000
"""Numbers fitted at a time, for memory: two matrices (sentences, columns) of this many are held."""

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Pieces = list[Sequence[int]]


@dataclass(frozen=True)
class Translations:
    """Sentences of one language as piece ids: `sources` of the teacher's vocabulary, `targets` of the new one.

    Attributes:
        sources: English sentences (pairs,).
        targets: their translations (pairs,).
        english: the English sentences in the new vocabulary too, if it cuts them in another way; else empty.
    """

    sources: Pieces
    targets: Pieces
    english: Pieces = field(default_factory=list)


def start_rows(
    embeddings: Floats,
    same: Numbers,
    translations: Sequence[Translations],
    spelled: sparse.csr_array,
    *,
    rounds: int,
    hmm_rounds: int = 0,
    known: Numbers | None = None,
) -> Floats:
    """Return the embedding matrix of a new vocabulary, (pieces, hidden).

    1. A piece starts as the average of the English pieces it is aligned with; one inside words is drawn to the pieces
       that spell it in Latin letters, the more the rarer it is. A piece never seen gets the mean of all.
    2. A piece of the teacher's keeps its row in so far as it is English: "die" occurs in German far more often.
       Languages that an earlier student knows count as English does.
    3. The rows of the other languages are fitted so that a sentence's mean is that of its English translation.

    Args:
        embeddings: the teacher's (old pieces, hidden).
        same: old id of each new piece, -1 if it is new (pieces,).
        translations: sentences to learn from, by language.
        spelled: weights of the old pieces that spell a new one (pieces, old pieces); a row sums to 1 or is empty.
        rounds: rounds of expectation maximisation of the alignment.
        hmm_rounds: further rounds, which look at the order of the pieces.
        known: occurrences of each old piece in the languages that an earlier student knows (old pieces,).
    """
    n_old, n_new = len(embeddings), len(same)
    weights = align(map(_pairs, translations), n_target=n_new, n_source=n_old, rounds=rounds, hmm_rounds=hmm_rounds)
    aligned = np.diff(weights.indptr) > 0  # sentences of no use for it are left out
    seen = [np.where(aligned, _counts(each.targets, n_new), 0) for each in translations]
    english = _english_of_each([_counts(each.sources, n_old) for each in translations])
    of_both = seen + [np.where(aligned, _counts(each.english, n_new), 0) for each in translations]
    rows = _joined(embeddings, weights, spelled, np.sum(of_both, axis=0))
    fixed = 0 if known is None else known
    share = np.max([_foreign_share(same, s, e + fixed) for s, e in zip(seen, english, strict=True)], axis=0)
    old = same >= 0
    own = embeddings[same[old]]
    rows[old] = own + share[old, None] * (rows[old] - own)
    fit_rows(rows, (np.sum(seen, axis=0) > 0) & (share > 0), embeddings, translations)
    return rows


def _pairs(translations: Translations) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Return the sentence pairs of one language that are aligned."""
    pairs = list(zip(translations.targets, translations.sources, strict=True))
    return pairs + list(zip(translations.english, translations.sources, strict=False))


def _joined(embeddings: Floats, weights: sparse.csr_array, spelled: sparse.csr_array, seen: Numbers) -> Floats:
    """Return for each new piece the mean of the old ones it is aligned with and spelt by, (pieces, hidden)."""
    by_alignment = seen.astype(np.float32)
    by_spelling = np.where(np.diff(spelled.indptr) > 0, SPELLING_WEIGHT, 0).astype(np.float32)
    total = by_alignment + by_spelling
    rows: Floats = np.tile(embeddings.mean(axis=0), (len(seen), 1))
    mixed = by_alignment[:, None] * (weights @ embeddings) + by_spelling[:, None] * (spelled @ embeddings)
    rows[total > 0] = mixed[total > 0] / total[total > 0, None]
    # An average is shorter than what it averages. Half of the difference restored is best (DECISIONS.md).
    norms, usual = np.linalg.norm(rows, axis=1, keepdims=True), np.median(np.linalg.norm(embeddings, axis=1))
    rows *= np.sqrt(usual / np.maximum(norms, 1e-12))
    return rows


def _english_of_each(counts: Sequence[Numbers]) -> list[npt.NDArray[np.float64]]:
    """Return for each language how often pieces occur in the English of its rows, or in as much of any rows' English.

    The greater of both: few rows say little about what is English, many of other languages outweigh theirs.

    Args:
        counts: occurrences of each old piece in the English of each language's rows (old pieces,).
    """
    total = np.sum(counts, axis=0)
    mean = total / max(1, total.sum())
    return [np.maximum(own, mean * own.sum()) for own in counts]


def _foreign_share(same: Numbers, seen: Numbers, english: npt.NDArray[np.float64]) -> Floats:
    """Return which share of a piece's row comes from another language, (pieces,): 1 for a new piece.

    Less than half is none, so that English stays as it is.

    Args:
        same: as in `start_rows`.
        seen: occurrences of each new piece in the other language (pieces,).
        english: occurrences of each old piece in the English of its rows, and in what else is to stay as it is (old
            pieces,).
    """
    known = same >= 0
    share = np.ones(len(same), np.float32)
    share[known] = 0
    used = known & (seen > 1)  # one occurrence is no evidence
    share[used] = seen[used] / (seen[used] + ENGLISH_WEIGHT * english[same[used]])
    return np.where(share < 0.5, 0, share).astype(np.float32)


def fit_rows(
    rows: Floats, free: npt.NDArray[np.bool_], embeddings: Floats, translations: Sequence[Translations]
) -> None:
    """Change the free rows in place so that the mean row of a sentence comes near that of its English translation.

    Ridge regression towards the rows as given: the sum over all pairs of |mean of the target's rows - mean of the
    source's embeddings|² and `RIDGE` times the sum of the squared changes is least.

    Args:
        rows: (pieces, hidden).
        free: rows that may change (pieces,).
        embeddings: the teacher's (old pieces, hidden).
        translations: sentences to fit, by language.
    """
    used = [(t, s) for each in translations for t, s in zip(each.targets, each.sources, strict=True) if t and s]
    targets = _means([target for target, _ in used], len(rows))
    sources = _means([source for _, source in used], len(embeddings))
    variable = sparse.csr_array(targets[:, np.flatnonzero(free)])
    width = max(1, FIT_NUMBERS // max(1, len(used)))
    for start in range(0, rows.shape[1], width):
        columns = slice(start, start + width)
        products = variable.T @ (sources @ embeddings[:, columns] - targets @ rows[:, columns])
        unchanged = np.zeros_like(products)
        rows[free, columns] += ridge_regression(variable, products, unchanged, ridge=RIDGE, rounds=FIT_ROUNDS)


def _means(sentences: Pieces, n: int) -> sparse.csr_array:
    """Return a matrix (sentences, n) whose product with rows of pieces is the mean row of each sentence."""
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    pieces = np.fromiter(chain.from_iterable(sentences), np.int32, int(lengths.sum()))
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    matrix = sparse.csr_array((shares, pieces, np.append(0, np.cumsum(lengths))), shape=(len(sentences), n))
    matrix.sum_duplicates()
    return matrix


def _counts(sentences: Iterable[Sequence[int]], n: int) -> Numbers:
    """Return how often each of n pieces occurs."""
    return np.bincount(np.fromiter(chain.from_iterable(sentences), np.int64), minlength=n)
