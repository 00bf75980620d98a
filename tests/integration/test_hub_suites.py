"""Declared suites from a Hub: a small one of the tests' own, on the loopback, with a few rows of each set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

from distill.testsets import SetSection, list_suites, load_suites

ROWS = 4
DECLARED = [
    pytest.param(suite, section, id=f"{suite}-{section.name or section.kind}")
    for suite, declaration in list_suites().items()
    for section in declaration.sets
]

READER = """
import json, sys
from distill.errors import DistillError
from distill.testsets import load_suites
for line in sys.stdin:
    names, pairs = json.loads(line)
    try:
        answer = [dict(vars(found), kind=found.kind) for found in load_suites(names, None, pairs)]
    except DistillError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""

Columns = dict[str, list[Any]]
Splits = dict[str, Columns]


class Reader:
    """A process that reads suites from a Hub."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
            text=True,
        )

    def __call__(self, names: list[str], pairs: list[str] | None) -> Any:
        """Return the sets of some suites as plain values, or the error's text."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([names, pairs]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def text(language: str, row: int) -> str:
    """Return what the generated sets say in a language: sentence and row are told apart in both sides of a pair."""
    return f"{language} {row}"


def generate(section: SetSection) -> dict[str, Splits]:
    """Return a data set of the layout that a section declares, for all its pairs: configuration → split → columns."""
    found: dict[str, Splits] = defaultdict(dict)
    for pair in section.all_pairs():
        stored = "-".join(reversed(pair.split("-"))) if pair in section.swapped else pair
        sides = (0, 1) if section.per_language() else (None,)
        for side in sides:
            add_rows(found, section, stored, side)
    return found


