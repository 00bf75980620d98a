"""Teacher, student and corpora from a Hub: a small one of the tests' own, on the loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer, Ended
from hub import Hub

TALKS: dict[str, Any] = {"hub": "tests/talks", "languages": ["uk"]}
STUDENT = {"kind": "pretrained", "model": "tests/plain-encoder", "max_tokens": 32}


@pytest.fixture(scope="module")
def hub(tiny_teacher: Path, plain_encoder: Path, everyday_rows: list[dict[str, str]]) -> Iterator[Hub]:
    """Return a Hub with a teacher, a plain encoder and parallel sentences."""
    rows = {code: [(row["en"], row[code]) for row in everyday_rows[:200]] for code in ("uk", "da")}
    hub = Hub()
    hub.add_model("tests/teacher", tiny_teacher)
    hub.add_model("tests/plain-encoder", plain_encoder)
    hub.add_parallel_sentences(
        "tests/talks",
        {"en-uk": {"train": rows["uk"][30:], "dev": rows["uk"][:30]}, "en-da": {"train": rows["da"]}},
    )
    hub.add_parallel_sentences("tests/talks", {"en-uk": {"train": rows["uk"][:50]}}, revision="short")
    hub.add_parallel_sentences("tests/other-columns", {"uk": {"train": rows["uk"]}}, columns=("source", "target"))

    def labelled(rows: list[tuple[str, str]]) -> dict[str, list[Any]]:
        return {
            "sentence1": [english for english, _ in rows],
            "sentence2": [other for _, other in rows],
            "label": [number % 2 for number in range(len(rows))],
        }

    hub.add_conversion("tests/scripted", {"uk": {"train": labelled(rows["uk"][40:]), "val": labelled(rows["uk"][:40])}})
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def distill(asking_hub: CommandServer) -> CommandServer:
    """Return what runs `distill` commands that ask that Hub and have stored nothing from it yet."""
    return asking_hub


@pytest.fixture
def run(distill: CommandServer, write_recipe: Callable[..., Path]) -> Callable[..., Ended]:
    """Return a function that runs a recipe whose sections come from the Hub unless others are given."""

    def run(*arguments: str, **sections: Any) -> Ended:
        training = {"batch_size": 16, "max_steps": 2, "precision": "fp32", "trackers": []}
        hub_sections = {"teacher": {"model": "tests/teacher"}, "student": STUDENT, "corpora": {"talks": TALKS}}
        recipe = write_recipe(training=training, evaluation={"suites": []}, **{**hub_sections, **sections})
        return distill.run("run", recipe, *arguments)

    return run


def counts(run: Path) -> dict[str, int]:
    """Return how many rows of the only corpus were read, trained on and held out."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    [corpus] = next(event["corpora"] for event in events if event["event"] == "corpora").values()
    return {name: corpus[name] for name in ("read", "train", "dev")}


def test_a_run_takes_everything_from_the_hub(run: Callable[..., Ended], hub: Hub, tmp_path: Path) -> None:
    ended = run()
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/small") == {"read": 200, "train": 170, "dev": 30}
    for repository in ("datasets/tests/talks", "tests/teacher", "tests/plain-encoder"):
        assert any(f"/{repository}/resolve/" in request for request in hub.requests)
    card = (tmp_path / "runs/small/model/README.md").read_text()
    assert "base_model: tests/plain-encoder" in card
    assert "- tests/talks" in card


def test_rows_are_held_out_of_a_set_without_dev_split(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(corpora={"talks": {**TALKS, "languages": ["da"], "dev_rows": 12, "cleaning": "off"}})
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/small") == {"read": 200, "train": 188, "dev": 12}


def test_a_revision_and_other_names_of_configuration_and_columns(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(corpora={"talks": {**TALKS, "revision": "short", "dev_rows": 0}})
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/small")["read"] == 50
    columns = {"english": "source", "non_english": "target"}
    other = {**TALKS, "hub": "tests/other-columns", "config": "{language}", "columns": columns, "max_rows": 40}
    ended = run("--set", "name=other", corpora={"talks": other})
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/other")["train"] == 40


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"corpora": {"talks": {**TALKS, "hub": "tests/talk"}}}, "tests/talk: no such data set on the Hub"),
        ({"corpora": {"talks": {**TALKS, "revision": "v9"}}}, "Revision 'v9' doesn't exist"),
        ({"corpora": {"talks": {**TALKS, "languages": ["sv"]}}}, "no configuration 'en-sv'"),
        ({"corpora": {"talks": {**TALKS, "split": "training"}}}, 'Unknown split "training"'),
        ({"corpora": {"talks": {**TALKS, "columns": {"english": "source"}}}}, "no column 'source'"),
        ({"teacher": {"model": "tests/teachers"}}, "teacher: tests/teachers: no such model on the Hub"),
        ({"teacher": {"model": "tests/teacher", "revision": "v9"}}, "teacher: tests/teacher: no such revision"),
        ({"student": {**STUDENT, "model": "tests/none"}}, "student: tests/none: no such model on the Hub"),
    ],
)
def test_what_the_hub_does_not_have_is_named(run: Callable[..., Ended], sections: dict[str, Any], message: str) -> None:
    ended = run(**sections)
    assert ended.code == 2, ended.errors
    assert message in ended.errors
    assert "what to do:" in ended.errors
    assert "Traceback" not in ended.errors


def test_without_the_hub_what_is_stored_is_used(run: Callable[..., Ended], hub: Hub) -> None:
    assert run().code == 0
    hub.stop()
    try:
        ended = run("--set", "name=again")
        assert ended.code == 0, ended.errors
        assert f"the Hub cannot be reached ({hub.url}" in ended.errors
        for sections in (
            {"corpora": {"talks": {**TALKS, "hub": "tests/others"}}},
            {"corpora": {"talks": {**TALKS, "languages": ["sv"]}}},
            {"teacher": {"model": "tests/others"}},
        ):
            ended = run("--set", "name=other", **sections)
            assert ended.code == 2, ended.errors
            assert "error: " in ended.errors
            assert "the Hub cannot be reached" in ended.errors[ended.errors.index("error: ") :]
    finally:
        hub.start()


SCRIPTED: dict[str, Any] = {
    "hub": "tests/scripted",
    "languages": ["uk"],
    "columns": {"english": "sentence1", "non_english": "sentence2"},
    "revision": "refs/convert/parquet",
    "data_dir": "{language}",
}


def test_a_set_with_a_loading_script_is_read_from_its_conversion(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(corpora={"scripted": {**SCRIPTED, "revision": "main"}})
    assert "Dataset scripts are no longer supported" in ended.errors
    assert "set corpora.scripted.revision: refs/convert/parquet" in ended.errors
    ended = run("--fresh", corpora={"scripted": {**SCRIPTED, "dev_split": "validation", "cleaning": "off"}})
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/small") == {"read": 200, "train": 160, "dev": 40}


def test_only_the_rows_with_a_value_are_taken(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(corpora={"scripted": {**SCRIPTED, "where": {"label": "1"}, "dev_rows": 10}})
    assert ended.code == 0, ended.errors
    assert counts(tmp_path / "runs/small")["read"] == 80
    ended = run("--fresh", corpora={"scripted": {**SCRIPTED, "where": {"label": "yes"}}})
    assert "no rows whose label is 'yes'\n  expected: one of 0, 1" in ended.errors
    ended = run("--fresh", corpora={"scripted": {**SCRIPTED, "where": {"labels": "1"}}})
    assert "no column 'labels'" in ended.errors
    assert 'did you mean "label"?' in ended.errors
