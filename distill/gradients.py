"""The loss of a batch and its gradient, whatever the size of the batch and the number of processes.

Losses whose rows are independent are summed over micro-batches. Losses that couple the rows of a batch see the
vectors of the whole batch of all processes; where these do not fit into memory with what the backward pass needs,
they are computed without it first, and once more, a part at a time, with the loss's gradient at hand (gradient
caching, Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from distill.encode import is_static, own_features
from distill.errors import RunError
from distill.mixture import Step
from distill.objectives import Heads, ObjectiveRows, compared, compared_columns, couples_rows, row_losses, text_batch
from distill.padding import Features, length_batches, pad, padded_length, padded_shape, tight_batches
from distill.recipe.objectives import Objective, TranslationObjective
from distill.reduction import ProjectedVectors
from distill.store import Keys, Rows, TokenStore, VectorStore

if TYPE_CHECKING:
    from accelerate import Accelerator
    from sentence_transformers import SentenceTransformer

TOKENS_PER_BACKWARD = {"cpu": 8_192, "cuda": 32_768}
"""Tokens whose activations are kept at once: 8,192 take about 2 GB for six layers of 384 dimensions on a CPU."""

TOKENS_PER_CHUNK = {"cpu": 2_048, "cuda": 32_768}
"""Tokens that are padded together: no more than are kept at once, for a fixed shape is filled up to them."""

GPU_BYTES = 24e9
"""Memory that the budgets of GPUs are for; a smaller GPU gets its share of them."""

ROWS_PER_DEV_BATCH = 256


class Encoder(nn.Module):
    """The student as one module whose forward takes all the chunks of a batch.

    Chunks are padded each on its own. One forward per backward is what DistributedDataParallel expects.
    """

    def __init__(self, student: SentenceTransformer) -> None:
        super().__init__()
        self.student = student

    def forward(self, chunks: Sequence[Features]) -> torch.Tensor:
        """Return the vectors of all chunks, (texts, dimension)."""
        return torch.cat([self.student(own_features(self.student, chunk))["sentence_embedding"] for chunk in chunks])


@dataclass
class ZeroVectors:
    """Stands in for the teacher's vectors where only the time of a step is measured."""

    dimension: int

    def find(self, keys: Keys) -> Rows:
        """Return row 0 for every key."""
        return np.zeros(len(keys), np.int64)

    def read(self, rows: Rows) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """Return zeros (n, dimension)."""
        return np.zeros((len(rows), self.dimension), np.float32)


@dataclass
class TrainingData:
    """What the loop reads.

    Attributes:
        train: objective name → its rows.
        dev: objective name → its rows held out.
        tokens: token ids by row.
        vectors: the teacher's vectors by row.
        unit_length: whether the teacher's vectors have length 1.
        teacher: the teacher, if its hidden states are matched.
    """

    train: Mapping[str, ObjectiveRows]
    dev: Mapping[str, ObjectiveRows]
    tokens: TokenStore
    vectors: VectorStore | ProjectedVectors | ZeroVectors
    unit_length: bool
    teacher: SentenceTransformer | None = None


