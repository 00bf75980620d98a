"""Samplings by shares: which data sets give the rows of which step, where data sets may be repeated or cut short."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distill.errors import RunError
from distill.mixture.data_sets import DataSet, Stream, domain_pools, in_phase, weights
from distill.mixture.epochs import Batch
from distill.mixture.passes import EndlessRows, PooledRows
from distill.mixture.turns import Counts, Turns, evenly, mixed_turns, regular_turns
from distill.recipe.mixture import (
    BridgingSampling,
    CurriculumSampling,
    MixtureSection,
    PhaseSection,
    ProportionalSampling,
    RoundRobinSampling,
    Sampling,
)
from distill.store import Rows

WHOLE = PhaseSection()


@dataclass(frozen=True)
class Unit:
    """Data sets that share batches: one, or those of an objective.

    Attributes:
        members: their numbers.
        rows: whose turn each row of the unit's batches is; None if there is one data set.
        weight: to what the unit's share of the steps is in proportion.
    """

    members: tuple[int, ...]
    rows: Turns | None
    weight: float


@dataclass(frozen=True)
class Group:
    """Units that get steps in proportion to their weights.

    Attributes:
        units: the units.
        turns: whose turn each step of the group is.
    """

    units: tuple[Unit, ...]
    turns: Turns


@dataclass(frozen=True)
class Phase:
    """Steps with the same shares.

    Attributes:
        start: first step.
        stop: step after the last one, None for the end of the run.
        groups: the groups.
        turns: whose turn each step is.
    """

    start: int
    stop: int | None
    groups: tuple[Group, ...]
    turns: Turns


class ShareSteps:
    """Steps in which data sets have shares.

    Every data set has passes of its own, which go on from phase to phase. Its share is one of the rows where data sets
    share batches, and of the steps otherwise; these have the same number of rows, but for data sets of fewer rows than
    two batches and for domains, which are cut into equal parts.

    Args:
        streams: objective name → its rows.
        sets: the data sets.
        mixture: the sampling, with weights.
        batch_size: rows in a step.
        epochs: epochs of the run.
        max_steps: most steps of the run.
        seed: seed of the order.

    Raises:
        RunError: phases that the run is too short for, or data sets too small to share a batch.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        sets: Sequence[DataSet],
        mixture: MixtureSection,
        batch_size: int,
        epochs: int,
        max_steps: int | None,
        seed: int,
    ) -> None:
        self.streams, self.sets, self.batch_size, self.seed = streams, sets, batch_size, seed
        self.phases: list[Phase] = []
        self.cross = mixture.batches == "cross"
        self.steps_per_epoch = math.ceil(sum(data_set.n for data_set in sets) / batch_size)
        if isinstance(mixture.sampling, RoundRobinSampling):
            self.steps_per_epoch = self._round_robin_steps(mixture.sampling, by_domain=mixture.cluster_by == "domain")
        total = epochs * self.steps_per_epoch
        total = min(total, max_steps or total)
        self.phases = list(self._phases(mixture.sampling, total))
        self.rows = [self._rows(i, by_domain=mixture.cluster_by == "domain") for i in range(len(sets))]
        used = {i for phase in self.phases for group in phase.groups for unit in group.units for i in unit.members}
        self.smallest_batch = min(
            rows.smallest if i in used and isinstance(rows, PooledRows) else batch_size
            for i, rows in enumerate(self.rows)
        )

    def steps(self, start: int) -> Iterator[Batch]:
        """Yield objective, rows and English flag of the steps from number `start` on, without an end."""
        taken = np.zeros(len(self.sets), np.int64)  # rows of data sets that share batches, batches of the others
        done = dict.fromkeys(self.streams, 0)
        for phase in self.phases:
            n = max(0, min(start, phase.stop or start) - phase.start)
            outer = phase.turns.before(n)
            inner = [group.turns.before(int(m)) for group, m in zip(phase.groups, outer, strict=True)]
            for group, counts in zip(phase.groups, inner, strict=True):
                for unit, count in zip(group.units, counts.tolist(), strict=True):
                    taken[list(unit.members)] += unit.rows.before(count * self.batch_size) if unit.rows else count
                    done[self.sets[unit.members[0]].objective] += count
            while phase.stop is None or phase.start + n < phase.stop:
                g = phase.turns.item(n)
                group = phase.groups[g]
                u = group.turns.item(int(outer[g]))
                unit, objective = group.units[u], self.sets[group.units[u].members[0]].objective
                rows, further = self._batch(unit, taken, int(inner[g][u]))
                yield objective, rows, evenly(done[objective], self.streams[objective].english_share)
                taken[list(unit.members)] += further
                n, done[objective] = n + 1, done[objective] + 1
                outer[g] += 1
                inner[g][u] += 1

    def _batch(self, unit: Unit, taken: Counts, number: int) -> tuple[Rows, Counts | int]:
        """Return the rows of a unit's batch of some number, and by how much its members are further after it."""
        if unit.rows is None:
            (member,) = unit.members
            return self.rows[member].batch(int(taken[member])), 1
        counts = unit.rows.counts(number * self.batch_size, self.batch_size)
        parts = []
        for member, count in zip(unit.members, counts.tolist(), strict=True):
            passes = self.rows[member]
            if count and isinstance(passes, EndlessRows):
                parts.append(passes.rows(int(taken[member]), int(taken[member]) + count))
        return np.concatenate(parts), counts

    def _round_robin_steps(self, sampling: RoundRobinSampling, *, by_domain: bool) -> int:
        """Return the steps until the smallest data set ends, or the largest."""
        n = [data_set.n for data_set in self.sets]
        if self.cross:
            rows = len(n) * (min(n) if sampling.until == "smallest" else max(n))
            return max(1, rows // self.batch_size if sampling.until == "smallest" else -(-rows // self.batch_size))
        passes = [self._rows(i, by_domain=by_domain) for i in range(len(n))]
        if sampling.until == "largest":
            return len(n) * max(
                found.per_pass if isinstance(found, PooledRows) else -(-found.n // self.batch_size) for found in passes
            )
        return len(n) * min(
            found.per_pass if isinstance(found, PooledRows) else found.n // self.batch_size for found in passes
        )

    def _phases(self, sampling: Sampling, total: int) -> Iterator[Phase]:
        if not isinstance(sampling, CurriculumSampling):
            yield self._phase(0, None, sampling, WHOLE, 0)
            return
        start = 0
        for number, section in enumerate(sampling.phases):
            last = number == len(sampling.phases) - 1
            stop = None if last else start + (section.steps or max(1, round(total * (section.share or 0))))
            if start >= total:
                raise RunError(
                    f"mixture.sampling.phases.{number}",
                    f"begins at step {start}, but the run has {total} steps",
                    hint="shorten the phases before it, or raise training.epochs or training.max_steps",
                )
            yield self._phase(start, stop, section.sampling, section, number)
            start = stop or total

    def _phase(self, start: int, stop: int | None, sampling: Sampling, section: PhaseSection, number: int) -> Phase:
        members = [i for i, data_set in enumerate(self.sets) if in_phase(data_set, section)]
        sides: list[list[int]] = [members]
        ratio: tuple[int, ...] = (1,)
        if isinstance(sampling, BridgingSampling):
            sides = [
                [i for i in members if {self.sets[i].corpus, self.sets[i].objective} & set(names)]
                for names in (sampling.english, sampling.parallel)
            ]
            ratio = sampling.parts
        if not all(sides):
            raise RunError("mixture.sampling", "the corpora of a part of it have no rows", expected="some rows")
        groups = [
            self._group(side, sampling, (self.seed, 1, number, i), curriculum=section is not WHOLE)
            for i, side in enumerate(sides)
        ]
        return Phase(start, stop, tuple(groups), regular_turns(ratio))

    def _group(self, members: Sequence[int], sampling: Sampling, seed: tuple[int, ...], *, curriculum: bool) -> Group:
        """Return some data sets as units with shares."""
        kind = ProportionalSampling() if isinstance(sampling, BridgingSampling) else sampling
        found = dict(zip(members, weights(kind, [self.sets[i] for i in members]).tolist(), strict=True))
        together: dict[str | int, list[int]] = {}
        for i, weight in found.items():
            if weight:
                together.setdefault(self.sets[i].objective if self.cross else i, []).append(i)
        units = []
        for number, chosen in enumerate(together.values()):
            rows = None
            if len(chosen) > 1:
                shares = np.array([found[i] for i in chosen])
                rows = mixed_turns(shares, (*seed, 1, number), multiple=self.batch_size)
            elif curriculum and self.cross and self._of_objective(chosen[0]) > 1:
                rows = Turns((1.0,), self.batch_size, None)  # in another phase it may share its batches
            units.append(Unit(tuple(chosen), rows, sum(found[i] for i in chosen)))
        if isinstance(sampling, RoundRobinSampling):
            return Group(tuple(units), regular_turns(tuple(len(unit.members) for unit in units)))
        return Group(tuple(units), mixed_turns(np.array([unit.weight for unit in units]), (*seed, 0)))

    def _of_objective(self, number: int) -> int:
        """Return how many data sets the objective of a data set has."""
        return sum(other.objective == self.sets[number].objective for other in self.sets)

    def _rows(self, number: int, *, by_domain: bool) -> EndlessRows | PooledRows:
        """Return the passes over a data set."""
        own, stream, seed = self.sets[number], self.streams[self.sets[number].objective], (self.seed, 2, number)
        lengths = stream.lengths[own.first : own.first + own.n]
        shares = [
            (unit.rows.shares[unit.members.index(number)], unit.rows)
            for phase in self.phases
            for group in phase.groups
            for unit in group.units
            if unit.rows and number in unit.members
        ]
        if shares:
            reach = max(self._reach(share, turns) for share, turns in shares)
            if own.n < 3 * reach:
                raise RunError(
                    "mixture.batches",
                    f"{own.label!r} has {own.n} rows, of which a batch takes up to {reach}",
                    expected=f"at least {3 * reach} rows, so that none is twice in a batch",
                    hint="set batches: single, a smaller training.batch_size or a lower share",
                )
            run = max(1, round(self.batch_size * max(share for share, _ in shares)))
            return EndlessRows(own.first, lengths, run, reach, seed)
        rows = range(own.first, own.first + own.n)
        if by_domain and stream.domain is not None:
            return PooledRows(domain_pools(rows, stream.domain, self.batch_size), stream.lengths, self.batch_size, seed)
        if own.n < 2 * self.batch_size:
            return PooledRows([np.array(rows)], stream.lengths, self.batch_size, seed)
        return EndlessRows(own.first, lengths, self.batch_size, None, seed)

    def _reach(self, share: float, turns: Turns) -> int:
        """Return a bound of the rows that an item has in a batch.

        A stretch of a block that is x long has at most x * count + 2 turns of each item, and at least x * count - 2; a
        batch's stretch is at most (batch + 2 * items) / block long.
        """
        stretch = self.batch_size + 2 * len(turns.shares)
        return min(self.batch_size, math.floor(stretch * (share + 2 / turns.block)) + 2)
