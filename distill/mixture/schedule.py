"""All steps of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from distill.mixture.data_sets import Stream, data_sets
from distill.mixture.epochs import RowEpochs
from distill.mixture.phases import ShareSteps
from distill.recipe.mixture import MixtureSection
from distill.store import Rows


@dataclass(frozen=True)
class Step:
    """One optimizer step.

    Attributes:
        number: steps before this one in the run.
        epoch: epoch it belongs to.
        objective: name of the objective.
        rows: rows of the objective's data that form the global batch.
        english: whether the English side is trained too.
    """

    number: int
    epoch: int
    objective: str
    rows: Rows
    english: bool


@dataclass(frozen=True)
class Schedule:
    """All steps of a run.

    With proportional sampling, an epoch has each row once; in a round robin, it ends with the smallest or largest data
    set. Otherwise it is as many steps as all rows make full batches, though some rows come more often and some not.

    Attributes:
        streams: objective name → its rows.
        batch_size: most rows in a step.
        epochs: epochs of the run.
        seed: seed of the order.
        max_steps: stop after this many steps, None for no limit.
        mixture: proportion and order of data sets, with weights, not their file.
    """

    streams: Mapping[str, Stream]
    batch_size: int
    epochs: int
    seed: int
    max_steps: int | None = None
    mixture: MixtureSection = field(default_factory=MixtureSection)

    @cached_property
    def _sampled(self) -> RowEpochs | ShareSteps:
        mixture = self.mixture
        if mixture.sampling.kind != "proportional":
            total = (self.epochs, self.max_steps)
            return ShareSteps(self.streams, data_sets(self.streams), mixture, self.batch_size, *total, self.seed)
        apart = data_sets(self.streams) if mixture.batches == "single" else None
        return RowEpochs(self.streams, apart, self.batch_size, mixture.cluster_by == "domain", self.seed)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of one epoch."""
        return self._sampled.steps_per_epoch

    @property
    def smallest_batch(self) -> int:
        """Rows of the smallest batch."""
        return self._sampled.smallest_batch

    @property
    def n_steps(self) -> int:
        """Number of steps of the run."""
        steps = self.epochs * self.steps_per_epoch
        return min(steps, self.max_steps or steps)

    def steps(self, start: int = 0) -> Iterator[Step]:
        """Yield the steps from number `start` on."""
        if isinstance(self._sampled, ShareSteps):
            for number, step in zip(range(start, self.n_steps), self._sampled.steps(start), strict=False):
                yield Step(number, number // self.steps_per_epoch, *step)
            return
        for epoch in range(start // self.steps_per_epoch, self.epochs):
            first = epoch * self.steps_per_epoch
            for number, step in enumerate(self._sampled.epoch(epoch), first):
                if number >= self.n_steps:
                    return
                if number >= start:
                    yield Step(number, epoch, *step)
