"""What corpora are like, in numbers: lengths, overlap, languages, and how much of each an epoch has.

Texts are read in batches; what is kept of them is counts. Overlap comes from the stored hashes of the texts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distill import identify
from distill.cleaning.texts import Texts
from distill.corpora import Corpus
from distill.corpora.corpus import Cleaning
from distill.mixture import Schedule, Stream
from distill.recipe import Recipe
from distill.recipe.corpora import RowKind
from distill.spread import spread

Counts = npt.NDArray[np.int64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the texts below the values that are given as quantiles."""

WORD_BINS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100, 125, 160, 200, 250, 320, 400, 500)
"""Words of the shortest text of each bar; the last has no end."""

RATIO_STEPS, MOST_RATIO = 10, 2.0
"""Bars of the length ratio: so many for each doubling, from a quarter (or less) to four times (or more)."""

LONGEST = 100_000
"""Longer texts are counted as having this many characters or words."""

IDENTIFIED = 2_000
"""Texts of each column whose language is identified, evenly spread."""

SHORTEST_IDENTIFIED = 20
"""Characters that a text needs for its language to be identified."""


@dataclass(frozen=True)
class TextStatistics:
    """What one column of the rows to train on is like; texts that a row lacks are left out.

    Attributes:
        column: its name, such as english.
        language: code of its language.
        texts: number of texts.
        distinct: number of different texts (by 64 bits of their hashes).
        words: words of all.
        characters: characters of all.
        word_quantiles: of the number of words of a text, at `QUANTILES`.
        character_quantiles: of the number of characters of a text.
        word_histogram: texts in each of `WORD_BINS`.
        identified: language → texts that the identifier takes for it, of an evenly spread sample.
    """

    column: str
    language: str
    texts: int
    distinct: int
    words: int
    characters: int
    word_quantiles: tuple[int, ...]
    character_quantiles: tuple[int, ...]
    word_histogram: tuple[int, ...]
    identified: dict[str, int]


@dataclass(frozen=True)
class CorpusStatistics:
    """What one corpus in one language is like.

    Attributes:
        label: name and languages; no two are the same.
        name: the corpus's name in the recipe.
        languages: its pair or language.
        language: code of the non-English side, or of the texts.
        kind: what a row is.
        source: where the rows come from.
        counts: rows read, dropped by reason, kept.
        texts: its columns.
        ratio_quantiles: of the characters of a row's second text by those of its first, at `QUANTILES`.
        ratio_histogram: rows by that ratio, `RATIO_STEPS` for each doubling.
        cleaning: what cleaning did, with examples.
        overlap: suite → rows with one of its sentences, the same and nearly.
    """

    label: str
    name: str
    languages: str
    language: str
    kind: RowKind
    source: str
    counts: dict[str, int]
    texts: tuple[TextStatistics, ...]
    ratio_quantiles: tuple[float, ...]
    ratio_histogram: tuple[int, ...]
    cleaning: Cleaning
    overlap: dict[str, tuple[int, int]]

    @property
    def words(self) -> int:
        """Words of all its texts."""
        return sum(texts.words for texts in self.texts)


