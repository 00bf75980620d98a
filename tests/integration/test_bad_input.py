"""Bad input at the command line: a clear message, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command import CommandServer, Ended
from safetensors.torch import load_file, save_file

Recipe = Callable[..., Path]


def assert_refused(ended: Ended, *says: str) -> None:
    """Check that a command ended with an error in the user's terms, and with nothing else on its last lines."""
    assert ended.code == 2, ended.errors
    assert "Traceback" not in ended.errors
    *_, message = ended.errors.split("error: ")
    for text in says:
        assert text in message
    assert all(
        line.startswith("  expected: ") or line.startswith("  what to do: ") for line in message.splitlines()[1:]
    )


@pytest.fixture
def nothing_left(tmp_path: Path, private_cache: Path) -> Callable[[], None]:
    """Return a check that a failed run left no run directory and nothing unfinished in the cache."""

    def check() -> None:
        assert not (tmp_path / "runs" / "small").exists()
        assert not list(private_cache.rglob("tmp-*"))
        assert not list(private_cache.rglob(".*"))

    return check


# recipes


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is empty"),
        ("name: a\nname: b\n", "recipe.yaml:2: malformed YAML: key 'name' a second time"),
        ("name: small\ntrainin: {}\n", 'recipe.yaml:2: trainin: unknown key "trainin"'),
        ("name: small\nteacher: {model: ./nowhere}\n", 'recipe.yaml:1: recipe: "student" is missing'),
    ],
)
def test_a_wrong_recipe(
    distill: CommandServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, content: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    ended = distill.run(command, path)
    assert ended.code == 2
    assert ended.output == ""
    assert f"error: {path.parent}" in ended.errors
    assert says in ended.errors
    assert "Traceback" not in ended.errors
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_wrong_override(distill: CommandServer, write_recipe: Recipe) -> None:
    ended = distill.run("run", write_recipe(), "--set", "training.epocs=2")
    assert_refused(ended, "--set training.epocs=2", 'did you mean "epochs"?')


# corpora


def _corrupt_parquet(folder: Path) -> None:
    (folder / "train.tsv").unlink()
    texts = [f"Sentence {n}." for n in range(100)]
    pq.write_table(pa.table({"english": texts, "non_english": texts}), folder / "train.parquet")
    content = (folder / "train.parquet").read_bytes()
    (folder / "train.parquet").write_bytes(content[: len(content) // 2])


def _append(content: bytes) -> Callable[[Path], None]:
    def append(folder: Path) -> None:
        with (folder / "train.tsv").open("ab") as file:
            file.write(content)

    return append


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "train.tsv").write_text(""), ["train.tsv: the file is empty", "a header line"]),
        (
            lambda folder: (folder / "train.tsv").write_text("english\tnon_english\n"),
            ["no rows in ", "at least one row"],
        ),
        (_append(b"bl\xe5\tbl\xe5\n" * 3), ["train.tsv:202: not UTF-8: byte 0xe5 at column 3", "max_malformed"]),
        (_corrupt_parquet, ["train.parquet: not a readable parquet file", "get it again"]),
    ],
    ids=["empty file", "no rows", "broken UTF-8", "corrupt parquet"],
)
def test_a_corpus_that_cannot_be_read(
    distill: CommandServer,
    write_recipe: Recipe,
    tsv_corpus: Path,
    nothing_left: Callable[[], None],
    spoil: Callable[[Path], None],
    says: list[str],
) -> None:
    spoil(tsv_corpus / "en-uk")
    assert_refused(distill.run("run", write_recipe()), *says)
    nothing_left()


# models