@dataclass
class Gradients:
    """Computes the losses of batches and their gradients.

    Attributes:
        encoder: the student as accelerate prepared it.
        heads: classifiers and learnable scales.
        data: rows and stores.
        objectives: name → section.
        accelerator: devices and processes.
        pad_id: id of the padding token.
        batch_size: most rows of a step, over all processes.
        micro_batch_size: rows encoded at once on one process; as many as memory is meant for if None.
        pad_to: lengths that texts are padded to; to the longest of a chunk if None.
    """

    encoder: nn.Module
    heads: Heads
    data: TrainingData
    objectives: Mapping[str, Objective]
    accelerator: Accelerator
    pad_id: int
    batch_size: int
    micro_batch_size: int | None
    pad_to: tuple[int, ...] | None

    def __post_init__(self) -> None:
        student = self.accelerator.unwrap_model(self.encoder).student
        self._is_tight = self.accelerator.device.type == "cpu" and not self.pad_to and not is_static(student)
        data = (*self.data.train.values(), *self.data.dev.values())
        self._longest = max((int(rows.length.max(initial=1)) for rows in data), default=1)

    def backward(self, step: Step) -> tuple[torch.Tensor, int]:
        """Add the gradient of a step's batch to the parameters.

        Returns:
            This process's part of the batch's loss, and the number of tokens it encoded.
        """
        coupled = couples_rows(self.objectives[step.objective], english=step.english)
        loss, tokens = self._coupled(step) if coupled else self._independent(step)
        if self.accelerator.num_processes > 1:
            for parameter in self.heads.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
        return loss, tokens

    def _independent(self, step: Step) -> tuple[torch.Tensor, int]:
        """Add up the gradients of a process's rows, a micro-batch at a time."""
        accelerator, objective = self.accelerator, self.objectives[step.objective]
        own = step.rows[accelerator.process_index :: accelerator.num_processes]
        micro = np.array_split(own, self._micro_batches(step))
        # Summed over the processes and divided by all rows: the same whatever their number.
        share = objective.weight / len(step.rows)
        loss, tokens = torch.zeros((), device=accelerator.device), 0
        for place, rows in enumerate(micro):
            last = place == len(micro) - 1
            with nullcontext() if last else accelerator.no_sync(self.encoder):
                losses, n = self._row_losses(self.data.train, step.objective, rows, step.number, english=step.english)
                part = losses.sum() * share
                accelerator.backward(part * accelerator.num_processes)  # DDP averages; we want the sum
            loss += part.detach()
            tokens += n
        return loss, tokens

    def _micro_batches(self, step: Step) -> int:
        """Return in how many parts a process encodes its rows, so that memory is bounded; the same on all processes."""
        processes, data = self.accelerator.num_processes, self.data.train[step.objective]
        columns = compared_columns(self.objectives[step.objective], english=step.english)
        n_columns = data.texts.shape[1] if columns is None else len(columns)
        budget = token_budget(TOKENS_PER_BACKWARD, self.accelerator.device)
        longest = padded_length(int(data.length[step.rows].max()), self.pad_to)
        size = self.micro_batch_size or max(1, budget // (longest * n_columns))
        largest, smallest = math.ceil(len(step.rows) / processes), len(step.rows) // processes
        return int(min(math.ceil(largest / size), smallest))

    def _coupled(self, step: Step) -> tuple[torch.Tensor, int]:
        """Add the gradient of a loss of the vectors of all processes; each encodes its share of the distinct texts."""
        accelerator, objective = self.accelerator, self.objectives[step.objective]
        rank, world = accelerator.process_index, accelerator.num_processes
        batch = text_batch(self.data.train[step.objective], step.rows)
        lengths = self.data.tokens.lengths(batch.texts)
        # Dealt by length, so that shares are of one size; each process needs a text, even if it counts for nothing.
        order = np.resize(np.argsort(lengths, kind="stable"), max(len(lengths), world))
        own = order[rank::world]
        parts = self._parts(lengths[own], batch.place.shape[1])
        states, found, tokens = [], [], 0
        for part in parts:
            states.append(_random_state(accelerator.device))
            with nullcontext() if len(parts) == 1 else torch.no_grad():
                vectors, n = self.encode(batch.texts[own[part]])
            found.append(vectors)
            tokens += n
        place = np.empty(len(lengths), np.int64)
        place[order[: len(lengths)]] = np.arange(len(lengths))
        gathered = self._gather(torch.cat(found).detach()[_inverse(parts)], len(order))
        everyone = gathered[torch.from_numpy(place).to(gathered.device)].requires_grad_()
        teacher = None if batch.targets is None else self.data.vectors.read(batch.targets)
        losses = row_losses(
            step.objective,
            objective,
            compared(batch, everyone, teacher, self._candidates(step.objective, step.rows)),
            self.heads,
            step=step.number,
            unit_length=self.data.unit_length,
        )
        loss = losses.mean() * objective.weight
        accelerator.backward(loss)
        assert everyone.grad is not None
        gradient = everyone.grad[torch.from_numpy(own).to(everyone.device)] * world  # DDP averages; we want the sum
        gradient[len(range(rank, len(lengths), world)) :] = 0
        for place_of_part, (part, state) in enumerate(zip(parts, states, strict=True)):
            last = place_of_part == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(self.encoder):
                if len(parts) > 1:
                    with _replayed(state, accelerator.device):
                        found[place_of_part], _ = self.encode(batch.texts[own[part]])
                torch.autograd.backward(found[place_of_part], gradient[torch.from_numpy(part).to(gradient.device)])
            found[place_of_part] = found[place_of_part].detach()
        return loss.detach() / world, tokens

    def _candidates(self, name: str, rows: Rows) -> npt.NDArray[np.float32] | None:
        """Return teacher vectors of random training rows (at most so many, dimension); None for none.

        The numbers of a batch's rows are the seed: the same batch has the same candidates, on all processes and in dev.
        """
        objective, targets = self.objectives[name], self.data.train[name].target
        term = objective.similarity if isinstance(objective, TranslationObjective) else None
        if targets is None or term is None or not term.candidates:
            return None
        drawn = np.random.default_rng(rows).integers(len(targets), size=term.candidates)
        return self.data.vectors.read(np.unique(targets[drawn, 0]))

    def _parts(self, lengths: npt.NDArray[np.int32], columns: int) -> list[npt.NDArray[np.int64]]:
        """Return the parts in which texts are encoded: one, if memory is enough for what its backward pass needs."""
        everything = np.arange(len(lengths))
        if self.micro_batch_size:
            return np.array_split(everything, math.ceil(len(lengths) / (self.micro_batch_size * columns)))
        chunks = self._chunks(lengths)
        padded = sum(math.prod(shape) for _, shape in chunks)
        if padded <= token_budget(TOKENS_PER_BACKWARD, self.accelerator.device):
            return [everything]
        budget, kept = token_budget(TOKENS_PER_CHUNK, self.accelerator.device), 0
        parts: list[list[Rows]] = []
        for rows, shape in chunks:  # small ones together: each part has a backward pass of its own
            kept += math.prod(shape)
            if not parts or kept > budget:
                parts.append([rows])
                kept = math.prod(shape)
            else:
                parts[-1].append(rows)
        return [np.concatenate(part) for part in parts]

    def _chunks(self, lengths: npt.NDArray[np.int32]) -> list[tuple[npt.NDArray[np.int64], tuple[int, int]]]:
        """Return which texts are padded together, and to how many rows and columns."""
        budget, most = token_budget(TOKENS_PER_CHUNK, self.accelerator.device), None
        if self._is_tight:
            return tight_batches(lengths, budget, self._longest)
        if self.pad_to:  # a fixed shape needs no more rows than a batch has texts
            rows_at_once = self.micro_batch_size or math.ceil(self.batch_size / self.accelerator.num_processes)
            most = rows_at_once * max(data.texts.shape[1] for data in self.data.train.values())
        batches = length_batches(lengths, budget, self.pad_to, most)
        return [(rows, padded_shape(lengths[rows], budget, self.pad_to, most)) for rows in batches]

    def _gather(self, own: torch.Tensor, total: int) -> torch.Tensor:
        """Return the vectors of all processes (total, dimension), dealt out one by one."""
        world = self.accelerator.num_processes
        size = math.ceil(total / world)
        padded = torch.cat([own, own.new_zeros(size - len(own), own.shape[1])])
        gathered: torch.Tensor = self.accelerator.gather(padded)
        return gathered.view(world, size, -1).transpose(0, 1).reshape(world * size, -1)[:total]

    def encode(self, texts: Rows) -> tuple[torch.Tensor, int]:
        """Return the student's vectors of some texts (texts, dimension) and the number of their tokens."""
        ids = self.data.tokens.read(texts)
        lengths = np.fromiter((len(row) for row in ids), np.int32, len(ids))
        chunks, device = self._chunks(lengths), self.accelerator.device
        padded = [pad([ids[row] for row in rows], self.pad_id, shape) for rows, shape in chunks]
        moved = [{name: tensor.to(device, non_blocking=True) for name, tensor in chunk.items()} for chunk in padded]
        vectors = self.encoder(moved)  # accelerate runs it in the precision it was prepared with
        return vectors[_inverse([rows for rows, _ in chunks]).to(device)], int(lengths.sum())

    def _row_losses(
        self, rows_of: Mapping[str, ObjectiveRows], name: str, rows: Rows, step: int, *, english: bool = True
    ) -> tuple[torch.Tensor, int]:
        """Return an objective's loss of each row (n,), computed at once, and the number of tokens encoded."""
        objective = self.objectives[name]
        batch = text_batch(rows_of[name], rows, compared_columns(objective, english=english))
        vectors, tokens = self.encode(batch.texts)
        teacher = None if batch.targets is None else self.data.vectors.read(batch.targets)
        inputs = compared(batch, vectors, teacher, self._candidates(name, rows) if english else None)
        unit_length = self.data.unit_length
        return row_losses(name, objective, inputs, self.heads, step=step, unit_length=unit_length), tokens

    def dev_losses(self, step: int) -> dict[str, dict[str, float]]:
        """Return objective → corpus → mean loss of its dev rows, without the objective's weight.

        Batches do not depend on the number of processes: losses that couple rows are the same on all.

        Args:
            step: for scheduled scales, which must stay the same for losses to be comparable.

        Raises:
            RunError: a loss is not finite.
        """
        found: dict[str, dict[str, float]] = {}
        self.encoder.eval()
        for name, data in self.data.dev.items():
            sums = torch.zeros(2, len(data.labels), dtype=torch.float64)
            with torch.inference_mode():
                for rows in _dev_batches(data)[self.accelerator.process_index :: self.accelerator.num_processes]:
                    losses, _ = self._row_losses(self.data.dev, name, rows, step)
                    sums[:, data.corpus[rows[0]]] += torch.tensor([float(losses.cpu().double().sum()), len(rows)])
            if self.accelerator.num_processes > 1:
                sums = self.accelerator.reduce(sums.float().to(self.accelerator.device)).cpu()
            found[name] = {label: float(sums[0, i] / sums[1, i]) for i, label in enumerate(data.labels) if sums[1, i]}
            for label, loss in found[name].items():
                if not math.isfinite(loss):
                    raise RunError(f"dev rows of {label}", f"the loss of objectives.{name} is {loss}", hint=LOWER)
        self.encoder.train()
        return found


LOWER = "lower training.learning_rate or set training.precision: fp32, and start anew with --fresh"
"""What to do when a loss is no number any more."""


def token_budget(budgets: Mapping[str, int], device: torch.device) -> int:
    """Return how many tokens are worked on at once on a device."""
    budget = budgets.get(device.type, budgets["cpu"])
    if device.type == "cuda":
        budget = int(budget * min(1.0, torch.cuda.get_device_properties(device).total_memory / GPU_BYTES))
    return budget


def _inverse(parts: Sequence[npt.NDArray[np.int64]]) -> torch.Tensor:
    """Return what puts back in order what was taken in parts."""
    return torch.from_numpy(np.argsort(np.concatenate(parts)))


def _dev_batches(data: ObjectiveRows) -> list[Rows]:
    """Return the dev rows in batches of one corpus each, of nearly the same size."""
    batches: list[Rows] = []
    for corpus in range(len(data.labels)):
        rows = np.flatnonzero(data.corpus == corpus)
        if len(rows):
            batches += np.array_split(rows, math.ceil(len(rows) / ROWS_PER_DEV_BATCH))
    return batches


def _random_state(device: torch.device) -> list[torch.Tensor]:
    """Return what dropout will be drawn from."""
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])


@contextmanager
def _replayed(state: Sequence[torch.Tensor], device: torch.device) -> Iterator[None]:
    """Draw again what was drawn from a state on; afterwards all is as if nothing had been."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_rng_state(state[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(state[1], device)
        yield
