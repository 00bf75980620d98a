"""Models that come with Python code of their own: run where the recipe trusts it, from the first step to the last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import with_own_code

from distill.degrade import degrade
from distill.errors import ModelError
from distill.pipeline import Outcome, run_recipe
from distill.recipe import load_recipe
from distill.rundir import Mode

TRAINING = {"batch_size": 16, "max_steps": 2, "precision": "fp32", "trackers": []}


@pytest.fixture
def own_code(tmp_path: Path, tiny_teacher: Path) -> Path:
    """Folder of the tiny teacher with its architecture in a Python file."""
    return with_own_code(tiny_teacher, tmp_path / "own")


@pytest.mark.parametrize("kind", ["pretrained", "transplant"])
def test_trusted_code_is_run_to_the_end(kind: str, own_code: Path, write_recipe: Callable[..., Path]) -> None:
    section = "student" if kind == "pretrained" else "teacher"
    own: dict[str, Any] = {"kind": kind, "max_tokens": 32} if kind == "pretrained" else {}
    own["model"] = str(own_code)

    def run(mode: Mode, **trust: bool) -> Outcome:
        sections = {"training": TRAINING, section: {**own, **trust}}
        return run_recipe(load_recipe(write_recipe(**sections)), mode=mode)

    outcome = run("new", trust_remote_code=True)
    assert (outcome.model / "modeling_own.py").is_file()
    assert degrade(outcome.model.parent).steps == (0, 1, 2)
    with pytest.raises(ModelError, match="comes with Python code of its own"):
        run("fresh")
