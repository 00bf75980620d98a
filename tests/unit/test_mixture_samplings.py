"""Samplings by shares as properties: proportions, passes, resuming, batches of one data set or one domain."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import RunError
from distill.mixture import Schedule, Step, Stream
from distill.mixture.passes import EndlessRows, PooledRows
from distill.mixture.permutation import permuted
from distill.mixture.turns import Turns, mixed_turns, regular_turns
from distill.recipe import MixtureSection

BATCH = 16
STEADY: dict[str, Any] = {
    "round_robin": {"kind": "round_robin", "until": "largest"},
    "equal": "equal",
    "temperature": {"kind": "temperature", "temperature": 2},
    "capped": {"kind": "capped", "cap": 300},
    "weighted": {"kind": "weighted", "weights": {"a": 3, "b en-da": 1, "b": 2, "second": 4}},
    "bridging": {"kind": "bridging", "english": ["second"], "parallel": ["first"], "ratio": "1:3"},
    "curriculum": {
        "kind": "curriculum",
        "phases": [
            {"steps": 37, "sampling": "equal", "corpora": ["a", "c"]},
            {"share": 0.25, "sampling": {"kind": "capped", "cap": 100}},
            {"sampling": "round_robin", "objectives": "first"},
        ],
    },
}
"""One sampling of each kind for the streams below."""

SHARES = {
    "round_robin": [1, 1, 1, 1],
    "equal": [1, 1, 1, 1],
    "temperature": [np.sqrt(n) for n in (700, 90, 210, 400)],
    "capped": [300, 90, 210, 300],
    "weighted": [3, 2, 1, 4],
    "bridging": [3 * 700 / 1000, 3 * 90 / 1000, 3 * 210 / 1000, 1],
}
"""Shares of the data sets that each sampling asks for, worked out by hand (not normalised)."""


def streams(sizes: tuple[int, ...] = (700, 90, 210, 400)) -> dict[str, Stream]:
    """Return two objectives; the first has the corpora a (uk) and b (sv, da), the second c (nb)."""
    *first, second = sizes
    rng = np.random.default_rng(0)

    def stream(sizes: list[int], labels: tuple[str, ...]) -> Stream:
        lengths = rng.integers(2, 60, sum(sizes)).astype(np.int32)
        domain = rng.integers(-1, 3, sum(sizes)).astype(np.int32)
        numbers = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        return Stream(lengths, 0.25, numbers, labels, domain)

    return {"first": stream(first, ("a en-uk", "b en-sv", "b en-da")), "second": stream([second], ("c nb",))}


def schedule(sampling: Any, sizes: tuple[int, ...] = (700, 90, 210, 400), **settings: Any) -> Schedule:
    keys = {"batches": "single", **settings}
    limits = {"epochs": keys.pop("epochs", 3), "seed": keys.pop("seed", 1), "max_steps": keys.pop("max_steps", None)}
    mixture = MixtureSection.model_validate({"sampling": sampling, **keys})
    return Schedule(streams(sizes), BATCH, mixture=mixture, **limits)


def data_set_of(made: Schedule, step: Step) -> list[str]:
    """Return the label of each row's data set."""
    stream = made.streams[step.objective]
    assert stream.data_set is not None
    return [stream.labels[i] for i in stream.data_set[step.rows]]


def key(step: Step) -> tuple[Any, ...]:
    return step.number, step.epoch, step.objective, step.english, tuple(step.rows.tolist())


LABELS = ["a en-uk", "b en-sv", "b en-da", "c nb"]
kinds = st.sampled_from(sorted(STEADY))
batches = st.sampled_from(["single", "cross"])


@pytest.mark.parametrize("batches", ["single", "cross"])
@pytest.mark.parametrize("kind", sorted(SHARES))
def test_the_shares_of_ten_thousand_steps_are_those_asked_for(kind: str, batches: str) -> None:
    made = schedule(STEADY[kind], batches=batches, epochs=10_000, max_steps=10_000)
    seen = {name: np.zeros(len(stream.lengths), int) for name, stream in made.streams.items()}
    for step in made.steps():
        seen[step.objective][step.rows] += 1
    parts = [*np.split(seen["first"], [700, 790]), seen["second"]]
    found = np.array([part.sum() for part in parts]) / (10_000 * BATCH)
    expected = np.array(SHARES[kind]) / np.sum(SHARES[kind])
    assert np.abs(found - expected).max() < 0.0005
    assert np.abs(found / expected - 1).max() < 0.01


@settings(deadline=None, max_examples=30)
@given(kind=kinds, batches=batches, start=st.integers(0, 270), seed=st.integers(0, 3))
def test_a_resumed_schedule_is_the_rest_of_the_whole_one(kind: str, batches: str, start: int, seed: int) -> None:
    whole = [key(step) for step in schedule(STEADY[kind], batches=batches, seed=seed).steps()]
    made = schedule(STEADY[kind], batches=batches, seed=seed)
    assert [key(step) for step in made.steps(start)] == whole[start:]
    assert len(whole) == made.n_steps


