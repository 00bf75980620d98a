"""One recipe over four kinds of source: the Hub, an OPUS zip, a translation memory and a table with many languages."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from command import CommandServer
from hub import Hub

COPY = ("This sentence was never translated at all.", "This sentence was never translated at all.")


@pytest.fixture(scope="module")
def hub(everyday_rows: list[dict[str, str]]) -> Iterator[Hub]:
    """Return a Hub with a set that is stored in the reverse direction."""
    hub = Hub()
    rows = [(row["en"], row["uk"]) for row in everyday_rows[:100]]
    hub.add_parallel_sentences("tests/reverse", {"uk-en": {"train": [*rows, COPY]}})
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def distill(asking_hub: CommandServer) -> CommandServer:
    """Return what runs `distill` commands that ask that Hub."""
    return asking_hub


def write_opus_zip(path: Path, rows: list[tuple[str, str]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README", "An OPUS corpus.")
        archive.writestr("Books.en-uk.en", "".join(f"{english}\n" for english, _ in rows))
        archive.writestr("Books.en-uk.uk", "".join(f"{other}\n" for _, other in rows))


def write_tmx(path: Path, rows: list[tuple[str, str]]) -> None:
    units = "".join(
        f'<tu><tuv xml:lang="en-GB"><seg>{escape(english)}</seg></tuv>'
        f'<tuv xml:lang="uk"><seg>{escape(other)}</seg></tuv></tu>'
        for english, other in rows
    )
    path.write_text(f'<?xml version="1.0"?><tmx version="1.4"><header/><body>{units}</body></tmx>', encoding="utf-8")


def test_four_kinds_of_source_make_one_report(
    distill: CommandServer,
    write_recipe: Callable[..., Path],
    everyday_rows: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    pairs = [(row["en"], row["uk"]) for row in everyday_rows]
    write_opus_zip(tmp_path / "en-uk.txt.zip", [*pairs[100:200], COPY, pairs[0]])
    write_tmx(tmp_path / "memory.tmx", [*pairs[200:300], COPY])
    table = ["en\tuk\tda", *(f"{row['en']}\t{row['uk']}\t{row['da']}" for row in everyday_rows[300:400])]
    table += [f"{COPY[0]}\t{COPY[0]}\t", "one field only"]
    (tmp_path / "many.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    local = {"languages": ["uk"], "dev_rows": 0}
    recipe = write_recipe(
        corpora={
            "hub": {"hub": "tests/reverse", **local},
            "opus": {"files": str(tmp_path / "en-uk.txt.zip"), **local},
            "memory": {"files": str(tmp_path / "memory.tmx"), **local},
            "table": {"files": str(tmp_path / "many.tsv"), "languages": ["uk", "da"], "dev_rows": 0},
        },
        training={"batch_size": 16, "max_steps": 2, "precision": "fp32", "trackers": []},
        evaluation={"suites": []},
    )
    ended = distill.run("run", recipe)
    assert ended.code == 0, ended.errors
    found = json.loads((tmp_path / "runs/small/cleaning.json").read_text(encoding="utf-8"))
    assert list(found) == ["hub en-uk", "opus en-uk", "memory en-uk", "table en-uk", "table en-da"]
    dropped = {label: {rule: t["count"] for rule, t in corpus["dropped"].items()} for label, corpus in found.items()}
    for label in ("hub en-uk", "memory en-uk", "table en-uk"):
        assert dropped[label].get("copies") == 1, label
    assert dropped["opus en-uk"] == {**dropped["opus en-uk"], "copies": 1, "duplicates": 1}
    assert found["table en-da"]["counts"]["no translation"] == 1
    assert all(found[f"table en-{code}"]["malformed"]["count"] == 1 for code in ("uk", "da"))
    assert all(corpus["counts"]["train"] > 90 for corpus in found.values())
    report = (tmp_path / "runs/small/report.md").read_text(encoding="utf-8")
    assert "## Cleaning" in report
    assert all(label.split()[0] in report for label in found)
