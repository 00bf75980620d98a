"""Objectives: what the corpora teach, a section for each loss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from distill.errors import nearest
from distill.recipe.corpora import CorpusSection
from distill.recipe.section import Section
from distill.recipe.values import MisfitError, Positive, PositiveInt, Share, Texts

OBJECTIVE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""Names of objectives: heads are saved in files of these names."""

Margin = Annotated[float, Field(ge=0, le=2, strict=True)]
"""A difference of cosines."""

Number = Annotated[float, Field(strict=True)]

ALL_ROWS = ("parallel", "pairs", "triplets", "scored", "labelled")


class Scale(Section):
    """Factor of the cosines before the softmax, the inverse of a temperature: fixed, scheduled or learnt."""

    start: Positive | None = Field(None, alias="from", description="Scale in the first step; a plain number sets it.")
    to: Positive | None = Field(None, description="Scale that a linear schedule ends with.")
    steps: PositiveInt | None = Field(None, description="Optimizer steps of the run until it has reached `to`.")
    learnable: Positive | None = Field(
        None, description="Scale that training starts with; it is learnt as exp(C) (CLIP, Radford et al. 2021)."
    )
    at_most: Positive = Field(100.0, description="Bound of a learnable scale.")

    @model_validator(mode="after")
    def _one_form(self) -> Scale:
        given = [key for key, value in (("from", self.start), ("to", self.to), ("steps", self.steps)) if value]
        if self.learnable is None and given in (["from"], ["from", "to", "steps"]):
            return self
        if self.learnable is not None and not given:
            if self.learnable > self.at_most:
                raise MisfitError(("learnable",), f"found {self.learnable:g}", expected=f"at most {self.at_most:g}")
            return self
        raise MisfitError(
            (),
            f"{', '.join([*given, *['learnable'] * (self.learnable is not None)]) or 'nothing'} given",
            expected="a number, {from: 1, to: 23, steps: 10000} or {learnable: 20}",
        )


