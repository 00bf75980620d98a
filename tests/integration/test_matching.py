"""Teacher-layer matching: a student of fewer layers, its hidden states drawn to the teacher's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from command import CommandServer
from sentence_transformers import SentenceTransformer

from distill import pipeline
from distill.corpora import SentenceFilter, load_corpora
from distill.errors import RunError
from distill.matching import LayerMatching, layer_matching
from distill.mixture import Step
from distill.pipeline import embed_corpora, make_accelerator, training_data
from distill.recipe import load_recipe
from distill.student import build_student
from distill.teacher import load_teacher

CPU = torch.device("cpu")
LAYERS = {"keep": [1], "match": 0.5}
STUDENT = {"kind": "transplant", "vocabulary": {"size": 800}, "max_tokens": 32, "layers": LAYERS}


@pytest.fixture
def matching(write_recipe: Callable[..., Path]) -> LayerMatching:
    """The layer matching of a run whose student keeps the second of two layers."""
    return make_matching(write_recipe(student=STUDENT))


def make_matching(path: Path) -> LayerMatching:
    """Return the layer matching of a recipe."""
    recipe = load_recipe(path)
    accelerator = Accelerator(cpu=True)
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    embed_corpora(teacher, recipe, corpora, accelerator)
    student = build_student(recipe.student, teacher, corpora, CPU)
    data = training_data(recipe, teacher, teacher.targets, student, corpora, accelerator)
    found = layer_matching(recipe, student, data, accelerator)
    assert found
    return found


def test_the_kept_layer_is_compared_with_the_layer_it_was(matching: LayerMatching) -> None:
    rows = np.arange(12)
    loss = matching.backward(Step(0, 0, "mse", rows, english=True))
    # By hand, a text at a time: the mean over all tokens of the output of the second layer.
    teacher, encoder = matching.teacher, matching.student[0].model
    squares, count = 0.0, 0
    with torch.inference_mode():
        for text in np.unique(matching.texts["mse"][rows]):
            ids = torch.from_numpy(np.array(matching.tokens.read(np.array([text]))[0], np.int64))[None]
            own, other = encoder(ids).last_hidden_state, teacher(ids).last_hidden_state
            squares, count = squares + float((own - other).square().sum()), count + own.numel()
    assert squares > 0
    assert float(loss) == pytest.approx(0.5 * squares / count, rel=1e-4)
    gradients = {name: p.grad for name, p in matching.student.named_parameters() if p.grad is not None}
    assert any("layer.0" in name and gradient.abs().sum() > 0 for name, gradient in gradients.items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_rows_that_the_teacher_has_beyond_its_pieces_are_no_pieces(
    write_recipe: Callable[..., Path], tmp_path: Path, tiny_teacher: Path
) -> None:
    spare = SentenceTransformer(str(tiny_teacher), device="cpu")
    pieces = len(spare.tokenizer)
    spare[0].model.resize_token_embeddings(pieces + 64)
    spare.save_pretrained(str(tmp_path / "spare"))
    rows = ["english\tnon_english", "Åse på øen sover.\tÅse sover på øen.", "A dog sleeps.\tEn hund sover."] * 20
    (tmp_path / "rows.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    corpora = {"own": {"files": str(tmp_path / "rows.tsv"), "languages": ["da"], "dev_rows": 0}}
    own = {"corpora": corpora, "cleaning": "off", "teacher": {"model": str(tmp_path / "spare")}}
    matching = make_matching(write_recipe(student=STUDENT, **own))
    texts = np.unique(matching.texts["mse"])
    longest = [int(row.max()) for row in matching.tokens.read(texts)]
    assert any(pieces <= number < pieces + 64 for number in longest)
    seen: list[int] = []
    matching.teacher.register_forward_pre_hook(
        lambda _, __, given: seen.append(int(given["input_ids"].max())), with_kwargs=True
    )
    matching.backward(Step(0, 0, "mse", np.arange(len(matching.texts["mse"])), english=True))
    assert max(seen) < pieces


def test_steps_that_do_not_train_english_match_nothing(matching: LayerMatching) -> None:
    assert float(matching.backward(Step(0, 0, "mse", np.arange(4), english=False))) == 0
    assert all(parameter.grad is None for parameter in matching.student.parameters())


def test_a_run_with_matching_is_resumed_as_if_it_had_not_stopped(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    training = {"batch_size": 16, "learning_rate": 1e-3, "precision": "fp32", "trackers": [], "max_steps": 6}
    recipe = write_recipe(student=STUDENT, training={**training, "checkpoint_every": 2}, evaluation={"suites": []})
    ended = distill.run("run", recipe)
    assert ended.code == 0, ended.errors
    folder = tmp_path / "runs" / "small"

    def losses() -> dict[int, float]:
        events = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        return {event["step"]: event["loss"] for event in events if event["event"] == "train"}

    whole = losses()
    # As if it had been killed after a checkpoint.
    newest, *_ = sorted((folder / "checkpoints").iterdir(), reverse=True)
    shutil.rmtree(newest)
    shutil.rmtree(folder / "model")
    (folder / "scores.json").unlink()
    ended = distill.run("run", recipe, "--resume")
    assert ended.code == 0, ended.errors
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "resume"] == [4]
    assert losses() == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"student": {"kind": "pretrained", "model": "a/b", "layers": LAYERS}}, "other tokens and layers"),
        ({"student": {**STUDENT, "vocabulary": {"mode": "replace"}}}, "the vocabulary is replaced"),
        ({"student": {**STUDENT, "model": "a/b", "add": "da"}}, "layers of an earlier student"),
        (
            {"student": STUDENT, "objectives": {"only": {"loss": "mse", "english_share": 0}}},
            "no objective trains the English side",
        ),
    ],
)
def test_matching_needs_the_teachers_own_tokens_and_layers(
    distill: CommandServer, write_recipe: Callable[..., Path], sections: dict[str, object], says: str
) -> None:
    ended = distill.run("check", write_recipe(**sections))
    assert ended.code == 2
    assert "student.layers.match" in ended.errors
    assert says in ended.errors


def test_several_processes_are_refused_before_the_work(
    write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(write_recipe(student=STUDENT))
    make_accelerator(recipe)
    two = SimpleNamespace(device=torch.device("cpu"), num_processes=2)
    monkeypatch.setattr(pipeline, "_process_state", lambda: two)
    with pytest.raises(RunError, match="2 processes") as error:
        make_accelerator(recipe)
    assert error.value.where == "student.layers.match"
    make_accelerator(load_recipe(write_recipe()))
