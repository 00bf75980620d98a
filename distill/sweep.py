"""Comparing ways of training: variants of one recipe, run one after the other and scored side by side."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distill.errors import RecipeError
from distill.evaluate import Score
from distill.pipeline import Outcome, run_recipe
from distill.recipe import Recipe, load_recipe

OPENING, CLOSING = "([{", ")]}"
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 100


@dataclass(frozen=True)
class Variant:
    """One way of training.

    Attributes:
        label: what differs, such as `mixture.sampling=equal`.
        recipe: the recipe with it, under a name of its own.
    """

    label: str
    recipe: Recipe


def variants(path: Path, vary: Sequence[str], overrides: Sequence[str] = ()) -> list[Variant]:
    """Return a recipe with every combination of the values of some keys.

    Args:
        path: the recipe's file.
        vary: `key=a,b,c` each; a comma inside brackets or braces parts no values.
        overrides: `key=value`, the same for all.

    Raises:
        RecipeError: a variant is no valid recipe, or two are the same.
    """
    base = load_recipe(path, overrides)
    choices = [list(_choices(text)) for text in vary]
    found: dict[str, Variant] = {}
    for chosen in itertools.product(*choices):
        label = " ".join(_shortened(chosen))
        name = run_name(base, label.replace("=", "-"))
        recipe = load_recipe(path, [*overrides, *chosen, f"name={name}"])
        if name in found:
            raise RecipeError("--vary", f"{label!r} and {found[name].label!r} would both run as {name}")
        found[name] = Variant(label, recipe)
    return list(found.values())


def run_name(base: Recipe, label: str) -> str:
    """Return the name of a run that differs from a recipe's in what `label` says."""
    return f"{base.name}-{NOT_IN_A_NAME.sub('-', label).strip('-')}"[:LONGEST_NAME]


def _shortened(chosen: Sequence[str]) -> list[str]:
    """Return `key.sub=value` as `sub=value` where no two would then be of the same key."""
    short = [text.partition("=")[0].rpartition(".")[2] + "=" + text.partition("=")[2] for text in chosen]
    return short if len({text.partition("=")[0] for text in short}) == len(short) else list(chosen)


def _choices(text: str) -> Iterator[str]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise RecipeError(f"--vary {text}", "not a key and values", expected="key.sub=a,b,c")
    for value in _parts(values):
        yield f"{key.strip()}={value.strip()}"


def _parts(values: str) -> Iterator[str]:
    """Yield what stands between commas outside brackets."""
    depth = start = 0
    for place, character in enumerate(values):
        depth += (character in OPENING) - (character in CLOSING)
        if character == "," and not depth:
            yield values[start:place]
            start = place + 1
    yield values[start:]


def sweep(
    chosen: Sequence[Variant], run: Callable[[Recipe], Outcome] = lambda recipe: run_recipe(recipe, mode="resume")
) -> list[Score]:
    """Return the scores of the students of all variants, each under its variant's label.

    Variants that were run before are not run again, and a killed one goes on where it stopped.
    """
    scores: list[Score] = []
    for variant in chosen:
        outcome = run(variant.recipe)
        scores += [replace(score, model=variant.label) for score in outcome.scores if score.model == "student"]
    return scores
