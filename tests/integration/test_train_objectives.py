"""Runs with losses of all kinds: gradients, heads and scales, dev losses, and what is shipped with the model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from click.testing import CliRunner
from command import CommandServer

from distill.cli import main
from distill.corpora import SentenceFilter, load_corpora
from distill.errors import RunError
from distill.mixture import Step
from distill.objectives import load_head
from distill.pipeline import embed_corpora, run_recipe, training_data
from distill.recipe import load_recipe
from distill.rundir import RunDirectory
from distill.student import build_student
from distill.teacher import load_teacher
from distill.train import Trainer

CPU = torch.device("cpu")
TRAINING: dict[str, Any] = {
    "batch_size": 12,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "trackers": [],
    "evaluate_every": 10,
    "checkpoint_every": 7,
}


@pytest.fixture
def make_trainer(write_recipe: Callable[..., Path], mixed_sections: dict[str, Any]) -> Iterator[Callable[..., Trainer]]:
    """Yield a function that makes a trainer; keyword arguments change the recipe's training section."""
    runs: list[RunDirectory] = []

    def make(**training: Any) -> Trainer:
        AcceleratorState._reset_state(reset_partial_state=True)
        recipe = load_recipe(write_recipe(training={**TRAINING, **training}, **mixed_sections))
        torch.manual_seed(recipe.seed)
        accelerator = Accelerator(cpu=True)
        teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
        embed_corpora(teacher, recipe, corpora, accelerator)
        student = build_student(recipe.student, teacher, corpora, CPU)
        data = training_data(recipe, teacher, teacher.store, student, corpora, accelerator)
        runs.append(RunDirectory.open(recipe.model_copy(update={"name": f"small-{len(runs)}"})))
        return Trainer(recipe, student, data, runs[-1], accelerator)

    yield make
    for run in runs:
        run.close()


def gradient(trainer: Trainer, objective: str) -> tuple[float, torch.Tensor]:
    """Return the loss of an objective's first rows and its gradient, of the student and of the heads."""
    rows = np.arange(min(24, len(trainer.data.train[objective])))
    loss, _ = trainer.gradients.backward(Step(3, 0, objective, rows, english=True))
    parameters = [*trainer.encoder.parameters(), *trainer.heads.parameters()]
    found = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
    trainer.optimizer.zero_grad()
    return float(loss), found


def test_the_gradient_is_the_same_however_many_parts_a_batch_has(make_trainer: Callable[..., Trainer]) -> None:
    whole, parts = make_trainer(), make_trainer(micro_batch_size=5)
    for trainer in (whole, parts):  # in English the student is the teacher still: some losses would be 0
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in trainer.encoder.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
    for objective in whole.objectives:
        loss, expected = gradient(whole, objective)
        found_loss, found = gradient(parts, objective)
        assert found_loss == pytest.approx(loss, rel=1e-5)
        assert expected.abs().max() > 1e-4
        assert (found - expected).norm() < 1e-5 * expected.norm(), objective  # fp32 rounds to about 1e-6


