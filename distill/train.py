"""The training loop: forward, backward, clip, step, log, evaluate, checkpoint.

Devices, mixed precision, several processes and trackers come from accelerate; the schedule is a pure function
(`distill.mixture`), so a run that was killed goes on from its last checkpoint as if it had never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import clean_state_dict_for_safetensors
from safetensors.torch import load_file, save_file
from torch import nn

from distill.encode import Features, fixed_shape, length_batches, own_features, pad, padded_length
from distill.errors import RunError
from distill.mixture import Schedule, Step, Stream
from distill.objectives import ParallelRows, TextBatch, squared_error, text_batch
from distill.optimizer import freeze_unused, learning_rate_factor, make_optimizer
from distill.progress import progress
from distill.recipe import Recipe
from distill.reduction import ProjectedVectors
from distill.rundir import BEST_WEIGHTS, RunDirectory
from distill.store import Keys, Rows, TokenStore, VectorStore
from distill.student import set_dropout

if TYPE_CHECKING:
    from accelerate import Accelerator
    from sentence_transformers import SentenceTransformer

TOKENS_PER_CHUNK = {"cpu": 2_048, "cuda": 65_536}
TOKENS_PER_BACKWARD = {"cpu": 8_192, "cuda": 32_768}
"""Tokens whose activations are kept at once: 8,192 take about 2 GB for six layers of 384 dimensions on a CPU."""

GPU_BYTES = 24e9
"""Memory that the budgets of GPUs are for; a smaller GPU gets its share of them."""

ROWS_PER_DEV_BATCH = 256
EVALUATIONS_PER_RUN = 5
CHECKPOINTS_PER_RUN = 10
LOGS_PER_RUN = 200


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
        dev: rows held out, of all corpora.
        tokens: token ids by row.
        vectors: the teacher's vectors by row.
        unit_length: whether the teacher's vectors have length 1.
    """

    train: Mapping[str, ParallelRows]
    dev: ParallelRows
    tokens: TokenStore
    vectors: VectorStore | ProjectedVectors | ZeroVectors
    unit_length: bool