@settings(deadline=None, max_examples=40)
@given(kind=kinds, batches=batches, start=st.integers(10_000_000, 10**9))
def test_steps_far_into_a_run_are_there_at_once(kind: str, batches: str, start: int) -> None:
    made = schedule(STEADY[kind], batches=batches, epochs=2**31)
    steps = list(islice(made.steps(start), 20))
    assert [step.number for step in steps] == list(range(start, start + 20))
    again = list(islice(made.steps(start + 7), 13))
    assert [key(step) for step in again] == [key(step) for step in steps[7:]]


@settings(deadline=None, max_examples=30)
@given(
    kind=kinds,
    batches=batches,
    sizes=st.tuples(*[st.integers(48, 300)] * 4),
    seed=st.integers(0, 3),
    by_domain=st.booleans(),
)
def test_no_row_comes_again_before_all_of_its_data_set_have_come_nor_twice_in_a_batch(
    kind: str, batches: str, sizes: tuple[int, ...], seed: int, by_domain: bool
) -> None:
    cluster = {"cluster_by": "domain"} if by_domain and batches == "single" else {}
    made = schedule(STEADY[kind], sizes, batches=batches, epochs=8, seed=seed, **cluster)
    seen = {name: np.zeros(len(stream.lengths), int) for name, stream in made.streams.items()}
    a, b = sizes[0], sizes[0] + sizes[1]
    parts = [(0, a), (a, b), (b, b + sizes[2])]
    for step in made.steps():
        assert len(set(step.rows.tolist())) == len(step.rows)
        seen[step.objective][step.rows] += 1
        for start, stop in parts if step.objective == "first" else [(0, sizes[3])]:
            counts = seen[step.objective][start:stop]
            assert counts.max() <= counts.min() + 1


@settings(deadline=None, max_examples=30)
@given(kind=kinds, sizes=st.tuples(*[st.integers(1, 500)] * 4))
def test_single_batches_are_of_one_data_set_and_full_where_it_has_two_batches(
    kind: str, sizes: tuple[int, ...]
) -> None:
    made = schedule(STEADY[kind], sizes, max_steps=200, epochs=200)
    rows = dict(zip(LABELS, sizes, strict=True))
    for step in made.steps():
        (label,) = set(data_set_of(made, step))
        if rows[label] >= 2 * BATCH:
            assert len(step.rows) == BATCH
        else:
            assert len(step.rows) in {rows[label] // 2, -(-rows[label] // 2), rows[label]} - {0}
            assert len(step.rows) <= BATCH
        assert len(step.rows) >= made.smallest_batch


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from([*sorted(STEADY), "proportional"]), sizes=st.tuples(*[st.integers(40, 300)] * 4))
def test_domain_batches_are_of_one_domain(kind: str, sizes: tuple[int, ...]) -> None:
    sampling = STEADY.get(kind, "proportional")
    made = schedule(sampling, sizes, epochs=6, cluster_by="domain")
    for step in made.steps():
        stream = made.streams[step.objective]
        assert stream.domain is not None
        assert stream.data_set is not None
        domains = set(stream.domain[step.rows].tolist())
        if len(domains) > 1:  # rows without a domain, with those of small domains
            same = stream.data_set == stream.data_set[step.rows[0]]
            assert all(d < 0 or 2 * int((same & (stream.domain == d)).sum()) < BATCH for d in domains)


def test_domain_batches_across_data_sets_have_every_row_once() -> None:
    made = schedule("proportional", epochs=1, batches="cross", cluster_by="domain")
    steps = list(made.steps())
    for name, stream in made.streams.items():
        assert stream.domain is not None
        own = [step.rows for step in steps if step.objective == name]
        assert sorted(np.concatenate(own).tolist()) == list(range(len(stream.lengths)))
        assert all(len(set(stream.domain[rows].tolist())) == 1 for rows in own)
    assert any(len(set(data_set_of(made, step))) > 1 for step in steps)


@settings(deadline=None, max_examples=30)
@given(sizes=st.tuples(*[st.integers(1, 300)] * 4), batches=batches)
def test_proportional_epochs_have_every_row_once(sizes: tuple[int, ...], batches: str) -> None:
    made = schedule("proportional", sizes, epochs=2, batches=batches)
    for epoch in range(2):
        for name, stream in made.streams.items():
            own = [s.rows for s in made.steps() if s.epoch == epoch and s.objective == name]
            assert sorted(np.concatenate(own).tolist()) == list(range(len(stream.lengths)))
    if batches == "single":
        assert all(len(set(data_set_of(made, step))) == 1 for step in made.steps())