def test_dropout_is_drawn_once(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(dropout=0.3, micro_batch_size=5)
    trainer.encoder.train()
    seen: list[torch.Tensor] = []
    encode = trainer.gradients.encode

    def recorded(texts: Any) -> Any:
        vectors, tokens = encode(texts)
        seen.append(vectors.detach())
        return vectors, tokens

    monkeypatch.setattr(trainer.gradients, "encode", recorded)
    step = Step(0, 0, "contrastive", np.arange(24), english=True)
    trainer.gradients.backward(step)
    half = len(seen) // 2
    assert half > 2
    assert all(torch.equal(first, second) for first, second in zip(seen[:half], seen[half:], strict=True))
    again = len(seen)
    trainer.gradients.backward(step)
    assert not torch.equal(seen[again], seen[0])  # the state goes on


def test_a_sentence_of_a_batch_is_encoded_once(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    data = trainer.data.train["contrastive"]
    rows = np.concatenate([np.arange(6), np.arange(6)])
    _, tokens = trainer.gradients.backward(Step(0, 0, "contrastive", rows, english=True))
    texts = np.unique(data.texts[rows])
    assert tokens == int(trainer.data.tokens.lengths(texts[texts >= 0]).sum())


def test_only_the_vectors_that_a_loss_reads_are_computed(
    write_recipe: Callable[..., Path], mixed_sections: dict[str, Any]
) -> None:
    chosen = {name: mixed_sections["objectives"][name] for name in ("order", "topic")}
    corpora = {name: mixed_sections["corpora"][name] for name in ("scored", "topics")}
    chosen["mse"] = {"loss": "mse"}
    corpora["parallel"] = mixed_sections["corpora"]["parallel"]
    recipe = load_recipe(write_recipe(corpora=corpora, objectives=chosen))
    AcceleratorState._reset_state(reset_partial_state=True)
    teacher, loaded = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    embed_corpora(teacher, recipe, loaded, Accelerator(cpu=True))
    for corpus in loaded:
        for column in corpus.columns:
            found = teacher.store.find(corpus.keys[column][corpus.train]) >= 0
            assert found.all() if column == "english" else not found.any()


def test_a_learnable_scale_moves_within_its_bound(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=20, learning_rate={"body": 1e-4, "embeddings": 1e-4, "heads": 0.1})
    trainer.train()
    moved = float(trainer.heads.scale("contrastive").detach())
    assert abs(moved - 10) > 0.05
    assert moved <= 100
    with torch.no_grad():
        trainer.heads.log_scales["contrastive"].fill_(math.log(500))
    trainer.train_step(next(trainer.schedule.steps()))
    assert float(trainer.heads.scale("contrastive").detach()) == pytest.approx(100)


def test_dev_losses_do_not_depend_on_the_step_of_a_scheduled_scale(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=6, evaluate_every=3, learning_rate=1e-12)
    trainer.train()
    first, last = trainer.state.sets.values()
    assert first == pytest.approx(last, abs=1e-5)
    weights = [trainer.objectives[name.split(":")[0]].weight for name in first]
    mean = sum(w * loss for w, loss in zip(weights, first.values(), strict=True)) / len(first)
    assert trainer.state.dev["3"] == pytest.approx(mean)


def test_a_dev_loss_that_is_no_number_ends_the_run(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        next(trainer.heads.classifiers["topic"].parameters()).fill_(math.nan)
    with pytest.raises(RunError, match=r"dev rows of topics da: the loss of objectives.topic is nan"):
        trainer._evaluate()


def test_vectors_cannot_be_cut_to_more_than_they_have(
    make_trainer: Callable[..., Trainer], mixed_sections: dict[str, Any]
) -> None:
    mixed_sections["objectives"]["mse"]["matryoshka"] = [64, 16]
    with pytest.raises(RunError, match=r"objectives.mse.matryoshka: found 64") as caught:
        make_trainer()
    assert caught.value.expected.startswith("at most 32")


def test_the_selected_heads_are_those_of_the_best_weights(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=20, evaluate_every=5)
    means, heads = iter([3.0, 1.0, 2.0, 2.0]), []

    def dev_losses(step: int) -> dict[str, dict[str, float]]:
        heads.append({name: tensor.clone() for name, tensor in trainer.heads.state_dict().items()})
        return {"mse": {"a": next(means)}}

    trainer.gradients.dev_losses = dev_losses  # type: ignore[method-assign]
    result = trainer.train()
    assert result.step == 10
    found = result.heads.state_dict()
    assert all(torch.equal(found[name], heads[1][name]) for name in found)
    assert any(not torch.equal(found[name], heads[3][name]) for name in found)


@pytest.mark.parametrize("every", [4, 5])
def test_scores_can_select_the_weights(make_trainer: Callable[..., Trainer], every: int) -> None:
    trainer = make_trainer(max_steps=12, select_by="loss")
    trainer.section = trainer.section.model_copy(update={"select_by": "scores"})
    trainer.score_every = every
    means = iter([0.2, 0.7, 0.3])
    trainer.score = lambda student, step: next(means)
    result = trainer.train()
    steps = [4, 8, 12] if every == 4 else [5, 10, 12]
    logged = [event for event in trainer.run.read_log() if event["event"] == "mean score"]
    assert [event["step"] for event in logged] == steps
    assert [event["score"] for event in logged] == pytest.approx([0.2, 0.7, 0.3])
    assert result.step == steps[1]
    trainer.score = lambda student, step: math.nan
    with pytest.raises(RunError, match="their mean is nan"):
        trainer._score()


def test_a_run_of_all_losses(
    write_recipe: Callable[..., Path], mixed_sections: dict[str, Any], tmp_path: Path, tiny_teacher: Path
) -> None:
    recipe = load_recipe(write_recipe(training={**TRAINING, "epochs": 2}, **mixed_sections))
    AcceleratorState._reset_state(reset_partial_state=True)
    outcome = run_recipe(recipe)
    run = tmp_path / "runs" / "small"
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    sets = next(event["sets"] for event in events if event["event"] == "dev")
    assert {name.split(":")[0] for name in sets} == set(mixed_sections["objectives"])
    assert {name for name in sets if name.startswith("contrastive")} == {
        "contrastive: parallel en-uk",
        "contrastive: parallel en-da",
        "contrastive: triplets en",
        "contrastive: triplets en/pairs",
    }
    assert "| topic: topics da |" in (run / "report.md").read_text()
    assert set(outcome.dev[str(outcome.weights_from)]) == {*sets, "mean"}

    card = (run / "model" / "README.md").read_text()
    assert "| topic | 0, 1, 2 |" in card
    described = json.loads((run / "model" / "heads.json").read_text())
    assert described["heads"]["topic"]["labels"] == ["0", "1", "2"]
    assert described["scales"]["contrastive"] != 10
    head = load_head(run / "model", "topic")

    texts = tmp_path / "texts.txt"
    texts.write_text("Katten sover.\nHun har et hus med have.\n", encoding="utf-8")
    answer = CliRunner().invoke(main, ["predict", str(run), "--head", "topic", "--jsonl", str(texts)])
    assert answer.exit_code == 0, answer.output
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(run / "model"), device="cpu").encode(texts.read_text().splitlines())
    expected = head.probabilities(vectors)
    for line, probabilities in zip(answer.stdout.splitlines(), expected, strict=True):
        found = json.loads(line)
        assert list(found["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-5)
        assert found["label"] == head.labels[int(probabilities.argmax())]


def test_predict_writes_tsv_and_says_what_is_wrong(
    distill: CommandServer, write_recipe: Callable[..., Path], mixed_sections: dict[str, Any], tmp_path: Path
) -> None:
    sections = {
        part: {k: v for k, v in mixed_sections[part].items() if k in names}
        for part, names in (("corpora", ("parallel", "topics")), ("objectives", ("mse", "topic")))
    }
    recipe = write_recipe(training={**TRAINING, "max_steps": 4}, evaluation={"suites": []}, **sections)
    assert distill.run("run", recipe).code == 0
    model, texts = tmp_path / "runs" / "small" / "model", tmp_path / "texts.txt"
    texts.write_text("Katten sover.\nHun har et hus.\n", encoding="utf-8")
    lines = distill.run("predict", model, "--head", "topic", texts).output.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["Katten sover.", "Hun har et hus."]
    assert all(line.split("\t")[0] in {"0", "1", "2"} and 0 < float(line.split("\t")[1]) <= 1 for line in lines)
    assert 'did you mean "topic"?' in distill.run("predict", model, "--head", "topc", texts).errors
    texts.write_text("Katten sover.\n\n", encoding="utf-8")
    assert "texts.txt:2: an empty line" in distill.run("predict", model, "--head", "topic", texts).errors
    texts.write_bytes("Sø.\n".encode("latin-1"))
    assert "texts.txt: not UTF-8" in distill.run("predict", model, "--head", "topic", texts).errors
    weights = model / "heads" / "topic.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert "is damaged" in distill.run("predict", model, "--head", "topic", texts.with_name("small.yaml")).errors
