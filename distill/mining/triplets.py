"""Triplets out of texts with categories: a text, another of its category, and a hard one of another category."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distill.duplicates import normal_form
from distill.errors import DataError
from distill.mining.candidates import Candidates, MakeFind, candidates
from distill.mining.models import Judge, Numbers
from distill.mining.negatives import first_of_each

log = logging.getLogger("distill")


@dataclass(frozen=True)
class TripletSettings:
    """How triplets are mined.

    Attributes:
        per_category: triplets of a category's anchors, at most.
        per_anchor: triplets of an anchor, at most.
        top: candidates that each search gives for an anchor.
        seed: of the choice of anchors and positives.
    """

    per_category: int = 100
    per_anchor: int = 2
    top: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """Why a text is a triplet's negative: rank (from 1) and score of one search, None where it did not find it."""

    rank: int | None
    score: float | None


@dataclass(frozen=True)
class Triplet:
    """A triplet of texts, and what speaks for it.

    Attributes:
        anchor: a text.
        positive: another text of its category.
        negative: a text of another category.
        category: of anchor and positive.
        negative_category: of the negative.
        positive_score: the judge's score of anchor and positive.
        negative_score: the judge's score of anchor and negative.
        found: search → how it ranked the negative for the anchor, among the texts of other categories.
    """

    anchor: str
    positive: str
    negative: str
    category: str
    negative_category: str
    positive_score: float
    negative_score: float
    found: Mapping[str, Evidence]


def mine_triplets(
    texts: Sequence[str],
    categories: Sequence[str],
    searches: Mapping[str, MakeFind],
    judge: Judge,
    settings: TripletSettings,
) -> list[Triplet]:
    """Return triplets, as many of each category as it can give up to `per_category`.

    The negatives are the candidates that the judge scores highest; the positives are drawn from the category. Equal
    texts count once; those that stand in several categories are left out.

    Args:
        texts: of the rows (n,).
        categories: of the rows (n,).
        searches: name → what makes the search.
        judge: scores pairs of texts.
        settings: how.

    Raises:
        DataError: there are no two categories, or no category with two texts.
    """
    texts, categories = _distinct(texts, categories)
    names, category = np.unique(np.array(categories, dtype=object), return_inverse=True)
    sizes = np.bincount(category, minlength=len(names))
    if len(names) < 2 or sizes.max() < 2:
        expected = "at least two categories, one of them with two texts"
        raise DataError(
            "distill mine triplets", f"{len(names)} categories, {len(texts)} distinct texts", expected=expected
        )
    if alone := [str(name) for name, size in zip(names, sizes, strict=True) if size == 1]:
        log.warning("%d categories have one text and give negatives only: %s", len(alone), ", ".join(alone[:10]))
    finds = {name: make(texts, texts, settings.top) for name, make in searches.items()}
    score = judge(texts, texts)
    random = np.random.default_rng(settings.seed)
    triplets = []
    for number, name in enumerate(names):
        own = random.permutation(np.flatnonzero(category == number))
        if len(own) < 2:
            continue
        mined = 0
        n_anchors = -(-settings.per_category // settings.per_anchor)
        for start in range(0, len(own), n_anchors):
            anchors = np.sort(own[start : start + n_anchors])
            found = candidates(finds, anchors, len(texts), category != number)
            judged = score(found.query, found.passage)
            chosen = first_of_each(found.query, -judged, settings.per_anchor)[: settings.per_category - mined]
            found, judged = found.where(chosen), judged[chosen]
            positives = _positives(found.query, own, random)
            alike = score(found.query, positives)
            for k in range(len(judged)):
                parts = (texts[found.query[k]], texts[positives[k]], texts[found.passage[k]])
                other = str(names[category[found.passage[k]]])
                scores = (round(float(alike[k]), 4), round(float(judged[k]), 4))
                triplets.append(Triplet(*parts, str(name), other, *scores, _evidence(found, k)))
            mined += len(judged)
            if mined >= settings.per_category:
                break
        else:
            log.info("category %s gives %d triplets, not %d", name, mined, settings.per_category)
    return triplets


def _distinct(texts: Sequence[str], categories: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the texts whose normal forms stand in one category, each once, and their categories."""
    where = defaultdict(set)
    forms = [normal_form(text) for text in texts]
    for form, category in zip(forms, categories, strict=True):
        where[form].add(category)
    first = {form: number for number, form in reversed(list(enumerate(forms)))}
    chosen = sorted(number for form, number in first.items() if len(where[form]) == 1)
    if several := len(first) - len(chosen):
        log.warning("%d texts are left out: they stand in several categories", several)
    return [texts[number] for number in chosen], [categories[number] for number in chosen]


def _positives(anchors: Numbers, own: Numbers, random: np.random.Generator) -> Numbers:
    """Return another text of the category for each anchor; those of the same anchor differ where there are enough.

    Args:
        anchors: numbers, equal ones beside each other (m,).
        own: the texts of the category.
        random: draws them.
    """
    positives = np.empty(len(anchors), np.int64)
    for anchor in np.unique(anchors):
        places = np.flatnonzero(anchors == anchor)
        positives[places] = np.resize(random.permutation(own[own != anchor]), len(places))
    return positives


def _evidence(found: Candidates, k: int) -> dict[str, Evidence]:
    evidence = {}
    for name, ranks in found.ranks.items():
        rank = int(ranks[k])
        evidence[name] = Evidence(rank or None, round(float(found.scores[name][k]), 4) if rank else None)
    return evidence