@settings(deadline=None, max_examples=20)
@given(kind=kinds, batches=batches, world=st.integers(1, 4))
def test_slices_of_the_processes_make_up_the_global_batch(kind: str, batches: str, world: int) -> None:
    for step in schedule(STEADY[kind], batches=batches, epochs=1).steps():
        slices = [step.rows[rank::world] for rank in range(world)]
        assert sorted(np.concatenate(slices).tolist()) == sorted(step.rows.tolist())
        assert max(map(len, slices)) - min(map(len, slices)) <= 1


def test_a_round_robin_of_domains_ends_with_all_of_the_largest_data_set() -> None:
    made = schedule({"kind": "round_robin", "until": "largest"}, epochs=1, cluster_by="domain")
    rows = [row for step in made.steps() if step.objective == "first" for row in step.rows.tolist() if row < 700]
    assert sorted(rows) == list(range(700))


def test_a_round_robin_goes_round() -> None:
    made = schedule("round_robin")
    labels = [data_set_of(made, step)[0] for step in islice(made.steps(), 12)]
    assert labels == LABELS * 3


def test_a_round_robin_stops_at_the_smallest_or_repeats_it_until_the_largest_is_done() -> None:
    short = schedule("round_robin", epochs=1)
    assert short.n_steps == 4 * (90 // BATCH)
    rows = np.concatenate([step.rows for step in short.steps() if data_set_of(short, step)[0] == "b en-sv"])
    assert len(set(rows.tolist())) == len(rows)
    long = schedule({"kind": "round_robin", "until": "largest"}, epochs=1)
    assert long.n_steps == 4 * -(-700 // BATCH)
    rows = np.concatenate([step.rows for step in long.steps() if data_set_of(long, step)[0] == "a en-uk"])
    assert set(rows.tolist()) == set(range(700))
    repeats = Counter(
        row for step in long.steps() if data_set_of(long, step)[0] == "b en-sv" for row in step.rows.tolist()
    )
    assert min(repeats.values()) >= 7


def test_a_cross_batch_has_rows_of_every_data_set_of_its_objective_by_their_shares() -> None:
    made = schedule("equal", batches="cross")
    for step in made.steps():
        seen = Counter(data_set_of(made, step))
        assert set(seen) == ({"c nb"} if step.objective == "second" else set(LABELS[:3]))
        if step.objective == "first":
            assert all(3 <= count <= 8 for count in seen.values())  # 16 rows of three data sets


@pytest.mark.parametrize(("ratio", "expected"), [("1:1", "EPEPEPEP"), ("1:3", "PEPPPEPP"), ("2:1", "EPEEPEEP")])
def test_bridging_alternates_english_and_parallel_batches(ratio: str, expected: str) -> None:
    made = schedule({"kind": "bridging", "english": "c", "parallel": ["a", "b"], "ratio": ratio})
    sides = "".join("E" if step.objective == "second" else "P" for step in islice(made.steps(), 8))
    assert sides == expected


def test_a_curriculum_has_its_phases_one_after_the_other() -> None:
    made = schedule(STEADY["curriculum"], epochs=10, max_steps=400)
    labels = [data_set_of(made, step)[0] for step in made.steps()]
    assert set(labels[:37]) == {"a en-uk", "c nb"}
    assert set(labels[37:137]) == set(LABELS)
    assert labels[137:] == [LABELS[i % 3] for i in range(400 - 137)]


def test_a_curriculum_longer_than_the_run_is_refused() -> None:
    with pytest.raises(RunError, match="begins at step 137, but the run has 100 steps") as caught:
        _ = schedule(
            {"kind": "curriculum", "phases": [{"steps": 137}, {"sampling": "equal"}]}, max_steps=100
        ).smallest_batch
    assert caught.value.where == "mixture.sampling.phases.1"


def test_a_data_set_too_small_for_its_share_of_batches_is_refused() -> None:
    with pytest.raises(RunError, match="'b en-sv' has 20 rows") as caught:
        _ = schedule("equal", (700, 20, 210, 400), batches="cross").n_steps
    assert "single" in caught.value.hint


def test_the_weight_of_a_name_is_divided_by_rows() -> None:
    made = schedule({"kind": "weighted", "weights": {"first": 1, "c": 0}}, max_steps=1000, epochs=100)
    seen = Counter(data_set_of(made, step)[0] for step in made.steps())
    assert [seen[label] for label in LABELS] == [700, 90, 210, 0]


def test_a_part_may_be_called_with_or_without_english() -> None:
    one = schedule({"kind": "weighted", "weights": {"first": 1, "b en-da": 2, "c nb": 1}})
    two = schedule({"kind": "weighted", "weights": {"first": 1, "b da": 2, "c en-nb": 1}})
    assert [key(step) for step in one.steps()] == [key(step) for step in two.steps()]


def test_rows_of_a_batch_have_similar_lengths() -> None:
    made = schedule("equal", (5000, 900, 2100, 4000), epochs=4)
    padded = total = 0
    for step in made.steps():
        lengths = made.streams[step.objective].lengths[step.rows]
        padded, total = padded + int(lengths.max()) * len(lengths), total + int(lengths.sum())
    assert padded <= 1.1 * total


def test_the_english_share_holds_from_anywhere() -> None:
    made = schedule("equal", epochs=4)
    for start in (0, 101):
        for name in made.streams:
            flags = [step.english for step in made.steps(start) if step.objective == name]
            assert abs(sum(flags) - 0.25 * len(flags)) <= 1


@given(n=st.integers(1, 3000), seed=st.integers(0, 3))
def test_permuted_is_a_permutation_of_which_any_part_can_be_had(n: int, seed: int) -> None:
    whole = permuted(np.arange(n), n, (seed,))
    assert sorted(whole.tolist()) == list(range(n))
    part = np.arange(n // 3, n // 2)
    assert permuted(part, n, (seed,)).tolist() == whole[part].tolist()


def test_a_part_of_a_permutation_of_a_billion_rows_is_cheap() -> None:
    n = 10**9
    rows = permuted(np.arange(n - 100_000, n), n, (1,))
    assert len(set(rows.tolist())) == 100_000
    assert 0 <= rows.min() < 10**5
    assert n - 10**5 < rows.max() < n
    assert abs(float(rows.mean()) / n - 0.5) < 0.005


def test_permuted_spreads_rows_as_a_random_permutation() -> None:
    n, tries = 97, 4000
    orders = np.stack([permuted(np.arange(n), n, (seed,)) for seed in range(tries)])
    for place in (0, 13, 96):
        counts = np.bincount(orders[:, place], minlength=n)
        assert ((counts - tries / n) ** 2 / (tries / n)).sum() < 150  # 96 degrees of freedom: 99.98 %
    follows = np.bincount((orders[:, 14] - orders[:, 13]) % n, minlength=n)[1:]
    assert ((follows - tries / (n - 1)) ** 2 / (tries / (n - 1))).sum() < 150


@given(
    weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=30), turn=st.integers(0, 10**7), seed=st.integers(0, 3)
)
@settings(deadline=None)
def test_turns_are_counted_as_they_come(weights: list[float], turn: int, seed: int) -> None:
    turns = mixed_turns(np.array(weights), (seed,))
    before = turns.before(turn)
    assert before.sum() == turn
    item = turns.item(turn)
    assert (turns.before(turn + 1) - before).tolist() == [i == item for i in range(len(weights))]
    expected = np.array(weights) / sum(weights) * turn
    assert np.abs(before - expected).max() <= 2 + np.sqrt(len(weights))


def test_regular_turns_are_the_same_in_every_block() -> None:
    turns = regular_turns((2, 1))
    assert [turns.item(i) for i in range(9)] == [0, 1, 0] * 3
    assert turns == Turns((2 / 3, 1 / 3), 3, None)


@settings(deadline=None)
@given(n=st.integers(64, 1500), start=st.integers(0, 10**6), size=st.integers(1, 300))
def test_endless_rows_are_the_same_wherever_one_begins(n: int, start: int, size: int) -> None:
    lengths = np.random.default_rng(n).integers(2, 60, n).astype(np.int32)
    whole = EndlessRows(5, lengths, 32, None, (1,)).rows(start, start + size)
    other = EndlessRows(5, lengths, 32, None, (1,))
    assert np.concatenate([other.rows(i, i + 1) for i in range(start, start + size)]).tolist() == whole.tolist()


@settings(deadline=None)
@given(n=st.integers(60, 400), reach=st.integers(1, 20), start=st.integers(0, 3000))
def test_no_row_is_twice_within_the_reach_of_a_batch_that_begins_anywhere(n: int, reach: int, start: int) -> None:
    rows = EndlessRows(0, np.ones(n, np.int32), 7, reach, (2,)).rows(start, start + reach)
    assert len(set(rows.tolist())) == reach


def test_pools_are_cut_anew_in_each_pass() -> None:
    pools = [np.arange(40), np.arange(40, 45)]
    rows = PooledRows(pools, np.ones(45, np.int32), 16, (1,))
    assert rows.per_pass == 4
    assert rows.smallest == 5
    passes = [[rows.batch(4 * turn + i) for i in range(4)] for turn in range(2)]
    for batches in passes:
        assert sorted(np.concatenate(batches).tolist()) == list(range(45))
        assert sorted(map(len, batches)) == [5, 13, 13, 14]
    assert {tuple(sorted(b.tolist())) for b in passes[0]} != {tuple(sorted(b.tolist())) for b in passes[1]}
