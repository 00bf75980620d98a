"""Teacher and student."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.recipe.section import Precision, Section
from distill.recipe.values import MisfitError, ModelName, PositiveInt, is_path

Pooling = Literal["mean", "cls", "max"]


class TeacherSection(Section):
    """The English model whose vectors are the target."""

    model: ModelName = Field(description="Hub id or local folder of a sentence-transformers model.")
    revision: str | None = Field(None, description="Commit, branch or tag on the Hub.")
    package: str | None = Field(
        None,
        description="Python package that carries the same model; used instead of the Hub when installed.",
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of model.safetensors, 64 lower-case hex digits; another file is refused.",
    )
    pooling: Pooling | None = Field(None, description="Replaces the model's own pooling.")
    max_tokens: PositiveInt | None = Field(None, description="Longest input in tokens; the model's own if absent.")
    prompt: str = Field("", description="Text put before every sentence.")
    precision: Precision = Field("auto", description="Number format of the matrix products.")
    trust_remote_code: bool = Field(False, description="Run Python code that comes with the model.")

    @model_validator(mode="after")
    def _source(self) -> TeacherSection:
        _no_revision_of_folder(self.model, self.revision)
        if self.package and is_path(self.model):
            raise MisfitError(
                ("package",),
                f"would be used instead of the folder {self.model}",
                hint="leave out `package`, or name the model on the Hub that the package carries",
            )
        return self


class VocabularySection(Section):
    """Which pieces a transplanted student's tokenizer has."""

    mode: Literal["extend", "replace"] = Field(
        "extend",
        description="extend: the teacher's pieces and new ones; replace: new pieces only, learnt on both sides.",
    )
    size: PositiveInt | None = Field(
        None,
        description="At most this many pieces are added (extend), or learnt from both sides (replace). "
        "If absent, chosen from the amount of text.",
    )
    min_count: PositiveInt = Field(2, description="A piece is kept if it occurs at least this often.")


class AlignmentSection(Section):
    """How the rows of new pieces are started from the teacher's (IBM model 1, both directions in agreement)."""

    rounds: PositiveInt = Field(6, description="Rounds of expectation maximisation.")
    max_pairs: PositiveInt = Field(200_000, description="At most this many sentence pairs are aligned and fitted.")


class TransplantStudent(Section):
    """A student made from the teacher's own layers with a vocabulary for more languages."""

    kind: Literal["transplant"]
    vocabulary: VocabularySection = VocabularySection()
    alignment: AlignmentSection = AlignmentSection()
    max_tokens: PositiveInt = Field(128, description="Longest input in tokens.")


class PretrainedStudent(Section):
    """Any encoder from the Hub or a folder, plain transformers or sentence-transformers."""

    kind: Literal["pretrained"]
    model: ModelName = Field(description="Hub id or local folder.")
    revision: str | None = Field(None, description="Commit, branch or tag on the Hub.")
    pooling: Pooling | None = Field(
        None, description="mean, cls or max. If absent: the model's own, or mean for a plain transformer."
    )
    max_tokens: PositiveInt = Field(128, description="Longest input in tokens.")
    trust_remote_code: bool = Field(False, description="Run Python code that comes with the model.")

    @model_validator(mode="after")
    def _source(self) -> PretrainedStudent:
        _no_revision_of_folder(self.model, self.revision)
        return self


def _no_revision_of_folder(model: str, revision: str | None) -> None:
    if revision is not None and is_path(model):
        raise MisfitError(
            ("revision",), f"{revision!r} of the folder {model}", expected="none: only the Hub has revisions"
        )


StudentSection = Annotated[TransplantStudent | PretrainedStudent, Field(discriminator="kind")]
