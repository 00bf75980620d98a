"""`distill data`: the commands on small corpora."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command import CommandServer, Moment
from hub import Hub

from distill.store import list_stores


def test_the_known_corpora_are_listed(distill: CommandServer, tmp_path: Path) -> None:
    found = distill.run("data", "ls", "--language", "ua", "--kind", "parallel", "--json", tmp_path / "all.json")
    assert found.code == 0
    assert "  everyday: {bundled: everyday, languages: [uk]}" in found.output
    lines = {line.split()[0]: line.split() for line in found.output.splitlines() if line.strip()}
    assert lines["talks"][:4] == ["talks", "parallel", "uk", "203k"]
    assert "norquad" not in lines
    assert "europarl" not in lines  # all its languages are known, and Ukrainian is none of them
    assert json.loads((tmp_path / "all.json").read_text())["wikimatrix"]["mined"] is True


def test_a_known_corpus_is_shown_without_loading_it(distill: CommandServer) -> None:
    found = distill.run("data", "show", "wikimatrix")
    assert found.code == 0
    assert "https://research.facebook.com/downloads/wikimatrix/" in found.output
    assert "cleaning: strict}" in found.output


def test_a_corpus_is_shown_with_statistics_and_rows(distill: CommandServer) -> None:
    found = distill.run("data", "show", "everyday", "--pair", "en-da", "--rows", "3")
    assert found.code == 0, found.errors
    assert "3 of 3,611 rows to train on:" in found.output
    assert "length ratio: median 0.96" in found.output
    assert "dropped: a side is in another language, 1 in all" in found.output
    assert found.output.count("  - ") == 4


def test_files_and_folders_are_shown(distill: CommandServer, tsv_corpus: Path, tmp_path: Path) -> None:
    folder = distill.run("data", "show", tsv_corpus, "--pair", "en-uk")
    file = distill.run("data", "show", tsv_corpus / "en-uk" / "train.tsv", "--pair", "uk-en", "--cleaning", "off")
    assert "5 of 200 rows to train on:" in folder.output
    assert "5 of 200 rows to train on:" in file.output
    rows = [{"q": f"Hva er {n} pluss {n}?", "a": f"Det blir {2 * n}."} for n in range(1, 9)]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--kind", "pairs", "--column", "anchor=q", "--column", "positive=a", "--pair", "nb", "--rows", "2")
    pairs = distill.run("data", "show", tmp_path / "qa.jsonl", *options)
    assert pairs.code == 0, pairs.errors
    assert "  - Hva er 1 pluss 1?\n    Det blir 2." in pairs.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tolks", "--pair", "en-uk"), 'did you mean "talks"?'),
        (("./nothing", "--pair", "en-uk"), "no such corpus"),
        (("everyday", "--pair", "en-fr"), "'fr' is not in everyday"),
        (("everyday", "--pair", "uk-da"), "a pair with en"),
        (("tolks",), 'did you mean "talks"?'),
        (("somebody/something",), "the pair or language to load"),
        (("everyday", "--pair", "en-uk", "--column", "english"), "PART=NAME"),
        (("opus", "--pair", "en-uk"), "opus_get"),
    ],
)
def test_a_corpus_that_cannot_be_shown_is_explained(
    distill: CommandServer, arguments: tuple[str, ...], message: str
) -> None:
    found = distill.run("data", "show", *arguments)
    assert found.code == 2
    assert message in found.errors
    assert "Traceback" not in found.errors


def test_a_set_on_the_hub_is_shown(everyday_rows: list[dict[str, str]], tmp_path: Path) -> None:
    hub = Hub()
    rows = [(row["en"], row["uk"]) for row in everyday_rows[:50]]
    hub.add_parallel_sentences("sentence-transformers/parallel-sentences-talks", {"en-uk": {"train": rows}})
    server = CommandServer({**hub.environment, "HF_HOME": str(tmp_path / "hf"), "ACCELERATE_USE_CPU": "1"})
    try:
        by_name = server.run("data", "show", "talks", "--pair", "en-uk")
        by_id = server.run("data", "show", "sentence-transformers/parallel-sentences-talks", "--pair", "uk")
    finally:
        server.close()
        hub.stop()
    assert by_name.code == 0, by_name.errors
    assert "5 of 50 rows to train on:" in by_name.output
    assert "parallel-sentences-talks" in by_id.output
    assert "5 of 50 rows to train on:" in by_id.output


def test_corpora_are_prepared_and_not_made_again(distill: CommandServer, write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    first = distill.run("data", "prepare", recipe, "--set", "corpora.small.dev_rows=10", "--processes", "1")
    assert first.code == 0, first.errors
    assert "small en-uk: 200 rows in " in first.output
    assert "small en-da: 200 rows in " in first.output
    cache = Path(os.environ["DISTILL_CACHE"])
    stored = {path: path.stat().st_mtime_ns for path in cache.rglob("rows.arrow")}
    assert len(stored) == 4  # as read and repaired, of each language
    assert f"stored in {cache / 'corpora'}: " in first.output
    again = distill.run("data", "prepare", recipe)
    assert again.code == 0
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("rows.arrow")} == stored


def test_a_killed_preparation_goes_on_with_the_corpus_it_was_at(
    distill: CommandServer, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe()
    cache = Path(os.environ["DISTILL_CACHE"])
    killed = distill.run("data", "prepare", recipe, kill_at=Moment("os.rename", r"/corpora/tmp-[0-9a-f]+$", 3))
    assert killed.code == -9
    stored = {path: path.stat().st_mtime_ns for path in cache.rglob("rows.arrow") if "tmp-" not in str(path)}
    assert len(stored) == 2  # the first language
    again = distill.run("data", "prepare", recipe)
    assert again.code == 0, again.errors
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("rows.arrow")}
    assert stored.items() <= after.items()
    assert len(after) == 4 + sum("tmp-" in str(path) for path in after)


def test_tokens_are_prepared_for_the_run(distill: CommandServer, write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    assert distill.run("data", "prepare", recipe, "--tokens").code == 0
    [before] = [store for store in list_stores() if store.kind == "tokens"]
    assert before.texts > 400
    assert distill.run("run", recipe, "--set", "training.max_steps=1").code == 0
    assert [store.texts for store in list_stores() if store.kind == "tokens"] == [before.texts]


def test_statistics_are_shown_and_written(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    found = distill.run(
        "data", "stats", write_recipe(), "--html", tmp_path / "page.html", "--json", tmp_path / "numbers.json"
    )
    assert found.code == 0, found.errors
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    [uk, da] = numbers["corpora"]
    assert uk["counts"]["read"] == da["counts"]["read"] == 200
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{uk['counts']['train']} of 200" in page
    assert "Texts to train on" in found.output
    assert numbers["shared"]["first"][0][1] == 200  # both languages have the same English sentences


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    found = distill.run("data", "stats", write_recipe(), "--html", tmp_path / "no" / "page.html")
    assert found.code == 2
    assert "no folder" in found.errors
