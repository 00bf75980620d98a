"""Teacher and student."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.recipe.section import Precision, Section
from distill.recipe.values import Count, Languages, MisfitError, ModelName, Positive, PositiveInt, is_path

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
    """How the vectors of new pieces are started from the teacher's: IBM model 1, then a hidden Markov model."""

    rounds: PositiveInt = Field(6, description="Rounds of expectation maximisation of model 1.")
    hmm_rounds: Count = Field(3, description="Further rounds, which look at the order of the pieces.")
    max_pairs: PositiveInt = Field(
        200_000, description="At most this many sentence pairs of a language are aligned and fitted."
    )


class StaticVocabulary(Section):
    """Which pieces a static student's tokenizer has: the teacher's, new ones and whole words."""

    size: PositiveInt | None = Field(
        None, description="Pieces to learn from the non-English side. If absent, chosen from the amount of text."
    )
    min_count: PositiveInt = Field(2, description="A piece or word is added if it occurs at least this often.")
    words: Count = Field(
        0, description="At most this many words of both sides become pieces of their own, frequent ones first."
    )


class StaticFit(Section):
    """How the vectors of pieces are fitted to the teacher's vectors of sentences."""

    sif: Positive = Field(
        3e-4,
        description="A piece starts with the weight sif / (sif + its share of all pieces).",
    )
    ridge: Positive = Field(1.0, description="How strongly the vectors are drawn to their start, in sentences.")
    rounds: PositiveInt = Field(10, description="Rounds of conjugate gradients.")


class TrimmingSection(Section):
    """Which pieces of a pretrained student's tokenizer stay."""

    mode: Literal["keep", "trim"] = Field(
        "keep", description="keep: all; trim: those that the corpora's languages need."
    )
    size: PositiveInt | None = Field(
        None, description="Keep at most this many pieces. If absent, 25,000 for each language, English included."
    )
    min_count: PositiveInt = Field(1, description="A piece that occurs in the corpora less often is left out.")

    @model_validator(mode="after")
    def _only_when_trimmed(self) -> TrimmingSection:
        for key in sorted(self.model_fields_set & {"size", "min_count"}):
            if self.mode == "keep":
                raise MisfitError((key,), "does not go with mode: keep", hint="set mode: trim, or leave it out")
        return self


