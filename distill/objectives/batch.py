"""A batch as the losses see it: the vectors of its distinct texts, and which of them its rows name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from distill.objectives.rows import ObjectiveRows
from distill.store import Rows

Places = npt.NDArray[np.int64]


@dataclass
class TextBatch:
    """The distinct texts of a batch and how its rows name them.

    Attributes:
        texts: token-store rows of the distinct texts (texts,).
        place: number of each row's texts, -1 where a row has none (n, columns).
        first: for each text, where `place.ravel()` first names it (texts,).
        targets: vector-store rows of the distinct teacher vectors (targets,); None without a teacher.
        target_place: number of each text's teacher vector (n, columns); None without a teacher.
        value: score or label of each row (n,), None for rows without.
    """

    texts: Rows
    place: Places
    first: Places
    targets: Rows | None
    target_place: Places | None
    value: npt.NDArray[np.float32] | None


def text_batch(data: ObjectiveRows, rows: Rows, columns: tuple[int, ...] | None = None) -> TextBatch:
    """Return the texts of some rows, each once; of some columns, or of all."""
    chosen = list(columns if columns is not None else range(data.texts.shape[1]))
    texts, first, place = _distinct(data.texts[rows][:, chosen])
    targets = target_place = None
    if data.target is not None:
        targets, _, target_place = _distinct(data.target[rows][:, chosen])
    return TextBatch(texts, place, first, targets, target_place, None if data.value is None else data.value[rows])


def _distinct(numbers: Rows) -> tuple[Rows, Places, Places]:
    """Return the distinct numbers but -1, where each first stands, and where each is among them."""
    found, first, place = np.unique(numbers, return_index=True, return_inverse=True)
    absent = int(len(found) > 0 and found[0] < 0)
    return found[absent:], first[absent:], place.reshape(numbers.shape) - absent


@dataclass
class Compared:
    """What a loss is computed from.

    Attributes:
        vectors: the student's vectors of the distinct texts (texts, dimension), in float32.
        place: number of each row's texts, -1 where a row has none (n, columns).
        first: for each text, where `place.ravel()` first names it (texts,).
        teacher: the teacher's distinct vectors (targets, dimension), None without a teacher.
        target_place: number of each text's teacher vector (n, columns), None without a teacher.
        value: score or label of each row (n,), None for rows without.
        candidates: the teacher's vectors of random texts (candidates, dimension); None for none.
    """

    vectors: torch.Tensor
    place: torch.Tensor
    first: torch.Tensor
    teacher: torch.Tensor | None = None
    target_place: torch.Tensor | None = None
    value: torch.Tensor | None = None
    candidates: torch.Tensor | None = None

    def column(self, number: int) -> torch.Tensor:
        """Return the student's vectors of one column (n, dimension)."""
        return self.vectors[self.place[:, number]]

    def target(self) -> torch.Tensor:
        """Return the teacher's vectors of all columns (n, columns, dimension)."""
        assert self.teacher is not None
        assert self.target_place is not None
        return self.teacher[self.target_place]

    def teacher_of_texts(self) -> torch.Tensor:
        """Return the teacher's unit vector of each distinct text (texts, dimension): of the row that names it first."""
        assert self.teacher is not None
        assert self.target_place is not None
        return functional.normalize(self.teacher[self.target_place.flatten()[self.first]].float(), dim=1)

    def cut(self, length: int, *, unit_length: bool, teacher: bool) -> Compared:
        """Return the vectors cut to their first dimensions (Matryoshka, Kusupati et al. 2022).

        Args:
            length: dimensions kept.
            unit_length: whether vectors get length 1 again.
            teacher: whether the teacher's vectors are cut too.
        """

        def first(vectors: torch.Tensor) -> torch.Tensor:
            return functional.normalize(vectors[:, :length].float(), dim=1) if unit_length else vectors[:, :length]

        short, others = (
            first(found) if teacher and found is not None else found for found in (self.teacher, self.candidates)
        )
        return replace(self, vectors=first(self.vectors), teacher=short, candidates=others)


def compared(
    batch: TextBatch,
    vectors: torch.Tensor,
    teacher: npt.NDArray[np.float32] | None,
    candidates: npt.NDArray[np.float32] | None = None,
) -> Compared:
    """Return a batch with the student's vectors (texts, dimension) and the teacher's (targets, dimension).

    Args:
        batch: texts and rows.
        vectors: the student's.
        teacher: the teacher's; None without one.
        candidates: the teacher's vectors of random texts (candidates, dimension); None for none.
    """

    def moved(array: npt.NDArray[np.generic] | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array).to(vectors.device)

    place, first = torch.from_numpy(batch.place).to(vectors.device), torch.from_numpy(batch.first).to(vectors.device)
    value, others = moved(batch.value), moved(candidates)
    return Compared(vectors.float(), place, first, moved(teacher), moved(batch.target_place), value, others)
