"""Several processes train as one does, fail with one clear error, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import CommandServer
from safetensors.torch import load_file

LAUNCHERS = {
    "distill run --processes": [sys.executable, "-m", "distill", "run", "--processes", "2"],
    # On CPUs too: --multi_gpu is what makes accelerate start processes by torchrun, where --cpu would want mpirun.
    "accelerate launch": [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "distill", "run"),
    ],
}
TRAINING: dict[str, Any] = {
    "batch_size": 15,  # so that one process gets a row more than the other
    "micro_batch_size": 5,
    "max_steps": 8,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "evaluate_every": 4,
    "checkpoint_every": 4,
    "trackers": [],
}
SECONDS_TO_START = 120


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on the CPU even where there is a GPU, on one thread in each process."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a command; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def losses(run: Path) -> list[tuple[str, int, float]]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(event["event"], event["step"], event["loss"]) for event in events if "loss" in event]


def wait_for_training(process: subprocess.Popen[str], run: Path) -> list[psutil.Process]:
    """Wait until a run trains, and return the processes it started."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        log = run / "log.jsonl"
        if log.exists() and '"event": "train"' in log.read_text():
            return psutil.Process(process.pid).children()
        time.sleep(0.1)
    pytest.fail(f"no training: {process.communicate()[1]}")


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_two_processes_train_as_one(
    launcher: str,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    distill: CommandServer,
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    recipe = write_recipe(training=TRAINING, evaluation={"suites": []})
    skip = "--set=student.skip=0.4"
    assert distill.run("run", recipe, skip, "--set", "name=one").code == 0
    two = start(*LAUNCHERS[launcher], recipe, skip, "--set", "name=two")
    output, errors = two.communicate()
    assert two.returncode == 0, errors
    assert output.count("The model is in") == 1
    one, two = (tmp_path / "runs" / name for name in ("one", "two"))
    assert [entry[:2] for entry in losses(two)] == [entry[:2] for entry in losses(one)]
    assert [entry[2] for entry in losses(two)] == pytest.approx([entry[2] for entry in losses(one)], rel=1e-4)
    weights, expected = (load_file(run / "model" / "model.safetensors") for run in (two, one))
    for name, tensor in expected.items():
        # Adam divides by the gradient's size: where that is next to nothing, the order of sums shows.
        assert weights[name].numpy() == pytest.approx(tensor.numpy(), abs=2e-4), name


def test_two_processes_train_as_one_by_losses_of_all_kinds(
    write_recipe: Callable[..., Path],
    mixed_sections: dict[str, Any],
    tmp_path: Path,
    distill: CommandServer,
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    training = {**TRAINING, "max_steps": 16, "learning_rate": 1e-4}
    recipe = write_recipe(training=training, evaluation={"suites": []}, **mixed_sections)
    assert distill.run("run", recipe, "--set", "name=one").code == 0
    two = start(*LAUNCHERS["distill run --processes"], recipe, "--set", "name=two")
    _, errors = two.communicate()
    assert two.returncode == 0, errors
    one, two = (tmp_path / "runs" / name for name in ("one", "two"))
    assert [entry[:2] for entry in losses(two)] == [entry[:2] for entry in losses(one)]
    assert [entry[2] for entry in losses(two)] == pytest.approx([entry[2] for entry in losses(one)], rel=1e-3)
    for name in ("model.safetensors", "heads/topic.safetensors"):
        weights, expected = (load_file(run / "model" / name) for run in (two, one))
        for part, tensor in expected.items():
            assert weights[part].numpy() == pytest.approx(tensor.numpy(), abs=2e-4), part
    scales, expected = (json.loads((run / "model" / "heads.json").read_text())["scales"] for run in (two, one))
    assert scales == pytest.approx(expected, abs=1e-3)
    assert scales["contrastive"] != 10


def test_an_error_of_all_processes_is_shown_once(
    write_recipe: Callable[..., Path], tsv_corpus: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    with (tsv_corpus / "en-uk" / "train.tsv").open("a") as file:
        file.write("only one field\n" * 3)
    process = start(*LAUNCHERS["distill run --processes"], write_recipe(training=TRAINING))
    output, errors = process.communicate()
    assert process.returncode == 2
    assert output == ""
    assert errors.count("error:") == 1
    assert f"{tsv_corpus}/en-uk/train.tsv:202: 1 fields, expected 2" in errors
    assert "Traceback" not in errors


def test_a_process_that_is_killed_ends_the_others(
    write_recipe: Callable[..., Path], tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(
        *LAUNCHERS["distill run --processes"], write_recipe(training={**TRAINING, "max_steps": 4000, "epochs": 1000})
    )
    workers = wait_for_training(process, tmp_path / "runs" / "small")
    assert len(workers) == 2
    workers[1].kill()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGKILL
    assert "process 1 of 2 was ended by SIGKILL" in errors
    assert "Traceback" not in errors
    assert not psutil.wait_procs(workers, timeout=5)[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ending_the_command_ends_its_processes(
    number: signal.Signals,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    process = start(
        *LAUNCHERS["distill run --processes"], write_recipe(training={**TRAINING, "max_steps": 4000, "epochs": 1000})
    )
    workers = wait_for_training(process, tmp_path / "runs" / "small")
    os.kill(process.pid, number)
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert len(gone) == 2
    assert not alive
    _, errors = process.communicate(timeout=10)
    assert "Traceback" not in errors
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "--resume" in errors
