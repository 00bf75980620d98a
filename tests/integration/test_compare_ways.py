"""`distill rank-data` and `distill degrade` on tiny models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from distill.cli import main
from distill.corpora import SentenceFilter, load_corpora
from distill.degrade import degrade, with_checkpoint
from distill.encode import encode
from distill.pipeline import Ready
from distill.rank_data import trials
from distill.recipe import Recipe, load_recipe
from distill.rundir import RunDirectory
from distill.student import load_student
from distill.testsets import BitextSet

CPU = torch.device("cpu")


def invoke(*arguments: object) -> str:
    """Run a command that is expected to succeed and return its output."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def two_corpora(tsv_corpus: Path) -> dict[str, Any]:
    """A corpus of each language of `tsv_corpus`."""
    return {code: {"folder": str(tsv_corpus), "languages": [code], "dev_rows": 20} for code in ("uk", "da")}


def test_trials_start_from_one_student_and_are_run_once(
    write_recipe: Callable[..., Path], two_corpora: dict[str, Any], tmp_path: Path
) -> None:
    recipe, runs = write_recipe(corpora=two_corpora), tmp_path / "runs"
    command = ("rank-data", recipe, "--steps", 12, "--json", tmp_path / "rank.json", "--markdown", tmp_path / "rank.md")
    output = invoke(*command)
    ranked = json.loads((tmp_path / "rank.json").read_text())["corpora"]
    assert {found["corpus"] for found in ranked} == {"uk", "da"}
    assert ranked[0]["gain"] >= ranked[1]["gain"]
    assert len({found["before"] for found in ranked}) == 1
    assert {(s["suite"], s["pair"]) for s in ranked[0]["scores"]} == {
        (s["suite"], s["pair"]) for s in ranked[1]["scores"]
    }
    assert "Corpora, best first" in output
    assert (tmp_path / "rank.md").read_text().startswith("`distill")
    weights = {(runs / f"small-{name}" / "untrained" / "model.safetensors").read_bytes() for name in TRIALS}
    assert len(weights) == 1
    for name in TRIALS[1:]:
        assert max(event.get("step", 0) for event in RunDirectory(runs / f"small-{name}").read_log()) == 12
    shutil.rmtree(runs / "small-rank-12-da" / "model")
    logs = {name: (runs / f"small-{name}" / "log.jsonl").read_text() for name in TRIALS}
    invoke(*command)
    assert (runs / "small-rank-12-uk" / "log.jsonl").read_text() == logs["rank-12-uk"]
    assert (runs / "small-rank-12-da" / "log.jsonl").read_text().startswith(logs["rank-12-da"])
    assert json.loads((tmp_path / "rank.json").read_text())["corpora"] == ranked


TRIALS = ("rank", "rank-12-uk", "rank-12-da")


def ready(recipe: Recipe) -> Ready:
    """What the recipe's trials begin with, but for the models, which trials do not look at."""
    sets: list[Any] = [BitextSet("s", pair, ["a"], ["b"]) for pair in ("en-uk", "en-da", "uk-uk")]
    models: Any = None
    return Ready(sets, load_corpora(recipe, SentenceFilter()), models, models)


@pytest.fixture
def mixed_recipe(write_recipe: Callable[..., Path], mixed_sections: dict[str, Any]) -> Recipe:
    training = {"max_steps": 5, "early_stopping": {"patience": 1}, "select_by": "scores"}
    evaluation = {"suites": ["everyday"], "every": 5}
    return load_recipe(write_recipe(**mixed_sections, training=training, evaluation=evaluation))


def test_trials_differ_in_nothing_but_the_corpus_and_the_objectives_that_take_it(mixed_recipe: Recipe) -> None:
    found = {trial.corpus: trial.recipe for trial in trials(mixed_recipe, ready(mixed_recipe), 40)}
    assert list(found) == ["parallel", "triplets", "scored", "topics"]
    own = {name: set(trial.objectives) for name, trial in found.items() if trial}
    assert own["scored"] == {"order", "scores"}
    assert own["topics"] == {"topic"}
    assert own["triplets"] == {"similarity", "contrastive", "scheduled", "triplet", "margins"}
    for name, trial in found.items():
        assert trial is not None
        assert list(trial.corpora) == [name]
        assert trial.name == f"small-rank-40-{name}"
        assert (trial.training.max_steps, trial.training.epochs, trial.training.select) == (40, 40, "last")
        assert trial.training.early_stopping is None
        assert trial.evaluation.pairs == ("en-uk", "en-da", "uk-uk")  # not only those of its languages
        assert Recipe.model_validate(trial.model_dump(by_alias=True)) == trial


