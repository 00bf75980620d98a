"""The numbers behind scores: vectors in; a value, or a value per item whose mean is the score, out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from distill.encode import Vectors
from distill.neighbours import Neighbours, neighbours, search, unit

Floats = npt.NDArray[np.float64]

MARGIN_NEIGHBOURS = 4
CUT = 10
RECALL_CUTS = (1, 10, 100)


def pair_cosines(first: Vectors, second: Vectors) -> Floats:
    """Return the cosine of each pair of rows, (n,)."""
    return pair_dots(unit(first), unit(second))


def pair_dots(first: Vectors, second: Vectors) -> Floats:
    """Return the dot product of each pair of rows, (n,)."""
    return np.asarray(np.einsum("nd,nd->n", first.astype(np.float64), second.astype(np.float64)), np.float64)


def spearman(similarity: Floats, gold: Floats) -> float:
    """Return Spearman's rank correlation; ties get the mean rank."""
    return float(stats.spearmanr(similarity, gold).statistic)


def pearson(similarity: Floats, gold: Floats) -> float:
    """Return Pearson's correlation."""
    return float(stats.pearsonr(similarity, gold).statistic)


def squared_errors(student: Vectors, teacher: Vectors) -> Floats:
    """Return the squared distance of each student's vector to the teacher's, (n,)."""
    return np.asarray(np.square(student.astype(np.float64) - teacher).sum(axis=1), np.float64)


def bitext(first: Vectors, second: Vectors) -> dict[str, Floats]:
    """Return the items (n,) of accuracy, F1 and xsim error in both directions.

    forward searches `second` with each row of `first`, backward the other way.

    Args:
        first: vectors (n, dimension).
        second: vectors of their translations (n, dimension).
    """
    forward, backward = neighbours(first, second, MARGIN_NEIGHBOURS)
    items = {}
    for direction, own, other in (("forward", forward, backward), ("backward", backward, forward)):
        items[f"accuracy_{direction}"] = _hits(own.index[:, 0])
        items[f"f1_{direction}"] = f1_items(own.index[:, 0])
        items[f"xsim_{direction}"] = xsim_errors(own, other)
    return items


def _hits(found: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(found == np.arange(len(found)), np.float64)


def f1_items(found: npt.NDArray[np.int64]) -> Floats:
    """Return the F1 of each candidate as a class of its own, (n,); the mean is mteb's F1 of bitext mining.

    mteb weights classes by their support, which is 1 for each: row i should find candidate i.

    Args:
        found: the candidate found by each row (n,).
    """
    return np.asarray(2 * _hits(found) / (1 + np.bincount(found, minlength=len(found))), np.float64)


def xsim_errors(own: Neighbours, other: Neighbours) -> Floats:
    """Return 1 for each row whose best candidate by margin is not its translation, else 0, (n,).

    The margin is the ratio of the cosine to the mean cosine of both sides to their k nearest (Artetxe & Schwenk 2019,
    arXiv 1811.01136, the ratio of equation 2); candidates are the k nearest by cosine, as in LASER's xsim.

    Args:
        own: nearest candidates of each row.
        other: nearest rows of each candidate.
    """
    usual = (own.similarity.mean(axis=1)[:, None] + other.similarity.mean(axis=1)[own.index]) / 2
    best = (own.similarity / usual).argmax(axis=1)
    return 1 - _hits(own.index[np.arange(len(best)), best])


def retrieval(queries: Vectors, documents: Vectors, relevance: Sequence[tuple[int, int, float]]) -> dict[str, Floats]:
    """Return the items of nDCG@10, MRR@10 and recall, one per query that has a relevant document.

    As trec_eval: the gain of a document is its grade, its discount log2(rank + 1).

    Args:
        queries: vectors (n, dimension).
        documents: vectors (m, dimension).
        relevance: number of a query, number of a document, grade; a grade of 0 or less is not relevant.
    """
    grades: dict[int, dict[int, float]] = defaultdict(dict)
    for query, document, grade in relevance:
        if grade > 0:
            grades[query][document] = grade
    judged = sorted(grades)
    found = search(queries[judged], documents, max(RECALL_CUTS)).index
    gains = np.array([[grades[q].get(d, 0.0) for d in row] for q, row in zip(judged, found.tolist(), strict=True)])
    ideal = np.zeros((len(judged), CUT))
    for row, query in enumerate(judged):
        best = sorted(grades[query].values(), reverse=True)[:CUT]
        ideal[row, : len(best)] = best
    discount = 1 / np.log2(np.arange(CUT) + 2)
    top = gains[:, :CUT]
    relevant = top > 0
    number = np.array([len(grades[query]) for query in judged])
    return {
        f"ndcg_at_{CUT}": top @ discount[: top.shape[1]] / (ideal @ discount),
        f"mrr_at_{CUT}": np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0),
        **{
            f"recall_at_{cut}": (gains[:, :cut] > 0).sum(axis=1) / number
            for cut in RECALL_CUTS
            if cut <= len(documents)
        },
    }


def probe(train: Vectors, labels: Sequence[str], test: Vectors) -> list[str]:
    """Return the label of each test vector by a logistic regression fitted to the training vectors.

    Args:
        train: vectors as the model makes them (n, dimension); mteb does not scale them either.
        labels: the label of each.
        test: vectors (m, dimension).
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    return [str(found) for found in LogisticRegression(max_iter=1_000).fit(train, list(labels)).predict(test)]


def macro_f1(labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64]) -> float:
    """Return the mean over classes of F1; classes by number (n,)."""
    from sklearn.metrics import f1_score  # type: ignore[import-untyped]

    return float(f1_score(labels, predictions, average="macro"))
