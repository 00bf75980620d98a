"""The rows of an objective as numbers into the stores; nothing here is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from distill.corpora import Corpus, english_columns
from distill.errors import DataError
from distill.recipe.objectives import ClassificationObjective, Objective, ScoredObjective
from distill.store import Keys, Rows, TokenStore, text_keys

Split = Literal["train", "dev"]


class Findable(Protocol):
    """A store that knows the row of a key."""

    def find(self, keys: Keys) -> Rows:
        """Return the row of each key, -1 where there is none."""


@dataclass
class ObjectiveRows:
    """The rows of some corpora as places in the stores.

    Attributes:
        texts: token-store row of each text, -1 where a row has none (n, columns).
        target: vector-store row of the teacher's vector of each text, -1 as above (n, columns); the English side's
            for both sides of a parallel row. None if the loss does not read the teacher.
        value: score, or number of the label (n,); None for rows without.
        length: tokens of the longest text (n,).
        corpus: index of the corpus a row is from (n,).
        labels: labels of the corpora.
        classes: labels of a classification.
        domain: number of the row's domain, -1 in a corpus without (n,); None if no corpus has any.
    """

    texts: Rows
    target: Rows | None
    value: npt.NDArray[np.float32] | None
    length: npt.NDArray[np.int32]
    corpus: npt.NDArray[np.int16]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    domain: npt.NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.texts)


def corpora_of(objective: Objective, corpora: Sequence[Corpus]) -> list[Corpus]:
    """Return the corpora that an objective trains on: those it names, or all, with rows that its loss takes."""
    return [
        corpus
        for corpus in corpora
        if (objective.corpora is None or corpus.name in objective.corpora)
        and corpus.kind in objective.rows
        and (not objective.reads_teacher or teacher_columns(objective, corpus))
    ]


def teacher_columns(objective: Objective, corpus: Corpus) -> tuple[str, ...]:
    """Return the columns of a corpus whose teacher vectors an objective reads."""
    return english_columns(corpus) if objective.reads_teacher else ()


def columns_to_embed(objectives: Mapping[str, Objective], corpus: Corpus) -> tuple[str, ...]:
    """Return the columns of a corpus whose teacher vectors any objective reads."""
    read = {
        column
        for objective in objectives.values()
        for own in corpora_of(objective, [corpus])
        for column in teacher_columns(objective, own)
    }
    return tuple(column for column in corpus.columns if column in read)


def objective_rows(
    objective: Objective, corpora: Sequence[Corpus], split: Split, tokens: TokenStore, vectors: Findable
) -> ObjectiveRows:
    """Return the rows of one split of an objective's corpora, joined in the corpora's order.

    Raises:
        DataError: a score or label does not fit the objective.
    """
    chosen = [corpus.train if split == "train" else corpus.dev for corpus in corpora]
    parts = list(zip(corpora, chosen, strict=True))
    n_columns = max(len(corpus.columns) for corpus in corpora)
    texts = np.concatenate([_find(tokens, corpus, corpus.columns, rows, n_columns) for corpus, rows in parts])
    target = None
    if objective.reads_teacher:
        read = [_read_by_teacher(corpus) for corpus in corpora]
        target = np.concatenate([_find(vectors, *part, n_columns) for part in zip(corpora, read, chosen, strict=True)])
    value: npt.NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()
    if isinstance(objective, ScoredObjective):
        value = np.concatenate([_scores(objective, corpus, rows) for corpus, rows in parts])
    elif isinstance(objective, ClassificationObjective):
        classes = _classes(corpora)
        number = {name: float(place) for place, name in enumerate(classes)}
        value = np.array([number[label] for part in parts for label in _values("label", *part)], np.float32)
    return ObjectiveRows(
        texts,
        target,
        value,
        length=_longest(tokens, texts),
        corpus=np.repeat(np.arange(len(corpora), dtype=np.int16), [len(rows) for rows in chosen]),
        labels=tuple(corpus.label for corpus in corpora),
        classes=classes,
        domain=_domains(parts),
    )


def _read_by_teacher(corpus: Corpus) -> tuple[str, ...]:
    """Return the column whose teacher vector stands for each column."""
    return ("english", "english") if corpus.kind == "parallel" else corpus.columns


def _find(store: Findable, corpus: Corpus, columns: Sequence[str], rows: Rows, n_columns: int) -> Rows:
    """Return the store's row of each text (n, n_columns), -1 where a row has none."""
    found = np.full((len(rows), n_columns), -1, np.int64)
    (nothing,) = text_keys([""])
    for place, column in enumerate(columns):
        keys = corpus.keys[column][rows]
        there = (keys != nothing).any(axis=1)
        found[there, place] = store.find(keys[there])
        if (missing := int((found[there, place] < 0).sum())) > 0:
            raise RuntimeError(f"{missing} texts of {corpus.label}, {column}, are missing from a store")
    return found


def _longest(tokens: TokenStore, texts: Rows) -> npt.NDArray[np.int32]:
    """Return the length in tokens of each row's longest text (n,)."""
    lengths = np.zeros(texts.shape, np.int32)
    there = texts >= 0
    if there.any():
        lengths[there] = tokens.lengths(texts[there])
    longest: npt.NDArray[np.int32] = lengths.max(axis=1, initial=0)
    return longest


def _scores(objective: ScoredObjective, corpus: Corpus, rows: Rows) -> npt.NDArray[np.float32]:
    """Return the scores of some rows, scaled to 0…1 where the objective says what range they have."""
    scores = np.array(_values("score", corpus, rows), np.float32)
    low, high = objective.score_range or (-1.0, 1.0)
    outside = np.flatnonzero((scores < low) | (scores > high) | ~np.isfinite(scores))
    if len(outside) and (objective.score_range or objective.form == "cosine" or not np.isfinite(scores).all()):
        raise DataError(
            f"corpora.{corpus.name}",
            f"score {scores[outside[0]]:g} in row {rows[outside[0]] + 1}",
            expected=f"scores from {low:g} to {high:g}",
            hint="say what range they have with score_range: [lowest, highest] of the objective",
        )
    return (scores - low) / (high - low) if objective.score_range else scores


def _values(column: str, corpus: Corpus, rows: Rows) -> list[Any]:
    values = corpus.values(column)
    return [values[row] for row in rows]


def _classes(corpora: Sequence[Corpus]) -> tuple[str, ...]:
    """Return the labels that the rows of some corpora have, sorted."""
    classes = {
        label for corpus in corpora for label in _values("label", corpus, np.concatenate([corpus.train, corpus.dev]))
    }
    if len(classes) < 2:
        raise DataError(
            f"corpora.{corpora[0].name}",
            f"all labels are {classes.pop()!r}",
            expected="at least two labels to tell apart",
        )
    return tuple(sorted(classes))


def _domains(parts: Sequence[tuple[Corpus, Rows]]) -> npt.NDArray[np.int32] | None:
    """Return the number of each row's domain (n,), the same for the same domain of different corpora; None if none."""
    numbers: dict[str, int] = {}
    found = []
    for corpus, rows in parts:
        own = np.full(len(rows), -1, np.int32)
        if "domain" in corpus.rows.column_names:
            own[:] = [numbers.setdefault(domain, len(numbers)) for domain in _values("domain", corpus, rows)]
        found.append(own)
    return np.concatenate(found) if numbers else None
