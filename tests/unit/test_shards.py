"""Shards cleaned by each engine: the same bytes, the rows of the rules in memory, and no work done twice."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from across import drop_across

from distill.cleaning import shards, stages
from distill.cleaning.across import AcrossRules, Flags
from distill.cleaning.shards import clean_shards_locally, clean_shards_with_ray
from distill.cleaning.stages import RowRules
from distill.errors import DataError

ACROSS = AcrossRules(translations=2, near_duplicates=0.8)


def repair(english: Sequence[str], other: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    return [text.strip() for text in english], [text.strip() for text in other]


def drop(english: Sequence[str], other: Sequence[str]) -> Mapping[str, Flags]:
    empty = np.array([not (a and b) for a, b in zip(english, other, strict=True)], bool)
    return {"empty": empty, "copies": np.array([a == b for a, b in zip(english, other, strict=True)], bool)}


RULES = RowRules(repair, drop, {"rules": "of a test"})


def rows(count: int) -> list[tuple[str, str]]:
    """Return rows with empty sides, copies, duplicates, near-duplicates and many translations."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijkl"), rng.integers(2, 9))) for _ in range(300)]
    found: list[tuple[str, str]] = []
    for number in range(count):
        english, other = (" ".join(rng.choice(words, 9)) for _ in range(2))
        old = found[rng.integers(len(found))] if found else ("", "")
        kinds = [(english, other), (english, ""), (english, english), old, (old[0] + "s", old[1]), (old[0], other)]
        found.append(kinds[number % 4 and rng.integers(len(kinds))])
    return found


def in_memory(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what is left of rows by the rules as functions of all rows."""
    english, other = repair(*map(list, zip(*pairs, strict=True)))
    left = ~np.any(list(drop(english, other).values()), axis=0)
    pairs = [pair for pair, keep in zip(zip(english, other, strict=True), left, strict=True) if keep]
    english, other = map(list, zip(*pairs, strict=True))
    found, _ = drop_across(english, other, ACROSS)
    return [pair for pair, *dropped in zip(pairs, *found.values(), strict=True) if not any(dropped)]


def write(folder: Path, pairs: list[tuple[str, str]], parts: int) -> list[Path]:
    folder.mkdir()
    paths = []
    for number, part in enumerate(np.array_split(np.arange(len(pairs)), parts)):
        paths.append(folder / f"part{number}.parquet")
        columns = {side: [pairs[n][at] for n in part.tolist()] for at, side in enumerate(("english", "non_english"))}
        pq.write_table(pa.table(columns | {"score": np.ones(len(part))}), paths[-1])
    return paths


def read(out: Path) -> list[tuple[str, str]]:
    table = pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("*.parquet"))])
    return list(zip(table["english"].to_pylist(), table["non_english"].to_pylist(), strict=True))


def here(paths: Sequence[Path], out: Path, rules: RowRules = RULES, across: AcrossRules = ACROSS) -> dict:
    """Clean in this process."""

    def run(stage: shards.Stage, job: stages.Job) -> None:
        for number in reversed(range(len(job.shards))):
            stage(job, number)

    return shards._clean_shards(stages.Job(tuple(paths), out, rules, across), run)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_any_number_of_shards_gives_the_rows_of_the_rules_in_memory(tmp_path: Path, parts: int) -> None:
    pairs = rows(600)
    counts = here(write(tmp_path / "in", pairs, parts), tmp_path / "out")
    assert read(tmp_path / "out") == in_memory(pairs)
    total = {rule: sum(count[rule] for count in counts.values()) for rule in next(iter(counts.values()))}
    assert total.pop("read") == 600 == sum(total.values())
    assert min(total.values()) > 10
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"{n:05d}-part{n}.parquet" for n in range(parts)),
        "cleaning.json",
    ]


def test_processes_write_the_same_bytes(tmp_path: Path) -> None:
    paths = write(tmp_path / "in", rows(500), 3)
    expected = here(paths, tmp_path / "here")
    assert clean_shards_locally(paths, tmp_path / "processes", RULES, ACROSS, processes=2) == expected
    assert contents(tmp_path / "processes") == contents(tmp_path / "here")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_ray_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # its workers cannot import tests
    ended: list[None] = []
    shutdown = ray.shutdown
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(None))  # a cluster takes half a minute to start
    try:
        paths = write(tmp_path / "in", rows(500), 3)
        expected = here(paths, tmp_path / "here")
        assert clean_shards_with_ray(paths, tmp_path / "ray", RULES, ACROSS) == expected
        assert contents(tmp_path / "ray") == contents(tmp_path / "here")
        assert len(ended) == 1
        (tmp_path / "bad").mkdir()
        pq.write_table(pa.table({"english": ["a"]}), tmp_path / "bad" / "a.parquet")
        with pytest.raises(DataError, match="no column non_english"):
            clean_shards_with_ray([tmp_path / "bad" / "a.parquet"], tmp_path / "ray2", RULES, ACROSS)
        assert len(ended) == 1  # it was connected already
    finally:
        shutdown()


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("stage", ["prepare", "match", "link", "group", "scatter", "decide_group", "merge", "write"])
def test_a_killed_run_continues_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    paths = write(tmp_path / "in", rows(300), 3)
    here(paths, tmp_path / "whole")
    saved = getattr(stages, stage)
    calls: list[object] = []

    def killed_at_the_end(*arguments: object) -> None:
        calls.append(arguments)
        saved(*arguments)
        raise Killed

    monkeypatch.setattr(stages, stage, killed_at_the_end)
    with pytest.raises(Killed):
        here(paths, tmp_path / "out")
    assert len(calls) == 1
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.np*")}
    assert made
    monkeypatch.setattr(stages, stage, saved)
    monkeypatch.setattr(shards.shutil, "rmtree", lambda folder: None)
    here(paths, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in made} == made
    monkeypatch.undo()
    assert here(paths, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_finished_run_is_not_done_again_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(tmp_path / "in", rows(300), 2)
    counts = here(paths, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "prepare", None)
        assert here(paths, tmp_path / "out") == counts
    more = here(paths, tmp_path / "out", across=AcrossRules(duplicates=False))
    assert sum(count["kept"] for count in more.values()) > sum(count["kept"] for count in counts.values())


def test_what_is_wrong_with_the_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.parquet"
    pq.write_table(pa.table({"english": ["a"], "text": ["b"]}), path)
    with pytest.raises(DataError, match="no column non_english"):
        clean_shards_locally([path], tmp_path / "out", RULES, ACROSS, processes=1)
    pq.write_table(pa.table({"english": [1], "non_english": ["b"]}), path)
    with pytest.raises(DataError, match="'english' holds int64"):
        here([path], tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        here([path], tmp_path / "out")
    (tmp_path / "out" / "old.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"other parquet files: old\.parquet"):
        here([path], tmp_path / "out")
