"""The run directory: what may be started, what a killed run leaves, which checkpoint is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.errors import RunError
from distill.recipe import Recipe, load_recipe
from distill.rundir import BEST_WEIGHTS, RunDirectory


@pytest.fixture
def recipe(write_recipe: Callable[..., Path]) -> Recipe:
    return load_recipe(write_recipe())


@pytest.fixture
def run(recipe: Recipe) -> RunDirectory:
    """An opened run that has a student."""
    run = RunDirectory.open(recipe)
    run.untrained.mkdir()
    return run


def checkpoint(run: RunDirectory, step: int, *, best: str = "") -> Path:
    """Write a checkpoint with two files, and best weights before it."""
    if best:
        folder = run.temporary("best")
        (folder / BEST_WEIGHTS).write_text(best)
        run.publish(folder, run.best)
    folder = run.temporary("checkpoint")
    (folder / "model.safetensors").write_text(f"model {step}")
    (folder / "optimizer.bin").write_text(f"optimizer {step}")
    run.commit_checkpoint(folder, step, {"step": step})
    return run.path / "checkpoints" / f"step-{step:08d}"


def log_steps(run: RunDirectory) -> list[Any]:
    return [event.get("step") for event in run.read_log()]


def test_a_run_without_a_student_may_be_started_again(recipe: Recipe) -> None:
    first = RunDirectory.open(recipe, command="first")
    first.log("corpora")
    first.close()
    again = RunDirectory.open(recipe, command="again")
    assert again.read_json("run.json")["command"] == "again"
    assert again.read_log() == []


@pytest.mark.parametrize(("finished", "state"), [(False, "an unfinished run"), (True, "a finished run")])
def test_an_older_run_is_not_overwritten(run: RunDirectory, recipe: Recipe, finished: bool, state: str) -> None:
    if finished:
        run.write_json("scores.json", {})
    run.close()
    with pytest.raises(RunError, match=state) as error:
        RunDirectory.open(recipe)
    assert "--resume" in error.value.hint
    assert "--fresh" in error.value.hint


def test_a_resumed_run_keeps_its_record_and_its_log(run: RunDirectory, recipe: Recipe) -> None:
    record = run.read_json("run.json")
    run.log("train", step=1)
    run.close()
    again = RunDirectory.open(recipe, mode="resume", command="other")
    assert again.read_json("run.json") == record
    assert log_steps(again) == [1]


def test_a_run_of_another_recipe_is_named_by_what_differs(run: RunDirectory, write_recipe: Callable[..., Path]) -> None:
    run.close()
    other = load_recipe(write_recipe(), ["training.batch_size=8"])
    for mode in ("new", "resume"):
        with pytest.raises(RunError, match=r"another recipe \(training\.batch_size: 16 there, 8 here\)"):
            RunDirectory.open(other, mode=mode)


def test_a_run_goes_on_with_the_same_rows_and_models_only(run: RunDirectory) -> None:
    rows, models = {"small en-uk": "a", "everyday en-uk": "b"}, {"teacher.model": "c", "student.model": "d"}
    run.check_data(rows, models)
    run.check_data(rows, models)
    run.check_data(rows, {"teacher.model": "c"})  # the folder of the earlier student is gone
    with pytest.raises(RunError, match=r"another student\.model, of the same name"):
        run.check_data(rows, {**models, "student.model": "e"})
    with pytest.raises(RunError, match="other rows of small en-uk"):
        run.check_data({**rows, "small en-uk": "e"}, models)


def test_two_processes_cannot_run_in_one_directory(run: RunDirectory, recipe: Recipe) -> None:
    for mode in ("new", "resume", "fresh"):
        with pytest.raises(RunError, match="another process is running"):
            RunDirectory.open(recipe, mode=mode)
    assert run.untrained.exists()


def test_a_directory_that_was_refused_is_not_locked(run: RunDirectory, recipe: Recipe) -> None:
    run.close()
    with pytest.raises(RunError, match="unfinished"):
        RunDirectory.open(recipe)
    RunDirectory.open(recipe, mode="resume")


def test_fresh_moves_every_older_run_aside(recipe: Recipe) -> None:
    for number in range(3):
        run = RunDirectory.open(recipe, mode="fresh")
        run.write_text("report.md", str(number))
        run.close()
    reports = {path.read_text() for path in recipe.runs.glob("*/report.md")}
    assert reports == {"0", "1", "2"}
    assert (run.path / "report.md").read_text() == "2"


def test_a_process_that_does_not_write_leaves_no_trace(recipe: Recipe) -> None:
    run = RunDirectory.open(recipe, writable=False)
    run.log("train", step=1)
    run.write_json("a.json", {})
    run.write_text("a.txt", "")
    assert not run.path.exists()


def test_what_a_killed_process_was_writing_is_removed(run: RunDirectory, recipe: Recipe) -> None:
    (run.temporary("model") / "model.safetensors").write_text("half")
    (run.path / f".scores.json.{'0123456789abcdef' * 2}").write_text("half")
    (run.path / ".gitignore").write_text("*")
    run.close()
    RunDirectory.open(recipe, mode="resume")
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".gitignore",
        "lock",
        "recipe.json",
        "run.json",
        "untrained",
    ]


def test_a_file_in_the_way_is_named(recipe: Recipe) -> None:
    recipe.runs.write_text("a file")
    with pytest.raises(RunError, match="file in the way") as error:
        RunDirectory.open(recipe)
    assert error.value.where == str(recipe.runs / recipe.name)


def test_a_damaged_record_is_an_error_that_fresh_mends(run: RunDirectory, recipe: Recipe) -> None:
    (run.path / "run.json").write_text('{"finger')
    run.close()
    with pytest.raises(RunError, match=r"run\.json: is damaged") as error:
        RunDirectory.open(recipe, mode="resume")
    assert "--fresh" in error.value.hint
    RunDirectory.open(recipe, mode="fresh")


def test_the_newest_checkpoints_are_kept(run: RunDirectory) -> None:
    for step in (5, 10, 15, 100):
        checkpoint(run, step)
        run.prune_checkpoints(2)
    assert [step for step, _ in run.checkpoints()] == [15, 100]
    assert run.newest_checkpoint() == (100, run.path / "checkpoints" / "step-00000100")


def test_what_is_left_of_a_half_removed_checkpoint_goes_too(run: RunDirectory) -> None:
    (checkpoint(run, 5) / "state.json").unlink()
    checkpoint(run, 10)
    run.prune_checkpoints(2)
    assert [folder.name for folder in (run.path / "checkpoints").iterdir()] == ["step-00000010"]


def flip_a_byte(folder: Path) -> None:
    path = folder / "optimizer.bin"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def lose_a_file(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_the_state(folder: Path) -> None:
    path = folder / "state.json"
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("damage", [flip_a_byte, lose_a_file, cut_the_state])
def test_a_damaged_checkpoint_is_passed_over(
    run: RunDirectory, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    older = checkpoint(run, 5)
    damage(checkpoint(run, 10))
    assert run.newest_checkpoint() == (5, older)
    assert "step-00000010 is damaged" in caplog.text
    damage(older)
    assert run.newest_checkpoint() is None


def test_rewinding_takes_back_all_that_came_after_a_checkpoint(run: RunDirectory) -> None:
    run.log("corpora")
    run.log("train", step=5)
    folder = checkpoint(run, 5, best="best of 5")
    run.log("train", step=6)
    checkpoint(run, 10, best="best of 10")
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"event": "train", "st')
    run.rewind(5, folder)
    assert log_steps(run) == [None, 5]
    assert (run.best / BEST_WEIGHTS).read_text() == "best of 5"
    assert [step for step, _ in run.checkpoints()] == [5]
    run.rewind(0, None)
    assert log_steps(run) == [None]
    assert not run.best.exists()
    assert run.checkpoints() == []


def test_best_weights_that_came_later_do_not_change_a_checkpoint(run: RunDirectory) -> None:
    folder = checkpoint(run, 5, best="best of 5")
    checkpoint(run, 10, best="best of 10")
    assert (folder / f"best-{BEST_WEIGHTS}").read_text() == "best of 5"
    assert json.loads((folder / "state.json").read_text())["step"] == 5
