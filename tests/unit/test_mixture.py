"""The schedule as properties: every row once, the same on every call, resumable at any step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.mixture import Schedule, Step, Stream
from distill.mixture.epochs import epoch_batches, n_batches
from distill.mixture.passes import BATCHES_PER_WINDOW
from distill.mixture.turns import evenly

sizes = st.integers(min_value=1, max_value=400)
batch_sizes = st.integers(min_value=1, max_value=64)


def lengths(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(2, 60, n).astype(np.int32)


def schedule(
    rows: dict[str, int], batch_size: int = 16, *, epochs: int = 2, seed: int = 1, share: float = 0.25
) -> Schedule:
    return Schedule({name: Stream(lengths(n), share) for name, n in rows.items()}, batch_size, epochs, seed)


def same(one: Step, two: Step) -> bool:
    return one.rows.tolist() == two.rows.tolist() and (one.number, one.objective, one.english) == (
        two.number,
        two.objective,
        two.english,
    )


@given(n=sizes, batch_size=batch_sizes, seed=st.integers(0, 5))
def test_an_epoch_has_every_row_once_in_batches_of_nearly_equal_size(n: int, batch_size: int, seed: int) -> None:
    batches = epoch_batches(lengths(n), batch_size, seed=(seed,))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    rows = [len(batch) for batch in batches]
    assert max(rows) <= batch_size
    assert max(rows) - min(rows) <= 1
    assert len(rows) == n_batches(n, batch_size)


def plain_epoch_batches(lengths: np.ndarray, batch_size: int, seed: tuple[int, ...]) -> list[list[int]]:
    """Return an epoch as a slow but obvious program makes it; figures of earlier runs hang on this order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    parts = np.array_split(order, n_batches(len(lengths), batch_size))
    for first in range(0, len(parts), BATCHES_PER_WINDOW):
        window = parts[first : first + BATCHES_PER_WINDOW]
        rows = sorted(np.concatenate(window).tolist(), key=lambda row: int(lengths[row]))
        for part in window:
            batches.append(rows[: len(part)])
            rows = rows[len(part) :]
    return [batches[i] for i in rng.permutation(len(batches))]


@given(n=st.integers(1, 1500), batch_size=st.integers(1, 20), seed=st.integers(0, 5))
def test_the_order_of_an_epoch_stays_as_it_was(n: int, batch_size: int, seed: int) -> None:
    found = epoch_batches(lengths(n), batch_size, seed=(seed, 3))
    assert [batch.tolist() for batch in found] == plain_epoch_batches(lengths(n), batch_size, (seed, 3))


def test_rows_of_a_batch_have_similar_lengths() -> None:
    n, batch_size = 32 * BATCHES_PER_WINDOW, 32
    values = lengths(n)
    batches = epoch_batches(values, batch_size, seed=(0,))
    padded = sum(int(values[batch].max()) * len(batch) for batch in batches)
    assert padded <= 1.1 * int(values.sum())


def test_no_epochs_are_no_steps() -> None:
    none = schedule({"a": 160}, epochs=0)
    assert none.n_steps == 0
    assert list(none.steps()) == []
    assert Schedule(none.streams, 16, 0, 1, max_steps=5).n_steps == 0


def test_epochs_and_seeds_have_different_orders() -> None:
    steps = list(schedule({"a": 200}).steps())
    per_epoch = len(steps) // 2
    assert steps[0].rows.tolist() != steps[per_epoch].rows.tolist()
    assert steps[0].rows.tolist() != next(schedule({"a": 200}, seed=2).steps()).rows.tolist()


@settings(deadline=None)
@given(a=sizes, b=sizes, start=st.integers(0, 60))
def test_a_resumed_schedule_is_the_rest_of_the_whole_one(a: int, b: int, start: int) -> None:
    whole = list(schedule({"a": a, "b": b}).steps())
    rest = list(schedule({"a": a, "b": b}).steps(start))
    assert len(rest) == max(0, len(whole) - start)
    assert all(same(one, two) for one, two in zip(whole[start:], rest, strict=True))
    assert [step.number for step in whole] == list(range(len(whole)))


def test_objectives_get_steps_in_proportion_to_their_rows() -> None:
    steps = list(schedule({"a": 160, "b": 480}, epochs=1).steps())
    assert sum(step.objective == "a" for step in steps) == 10
    assert sum(step.objective == "b" for step in steps) == 30
    for half in (steps[:20], steps[20:]):
        assert {step.objective for step in half} == {"a", "b"}  # mixed, not one after the other


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_the_english_share_is_exact_to_one_step(n: int, share: float) -> None:
    assert abs(sum(evenly(i, share) for i in range(n)) - n * share) <= 1


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 5), (1.0, 20)])
def test_the_english_share_holds_over_epochs(share: float, expected: int) -> None:
    steps = list(schedule({"a": 160}, share=share).steps())
    assert sum(step.english for step in steps) == expected


def test_max_steps_ends_the_run_early() -> None:
    whole = schedule({"a": 160}, epochs=3)
    short = Schedule(whole.streams, whole.batch_size, whole.epochs, whole.seed, max_steps=13)
    assert short.n_steps == len(list(short.steps())) == 13
    assert all(same(one, two) for one, two in zip(whole.steps(), short.steps(), strict=False))


@given(n=sizes, batch_size=batch_sizes)
def test_smallest_batch_is_the_smallest(n: int, batch_size: int) -> None:
    made = schedule({"a": n}, batch_size)
    assert made.smallest_batch == min(len(step.rows) for step in made.steps())


@given(n=st.integers(2, 300), world=st.integers(1, 4))
def test_slices_of_the_processes_make_up_the_global_batch(n: int, world: int) -> None:
    for step in schedule({"a": n}, epochs=1).steps():
        slices = [step.rows[rank::world] for rank in range(world)]
        assert sorted(np.concatenate(slices).tolist()) == sorted(step.rows.tolist())
