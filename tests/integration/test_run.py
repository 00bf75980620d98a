"""A whole run on a tiny model, driven through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from distill.cli import main


def test_run_makes_a_model_that_loads_without_this_package(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(write_recipe(evaluation={"suites": ["everyday"]}))])
    assert result.exit_code == 0, result.output
    from sentence_transformers import SentenceTransformer

    run = tmp_path / "runs" / "small"
    model = SentenceTransformer(str(run / "model"), device="cpu")
    assert model.encode(["Кіт спить."]).shape == (1, 32)
    assert "distill" not in (run / "model" / "modules.json").read_text()
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert {score["model"] for score in scores} == {"teacher", "untrained", "student"}
    assert {"en-uk", "en-en", "uk-uk", "en-da"} <= {score["pair"] for score in scores}