@dataclass
class State:
    """Where a run stands; saved with each checkpoint.

    Attributes:
        step: optimizer steps done.
        seconds: time spent training, evaluation included.
        best: lowest mean dev loss so far.
        best_step: step it was seen at.
        waited: evaluations since then.
        dev: mean dev loss by step.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    waited: int = 0
    dev: dict[str, float] = field(default_factory=dict)


@dataclass
class TrainingResult:
    """The trained student and how it went.

    Attributes:
        student: the model.
        step: step its weights are from.
        state: where training ended.
        n_steps: steps of the whole schedule.
        stopped_early: whether training ended before them.
    """

    student: SentenceTransformer
    step: int
    state: State
    n_steps: int
    stopped_early: bool


class Trainer:
    """One run's loop.

    Args:
        recipe: what to train and how.
        student: it is changed in place.
        data: rows of each objective and the stores.
        run: where checkpoints and the log go.
        accelerator: devices and processes.
        score: called every `recipe.evaluation.every` steps with the student and the step, on the main process.
    """

    def __init__(
        self,
        recipe: Recipe,
        student: SentenceTransformer,
        data: TrainingData,
        run: RunDirectory,
        accelerator: Accelerator,
        score: Callable[[SentenceTransformer, int], None] | None = None,
    ) -> None:
        section = recipe.training
        set_dropout(student, section.dropout)
        if section.gradient_checkpointing:
            student[0].model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.section, self.objectives = section, recipe.objectives
        self.data, self.run, self.accelerator = data, run, accelerator
        self.schedule = make_schedule(recipe, data, processes=accelerator.num_processes)
        self.pad_id = int(getattr(student.tokenizer, "pad_token_id", None) or 0)
        self.peaks = (section.learning_rate.body, section.learning_rate.embeddings)
        freeze_unused(student)
        self.encoder, self.optimizer = accelerator.prepare(Encoder(student), make_optimizer(student, section))
        self.state = State()
        self.score, self.score_every = score, recipe.evaluation.every
        self.evaluate_every = section.evaluate_every or max(1, self.schedule.n_steps // EVALUATIONS_PER_RUN)
        self.checkpoint_every = section.checkpoint_every or max(1, self.schedule.n_steps // CHECKPOINTS_PER_RUN)
        self.log_every = max(1, self.schedule.n_steps // LOGS_PER_RUN)

    def train(self) -> TrainingResult:
        """Run all steps that are not done yet, and return the student with the selected weights."""
        self.encoder.train()
        began = time.monotonic() - self.state.seconds
        stopped = self._should_stop()
        seen, note = _Counters(), ""
        with progress(
            "training",
            self.schedule.n_steps,
            "steps",
            start=self.state.step,
            show=self.accelerator.is_main_process,
        ) as update:
            for step in self.schedule.steps(self.state.step):
                if stopped:
                    break
                seen.add(*self.train_step(step))
                self.state.step = done = step.number + 1
                self.state.seconds = time.monotonic() - began
                last = done == self.schedule.n_steps
                if done % self.log_every == 0 or last:
                    note = f"loss {self._log(step, seen):.4f}"
                    seen = _Counters()
                update(done, note)
                if done % self.evaluate_every == 0 or last:
                    self._evaluate()
                    stopped = self._should_stop()
                if self.score_every and done % self.score_every == 0 and not last:
                    self._score()
                if done % self.checkpoint_every == 0 or last or stopped:
                    self._checkpoint()
        student, weights_from = self._select()
        stopped_early = self.state.step < self.schedule.n_steps
        return TrainingResult(student, weights_from, self.state, self.schedule.n_steps, stopped_early)

    def time_steps(self, count: int = 6) -> float:
        """Return the seconds a step takes, measured on a few steps after two for warming up; the student changes."""
        self.encoder.train()
        began = time.monotonic()
        done = 0
        for step in self.schedule.steps():
            self.train_step(step)
            done = step.number + 1
            if self.accelerator.device.type == "cuda":
                torch.cuda.synchronize()
            if done == 2:
                began = time.monotonic()
            if done == count + 2:
                break
        return (time.monotonic() - began) / max(1, done - 2)

    def train_step(self, step: Step) -> tuple[torch.Tensor, int, int, torch.Tensor]:
        """Do one optimizer step.

        Returns:
            This process's part of the batch's loss, its rows and tokens, and the gradient norm.
        """
        data, objective = self.data.train[step.objective], self.objectives[step.objective]
        own = step.rows[self.accelerator.process_index :: self.accelerator.num_processes]
        micro = np.array_split(own, self._micro_batches(step, int(data.length[step.rows].max())))
        # Summed over the processes and divided by all compared vectors: the same whatever their number.
        scale = objective.weight / (len(step.rows) * (1 + step.english))
        loss, tokens = torch.zeros((), device=self.accelerator.device), 0
        for place, rows in enumerate(micro):
            last = place == len(micro) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.encoder):
                batch = text_batch(data, rows, english=step.english)
                vectors, n = self._encode(batch.texts)
                part = self._loss(batch, vectors) * scale
                self.accelerator.backward(part * self.accelerator.num_processes)  # DDP averages; we want the sum
                loss += part.detach()
                tokens += n
        norm = self.accelerator.clip_grad_norm_(self.encoder.parameters(), self.section.clip_norm or math.inf)
        factor = learning_rate_factor(step.number, self.schedule.n_steps, self.section)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, len(own), tokens, norm

    def _micro_batches(self, step: Step, longest: int) -> int:
        """Return in how many parts a process encodes its rows, so that memory is bounded; the same on all processes."""
        processes = self.accelerator.num_processes
        budget = token_budget(TOKENS_PER_BACKWARD, self.accelerator.device)
        size = self.section.micro_batch_size or max(
            1, budget // (padded_length(longest, self.section.pad_to) * (1 + step.english))
        )
        largest, smallest = math.ceil(len(step.rows) / processes), len(step.rows) // processes
        return int(min(math.ceil(largest / size), smallest))

    def _encode(self, texts: Rows) -> tuple[torch.Tensor, int]:
        """Return the student's vectors of some texts (texts, dimension) and the number of their tokens."""
        ids = self.data.tokens.read(texts)
        lengths = np.fromiter((len(row) for row in ids), np.int32, len(ids))
        budget, pad_to = token_budget(TOKENS_PER_CHUNK, self.accelerator.device), self.section.pad_to
        batches = list(length_batches(lengths, budget, pad_to))
        shapes = [fixed_shape(lengths[rows], budget, pad_to) for rows in batches]
        chunks = [pad([ids[row] for row in rows], self.pad_id, s) for rows, s in zip(batches, shapes, strict=True)]
        device = self.accelerator.device
        moved = [{name: tensor.to(device, non_blocking=True) for name, tensor in chunk.items()} for chunk in chunks]
        order = np.argsort(np.concatenate(batches))
        vectors = self.encoder(moved)  # accelerate runs it in the precision it was prepared with
        return vectors[torch.from_numpy(order).to(device)], int(lengths.sum())

    def _loss(self, batch: TextBatch, vectors: torch.Tensor) -> torch.Tensor:
        """Return the summed loss of a batch's vectors."""
        device = vectors.device
        target = torch.from_numpy(self.data.vectors.read(batch.target)).to(device)
        place = torch.from_numpy(batch.place).to(device)
        return squared_error(vectors[place], target, unit_length=self.data.unit_length).sum()

    def dev_losses(self) -> dict[str, float]:
        """Return the mean loss over both sides of each corpus's dev rows."""
        data, accelerator = self.data.dev, self.accelerator
        sums = torch.zeros(2, len(data.labels), dtype=torch.float64)
        own = np.arange(len(data))[accelerator.process_index :: accelerator.num_processes]
        own = own[np.argsort(data.length[own], kind="stable")]
        self.encoder.eval()
        with torch.inference_mode():
            for start in range(0, len(own), ROWS_PER_DEV_BATCH):
                rows = own[start : start + ROWS_PER_DEV_BATCH]
                batch = text_batch(data, rows, english=True)
                vectors, _ = self._encode(batch.texts)
                target = torch.from_numpy(self.data.vectors.read(batch.target)).to(vectors.device)
                errors = squared_error(
                    vectors[torch.from_numpy(batch.place)], target, unit_length=self.data.unit_length
                )
                corpus = torch.from_numpy(np.tile(data.corpus[rows], 2)).long()
                sums[0].index_add_(0, corpus, errors.cpu().double())
                sums[1] += torch.bincount(corpus, minlength=len(data.labels))
        self.encoder.train()
        total, count = (
            accelerator.reduce(sums.float().to(accelerator.device)).cpu() if accelerator.num_processes > 1 else sums
        )
        return {label: float(total[i] / count[i]) for i, label in enumerate(data.labels) if count[i]}

    def _log(self, step: Step, seen: _Counters) -> float:
        """Log what was seen since the last time and return the mean loss."""
        device = self.accelerator.device
        loss, norm = (torch.as_tensor(seen.sums, device=device) / seen.steps).tolist()
        own = torch.tensor([loss, seen.rows, seen.tokens], device=device)
        loss, rows, tokens = self.accelerator.reduce(own).tolist()
        if not math.isfinite(loss):
            raise RunError(
                f"training step {self.state.step}",
                f"the loss is {loss}",
                hint="lower training.learning_rate or set training.precision: fp32, and start anew with --fresh",
            )
        seconds = time.monotonic() - seen.began
        values = {
            "loss": loss,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "gradient_norm": norm if math.isfinite(norm) else None,  # fp16 skips the steps in which it overflows
            "rows_per_second": rows / seconds,
            "tokens_per_second": tokens / seconds,
        }
        self.run.log("train", step=self.state.step, epoch=step.epoch, **values)
        self.accelerator.log(
            {f"train/{name}": value for name, value in values.items() if value is not None}, step=self.state.step
        )
        return float(loss)

    def _evaluate(self) -> None:
        """Measure the dev losses, and keep the weights if their mean is the lowest so far."""
        losses = self.dev_losses()
        if not losses:
            return
        mean = sum(losses.values()) / len(losses)
        self.state.dev[str(self.state.step)] = mean
        self.run.log("dev", step=self.state.step, loss=mean, corpora=losses)
        self.accelerator.log({"dev/loss": mean, **{f"dev/{k}": v for k, v in losses.items()}}, step=self.state.step)
        stopping = self.section.early_stopping
        if mean < self.state.best - (stopping.min_delta if stopping else 0.0):
            self.state.best, self.state.best_step, self.state.waited = mean, self.state.step, 0
            self._save_best()
        else:
            self.state.waited += 1

    def _score(self) -> None:
        """Score the student as it is."""
        if self.score and self.accelerator.is_main_process:
            self.score(self.accelerator.unwrap_model(self.encoder).student, self.state.step)
        self.encoder.train()
        self.accelerator.wait_for_everyone()

    def _should_stop(self) -> bool:
        stopping = self.section.early_stopping
        return stopping is not None and self.state.waited >= stopping.patience

    def _save_best(self) -> None:
        weights = clean_state_dict_for_safetensors(self.accelerator.get_state_dict(self.encoder))
        if self.run.writable:
            temporary = self.run.temporary("best")
            save_file(
                {name: tensor.contiguous().cpu() for name, tensor in weights.items()},
                temporary / BEST_WEIGHTS,
            )
            self.run.publish(temporary, self.run.best)

    def _checkpoint(self) -> None:
        """Write a checkpoint that appears under its name only when it is whole."""
        temporary = self.run.temporary("checkpoint")
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(temporary))
        self.accelerator.wait_for_everyone()
        if self.run.writable:
            self.run.commit_checkpoint(temporary, self.state.step, asdict(self.state))
            self.run.prune_checkpoints(self.section.keep_checkpoints)
            self.run.log("checkpoint", step=self.state.step)

    def resume(self) -> None:
        """Go back to the newest intact checkpoint of an earlier start of this run, if there is one."""
        step, folder = self.run.newest_checkpoint() or (0, None)
        self.accelerator.wait_for_everyone()
        if self.run.writable:
            self.run.rewind(step, folder)
            self.run.prune_checkpoints(self.section.keep_checkpoints)
        if folder is None:
            return
        self.accelerator.load_state(str(folder))
        saved = json.loads((folder / "state.json").read_text())
        saved.pop("files")
        self.state = State(**saved)
        self.run.log("resume", step=step)

    def _select(self) -> tuple[SentenceTransformer, int]:
        """Return the student with its last weights, or with those of the lowest dev loss, and their step."""
        self.accelerator.wait_for_everyone()
        encoder = self.accelerator.unwrap_model(self.encoder)
        weights, step = self.run.best / BEST_WEIGHTS, self.state.step
        if self.section.select == "best" and weights.exists():
            step = self.state.best_step
            encoder.load_state_dict(load_file(weights), strict=False)  # tied weights have one name there
        student: SentenceTransformer = encoder.student
        return student.eval(), step