def test_a_corpus_that_no_objective_alone_takes_is_said_so(
    write_recipe: Callable[..., Path], mixed_sections: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "bare.csv").write_text("anchor,positive,negative\n" + "".join(f"row {i},text {i},\n" for i in range(9)))
    corpora = {**mixed_sections["corpora"]}
    corpora["bare"] = {"files": str(tmp_path / "bare.csv"), "rows": "triplets", "languages": ["en"], "dev_rows": 0}
    recipe = load_recipe(
        write_recipe(
            corpora={name: corpora[name] for name in ("triplets", "bare")}, objectives={"triplet": {"loss": "triplet"}}
        )
    )
    first, second = trials(recipe, ready(recipe), 10)
    assert first.recipe is not None
    assert (second.recipe, second.problem) == (None, "no objective takes its rows (pairs)")


def test_every_checkpoint_is_scored_with_its_own_weights(
    write_recipe: Callable[..., Path], two_corpora: dict[str, Any], tmp_path: Path
) -> None:
    training = {"batch_size": 16, "max_steps": 20, "learning_rate": 5e-3, "precision": "fp32", "trackers": []}
    often = {"evaluate_every": 5, "checkpoint_every": 5, "keep_checkpoints": 3, "select": "last"}
    phases = {"kind": "curriculum", "phases": [{"share": 0.5, "corpora": "uk"}, {"corpora": "da"}]}
    recipe = write_recipe(corpora=two_corpora, training={**training, **often}, mixture={"sampling": phases})
    invoke("run", recipe)
    path = tmp_path / "runs" / "small"
    output = invoke("degrade", path, "--json", tmp_path / "d.json", "--markdown", tmp_path / "d.md")
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["scored_steps"] == [0, 10, 15, 20]
    assert found["checkpoints"] == [5, 10, 15, 20]
    assert "not scored: step 5, whose checkpoints are gone" in output
    assert [course["name"] for course in found["dev"]] == [["mse: uk en-uk"], ["mse: da en-da"], ["mean"]]
    assert set(found["dev"][0]["values"]) == {"5", "10", "15", "20"}
    reported = json.loads((path / "scores.json").read_text())["scores"]
    courses = {tuple(course["name"]): course["values"] for course in found["scores"]}
    bitext = next(values for name, values in courses.items() if name[0] == "bitext %" and name[2] == "en-uk")
    for model, step in (("untrained", "0"), ("student", "20")):
        own = [score for score in reported if (score["model"], score["pair"]) == (model, "en-uk")]
        here = [score["value"] for score in own if "accuracy" in score["metric"]]
        assert len(here) == 2
        assert bitext[step] == pytest.approx(sum(here) / 2, abs=1e-6)
    untrained = load_student(path / "untrained", CPU)
    texts = ["Кіт спить.", "A dog runs."]
    last = encode(with_checkpoint(untrained, path / "checkpoints" / "step-00000020"), texts)
    np.testing.assert_allclose(last, encode(load_student(path / "model", CPU), texts), atol=1e-6)
    earlier = encode(with_checkpoint(untrained, path / "checkpoints" / "step-00000010"), texts)
    assert np.abs(last - earlier).max() > 1e-3


def test_a_damaged_checkpoint_is_left_out_and_the_model_stands_for_its_step(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    invoke("run", write_recipe())
    path = tmp_path / "runs" / "small"
    before = degrade(path, ["everyday"], ["en-uk"])
    for _, folder in RunDirectory(path, writable=False).checkpoints():
        (folder / "model.safetensors").write_bytes(b"x")
    after = degrade(path, ["everyday"], ["en-uk"])
    assert after.steps == (0, after.weights_from)
    assert after.weights_from in before.steps or before.weights_from == after.weights_from
    assert [c.values[after.weights_from] for c in after.scores] == [c.values[after.weights_from] for c in before.scores]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["degrade", str(tmp_path)])
    assert result.exit_code == 2
    assert "no run is here" in result.output
