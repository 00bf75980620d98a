"""Hard negatives: passages that a search ranks high for an anchor and a judge scores well below its positive.

The test follows TopK-PercPos of NV-Retriever (Moreira et al. 2024, arXiv 2407.15831): a candidate is a negative if its
score is at most a share of the positive's. Of an anchor with several positives the least similar one counts, as in
`sentence_transformers.util.mine_hard_negatives`, which has no BM25, ranks or store, and drops rows without a negative.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distill.duplicates import index_duplicates, near_duplicates, normal_form
from distill.mining.candidates import Candidates, MakeFind, candidates
from distill.mining.models import Floats, Judge, Numbers
from distill.progress import progress

log = logging.getLogger("distill")

QUERIES_PER_BLOCK = 4_096

Choice = Literal["top", "random"]


@dataclass(frozen=True)
class NegativeSettings:
    """How negatives are mined.

    Attributes:
        count: negatives of a row, at most.
        top: candidates that each search gives for an anchor.
        absolute_margin: a negative's score is at least this below the positive's.
        relative_margin: and at least this share of its size below it.
        choose: of those that pass, the ones with the highest scores, or any.
        seed: for any.
    """

    count: int = 1
    top: int = 100
    absolute_margin: float = 0.0
    relative_margin: float = 0.2
    choose: Choice = "top"
    seed: int = 0


@dataclass(frozen=True)
class Negatives:
    """Negatives of n rows, at most `count` each, best first, and why they are ones.

    Attributes:
        passages: numbers (n, count), -1 where there are no more.
        judged: the judge's scores of anchor and negative (n, count).
        ranks: search → rank for the anchor, 0 where it did not find it (n, count).
        scores: search → its score (n, count).
        positive: the judge's scores of anchor and positive (n,).
        found: candidates of the row's anchor (n,).
        known: how many of them are its positives, or nearly its positives or the anchor itself (n,).
        passed: how many passed the test (n,).
    """

    passages: Numbers
    judged: Floats
    ranks: dict[str, Numbers]
    scores: dict[str, Floats]
    positive: Floats
    found: Numbers
    known: Numbers
    passed: Numbers


def mine_negatives(
    anchors: Sequence[str],
    positives: Sequence[str],
    passages: Sequence[str],
    searches: Mapping[str, MakeFind],
    judge: Judge,
    settings: NegativeSettings,
) -> Negatives:
    """Return negatives of each row.

    Args:
        anchors: of the rows (n,).
        positives: of the rows (n,).
        passages: the texts negatives are taken from, each once.
        searches: name → what makes the search.
        judge: scores pairs of texts.
        settings: how.
    """
    queries = list(dict.fromkeys(anchors))
    place = {text: number for number, text in enumerate(queries)}
    query = np.array([place[text] for text in anchors], np.int64)
    positive = judge(anchors, positives)(np.arange(len(anchors)), np.arange(len(anchors)))
    least = np.full(len(queries), np.inf, np.float32)
    np.minimum.at(least, query, positive)
    highest = np.minimum(least - settings.absolute_margin, least - settings.relative_margin * np.abs(least))

    known = known_positives(queries, query, positives, passages)
    finds = {name: make(queries, passages, settings.top) for name, make in searches.items()}
    score = judge(queries, passages)
    random = np.random.default_rng(settings.seed)
    parts, counts = [], np.zeros((3, len(queries)), np.int64)
    with progress("mining", len(queries), "anchors") as update:
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            rows = np.arange(start, min(start + QUERIES_PER_BLOCK, len(queries)))
            found = candidates(finds, rows, len(passages))
            counts[0] += np.bincount(found.query, minlength=len(queries))
            new = ~np.isin(found.query * len(passages) + found.passage, known)
            counts[1] += np.bincount(found.query[~new], minlength=len(queries))
            found = found.where(new)
            judged = score(found.query, found.passage)
            passed = judged <= highest[found.query]
            counts[2] += np.bincount(found.query[passed], minlength=len(queries))
            found, judged = found.where(passed), judged[passed]
            order = -judged if settings.choose == "top" else random.random(len(judged))
            chosen = first_of_each(found.query, order, settings.count)
            parts.append((found.where(chosen), judged[chosen]))
            update(int(rows[-1]) + 1)
    return _by_row(parts, query, len(queries), settings.count, positive, counts)


def known_positives(
    queries: Sequence[str], query: Numbers, positives: Sequence[str], passages: Sequence[str]
) -> Numbers:
    """Return `query * len(passages) + passage`, sorted, of passages that are no negatives of a query.

    They are its positives in any row, itself, and near-duplicates of these.

    Args:
        queries: the distinct anchors.
        query: number of each row's anchor (n,).
        positives: of the rows (n,).
        passages: the texts negatives are taken from.
    """
    forms = [normal_form(text) for text in passages]
    same = defaultdict(list)
    for number, form in enumerate(forms):
        same[form].append(number)
    owners = np.concatenate([np.arange(len(queries)), query])
    texts = [normal_form(text) for text in (*queries, *positives)]
    equal = [owner * len(passages) + number for owner, text in zip(owners, texts, strict=True) for number in same[text]]
    near = near_duplicates(index_duplicates(forms), texts)
    return np.unique(np.concatenate([np.array(equal, np.int64), owners[near.texts] * len(passages) + near.sentences]))


def first_of_each(group: Numbers, order: npt.NDArray[Any], count: int) -> Numbers:
    """Return the places of the members of each group with the least values, at most `count`; sorted by group, value."""
    places = np.lexsort((order, group))
    ordered = group[places]
    position = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return places[position < count]


def _by_row(
    parts: Sequence[tuple[Candidates, Floats]],
    query: Numbers,
    n_queries: int,
    count: int,
    positive: Floats,
    counts: Numbers,
) -> Negatives:
    """Return the negatives that were chosen for the queries, by row."""

    def spread(fill: float, values: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        joined = np.concatenate(values)
        table = np.full((n_queries, count), fill, joined.dtype)
        table[owner, position] = joined
        return table[query]

    owner = np.concatenate([found.query for found, _ in parts])
    position = np.arange(len(owner)) - np.searchsorted(owner, owner)
    names = parts[0][0].ranks
    return Negatives(
        spread(-1, [found.passage for found, _ in parts]),
        spread(np.nan, [judged for _, judged in parts]),
        {name: spread(0, [found.ranks[name] for found, _ in parts]) for name in names},
        {name: spread(np.nan, [found.scores[name] for found, _ in parts]) for name in names},
        positive,
        *counts[:, query],
    )


def negative_columns(
    anchors: Sequence[str], positives: Sequence[str], passages: Sequence[str], found: Negatives
) -> dict[str, list[object]]:
    """Return the rows with their negatives and evidence, by column; None where there is no negative.

    `negative_2`, `judge_2`, … are of the second negative.
    """
    columns: dict[str, list[object]] = {"anchor": list(anchors), "positive": list(positives)}
    endings = ["" if number == 0 else f"_{number + 1}" for number in range(found.passages.shape[1])]
    for number, ending in enumerate(endings):
        columns[f"negative{ending}"] = [passages[at] if at >= 0 else None for at in found.passages[:, number]]
    columns["judge_positive"] = [round(float(score), 4) for score in found.positive]
    for number, ending in enumerate(endings):
        columns[f"judge{ending}"] = _rounded(found.judged[:, number])
        for name in found.ranks:
            columns[f"{name}_rank{ending}"] = [int(rank) or None for rank in found.ranks[name][:, number]]
            columns[f"{name}_score{ending}"] = _rounded(found.scores[name][:, number])
    for name in ("found", "known", "passed"):
        columns[name] = getattr(found, name).tolist()
    return columns


def _rounded(scores: Floats) -> list[object]:
    return [None if np.isnan(score) else round(float(score), 4) for score in scores]