def token_budget(budgets: Mapping[str, int], device: torch.device) -> int:
    """Return how many tokens are worked on at once on a device."""
    budget = budgets.get(device.type, budgets["cpu"])
    if device.type == "cuda":
        budget = int(budget * min(1.0, torch.cuda.get_device_properties(device).total_memory / GPU_BYTES))
    return budget


class _Counters:
    """What happened since the last line of the log."""

    def __init__(self) -> None:
        self.sums: torch.Tensor | float = 0.0  # loss and gradient norm, on the device: reading them would wait for it
        self.rows = self.tokens = self.steps = 0
        self.began = time.monotonic()

    def add(self, loss: torch.Tensor, rows: int, tokens: int, norm: torch.Tensor) -> None:
        self.sums = self.sums + torch.stack([loss, norm.to(loss)])
        self.rows, self.tokens, self.steps = self.rows + rows, self.tokens + tokens, self.steps + 1


def make_schedule(recipe: Recipe, data: TrainingData, *, processes: int = 1) -> Schedule:
    """Return the schedule of a run.

    Raises:
        RunError: a batch has fewer rows than there are processes, a text is longer than the lengths to pad to, or the
            mixture does not go with the rows.
    """
    training, mixture = recipe.training, recipe.mixture_with_weights()
    streams = {}
    for name, objective in recipe.objectives.items():
        rows = data.train[name]
        domain = getattr(rows, "domain", None)
        streams[name] = Stream(rows.length, objective.english_share, rows.corpus, rows.labels, domain)
    if mixture.cluster_by == "domain" and all(stream.domain is None for stream in streams.values()):
        raise RunError("mixture.cluster_by", "no corpus has a column `domain`", hint="leave it out, or name the column")
    longest = max(int(stream.lengths.max(initial=0)) for stream in streams.values())
    if training.pad_to and longest > training.pad_to[-1]:
        raise RunError("training.pad_to", f"the longest text has {longest} tokens", expected="a length that fits it")
    schedule = Schedule(streams, training.batch_size, training.epochs, recipe.seed, training.max_steps, mixture)
    if schedule.smallest_batch < processes:
        raise RunError(
            "training.batch_size",
            f"a batch of {schedule.smallest_batch} rows cannot be shared by {processes} processes",
            hint="use fewer processes, a larger batch_size or more rows",
        )
    return schedule
