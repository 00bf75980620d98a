"""The whole recipe."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from distill.recipe.cleaning import Cleaning, CleaningSection
from distill.recipe.corpora import CorpusSection
from distill.recipe.evaluation import EvaluationSection
from distill.recipe.mixture import MixtureSection, WeightedSampling, check_names, pairs_of
from distill.recipe.models import StudentSection, TeacherSection
from distill.recipe.objectives import MseObjective, Objective, check_objectives, corpora_of_objective
from distill.recipe.section import Section
from distill.recipe.training import TrainingSection
from distill.recipe.values import Count, MisfitError, is_path
from distill.recipe.weights import weights_of_corpora

TRANSPLANT_RATES = {"body": 3e-4, "embeddings": 2e-3}
"""Peak learning rates of a transplant if its recipe names none."""


class Recipe(Section):
    """Everything about one run."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="Names the run directory and the model: letters, digits, '.', '_' and '-'.",
    )
    seed: Count = Field(12, lt=2**31, description="Seed of everything random.")
    runs: Path = Field(Path("runs"), description="Folder in which run directories are made.")
    data_root: Path | None = Field(None, description="Folder that `folder` and `files` are relative to.")
    license: str | None = Field(None, description="Licence for the model card, such as apache-2.0.")
    teacher: TeacherSection = Field(description="The English model whose vectors are the target.")
    student: StudentSection = Field(description="The model that is trained.")
    corpora: dict[str, CorpusSection] = Field(min_length=1, description="Name → source of parallel sentences.")
    cleaning: Cleaning = Field(
        CleaningSection(),
        description="What is repaired and dropped in all corpora: default, strict or off, or single rules.",
    )
    objectives: dict[str, Objective] = Field(
        {"mse": MseObjective()}, min_length=1, description="Name → what is trained on which corpora."
    )
    mixture: MixtureSection = MixtureSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()

    @model_validator(mode="before")
    @classmethod
    def _rates_of_a_transplant(cls, data: Any) -> Any:
        """Fill in the learning rates of a transplant: its new rows have far to go, its layers little to lose."""
        sections = data if isinstance(data, dict) else {}
        student, training = sections.get("student"), sections.get("training", {})
        if isinstance(student, dict) and student.get("kind") == "transplant" and isinstance(training, dict):
            return {**data, "training": {"learning_rate": TRANSPLANT_RATES, **training}}
        return data

    @model_validator(mode="after")
    def _objectives_fit_corpora(self) -> Recipe:
        check_objectives(self.objectives, self.corpora)
        return self

    @model_validator(mode="after")
    def _mixture_names_corpora_and_objectives(self) -> Recipe:
        try:
            check_names(self.mixture, self.corpora, self._corpora_of_objectives)
        except MisfitError as error:
            error.key = ("mixture", *error.key)
            raise
        return self

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        training = self.training
        if training.micro_batch_size and training.micro_batch_size > training.batch_size:
            raise MisfitError(
                ("training", "micro_batch_size"),
                f"found {training.micro_batch_size}",
                expected=f"at most training.batch_size, {training.batch_size}",
            )
        if training.select_by == "scores" and not (self.evaluation.every and self.evaluation.suites):
            raise MisfitError(
                ("training", "select_by"),
                "'scores', but none are computed while training",
                expected="evaluation.suites, and evaluation.every: the steps between scores",
            )
        if (
            training.select_by == "loss"
            and training.early_stopping
            and all(corpus.dev_rows == 0 for corpus in self.corpora.values())
        ):
            raise MisfitError(
                ("training", "early_stopping"),
                "needs dev rows, but every corpus has dev_rows: 0",
                hint="leave dev_rows out, or early_stopping",
            )
        if self.skip:
            self._fits_skip()
        if training.interpolation < 1:
            self._keeps_vectors("training", "interpolation")
        for place, language in enumerate(getattr(self.student, "add", None) or ()):
            if language not in self.languages:
                raise MisfitError(
                    ("student", "add", place), f"no corpus in {language!r}", expected=f"of {', '.join(self.languages)}"
                )
        if self.matches_layers and not any(getattr(o, "english_share", 0) for o in self.objectives.values()):
            raise MisfitError(
                ("student", "layers", "match"),
                "no objective trains the English side",
                expected="one of loss: mse or cosine with an english_share above 0",
            )
        for key in ("gradient_checkpointing", "dropout"):
            if getattr(training, key) and self.student.kind == "static":
                raise MisfitError(("training", key), "a static student has no layers", hint="leave it out")
        if training.pad_to and training.pad_to[-1] < self.student.max_tokens:
            raise MisfitError(
                ("training", "pad_to"),
                f"the longest is {training.pad_to[-1]}",
                expected=f"at least student.max_tokens, {self.student.max_tokens}",
            )
        return self

    @property
    def _corpora_of_objectives(self) -> dict[str, tuple[str, ...]]:
        return {name: corpora_of_objective(objective, self.corpora) for name, objective in self.objectives.items()}

    def mixture_with_weights(self) -> MixtureSection:
        """Return the mixture with the weights of its files in it.

        Raises:
            RecipeError: a file is malformed, or its names are not those of the corpora.
        """
        weights = {}
        for _, sampling, phase in self.mixture.samplings():
            if isinstance(sampling, WeightedSampling) and (path := sampling.weights_file):
                needed = dict.fromkeys(corpus for _, corpus in pairs_of(phase, self._corpora_of_objectives))
                weights[path] = weights_of_corpora(path, self.corpora, needed)
        return self.mixture.with_weights(weights)

    @property
    def languages(self) -> tuple[str, ...]:
        """The non-English languages of all corpora, sorted."""
        return tuple(sorted({code for corpus in self.corpora.values() for code in corpus.languages} - {"en"}))

    @property
    def student_model(self) -> str | None:
        """Hub id or folder of the model that the student is made from; None if that is the teacher."""
        return None if self.student.kind == "static" else self.student.model

    @property
    def skip(self) -> float | None:
        """Weight of the student's skip connection, None if it has none."""
        return None if self.student.kind == "static" else self.student.skip

    @property
    def trust_remote_code(self) -> bool:
        """Whether Python code is run that comes with the model that the student is made from."""
        return self.teacher.trust_remote_code or getattr(self.student, "trust_remote_code", False)

    def _fits_skip(self) -> None:
        """Raise `MisfitError` if a skip connection cannot be fitted, or would harm what is trained."""
        if all(corpus.rows != "parallel" for corpus in self.corpora.values()):
            raise MisfitError(
                ("student", "skip"), "no corpus has rows: parallel, which it is fitted to", hint="leave it out"
            )
        if all(objective.loss not in ("mse", "cosine") for objective in self.objectives.values()):
            raise MisfitError(
                ("student", "skip"),
                "no objective draws the student to the teacher's vectors, which it is fitted to",
                expected="an objective with loss: mse or cosine",
                hint="leave it out",
            )
        self._keeps_vectors("student", "skip")

    def _keeps_vectors(self, section: str, key: str) -> None:
        """Raise `MisfitError` if a classifier reads the vectors that a key changes after training."""
        for name, objective in self.objectives.items():
            if objective.loss == "classification":
                raise MisfitError(
                    (section, key),
                    f"it would change the vectors that the classifier of objectives.{name} reads",
                    hint="leave it out",
                )

    @property
    def matches_layers(self) -> bool:
        """Whether the student's hidden states are matched to the teacher's."""
        layers = None if self.student.kind == "static" else self.student.layers
        return layers is not None and layers.match is not None

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result: everything but where files lie and who is told."""
        content = self.model_dump(
            mode="json",
            by_alias=True,
            exclude={"runs": True, "data_root": True, "license": True, "training": {"trackers", "keep_checkpoints"}},
        )
        content["mixture"] = self.mixture_with_weights().model_dump(mode="json")
        for corpus in content["corpora"].values():
            for key in ("folder", "files"):
                corpus[key] = Path(corpus[key]).name if corpus[key] else None
        for cleaning in (content["cleaning"], *(corpus["cleaning"] for corpus in content["corpora"].values())):
            similarity = (cleaning or {}).get("similarity") or {}
            if is_path(similarity.get("model") or ""):
                similarity["model"] = Path(similarity["model"]).name
        for part in ("teacher", "student"):
            if is_path(model := content[part].get("model") or ""):
                content[part]["model"] = Path(model).name
        content["evaluation"]["baselines"] = {
            name: Path(model).name if is_path(model) else model for name, model in self.evaluation.baselines.items()
        }
        content["evaluation"]["suites"] = [Path(suite).name for suite in self.evaluation.suites]
        return content

    def fingerprint(self) -> str:
        """Return a hash of `identity`, but for what can still be chosen when the training is done."""
        content = self.identity()
        if self.training.select_by == "loss":
            del content["training"]["interpolation"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
