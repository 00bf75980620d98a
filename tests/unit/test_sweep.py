"""Variants of a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.errors import RecipeError
from distill.evaluate import Score
from distill.pipeline import Outcome
from distill.recipe import Recipe
from distill.sweep import sweep, variants


@pytest.fixture
def path(tmp_path: Path) -> Path:
    document = {
        "name": "x",
        "teacher": {"model": "a/b"},
        "student": {"kind": "transplant"},
        "corpora": {"everyday": {"bundled": "everyday", "languages": ["uk"]}},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(document))
    return tmp_path / "r.yaml"


def test_every_combination_is_a_recipe_of_its_own(path: Path) -> None:
    chosen = variants(path, ["training.epochs=1,2", "training.batch_size=8,16,32"], ["seed=5"])
    found = {v.label: (v.recipe.training.epochs, v.recipe.training.batch_size, v.recipe.seed) for v in chosen}
    assert found == {f"epochs={e} batch_size={b}": (e, b, 5) for e in (1, 2) for b in (8, 16, 32)}
    assert chosen[0].recipe.name == "x-epochs-1-batch_size-8"
    assert len({variant.recipe.name for variant in chosen}) == 6


def test_commas_inside_brackets_part_no_values(path: Path) -> None:
    rates = "training.learning_rate=1e-4, {body: 1e-4, embeddings: 2e-3}"
    one, two = (v.recipe.training.learning_rate for v in variants(path, [rates]))
    assert (one.body, one.embeddings, two.body, two.embeddings) == (1e-4, 1e-4, 1e-4, 2e-3)


def test_keys_with_the_same_end_are_written_in_full(path: Path) -> None:
    (variant,) = variants(path, ["student.max_tokens=64", "teacher.max_tokens=64"])
    assert variant.label == "student.max_tokens=64 teacher.max_tokens=64"


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        (["training.epochs"], "not a key and values"),
        (["training.epochs="], "not a key and values"),
        (["training.epochs=1,none"], "--set training.epochs=none"),
        (["training.epoch=1,2"], 'did you mean "epochs"'),
        (["training.epochs=1,1"], "would both run as x-epochs-1"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(path: Path, vary: list[str], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        variants(path, vary)
    assert says in str(caught.value)


def test_students_are_scored_under_the_label_of_their_variant(path: Path) -> None:
    def run(recipe: Recipe) -> Outcome:
        scores = [
            Score("s", "en-uk", "spearman", model, recipe.training.epochs / 10, 9) for model in ("teacher", "student")
        ]
        return Outcome(Path(recipe.name), scores, {})

    scores = sweep(variants(path, ["training.epochs=1,2"]), run)
    assert [(score.model, score.value) for score in scores] == [("epochs=1", 0.1), ("epochs=2", 0.2)]
