"""What a corpus teaches: rows as numbers into the stores, and the loss that compares student and teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from distill.corpora import Corpus
from distill.store import Keys, Rows, TokenStore


class Findable(Protocol):
    """A store that knows the row of a key."""

    def find(self, keys: Keys) -> Rows:
        """Return the row of each key, -1 where there is none."""


@dataclass
class ParallelRows:
    """The rows of some corpora as places in the stores; nothing here is text.

    Attributes:
        english: token-store row of the English side (n,).
        other: token-store row of the non-English side (n,).
        target: vector-store row of the teacher's vector (n,).
        length: tokens of the longer side (n,).
        corpus: index of the corpus a row is from (n,).
        labels: label of each corpus.
    """

    english: Rows
    other: Rows
    target: Rows
    length: npt.NDArray[np.int32]
    corpus: npt.NDArray[np.int16]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.english)


def parallel_rows(
    corpora: Sequence[Corpus], split: Literal["train", "dev"], tokens: TokenStore, vectors: Findable
) -> ParallelRows:
    """Return the rows of one split of all corpora, joined in the corpora's order."""
    chosen = [corpus.train if split == "train" else corpus.dev for corpus in corpora]
    english = _find(tokens, corpora, "english", chosen)
    other = _find(tokens, corpora, "non_english", chosen)
    return ParallelRows(
        english=english,
        other=other,
        target=_find(vectors, corpora, "english", chosen),
        length=np.maximum(tokens.lengths(english), tokens.lengths(other)) if len(english) else np.empty(0, np.int32),
        corpus=np.repeat(np.arange(len(corpora), dtype=np.int16), [len(rows) for rows in chosen]),
        labels=tuple(corpus.label for corpus in corpora),
    )


def _find(
    store: Findable,
    corpora: Sequence[Corpus],
    side: Literal["english", "non_english"],
    chosen: Sequence[Rows],
) -> Rows:
    found = np.concatenate([store.find(corpus.keys[side][rows]) for corpus, rows in zip(corpora, chosen, strict=True)])
    if (found < 0).any():
        raise RuntimeError(f"{int((found < 0).sum())} {side} texts are missing from a store")
    return found


@dataclass
class TextBatch:
    """The distinct texts of a batch and how its rows refer to them.

    Attributes:
        texts: token-store rows of the distinct texts (texts,).
        place: for each compared vector, its text's number (vectors,).
        target: vector-store row of the teacher's vector it is compared with (vectors,).
    """

    texts: Rows
    place: npt.NDArray[np.int64]
    target: Rows


def text_batch(data: ParallelRows, rows: Rows, *, english: bool) -> TextBatch:
    """Return the texts of some rows, each once: the non-English sides, and the English ones if `english`."""
    sides = [data.other[rows]] + ([data.english[rows]] if english else [])
    texts, place = np.unique(np.concatenate(sides), return_inverse=True)
    return TextBatch(texts, place, np.tile(data.target[rows], len(sides)))


def squared_error(student: torch.Tensor, teacher: torch.Tensor, *, unit_length: bool) -> torch.Tensor:
    """Return the squared error of each vector (n,).

    The sum over dimensions where the teacher's vectors have length 1: their mean per element is about
    1/dimension, so small that the stock recipe's gradients vanish in Adam's epsilon. The mean otherwise
    (Reimers & Gurevych 2020, equation 1).

    Args:
        student: vectors (n, dimension).
        teacher: vectors (n, dimension).
        unit_length: whether the teacher's vectors have length 1.
    """
    difference = (student.float() - teacher.float()).square()
    return difference.sum(dim=1) if unit_length else difference.mean(dim=1)