@dataclass(frozen=True)
class SharedTexts:
    """What corpora have in common, of all rows as they were read: those that cleaning drops too.

    Attributes:
        labels: the corpora.
        first: different first texts (English sentences, anchors) that two have in common; on the diagonal, all.
        rows: different rows that two have in common.
    """

    labels: tuple[str, ...]
    first: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Statistics:
    """What the corpora of a recipe are like.

    Attributes:
        name: the recipe's name.
        corpora: each corpus in each language.
        shared: what they have in common.
        epoch: label → rows that the first epoch takes of it.
        steps: optimizer steps of that epoch.
    """

    name: str
    corpora: tuple[CorpusStatistics, ...]
    shared: SharedTexts
    epoch: dict[str, int]
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, and what the bars mean, for JSON."""
        bins = {"word_bins": WORD_BINS, "ratio_bins": [round(2**edge, 4) for edge in ratio_edges()]}
        return {**asdict(self), "quantiles": QUANTILES, **bins}


def recipe_statistics(recipe: Recipe, corpora: Sequence[Corpus]) -> Statistics:
    """Return what the corpora of a recipe are like."""
    found = tuple(corpus_statistics(corpus) for corpus in corpora)
    epoch, steps = first_epoch(recipe, corpora)
    return Statistics(recipe.name, found, shared_texts(corpora), epoch, steps)


def corpus_statistics(corpus: Corpus) -> CorpusStatistics:
    """Return what one corpus is like: its rows to train on."""
    words, characters = np.zeros((2, len(corpus.columns), LONGEST + 1), np.int64)
    doublings = [np.empty(0, np.float32)]
    for batch in corpus.batches(corpus.train):
        columns = [Texts(own, _language(corpus, name)) for own, name in zip(batch, corpus.columns, strict=True)]
        for place, texts in enumerate(columns):
            there = texts.lengths > 0
            words[place] += _counted(texts.words[there])
            characters[place] += _counted(texts.lengths[there])
        if len(columns) > 1:
            first, second = (np.maximum(texts.lengths, 1) for texts in columns[:2])
            doublings.append(np.log2(second / first).astype(np.float32))
    ratios = np.concatenate(doublings)
    return CorpusStatistics(
        label=corpus.label,
        name=corpus.name,
        languages=corpus.languages,
        language=corpus.language,
        kind=corpus.kind,
        source=corpus.public_source,
        counts=corpus.counts,
        texts=tuple(
            _text_statistics(corpus, column, words[place], characters[place])
            for place, column in enumerate(corpus.columns)
        ),
        ratio_quantiles=tuple(np.round(2 ** np.quantile(ratios, QUANTILES), 2).tolist()) if len(ratios) else (),
        ratio_histogram=tuple(np.histogram(np.clip(ratios, -MOST_RATIO, MOST_RATIO), ratio_edges())[0].tolist()),
        cleaning=corpus.cleaning,
        overlap=corpus.overlap,
    )


def _text_statistics(corpus: Corpus, column: str, words: Counts, characters: Counts) -> TextStatistics:
    """Return what one column is like, given how many of its texts have how many words and characters."""
    texts = int(characters.sum())
    distinct = len(np.unique(corpus.keys[column][corpus.train, 0]))
    return TextStatistics(
        column=column,
        language=_language(corpus, column),
        texts=texts,
        distinct=distinct - (texts < len(corpus.train)),  # an empty one, where some rows lack it
        words=_total(words),
        characters=_total(characters),
        word_quantiles=_quantiles(words),
        character_quantiles=_quantiles(characters),
        word_histogram=tuple(np.add.reduceat(words, WORD_BINS).tolist()),
        identified=_identified(corpus, column),
    )


def shared_texts(corpora: Sequence[Corpus]) -> SharedTexts:
    """Return what corpora have in common; those that were split off from another have its rows and are left out."""
    chosen = [corpus for corpus in corpora if not corpus.split_off] or list(corpora)
    first = [corpus.keys[corpus.columns[0]][:, 0] for corpus in chosen]
    return SharedTexts(
        tuple(corpus.label for corpus in chosen), _shared(first), _shared([_row_keys(corpus) for corpus in chosen])
    )


def first_epoch(recipe: Recipe, corpora: Sequence[Corpus]) -> tuple[dict[str, int], int]:
    """Return how many rows the first epoch takes of each corpus, by label, and its steps.

    Lengths only decide which rows share a batch, so those of the schedule here are 0.
    """
    from distill.objectives.rows import corpora_of  # torch comes with it

    streams = {}
    for name, objective in recipe.objectives.items():
        own = corpora_of(objective, corpora)
        number = np.repeat(np.arange(len(own), dtype=np.int16), [len(corpus.train) for corpus in own])
        labels = tuple(corpus.label for corpus in own)
        streams[name] = Stream(np.zeros(len(number), np.int32), 1.0, number, labels)
    mixture = recipe.mixture_with_weights().model_copy(update={"cluster_by": None})
    schedule = Schedule(streams, recipe.training.batch_size, 1, recipe.seed, None, mixture)
    taken = Counter({corpus.label: 0 for corpus in corpora})
    steps = 0
    for step in schedule.steps():
        stream = streams[step.objective]
        assert stream.data_set is not None
        counts = np.bincount(stream.data_set[step.rows], minlength=len(stream.labels))
        taken.update(dict(zip(stream.labels, counts.tolist(), strict=True)))
        steps += 1
    return dict(taken), steps


def ratio_edges() -> npt.NDArray[np.float64]:
    """Return the edges of the bars of the length ratio, as logarithms to the base 2 (doublings)."""
    return np.linspace(-MOST_RATIO, MOST_RATIO, int(2 * MOST_RATIO * RATIO_STEPS) + 1)


def _language(corpus: Corpus, column: str) -> str:
    return "en" if column == "english" else corpus.language


def _counted(values: Counts) -> Counts:
    """Return how often each value is there (LONGEST + 1,)."""
    return np.bincount(np.minimum(values, LONGEST), minlength=LONGEST + 1)


def _total(counts: Counts) -> int:
    return int(counts @ np.arange(len(counts)))


def _quantiles(counts: Counts) -> tuple[int, ...]:
    """Return the smallest values that a share of all does not exceed, at `QUANTILES`; 0 where there are none."""
    sums = np.cumsum(counts)
    return tuple(
        int(np.searchsorted(sums, max(1, math.ceil(share * sums[-1])))) if sums[-1] else 0 for share in QUANTILES
    )


def _identified(corpus: Corpus, column: str) -> dict[str, int]:
    """Return the languages of a sample of a column as the identifier sees them, the most frequent first."""
    texts = [
        text for text in corpus.texts(column, spread(corpus.train, IDENTIFIED)) if len(text) >= SHORTEST_IDENTIFIED
    ]
    labels = identify.labels()
    best = identify.log_odds(texts).argmax(axis=1).tolist()
    return dict(Counter(labels[place] for place in best).most_common())


def _row_keys(corpus: Corpus) -> npt.NDArray[np.uint64]:
    """Return a hash of the texts of each row (n,): those of its columns, mixed."""
    keys = np.zeros(len(corpus.rows), np.uint64)
    for column in corpus.columns:
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + corpus.keys[column][:, 0]
    return keys


def _shared(keys: Sequence[npt.NDArray[np.uint64]]) -> tuple[tuple[int, ...], ...]:
    """Return how many different keys each two of some collections have in common."""
    from scipy.sparse import csr_array

    distinct = [np.unique(own) for own in keys]
    numbers = np.unique(np.concatenate(distinct), return_inverse=True)[1]
    owners = np.repeat(np.arange(len(keys)), [len(own) for own in distinct])
    found = csr_array((np.ones(len(numbers), np.int64), (numbers, owners)))
    return tuple(map(tuple, (found.T @ found).toarray().tolist()))
