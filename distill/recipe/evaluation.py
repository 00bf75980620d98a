"""Evaluation: what scores the student."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.files import shipped_folder
from distill.recipe.section import Section
from distill.recipe.values import MisfitError, ModelName, OneOrMore, Pairs, PositiveInt, Text

MODELS = ("teacher", "untrained", "student")
"""Columns of a run's table of scores; those of its baselines come after them."""


def declared_suites() -> tuple[str, ...]:
    """Return the names of the test suites that ship with this program: those of their declarations."""
    return tuple(sorted(path.stem for path in shipped_folder("suites").glob("*.yaml")))


class EvaluationSection(Section):
    """What scores the student, beside the teacher and the student before training."""

    suites: Annotated[tuple[Text, ...], OneOrMore] = Field(
        ("everyday",),
        description="Test sets: suites by name (`distill suites` lists them), or files: a folder of `en-uk.tsv` files "
        "(score, sentence1, sentence2 or english, non_english), or a declaration such as my-suite.yaml.",
    )
    pairs: Pairs | None = Field(None, description="Language pairs to score; those of the recipe if absent.")
    near_duplicates: Literal["remove", "keep"] = Field(
        "remove",
        description="What to do with rows that nearly have a sentence of a test set (80 % of all trigrams of the two "
        "in common) on a side. The same sentences are always removed.",
    )
    every: PositiveInt | None = Field(
        None, description="Steps between scores while training; only before and after it if absent."
    )
    baselines: dict[str, ModelName] = Field(
        {}, description="Other models to score beside: a name for the table → Hub id or local folder."
    )

    @model_validator(mode="after")
    def _names(self) -> EvaluationSection:
        for name in self.baselines:
            if name in MODELS:
                raise MisfitError(("baselines", name), f"{name!r} is a column of every run", expected="another name")
        return self
