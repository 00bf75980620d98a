"""Training throughput against sentence-transformers' stock recipe, and the share of the machine's peak it sustains.

Same student, pairs, batch size and objective (MSE on both sides), alternating in one process:

- stock: SentenceTransformerTrainer + MSELoss as its documentation shows it, in fp32 (its default) and with bf16=True;
- distill: this program's loop with its defaults.

Usage: python eval/bench/training.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from common import PAIRS, finish, load, peak_bf16, recipe, spread, start
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MSELoss

from distill.encode import best_precision, speed_up
from distill.gradients import TrainingData, ZeroVectors
from distill.pipeline import training_data
from distill.rundir import RunDirectory
from distill.student import build_student
from distill.train import Trainer

BATCH = 128
STEPS = {"stock fp32": 8, "stock bf16": 12, "distill": 24}
WARM_UP = 2


class Clock:
    """Measures steps after the first few."""

    def __init__(self) -> None:
        self.began, self.done = 0.0, 0

    def tick(self) -> None:
        """Count one step."""
        self.done += 1
        if self.done == WARM_UP:
            self.began = time.perf_counter()

    def rate(self) -> float:
        """Return steps per second."""
        return (self.done - WARM_UP) / (time.perf_counter() - self.began)


def stock(student: SentenceTransformer, rows: Dataset, steps: int, bf16: bool) -> float:
    """Return pairs per second of the stock recipe."""
    from transformers import TrainerCallback

    clock = Clock()

    class Ticks(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            clock.tick()

    AcceleratorState._reset_state(reset_partial_state=True)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH,
        max_steps=steps + WARM_UP,
        learning_rate=2e-5,
        bf16=bf16,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=student, args=arguments, train_dataset=rows, loss=MSELoss(student), callbacks=[Ticks()]
    )
    trainer.train()
    return clock.rate() * BATCH


def own(student: SentenceTransformer, data: TrainingData, steps: int) -> tuple[float, float]:
    """Return pairs and tokens per second of this program's loop."""
    AcceleratorState._reset_state(reset_partial_state=True)
    wanted = recipe(training={"batch_size": BATCH, "max_steps": steps + WARM_UP, "trackers": []})
    accelerator = Accelerator(cpu=True)
    precision = best_precision("auto", accelerator.device)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision="no" if precision == "fp32" else precision)
    speed_up(student)
    nowhere = RunDirectory(Path(tempfile.mkdtemp()), writable=False)
    trainer = Trainer(wanted, student, data, nowhere, accelerator)
    trainer.encoder.train()
    clock, pairs, tokens = Clock(), 0, 0
    for step in trainer.schedule.steps():
        _, rows, n, _ = trainer.train_step(step)
        clock.tick()
        if clock.done > WARM_UP:
            pairs, tokens = pairs + rows, tokens + n
    seconds = (clock.done - WARM_UP) / clock.rate()
    return pairs / seconds, tokens / seconds


def main() -> None:
    """Run the rounds and print the figures."""
    options = start(__doc__ or "")
    wanted = recipe()
    teacher, corpora = load(wanted)
    student = build_student(wanted.student, teacher, corpora, teacher.model.device)
    accelerator = Accelerator(cpu=True)
    data = training_data(wanted, teacher, ZeroVectors(teacher.dimension), student, corpora, accelerator)
    rows = np.random.default_rng(0).permutation(sum(len(c.train) for c in corpora))[: BATCH * 40]
    pairs = [pair for c in corpora for e, n in c.batches(c.train) for pair in zip(e, n, strict=True)]
    label = np.zeros((len(rows), teacher.dimension), np.float32).tolist()
    stock_rows = Dataset.from_dict(
        {"english": [pairs[i][0] for i in rows], "non_english": [pairs[i][1] for i in rows], "label": label}
    )
    body = sum(p.numel() for p in student.parameters()) - student[0].model.get_input_embeddings().weight.numel()
    rates: dict[str, list[float]] = {name: [] for name in (*STEPS, "peak GFLOP/s", "distill GFLOP/s")}
    for _ in range(options.repeats):
        for name, steps in STEPS.items():
            model = copy.deepcopy(student)
            if name == "distill":
                before = peak_bf16()
                pairs_rate, token_rate = own(model, data, steps)
                rates[name].append(pairs_rate)
                rates["peak GFLOP/s"].append(max(before, peak_bf16()))
                rates["distill GFLOP/s"].append(6 * body * token_rate / 1e9)
            else:
                rates[name].append(stock(model, stock_rows, steps, bf16=name.endswith("bf16")))
    share = [own / peak for own, peak in zip(rates["distill GFLOP/s"], rates["peak GFLOP/s"], strict=True)]
    finish(
        options,
        {
            **PAIRS,
            "pairs per second": {name: spread(rates[name]) for name in STEPS},
            "times stock fp32 (default)": round(
                median(a / b for a, b in zip(rates["distill"], rates["stock fp32"], strict=True)), 2
            ),
            "times stock bf16": round(
                median(a / b for a, b in zip(rates["distill"], rates["stock bf16"], strict=True)), 2
            ),
            "share of bf16 peak": spread(share),
            "peak GFLOP/s": spread(rates["peak GFLOP/s"]),
            "body parameters": body,
        },
    )


if __name__ == "__main__":
    main()