def add_rows(found: dict[str, Splits], section: SetSection, pair: str, side: int | None) -> None:
    """Add the rows of one pair, or of one of its languages where each is stored by itself."""
    config = section.fill(section.config, pair, side or 0) if section.config else "default"
    first, second = pair.split("-") if side is None else [pair.split("-")[side]] * 2
    rows = range(ROWS)
    name = {
        key: section.fill(section.column(key), pair, side or 0)
        for key in ("first", "second", "score", "text", "label", "query", "document", "key")
        if key in section.columns
        or key
        in {"sts": "first second score", "bitext": "first second", "classification": "text label"}.get(
            section.kind, ""
        ).split()
    }
    if section.kind == "retrieval" and not section.columns:
        prefix = f"{config}-" if section.config else ""
        add(
            found,
            f"{prefix}queries",
            {section.split: {"_id": ["q0", "q1", "q2"], "text": [text(first, n) for n in range(3)]}},
        )
        add(
            found,
            f"{prefix}corpus",
            {"corpus": {"_id": ["d0", "d1"], "title": ["T", ""], "text": [text(second, n) for n in range(2)]}},
        )
        qrels = {"query-id": ["q0", "q1"], "corpus-id": ["d0", "d1"], "score": [1, 1]}
        add(found, f"{prefix}qrels" if prefix else "default", {section.split: qrels})
        return
    columns: Columns
    if section.kind == "retrieval":
        columns = {
            name["query"]: [text(first, n) for n in rows],
            name["document"]: [text(second, n // 2 + 100) for n in rows],
        }
        if "key" in name:
            columns[name["key"]] = [f"link {n // 2}" for n in rows]
    elif section.kind == "classification":
        columns = {name["text"]: [text(first, n) for n in rows], name["label"]: [n % 2 for n in rows]}
    else:
        columns = {
            name["first"]: [text(first, n) for n in rows],
            name["second"]: [text(second, n + (section.kind == "sts" and side is not None) * 10) for n in rows],
        }
        if section.kind == "sts":
            low, high = section.score_range
            columns[name["score"]] = [low + (high - low) * n / (ROWS - 1) for n in rows]
    for column, value in section.rows.items():
        columns[column] = [section.fill(value, pair, side or 0)] * ROWS
    splits = {section.split: columns}
    if section.kind == "classification":
        splits[section.train_split] = {**columns, name["text"]: [f"train {t}" for t in columns[name["text"]]]}
    add(found, config, splits)


def add(found: dict[str, Splits], config: str, splits: Splits) -> None:
    """Add rows; columns side by side where all languages are in one table, below each other where a column tells."""
    for split, columns in splits.items():
        there = found[config].setdefault(split, {})
        marks = set(columns) & {"lang"}
        if not there or not marks:
            there.update(columns)
        elif all(columns[mark][0] not in there[mark] for mark in marks):
            for column, values in columns.items():
                there[column] = there[column] + values


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Return a Hub with all declared data sets, each at its pinned revision."""
    hub = Hub()
    tables: dict[tuple[str, str], dict[str, Splits]] = defaultdict(dict)
    for parameter in DECLARED:
        _, section = parameter.values
        if section.hub:
            for config, splits in generate(section).items():
                tables[section.hub, section.revision][config] = splits
    for (name, revision), configs in tables.items():
        hub.add_dataset(name, configs, revision=revision)
    yield hub
    hub.stop()


@pytest.fixture
def reader(hub: Hub, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return what reads suites from that Hub in a process of its own that has nothing stored yet."""
    reader = Reader({**hub.environment, "HF_HOME": str(tmp_path / "hf-home")})
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def shared(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Return a reader for tests that do not care what is stored."""
    reader = Reader({**hub.environment, "HF_HOME": str(tmp_path_factory.mktemp("hf-home"))})
    yield reader
    reader.close()


@pytest.mark.parametrize(("suite", "section"), DECLARED)
def test_every_declaration_loads(shared: Callable[..., Any], suite: str, section: SetSection) -> None:
    for pair in {section.all_pairs()[0], section.all_pairs()[-1], *section.swapped}:
        sets = shared([suite], [pair])
        assert isinstance(sets, list), sets
        name = f"{suite}/{section.name}" if section.name else suite
        [found] = [each for each in sets if (each["suite"], each["kind"], each["pair"]) == (name, section.kind, pair)]
        if not section.hub:
            continue
        first, second = pair.split("-")
        rows = range(ROWS)
        assert found["note"] == section.note
        match section.kind:
            case "bitext" | "sts":
                assert found["first"] == [text(first, n) for n in rows]
                shift = 10 * (section.kind == "sts" and section.per_language())
                assert found["second"] == [text(second, n + shift) for n in rows]
                if section.kind == "sts":
                    assert (found["gold"][0], found["gold"][-1]) == section.score_range
            case "classification":
                assert found["train"] == [f"train {text(first, n)}" for n in rows]
                assert found["test"] == [text(second, n) for n in rows]
                assert found["test_labels"] == ["0", "1", "0", "1"]
            case "retrieval" if section.columns:
                assert found["queries"] == [text(first, n) for n in rows]
                assert found["documents"] == [text(second, 100), text(second, 101)]
                assert found["relevance"] == [[0, 0, 1], [1, 0, 1], [2, 1, 1], [3, 1, 1]]
            case _:
                assert found["queries"] == [text(first, 0), text(first, 1)]  # q2 has no relevant document
                assert found["documents"] == [f"T {text(second, 0)}", text(second, 1)]
                assert found["relevance"] == [[0, 0, 1], [1, 1, 1]]


def test_the_sides_of_a_pair_can_be_asked_for_the_other_way(shared: Callable[..., Any]) -> None:
    [there], [back] = shared(["tatoeba"], ["en-uk"]), shared(["tatoeba"], ["uk-en"])
    assert (back["pair"], back["first"], back["second"]) == ("uk-en", there["second"], there["first"])
    [alias] = shared(["tatoeba"], ["en-ua"])
    assert alias == there


def test_any_two_languages_of_a_parallel_set_can_be_asked_for(shared: Callable[..., Any]) -> None:
    [found] = shared(["flores"], ["da-sv"])
    assert (found["first"][0], found["second"][0]) == ("da 0", "sv 0")
    assert "no test set for en-en" in shared(["flores"], ["en-en"])


def test_only_the_pairs_wanted_are_fetched(reader: Callable[..., Any], hub: Hub) -> None:
    hub.requests.clear()
    [found] = [each for each in reader(["ukrainian"], ["en-uk"]) if each["kind"] == "retrieval"]
    assert found["pair"] == "en-uk"
    files = {request.split("/resolve/")[1].split("/", 1)[1] for request in hub.requests if "/resolve/" in request}
    wanted = {"eng_Latn", "ukr_Cyrl"}
    assert {file.split("/")[0] for file in files if file.endswith(".parquet")} == wanted
    repositories = {request.split("/resolve/")[0] for request in hub.requests if "/resolve/" in request}
    assert repositories == {"/datasets/mteb/belebele", "/datasets/mteb/sib200"}


def test_what_was_loaded_once_loads_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    environment = {**hub.environment, "HF_HOME": str(tmp_path / "hf-home")}
    names, pairs = ["sts17", "ntrex", "ukrainian", "nordic"], ["en-en", "en-uk", "uk-uk", "sv-sv"]
    first = Reader(environment)
    there = first(names, pairs)
    first.close()
    assert len(there) > 8, there
    hub.stop()
    try:
        second = Reader({**environment, "HF_HUB_OFFLINE": "1"})
        again = second(names, pairs)
        never = second(["tatoeba"], ["en-uk"])
        second.close()
    finally:
        hub.start()
    assert again == there
    assert "the Hub cannot be reached" in never


GOOD = {
    "kind": "sts",
    "hub": "tests/likeness",
    "revision": "a" * 40,
    "config": "{pair}",
    "pairs": ["en-uk"],
    "licence": "CC0-1.0",
    "citation": "none",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hub": "tests/none"}, "tests/none: no such data set on the Hub"),
        ({"revision": "b" * 40}, f"Revision '{'b' * 40}' doesn't exist"),
        ({"config": "{second}"}, "no configuration 'uk'"),
        ({"split": "tests"}, "no split 'tests'\n  expected: one of train, test\n  what to do: did you mean \"test\"?"),
        ({"columns": {"score": "scores"}}, "no column 'scores'"),
        ({"score_range": [0, 1]}, "tests/likeness en-uk test:2: score 4.0\n  expected: a number from 0 to 1"),
        ({"split": "train"}, "tests/likeness en-uk train:2: no score"),
        ({"rows": {"lang": "english"}}, "no rows whose lang is 'english'\n  expected: one of en"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    shared: Callable[..., Any], hub: Hub, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    sentences = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "lang": ["en", "en"]}
    splits = {"train": {**sentences, "score": [1.0, None]}, "test": {**sentences, "score": [1.0, 4.0]}}
    hub.add_dataset("tests/likeness", {"en-uk": splits}, revision="a" * 40)
    declaration = tmp_path / "mine.yaml"
    declaration.write_text(json.dumps({"description": "Mine.", "sets": [{**GOOD, **change}]}), encoding="utf-8")
    answer = shared([str(declaration)], None)
    assert message in answer


def test_sides_that_do_not_match_row_by_row_are_refused(shared: Callable[..., Any], hub: Hub, tmp_path: Path) -> None:
    def table(*scores: float) -> Splits:
        return {
            "test": {side: [f"{n}" for n in range(len(scores))] for side in ("sentence1", "sentence2")}
            | {"score": [*scores]}
        }

    hub.add_dataset("tests/sides", {"en": table(1, 2), "uk": table(1, 3), "da": table(1)}, revision="c" * 40)
    section = {**GOOD, "hub": "tests/sides", "revision": "c" * 40, "config": "{language}", "pairs": ["en-uk", "en-da"]}
    declaration = tmp_path / "mine.yaml"
    declaration.write_text(json.dumps({"description": "Mine.", "sets": [section]}), encoding="utf-8")
    assert "uk test:2: score 3\n  expected: 2 as at tests/sides en test:2" in shared([str(declaration)], ["en-uk"])
    assert "da test: 1 rows\n  expected: 2 as in tests/sides en test" in shared([str(declaration)], ["en-da"])


def test_a_folder_of_translated_sets_joins_the_suite_it_is_named_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "testsets/everyday").mkdir(parents=True)
    (tmp_path / "testsets/everyday/en-de.tsv").write_text("english\tnon_english\nA dog.\tEin Hund.\n", encoding="utf-8")
    folder = {"testsets": tmp_path / "testsets"}
    from distill.testsets import suites

    shipped = suites.shipped_folder
    monkeypatch.setattr(suites, "shipped_folder", lambda name: folder.get(name) or shipped(name))
    [found] = load_suites(["everyday"], None, ["en-de"])
    assert (found.suite, found.pair, found.texts()) == ("everyday", "en-de", ("A dog.", "Ein Hund."))