def _fixed_scale(value: Any) -> Any:
    return {"from": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class FalseNegatives(Section):
    """Candidates that the teacher finds too close to the anchor are no negatives (GISTEmbed, Solatorio 2024)."""

    margin: Margin = Field(
        0.0, description="A candidate is left out if its similarity is above the positive's less this margin."
    )
    relative: bool = Field(False, description="The margin is a share of the positive's similarity.")


class ObjectiveSection(Section):
    """What all objectives have."""

    rows: ClassVar[tuple[str, ...]]
    """Kinds of rows that the loss takes."""

    loss: str
    corpora: Texts | None = Field(
        None, description="Names of the corpora it trains on; all with rows that the loss takes if absent."
    )
    weight: Positive = Field(1.0, description="Factor of this objective's loss.")
    matryoshka: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = Field(
        None, description="Lengths to which vectors are cut, such as [384, 256, 128]; the losses of all are added."
    )
    matryoshka_weights: tuple[Positive, ...] | None = Field(None, description="Factor of each length; 1 if absent.")

    @model_validator(mode="after")
    def _matryoshka(self) -> ObjectiveSection:
        lengths, weights = self.matryoshka or (), self.matryoshka_weights
        if len(set(lengths)) < len(lengths):
            raise MisfitError(("matryoshka",), f"found {list(lengths)}", expected="each length once")
        if weights is not None and len(weights) != len(lengths):
            raise MisfitError(
                ("matryoshka_weights",), f"{len(weights)} weights for {len(lengths)} lengths", expected="one for each"
            )
        return self

    @property
    def reads_teacher(self) -> bool:
        """Whether the loss compares with the teacher's vectors."""
        return self.loss in ("mse", "cosine", "similarity", "margin_mse")


def _only_for(section: SimilarityObjective | ScoredObjective, form: str, key: str) -> None:
    """Check that a key that only one form of a loss reads is not set for another.

    Raises:
        MisfitError: it is.
    """
    value = getattr(section, key)
    if section.form != form and value != type(section).model_fields[key].default:
        raise MisfitError((key,), f"found {value:g}, which form: {section.form} does not read", hint="leave it out")


class SimilarityTerm(Section):
    """Each side of a row told from other rows as the teacher tells the English one (SEED, Fang et al. 2021)."""

    weight: Positive = Field(
        1.5,
        description="Factor of this term; 1.5 is for mse and a teacher whose vectors have length 1.",
    )
    temperature: Positive = Field(0.05, description="What the cosines are divided by before the softmax.")
    candidates: Annotated[int, Field(ge=0, strict=True)] = Field(
        512,
        description="Number of the teacher's vectors, of random rows in each step, beside the batch.",
    )


class TranslationObjective(ObjectiveSection):
    """What the losses have that put both sides of a parallel row where the teacher puts the English one."""

    rows: ClassVar[tuple[str, ...]] = ("parallel",)
    english_share: Share = Field(
        1.0,
        description="Share of the steps that train the English side too; the other side is trained in all.",
    )
    similarity: SimilarityTerm | None = Field(
        None,
        description="Tell each side of a row from others as the teacher does, in steps that train both: {weight: 1.5}.",
    )

    @model_validator(mode="after")
    def _both_sides(self) -> TranslationObjective:
        if self.similarity and not self.english_share:
            raise MisfitError(
                ("similarity",), "no step trains the English side", expected="an english_share above 0, such as 1"
            )
        return self


class MseObjective(TranslationObjective):
    """Put a sentence and its translation where the teacher puts the English one (Reimers & Gurevych 2020)."""

    loss: Literal["mse"] = "mse"


class CosineObjective(TranslationObjective):
    """Turn a sentence and its translation to where the teacher puts the English one: 1 − cosine."""

    loss: Literal["cosine"]


class SimilarityObjective(ObjectiveSection):
    """Reproduce the teacher's similarities within a batch.

    kl: as soft labels (SEED, Fang et al. 2021); mse: each by itself (Tung & Mori 2019).
    """

    rows: ClassVar[tuple[str, ...]] = ALL_ROWS
    loss: Literal["similarity"]
    form: Literal["kl", "mse"] = Field("kl", description="Divergence of the softmax, or squared error of cosines.")
    temperature: Positive = Field(0.05, description="kl only: what the cosines are divided by before the softmax.")

    @model_validator(mode="after")
    def _read(self) -> SimilarityObjective:
        _only_for(self, "kl", "temperature")
        return self


class ContrastiveObjective(ObjectiveSection):
    """Tell a row's positive from the other texts of the batch (InfoNCE; Henderson et al. 2017)."""

    rows: ClassVar[tuple[str, ...]] = ("parallel", "pairs", "triplets")
    loss: Literal["contrastive"]
    scale: Annotated[Scale, BeforeValidator(_fixed_scale, json_schema_input_type=float | Scale)] = Field(
        Scale.model_validate({"from": 20.0}),
        description="A number, {from: 1, to: 23, steps: 10000} or {learnable: 20}.",
    )
    symmetric: bool = Field(False, description="Tell the anchor of a positive from the other anchors too.")
    margin: Margin = Field(
        0.0, description="Taken from the positive's cosine; 0.3 in LaBSE (Yang et al. 2019; Feng et al. 2022)."
    )
    false_negatives: FalseNegatives | None = Field(
        None, description="Leave out negatives that the teacher finds as close as the positive: {margin: 0.1}."
    )

    @property
    def reads_teacher(self) -> bool:
        """Whether the teacher says which candidates are no negatives."""
        return self.false_negatives is not None


class TripletObjective(ObjectiveSection):
    """Keep the negative farther from the anchor than the positive by a margin (Schroff et al. 2015)."""

    rows: ClassVar[tuple[str, ...]] = ("triplets",)
    loss: Literal["triplet"]
    distance: Literal["cosine", "euclidean"] = Field("cosine", description="1 − cosine, or the length between them.")
    margin: Positive = Field(0.2, description="Smallest difference of the distances that costs nothing.")


class ScoredObjective(ObjectiveSection):
    """Learn people's scores of pairs.

    cosent: their order in the batch (CoSENT, Su 2022); cosine: the cosine is the score.
    """

    rows: ClassVar[tuple[str, ...]] = ("scored",)
    loss: Literal["scored"]
    form: Literal["cosent", "cosine"] = Field("cosent", description="The order of the scores, or their values.")
    score_range: tuple[Number, Number] | None = Field(
        None, description="Lowest and highest score, such as [0, 5]; they become 0 and 1."
    )
    scale: Positive = Field(20.0, description="cosent only: factor of the cosines.")

    @model_validator(mode="after")
    def _range(self) -> ScoredObjective:
        _only_for(self, "cosent", "scale")
        if self.score_range and self.score_range[0] >= self.score_range[1]:
            raise MisfitError(("score_range",), f"found {list(self.score_range)}", expected="[lowest, highest]")
        return self


class ClassificationObjective(ObjectiveSection):
    """Predict a text's label with a head on the vector, which is shipped with the model."""

    rows: ClassVar[tuple[str, ...]] = ("labelled",)
    loss: Literal["classification"]
    hidden: PositiveInt | None = Field(None, description="Size of a hidden layer of the head; linear if absent.")


class MarginMseObjective(ObjectiveSection):
    """Reproduce how much closer the teacher finds the positive than the negatives (Hofstätter et al. 2020)."""

    rows: ClassVar[tuple[str, ...]] = ("triplets",)
    loss: Literal["margin_mse"]


Objective = Annotated[
    MseObjective
    | CosineObjective
    | SimilarityObjective
    | ContrastiveObjective
    | TripletObjective
    | ScoredObjective
    | ClassificationObjective
    | MarginMseObjective,
    Field(discriminator="loss"),
]


def check_objectives(objectives: Mapping[str, Objective], corpora: Mapping[str, CorpusSection]) -> None:
    """Check that each objective has corpora whose rows its loss takes, and each corpus an objective.

    Raises:
        MisfitError: one has not.
    """
    used: set[str] = set()
    for name, objective in objectives.items():
        if not OBJECTIVE_NAME.fullmatch(name):
            raise MisfitError(("objectives", name), f"the name {name!r}", expected="letters, digits, _ and - only")
        for place, corpus in enumerate(objective.corpora or ()):
            if corpus not in corpora:
                raise MisfitError(
                    ("objectives", name, "corpora", place),
                    f"no corpus {corpus!r}",
                    expected=f"one of {', '.join(corpora)}",
                    hint=nearest(corpus, corpora),
                )
            if reason := _unfit(objective, corpora[corpus]):
                raise MisfitError(("objectives", name, "corpora", place), f"{corpus!r} {reason[0]}", expected=reason[1])
        fit = corpora_of_objective(objective, corpora)
        if not fit:
            _, expected = _unfit(objective, next(iter(corpora.values()))) or ("", "")
            raise MisfitError(("objectives", name), f"no corpus for loss: {objective.loss}", expected=expected)
        used |= set(fit)
    for name, section in corpora.items():
        if name not in used:
            raise MisfitError(
                ("corpora", name),
                f"no objective trains on it (rows: {section.rows})",
                hint="add it to the corpora of an objective that takes its rows, or remove it",
            )


def corpora_of_objective(objective: Objective, corpora: Mapping[str, CorpusSection]) -> tuple[str, ...]:
    """Return the names of the corpora that an objective trains on: those it names, or all that it can."""
    return tuple(name for name in objective.corpora or corpora if not _unfit(objective, corpora[name]))


def _unfit(objective: Objective, corpus: CorpusSection) -> tuple[str, str] | None:
    """Return why an objective cannot train on a corpus, and what it expects; None if it can."""
    if corpus.rows not in objective.rows:
        return f"has rows: {corpus.rows}", f"a corpus of rows: {' or '.join(objective.rows)}"
    others = [language for language in corpus.languages if language != "en"]
    if objective.reads_teacher and corpus.rows != "parallel" and others:
        return f"is in {', '.join(others)}, which the teacher does not read", "parallel rows, or languages: [en]"
    return None
