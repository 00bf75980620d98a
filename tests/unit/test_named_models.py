"""Models as a user names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.named_models import column_names, model_source, named_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with a finished model, as far as names go."""
    folder = tmp_path / "runs" / "small"
    (folder / "model").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"teacher": "/models/english"}))
    (folder / "recipe.json").write_text(json.dumps({"teacher": {"model": "english"}}))
    return folder


def test_columns_are_called_by_the_last_part_of_a_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert column_names([str(run), "owner/small", "owner/large"]) == {
        "small": str(run),
        "owner/small": "owner/small",
        "large": "owner/large",
    }
    monkeypatch.chdir(run)
    assert column_names(["."]) == {"small": "."}
    with pytest.raises(DistillError, match="named twice"):
        column_names(["owner/small", "owner/small"])


def test_a_run_directory_stands_for_its_student(run: Path, tmp_path: Path) -> None:
    assert model_source(str(run), None) == str(run / "model")
    assert model_source(str(run / "model"), None) == str(run / "model")
    assert model_source("owner/small", None) == "owner/small"
    with pytest.raises(DistillError, match="no such folder"):
        model_source(str(tmp_path / "nothing"), None)


def test_teacher_and_untrained_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    assert model_source("untrained", run) == str(run / "untrained")
    assert model_source("teacher", run) == "/models/english"
    with pytest.raises(DistillError, match="no run directory"):
        model_source("teacher", None)
    assert named_run(["owner/small", str(run)], tmp_path) == run
    assert named_run(["teacher"], run.parent) == run
    assert named_run(["owner/small"], run.parent) is None
    with pytest.raises(DistillError, match="no finished run"):
        named_run(["teacher"], tmp_path / "elsewhere")