class LayersSection(Section):
    """Which of an encoder's layers a student keeps."""

    keep: tuple[Count, ...] | None = Field(None, min_length=1, description="Numbers of the layers to keep, from 0.")
    every: Annotated[int, Field(ge=2, strict=True)] | None = Field(
        None, description="Keep one layer in so many, evenly spread, the first and the last among them."
    )
    first: PositiveInt | None = Field(None, description="Keep so many layers, those nearest to the input.")
    last: PositiveInt | None = Field(None, description="Keep so many layers, those nearest to the output.")
    match: Positive | None = Field(
        None,
        description="Draw these layers' hidden states of English texts to the teacher's (TinyBERT, Jiao et al. 2020): "
        "factor of their mean squared error. For a transplant of the teacher, which then runs in the training step.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> LayersSection:
        given = [name for name in ("keep", "every", "first", "last") if getattr(self, name) is not None]
        if len(given) != 1:
            raise MisfitError(
                (), f"found {' and '.join(given) or 'none'}", expected="one of keep, every, first and last"
            )
        if self.keep and list(self.keep) != sorted(set(self.keep)):
            raise MisfitError(("keep",), f"found {list(self.keep)}", expected="different numbers, the lowest first")
        return self

    def of(self, layers: int) -> list[int]:
        """Return the numbers of the layers to keep of a model with so many; some may be numbers it does not have."""
        if self.keep is not None:
            return list(self.keep)
        if self.first is not None:
            return list(range(self.first))
        if self.last is not None:
            return list(range(layers - self.last, layers))
        n = max(2, math.ceil(layers / (self.every or 1)))  # 12 layers, every: 2 → DistilBERT's 0, 2, 4, 7, 9, 11
        return sorted({math.floor(place * (layers - 1) / (n - 1) + 0.5) for place in range(n)})


LAYERS = Field(None, description="Leave out layers of the encoder; all of them stay if absent.")
DIMENSIONS = Field(
    None,
    description="Length of the student's vectors: the principal components of the teacher's vectors of the corpora.",
)

SKIP = Field(
    None,
    description="Length of a linear map of the mean token embedding, fitted in closed form after training, that is "
    "added to the sentence vector (length 1): sentences with rare words are told apart better. 0.4 is a good value.",
)


class TransplantStudent(Section):
    """A student made from the teacher's own layers, or an earlier student's, with a vocabulary for more languages."""

    kind: Literal["transplant"]
    model: ModelName | None = Field(
        None,
        description="Hub id or local folder of an earlier student of the same teacher, which learns more languages.",
    )
    revision: str | None = Field(None, description="Commit, branch or tag on the Hub.")
    add: Languages | None = Field(
        None,
        description="Languages that the earlier student learns. Corpora of languages that it knows protect these.",
    )
    vocabulary: VocabularySection = VocabularySection()
    alignment: AlignmentSection = AlignmentSection()
    layers: LayersSection | None = LAYERS
    dimensions: PositiveInt | None = DIMENSIONS
    skip: Positive | None = SKIP
    max_tokens: PositiveInt = Field(128, description="Longest input in tokens.")

    @model_validator(mode="after")
    def _layers_of_the_teacher(self) -> TransplantStudent:
        if self.layers and self.layers.match and (self.model or self.vocabulary.mode == "replace"):
            found = "layers of an earlier student" if self.model else "the vocabulary is replaced: other English tokens"
            raise MisfitError(
                ("layers", "match"), found, expected="a transplant of the teacher with an extended vocabulary"
            )
        return self

    @model_validator(mode="after")
    def _earlier_student(self) -> TransplantStudent:
        if self.model is None:
            for key in ("revision", "add"):
                if getattr(self, key) is not None:
                    raise MisfitError((key,), "given without an earlier student", hint="name it with `model`")
            return self
        _no_revision_of_folder(self.model, self.revision)
        if self.add is None:
            raise MisfitError((), "an earlier student without `add`", expected="the languages that it learns")
        if self.vocabulary.mode == "replace":
            raise MisfitError(("vocabulary", "mode"), "replace: the earlier student's languages would be lost")
        if self.dimensions is not None:
            raise MisfitError(("dimensions",), "given for an earlier student, which has its own", hint="leave it out")
        return self


class PretrainedStudent(Section):
    """Any encoder from the Hub or a folder, plain transformers or sentence-transformers."""

    kind: Literal["pretrained"]
    model: ModelName = Field(description="Hub id or local folder.")
    revision: str | None = Field(None, description="Commit, branch or tag on the Hub.")
    pooling: Pooling | None = Field(
        None, description="mean, cls or max. If absent: the model's own, or mean for a plain transformer."
    )
    vocabulary: TrimmingSection = TrimmingSection()
    layers: LayersSection | None = LAYERS
    dimensions: PositiveInt | None = DIMENSIONS
    skip: Positive | None = SKIP
    max_tokens: PositiveInt = Field(128, description="Longest input in tokens.")
    trust_remote_code: bool = Field(False, description="Run Python code that comes with the model.")

    @model_validator(mode="after")
    def _source(self) -> PretrainedStudent:
        if self.layers and self.layers.match:
            raise MisfitError(
                ("layers", "match"), "a pretrained student has other tokens and layers", expected="kind: transplant"
            )
        _no_revision_of_folder(self.model, self.revision)
        return self


class StaticStudent(Section):
    """A student without layers: a sentence's vector is the mean of its pieces'. Hundreds of times as fast."""

    kind: Literal["static"]
    vocabulary: StaticVocabulary = StaticVocabulary()
    alignment: AlignmentSection = AlignmentSection()
    fit: StaticFit = StaticFit()
    dimensions: PositiveInt | None = DIMENSIONS
    max_tokens: PositiveInt = Field(512, description="Longest input in tokens.")


def _no_revision_of_folder(model: str, revision: str | None) -> None:
    if revision is not None and is_path(model):
        raise MisfitError(
            ("revision",), f"{revision!r} of the folder {model}", expected="none: only the Hub has revisions"
        )


StudentSection = Annotated[TransplantStudent | PretrainedStudent | StaticStudent, Field(discriminator="kind")]
