"""Cleaning more rows than one machine wants to: a folder of parquet shards, each cleaned into one of its own.

Work is cut into stages of independent tasks that read and write files of one folder, so that an engine only has to run
tasks: processes of this machine or Ray Data, whose machines share the folder. The stages are

- prepare (a task per shard): repairs, rules for single rows, keys and sketches of the rows left;
- match (per range of keys of English sentences): duplicates and too many translations;
- link (per range of band keys): rows that may be near-duplicates;
- scatter (per shard): the texts of such rows, in groups none of which shares a candidate with another;
- decide (per group): near-duplicates;
- write (per shard): the rows left.

What a task writes appears whole or not at all, under a name that says what it depends on: a killed run continues where
it was. Which rows are dropped depends neither on the engine nor on how many shards hold them.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from distill.cleaning import stages
from distill.cleaning.across import AcrossRules
from distill.cleaning.stages import Job, RowRules
from distill.errors import DataError, DistillError
from distill.files import disk_errors, file_checksum, write_atomically

Stage = Callable[[Job, int], None]
Run = Callable[[Stage, Job], None]
"""Runs a stage's task for each number below the number of shards; tasks may run at the same time, anywhere."""


def clean_shards_locally(
    shards: Sequence[Path], out: Path, rules: RowRules, across: AcrossRules, *, processes: int
) -> dict[str, dict[str, int]]:
    """Return for each cleaned file the rows read, dropped by rule and kept; written in processes of this machine.

    Raises:
        DataError: a shard has not the columns, or `out` holds other parquet files.
    """
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:

        def run(stage: Stage, job: Job) -> None:
            list(pool.map(functools.partial(stage, job), range(len(job.shards))))

        return _clean_shards(Job(tuple(shards), out, rules, across), run)


def clean_shards_with_ray(
    shards: Sequence[Path], out: Path, rules: RowRules, across: AcrossRules
) -> dict[str, dict[str, int]]:
    """Return what `clean_shards_locally` does, having written the same bytes, by tasks of Ray Data.

    The cluster is the one Ray is connected to, or that of `RAY_ADDRESS`, or else this machine; its machines need this
    package and the same paths.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    def run(stage: Stage, job: Job) -> None:
        numbers = [{"number": number} for number in range(len(job.shards))]
        tasks = ray.data.from_items(numbers, override_num_blocks=len(numbers))
        task = functools.partial(_ray_task, stage, job)
        for row in tasks.map(task).take_all():
            if row["error"]:
                raise pickle.loads(row["error"])

    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False)
    try:
        return _clean_shards(Job(tuple(shards), out, rules, across), run)
    finally:
        if started:
            ray.shutdown()


def _ray_task(stage: Stage, job: Job, row: dict[str, int]) -> dict[str, bytes]:
    """Run a task; an error that the user can mend is returned, because Ray wraps what is raised."""
    try:
        stage(job, row["number"])
    except DistillError as error:
        return {"error": pickle.dumps(error)}
    return {"error": b""}


def _clean_shards(job: Job, run: Run) -> dict[str, dict[str, int]]:
    with disk_errors(job.work):
        job.work.mkdir(parents=True, exist_ok=True)
    depends = [job.rules.identity, job.across.exact, job.across.near_duplicates is not None, stages.VERSION]
    job = replace(job, keys=tuple(stages.digest([file_checksum(shard), depends]) for shard in job.shards))
    _refuse_others(job)
    report = job.out / "cleaning.json"
    if all(stages.is_cleaned(job, number) for number in range(len(job.shards))) and report.is_file():
        found = json.loads(report.read_text(encoding="utf-8"))
        if found["key"] == job.digest:
            shutil.rmtree(job.work)
            return dict(found["shards"])
    run(stages.prepare, job)
    counts = [json.loads((job.prepared(n) / "counts.json").read_text()) for n in range(len(job.shards))]
    job = replace(job, starts=tuple(np.cumsum([0, *(count["left"] for count in counts)]).tolist()))
    job.file("", 0).parent.mkdir(exist_ok=True)
    run(stages.match, job)
    stages.merge(job, "match")
    if job.across.near_duplicates is not None:
        run(stages.link, job)
        stages.group(job)
        run(stages.scatter, job)
        run(stages.decide_group, job)
        stages.merge(job, "decide")
    run(stages.write, job)
    shards = {job.cleaned(n).name: stages.counts_of(job, n, count) for n, count in enumerate(counts)}
    write_atomically(report, json.dumps({"key": job.digest, "shards": shards}, indent=1).encode())
    shutil.rmtree(job.work)
    return shards


def _refuse_others(job: Job) -> None:
    own = {job.cleaned(number) for number in range(len(job.shards))}
    others = sorted(path.name for path in job.out.glob("*.parquet") if path not in own)
    if others:
        raise DataError(
            str(job.out),
            f"holds other parquet files: {', '.join(others[:3])}",
            expected="an empty folder, or one of an earlier run over the same shards",
            hint="choose another folder",
        )
