"""The commands: quick where nothing heavy is needed, clear where something is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command import CommandServer, Moment

from distill import __version__
from distill.cli import main
from distill.recipe import load_recipe

HEAVY = ("torch", "transformers", "datasets", "accelerate", "sentence_transformers", "scipy")
SHORT: dict[str, Any] = {"batch_size": 16, "max_steps": 4, "precision": "fp32", "checkpoint_every": 2, "trackers": []}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", ["--help", "run --help", "--version", "schema", "cache ls", "check RECIPE"])
def test_light_commands_import_nothing_heavy(command: str, write_recipe: Callable[..., Path]) -> None:
    arguments = command.replace("RECIPE", str(write_recipe())).split()
    code = (
        "import sys\nfrom distill.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"


def test_version() -> None:
    assert invoke("--version").output == f"distill, version {__version__}\n"


def test_check_says_what_a_recipe_is(write_recipe: Callable[..., Path], tsv_corpus: Path, tiny_teacher: Path) -> None:
    result = invoke("check", write_recipe())
    assert result.exit_code == 0
    assert f"a transplant student of {tiny_teacher} for da, uk" in result.output
    assert f"small: {tsv_corpus} (uk, da)" in result.output


def test_an_error_is_printed_with_its_place_and_exit_code_2(write_recipe: Callable[..., Path]) -> None:
    for command in ("check", "run"):
        result = invoke(command, write_recipe(), "--set", "training.epoch=3")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("error: --set training.epoch=3: ")
        assert 'did you mean "epochs"?' in result.stderr


def test_the_schema_knows_every_key_of_a_recipe(write_recipe: Callable[..., Path]) -> None:
    schema = json.loads(invoke("schema").output)
    assert set(schema["properties"]) == set(load_recipe(write_recipe()).model_dump())
    assert schema["$defs"]["TrainingSection"]["properties"]["epochs"]["description"]


def test_stores_are_listed_and_removed(
    distill: CommandServer, write_recipe: Callable[..., Path], private_cache: Path
) -> None:
    assert invoke("cache", "ls").output == f"0 stores, 0.0 MB in {private_cache}\n"
    assert distill.run("run", write_recipe(training=SHORT, evaluation={"suites": []})).code == 0
    listed = invoke("cache", "ls").output.splitlines()
    ids = {line.split()[1]: line.split()[0] for line in listed[:-1]}
    assert set(ids) == {"vectors", "tokens", "corpora"}
    assert listed[-1].startswith(f"{len(listed) - 1} stores")

    assert invoke("cache", "rm").exit_code == 2
    unknown = invoke("cache", "rm", "nonsense")
    assert unknown.exit_code == 2
    assert "no store 'nonsense'" in unknown.stderr
    assert invoke("cache", "rm", ids["tokens"][:8]).output.startswith("1 stores removed")
    assert invoke("cache", "rm", "--kind", "corpora").output.startswith("4 stores removed")
    assert invoke("cache", "rm", "--all").output.startswith("1 stores removed")
    assert not list(private_cache.glob("*/*/*"))


def test_a_dry_run_says_what_would_be_done_and_writes_no_run(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    ended = distill.run("run", write_recipe(training=SHORT), "--dry-run")
    assert ended.code == 0, ended.errors
    assert "training: 4 steps" in ended.output
    assert "teacher vectors to compute: " in ended.output
    assert not (tmp_path / "runs").exists()


def test_an_interrupted_run_says_how_to_go_on(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(training=SHORT, evaluation={"suites": []})
    ended = distill.run("run", recipe, kill_at=Moment("shutil.rmtree", r"\.tmp-checkpoint$", 2, signal=signal.SIGINT))
    assert ended.code == 130
    assert ended.errors.endswith("interrupted; `--resume` goes on from the last checkpoint\n")
    assert "Traceback" not in ended.errors
    assert distill.run("run", recipe, "--resume").code == 0
    events = [json.loads(line) for line in (tmp_path / "runs" / "small" / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "resume"] == [2]
