"""`distill eval --mteb` on MTEB's own tasks, a few rows of their data on a Hub on the loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import CommandServer, Moment
from hub import Hub


@pytest.fixture(scope="module")
def hub(everyday_rows: list[dict[str, str]]) -> Iterator[Hub]:
    """Return a Hub with some rows of Tatoeba's data set as MTEB wants it."""
    from mteb import get_task

    dataset = get_task("Tatoeba").metadata.dataset
    hub = Hub()
    rows = [
        (f"{code}-eng", row[short], row["en"])
        for code, short in (("ukr", "uk"), ("dan", "da"))
        for row in everyday_rows[:30]
    ]
    hub.add_parallel_sentences(
        dataset["path"],
        {"default": {"test": rows}},
        columns=("lang", "sentence1", "sentence2"),
        revision=dataset["revision"],
    )
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def distill(asking_hub: CommandServer) -> CommandServer:
    """Return what runs commands that ask that Hub."""
    return asking_hub


def test_tasks_are_scored_once_and_failed_ones_are_named(
    distill: CommandServer, tiny_teacher: Path, tmp_path: Path
) -> None:
    files = {name: tmp_path / name for name in ("out", "scores.json", "table.md")}
    command = ["eval", tiny_teacher, "--mteb", "Tatoeba,NTREXBitextMining", "--pairs", "en-uk"]
    for option, file in zip(("--mteb-output", "--json", "--markdown"), files.values(), strict=True):
        command += [option, file]
    ended = distill.run(*command)
    assert ended.code == 1
    assert "not scored: NTREXBitextMining, model: its data mteb/NTREXBitextMining cannot be loaded" in ended.errors
    [score] = json.loads(files["scores.json"].read_text())["scores"]
    assert (score["suite"], score["pair"], score["metric"], score["model"]) == ("Tatoeba", "uk-en", "f1", "model")
    assert f"{100 * score['value']:.1f}" in ended.output
    assert f"| Tatoeba | uk-en | f1 | {100 * score['value']:.1f} |" in files["table.md"].read_text()

    command[command.index("Tatoeba,NTREXBitextMining")] = "Tatoeba"
    again = distill.run(*command)
    assert again.code == 0, again.errors
    assert "Tatoeba: model: 1 of 1 results are there already" in again.errors
    assert again.output == ended.output


def test_a_killed_run_goes_on(distill: CommandServer, tiny_teacher: Path, tmp_path: Path) -> None:
    command = ["eval", tiny_teacher, "--mteb", "Tatoeba", "--languages", "ukr,da", "--mteb-output", tmp_path]
    ended = distill.run(*command, kill_at=Moment("open", r"run_settings\.jsonl$", 2))
    assert ended.code == -9
    resumed = distill.run(*command)
    assert resumed.code == 0, resumed.errors
    assert "--languages: ukr means uk" in resumed.errors
    assert "2 of 2 results are there already" in resumed.errors
    [path] = tmp_path.glob("results/local__model/*/Tatoeba.json")
    path.write_text(path.read_text()[:100])
    repaired = distill.run(*command)
    assert repaired.code == 0
    assert f"{path} is damaged and computed again" in repaired.errors
    assert repaired.output == resumed.output


def test_mistakes_are_named(distill: CommandServer, tiny_teacher: Path) -> None:
    unknown = distill.run("eval", tiny_teacher, "--mteb", "Tatoba")
    assert unknown.code == 2
    assert 'did you mean "Tatoeba"?' in unknown.errors
    both = distill.run("eval", tiny_teacher, "--mteb", "Tatoeba", "--suite", "everyday")
    assert both.code == 2
    assert "--suite: does not go with --mteb" in both.errors
