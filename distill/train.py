"""The training loop: forward, backward, clip, step, log, evaluate, checkpoint.

Devices, mixed precision, several processes and trackers come from accelerate; the schedule is a pure function
(`distill.mixture`), so a run that was killed goes on from its last checkpoint as if it had never stopped.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch
from accelerate.utils import broadcast, clean_state_dict_for_safetensors
from safetensors.torch import load_file, save_file

from distill.errors import RunError
from distill.gradients import LOWER, Encoder, Gradients, TrainingData
from distill.lookup import add_up_in_place
from distill.matching import layer_matching
from distill.mixture import Schedule, Step, Stream
from distill.objectives import Heads, bound_scales, make_heads
from distill.optimizer import freeze_unused, learning_rate_factor, make_optimizer
from distill.progress import progress
from distill.recipe import Recipe
from distill.rundir import BEST_WEIGHTS, RunDirectory
from distill.student import set_dropout

if TYPE_CHECKING:
    from accelerate import Accelerator
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")

EVALUATIONS_PER_RUN = 5
CHECKPOINTS_PER_RUN = 10
LOGS_PER_RUN = 200
HEADS = "heads."
"""What the names of the heads' weights begin with among the best weights."""


@dataclass
class State:
    """Where a run stands; saved with each checkpoint.

    Attributes:
        step: optimizer steps done.
        seconds: time spent training, evaluation included.
        best: lowest mean dev loss so far, or the highest mean score times −1.
        best_step: step it was seen at.
        mark: what early stopping wants to see improved.
        waited: evaluations since then.
        dev: mean dev loss by step.
        sets: dev loss by step and set.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    mark: float = math.inf
    waited: int = 0
    dev: dict[str, float] = field(default_factory=dict)
    sets: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class TrainingResult:
    """The trained student and how it went.

    Attributes:
        student: the model.
        heads: classifiers and learnable scales beside it.
        step: step its weights are from.
        state: where training ended.
        n_steps: steps of the whole schedule.
        stopped_early: whether training ended before them.
    """

    student: SentenceTransformer
    heads: Heads
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
        score: called every `recipe.evaluation.every` steps with the student and the step, on the main process; returns
            the mean of its scores.
    """

    def __init__(
        self,
        recipe: Recipe,
        student: SentenceTransformer,
        data: TrainingData,
        run: RunDirectory,
        accelerator: Accelerator,
        score: Callable[[SentenceTransformer, int], float] | None = None,
    ) -> None:
        section = recipe.training
        set_dropout(student, section.dropout)
        if section.gradient_checkpointing:
            student[0].model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.section, self.objectives = section, recipe.objectives
        self.data, self.run, self.accelerator = data, run, accelerator
        self.schedule = make_schedule(recipe, data, processes=accelerator.num_processes)
        freeze_unused(student)
        if accelerator.device.type == "cpu" and accelerator.num_processes == 1:
            add_up_in_place(student)
        self.heads = _heads(recipe, student, data).to(accelerator.device)
        optimizer = make_optimizer(student, section, self.heads)
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.encoder, self.optimizer = accelerator.prepare(Encoder(student), optimizer)
        if self.has_heads:
            accelerator.register_for_checkpointing(self.heads)
        pad_id = int(getattr(student.tokenizer, "pad_token_id", None) or 0)
        self.gradients = Gradients(
            self.encoder,
            self.heads,
            data,
            self.objectives,
            accelerator,
            pad_id,
            section.batch_size,
            section.micro_batch_size,
            section.pad_to,
        )
        self.matching = layer_matching(recipe, student, data, accelerator)
        self.state = State()
        self.score, self.score_every = score, recipe.evaluation.every
        self.evaluate_every = section.evaluate_every or math.ceil(self.schedule.n_steps / EVALUATIONS_PER_RUN)
        self.checkpoint_every = section.checkpoint_every or math.ceil(self.schedule.n_steps / CHECKPOINTS_PER_RUN)
        self.log_every = max(1, self.schedule.n_steps // LOGS_PER_RUN)

    @property
    def has_heads(self) -> bool:
        """Whether anything is learnt beside the student."""
        return next(self.heads.parameters(), None) is not None

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
                if self.score_every and ((done % self.score_every == 0 and not last) or (last and self._scores_select)):
                    self._score()
                stopped = self._should_stop()
                if done % self.checkpoint_every == 0 or last or stopped:
                    self._checkpoint()
        student, weights_from = self._select()
        stopped_early = self.state.step < self.schedule.n_steps
        return TrainingResult(student, self.heads, weights_from, self.state, self.schedule.n_steps, stopped_early)

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
        loss, tokens = self.gradients.backward(step)
        if self.matching:
            loss = loss + self.matching.backward(step)
        # accelerate knows a sharded model by its parameters alone.
        own = [*self.encoder.parameters(), *self.heads.parameters()] if self.has_heads else self.encoder.parameters()
        norm = self.accelerator.clip_grad_norm_(own, self.section.clip_norm or math.inf)
        factor = learning_rate_factor(step.number, self.schedule.n_steps, self.section)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        bound_scales(self.heads, self.objectives)
        n_rows = len(range(self.accelerator.process_index, len(step.rows), self.accelerator.num_processes))
        return loss, n_rows, tokens, norm

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
                hint=LOWER,
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
        """Measure the dev losses, and keep the weights if they are the best so far by their mean.

        The mean is of all sets, each times its objective's weight: what training makes smaller.
        """
        losses = self.gradients.dev_losses(self.schedule.n_steps)
        weighted = [loss * self.objectives[name].weight for name, sets in losses.items() for loss in sets.values()]
        if not weighted:
            return
        mean, step = sum(weighted) / len(weighted), self.state.step
        sets = {f"{name}: {label}": loss for name, found in losses.items() for label, loss in found.items()}
        self.state.dev[str(step)], self.state.sets[str(step)] = mean, sets
        self.run.log("dev", step=step, loss=mean, sets=sets)
        self.accelerator.log({"dev/loss": mean, **{f"dev/{name}": loss for name, loss in sets.items()}}, step=step)
        if not self._scores_select:
            self._judge(mean)

    def _score(self) -> None:
        """Score the student as it is, and keep the weights if they are the best so far where scores decide."""
        mean = torch.zeros((), device=self.accelerator.device)
        if self.score and self.accelerator.is_main_process:
            mean += self.score(self.accelerator.unwrap_model(self.encoder).student, self.state.step)
        self.encoder.train()
        self.accelerator.wait_for_everyone()
        if self._scores_select:
            value = float(broadcast(mean))
            if not math.isfinite(value):
                raise RunError(f"scores after step {self.state.step}", f"their mean is {value}", hint=LOWER)
            self.run.log("mean score", step=self.state.step, score=value)
            self.accelerator.log({"dev/score": value}, step=self.state.step)
            self._judge(-value)

    @property
    def _scores_select(self) -> bool:
        return self.section.select_by == "scores"

    def _judge(self, value: float) -> None:
        """Keep the weights if a value that should be low is the lowest so far."""
        if value < self.state.best:
            self.state.best, self.state.best_step = value, self.state.step
            self._save_best()
        stopping = self.section.early_stopping
        self.state.waited += 1
        if value < self.state.mark - (stopping.min_delta if stopping else 0.0):
            self.state.mark, self.state.waited = value, 0

    def _should_stop(self) -> bool:
        stopping = self.section.early_stopping
        return stopping is not None and self.state.waited >= stopping.patience

    def _save_best(self) -> None:
        weights = clean_state_dict_for_safetensors(self.accelerator.get_state_dict(self.encoder))
        weights |= {HEADS + name: tensor for name, tensor in self.heads.state_dict().items()}
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
        """Return the student with its last or its best weights, and their step; the heads have those of this step."""
        self.accelerator.wait_for_everyone()
        encoder = self.accelerator.unwrap_model(self.encoder)
        weights, step = self.run.best / BEST_WEIGHTS, self.state.step
        if self.section.select == "best" and weights.exists():
            step = self.state.best_step
            stored = load_file(weights)
            encoder.load_state_dict(stored, strict=False)  # tied weights have one name there
            own = {name.removeprefix(HEADS): found for name, found in stored.items() if name.startswith(HEADS)}
            self.heads.load_state_dict(own)
        student: SentenceTransformer = encoder.student
        return student.eval(), step


def _heads(recipe: Recipe, student: SentenceTransformer, data: TrainingData) -> Heads:
    """Return what a run learns beside the student.

    Raises:
        RunError: vectors are to be cut to more dimensions than they have.
    """
    dimension = int(student.get_embedding_dimension() or 0)
    for name, objective in recipe.objectives.items():
        if (longest := max(objective.matryoshka or (0,))) > dimension:
            raise RunError(
                f"objectives.{name}.matryoshka",
                f"found {longest}",
                expected=f"at most {dimension}, the length of the student's vectors",
            )
        if objective.matryoshka and longest < dimension:
            log.warning(
                "objectives.%s.matryoshka: no loss is of all %d dimensions: those after %d are not trained",
                name,
                dimension,
                longest,
            )
    classes = {name: rows.classes for name, rows in data.train.items()}
    return make_heads(recipe.objectives, classes, dimension, recipe.seed)


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
        english_share = getattr(objective, "english_share", 1.0)
        streams[name] = Stream(rows.length, english_share, rows.corpus, rows.labels, rows.domain)
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