def _change(name: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _not_a_number(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


BROKEN_MODELS = {
    "empty folder": (_empty, "no config.json"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "broken config": (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
    "unknown architecture": (_change("config.json", model_type="nosuch"), "nosuch"),
    "other shapes": (_change("config.json", hidden_size=64), "do not have the shapes that config.json gives"),
    "missing layers": (_change("config.json", num_hidden_layers=3), "16 weights are not in its files"),
    "truncated weights": (_truncate, "model.safetensors is damaged or incomplete"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
    "pickled weights": (_pickle, "its weights are in pytorch_model.bin only, and a pickle can run code"),
    "weights that are not numbers": (_not_a_number, "its vectors are not finite"),
    "no tokenizer": (_no_tokenizer, "has no tokenizer"),
    "no pooling": (lambda folder: shutil.rmtree(folder / "1_Pooling"), "modules.json names 1_Pooling"),
    "dimension mismatch": (_change("1_Pooling/config.json", embedding_dimension=64), "its vectors have 32 dimensions"),
    "code of its own": (
        _change("config.json", model_type="nosuch", auto_map={"AutoConfig": "code.Config"}),
        "comes with Python code of its own, which is not run by default",
    ),
}


@pytest.fixture
def broken_model(request: pytest.FixtureRequest, tmp_path: Path, tiny_teacher: Path) -> tuple[Path, str]:
    """A spoilt copy of the tiny teacher, and what must be said about it."""
    spoil, says = BROKEN_MODELS[request.param]
    folder = tmp_path / "broken"
    shutil.copytree(tiny_teacher, folder)
    spoil(folder)
    return folder, says


@pytest.mark.parametrize("broken_model", BROKEN_MODELS, indirect=True)
def test_a_teacher_that_cannot_be_used(
    distill: CommandServer,
    write_recipe: Recipe,
    broken_model: tuple[Path, str],
    nothing_left: Callable[[], None],
) -> None:
    folder, says = broken_model
    ended = distill.run("run", write_recipe(teacher={"model": str(folder)}))
    assert_refused(ended, f"teacher: {folder}: ", says)
    nothing_left()


@pytest.mark.parametrize("broken_model", ["truncated weights", "no tokenizer"], indirect=True)
def test_a_student_that_cannot_be_used(
    distill: CommandServer,
    write_recipe: Recipe,
    broken_model: tuple[Path, str],
    nothing_left: Callable[[], None],
) -> None:
    folder, says = broken_model
    ended = distill.run("run", write_recipe(student={"kind": "pretrained", "model": str(folder), "max_tokens": 32}))
    assert_refused(ended, f"student: {folder}: ", says)
    nothing_left()


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ({"model": "nobody/nothing"}, "teacher: nobody/nothing: the Hub cannot be reached"),
        ({"model": "nobody/nothing", "sha256": "a" * 64}, "teacher: nobody/nothing: the Hub cannot be reached"),
        ({"model": "nobody/nothing", "package": "numpy"}, "package numpy: carries no modules.json"),
    ],
)
def test_a_teacher_that_is_not_there(
    distill: CommandServer, write_recipe: Recipe, nothing_left: Callable[[], None], teacher: dict[str, str], says: str
) -> None:
    assert_refused(distill.run("run", write_recipe(teacher=teacher)), says)
    nothing_left()


def test_other_weights_than_the_recipe_names(
    distill: CommandServer, write_recipe: Recipe, tiny_teacher: Path, nothing_left: Callable[[], None]
) -> None:
    ended = distill.run("run", write_recipe(teacher={"model": str(tiny_teacher), "sha256": "a" * 64}))
    assert_refused(ended, "model.safetensors: sha256 is ", f"expected: {'a' * 64}", "get them again")
    nothing_left()


@pytest.mark.parametrize("section", ["teacher", "student"])
def test_more_tokens_than_positions(
    distill: CommandServer, write_recipe: Recipe, tiny_teacher: Path, nothing_left: Callable[[], None], section: str
) -> None:
    kind = {"kind": "pretrained"} if section == "student" else {}
    ended = distill.run("run", write_recipe(**{section: {**kind, "model": str(tiny_teacher), "max_tokens": 999}}))
    assert_refused(ended, f"{section}: {tiny_teacher}: max_tokens is 999", "expected: at most 64")
    nothing_left()


# test sets


def test_a_malformed_test_set(
    distill: CommandServer, write_recipe: Recipe, tmp_path: Path, nothing_left: Callable[[], None]
) -> None:
    path = tmp_path / "mine" / "en-uk.tsv"
    path.parent.mkdir()
    path.write_text("score\tsentence1\tsentence2\n9\tA\tB\n")
    ended = distill.run("run", write_recipe(evaluation={"suites": [str(path.parent)]}))
    assert_refused(ended, f"{path}:2: score '9'", "expected: a number from 0 to 5")
    nothing_left()


# disks and run directories


def test_a_full_disk_stops_a_run_that_can_be_resumed(
    distill: CommandServer, write_recipe: Recipe, tmp_path: Path, private_cache: Path
) -> None:
    recipe, run = write_recipe(), tmp_path / "runs" / "small"
    places = []
    for disk_bytes in (1_000, 10_000, 40_000, 100_000, 300_000, 500_000):
        ended = distill.run("run", recipe, "--resume", disk_bytes=disk_bytes)
        assert_refused(ended, "the disk is full", "start again with --resume")
        places.append(ended.errors.split("error: ")[1].split(": the disk")[0].removeprefix(f"{private_cache}/"))
        assert not list(private_cache.rglob("tmp-*"))
        assert not (run / "model").exists()
    assert {Path(place).parts[0] for place in places} == {"corpora", "/"}
    ended = distill.run("run", recipe, "--resume")
    assert ended.code == 0, ended.errors
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert json.loads((run / "scores.json").read_text())["scores"]


def test_a_run_directory_of_another_recipe(distill: CommandServer, write_recipe: Recipe, tmp_path: Path) -> None:
    assert distill.run("run", write_recipe()).code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    training = {"batch_size": 8, "trackers": []}
    ended = distill.run("run", write_recipe(training=training), "--resume")
    assert_refused(ended, "holds a run of another recipe", "training.batch_size: 16 there, 8 here", "--fresh")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before


@pytest.mark.parametrize(("key", "value"), [("runs", "/dev/null/runs"), ("DISTILL_CACHE", "/dev/null/cache")])
def test_a_folder_that_cannot_be_made(
    distill: CommandServer, write_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    if key == "DISTILL_CACHE":
        monkeypatch.setitem(os.environ, key, value)
        ended = distill.run("run", write_recipe())
    else:
        ended = distill.run("run", write_recipe(runs=value))
    assert_refused(ended, value, "another folder")
