"""The sections of a recipe as frozen pydantic models.

Every field has a description: `distill schema` hands them to editors. Paths are absolute once
a recipe is loaded (`distill.recipe.load`).
"""

from __future__ import annotations

import glob
import hashlib
import json
import string
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from distill.errors import nearest
from distill.files import shipped_folder
from distill.languages import spellings
from distill.recipe.values import (
    Count,
    HubId,
    Languages,
    MisfitError,
    ModelName,
    NotNegative,
    OneOrMore,
    Pairs,
    Positive,
    PositiveInt,
    Share,
    Text,
    Texts,
    is_path,
)

SOURCES = ("bundled", "hub", "folder", "files")
"""Keys of a corpus that say where it is from."""

FILE_SUFFIXES = (".parquet", ".tsv", ".csv", ".jsonl")
"""Formats of parallel files, by the ends of their names."""

MODELS = ("teacher", "untrained", "student")
"""Columns of a run's table of scores; those of its baselines come after them."""

BUNDLED = {"everyday": ("uk", "da", "sv", "nb")}
"""Languages of the corpora that ship with this program."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Pooling = Literal["mean", "cls", "max"]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


def declared_suites() -> tuple[str, ...]:
    """Return the names of the test suites that ship with this program: those of their declarations."""
    return tuple(sorted(path.stem for path in shipped_folder("suites").glob("*.yaml")))


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
        description="Pieces to learn from the non-English side (extend) or both sides (replace). "
        "If absent, chosen from the amount of text.",
    )
    min_count: PositiveInt = Field(2, description="A piece is kept if it occurs at least this often.")


class AlignmentSection(Section):
    """How the rows of new pieces are started from the teacher's (IBM model 1, Brown et al. 1993)."""

    rounds: PositiveInt = Field(6, description="Rounds of expectation maximisation in each direction.")
    max_pairs: PositiveInt = Field(200_000, description="At most this many sentence pairs are aligned.")


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


class Columns(Section):
    """Names of the columns of a parallel corpus."""

    english: Text = "english"
    non_english: Text = "non_english"

    @model_validator(mode="after")
    def _differ(self) -> Columns:
        if self.english == self.non_english:
            raise MisfitError(("non_english",), f"{self.english!r} for both sides", expected="two different columns")
        return self


class CorpusSection(Section):
    """One source of parallel sentences. Exactly one of `bundled`, `hub`, `folder`, `files` says where from."""

    bundled: Literal["everyday"] | None = Field(None, description="A corpus that ships with this program.")
    hub: HubId | None = Field(None, description="Data set on the Hugging Face Hub, `owner/name`.")
    folder: Path | None = Field(
        None,
        description="Folder with `en-XX/train.parquet` (or .tsv, .csv, .jsonl) and, if there is one, `dev`.",
    )
    files: Path | None = Field(None, description="Parquet, TSV, CSV or JSONL file; * and ? match several.")
    languages: Languages = Field(description="Non-English sides to take, such as [uk] or [da, sv].")
    columns: Columns = Columns()
    config: Text | None = Field(
        None,
        description="Hub only: name of the configuration; {language} stands for the code. Default: en-{language}.",
    )
    revision: Text | None = Field(None, description="Hub only: commit, branch or tag.")
    split: Text = Field("train", description="Hub only: the split to train on.")
    dev_split: Text | None = Field(
        "dev", description="Hub only: the split to watch the loss on, where the set has it; null for none."
    )
    max_rows: PositiveInt | None = Field(None, description="Take at most this many rows per language (spread evenly).")
    dev_rows: Count | None = Field(
        None,
        description="Rows held out to watch the loss. If absent: the corpus's own dev split (at most 300), "
        "else 2 % of the rows (at most 300).",
    )
    bad_rows: Literal["error", "skip"] = Field(
        "error",
        description="What to do with a row that lacks a side: stop with its place, or skip and count it.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> CorpusSection:
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise MisfitError(
                (), f"{' and '.join(given) or 'no source'} given", expected=f"one of {', '.join(SOURCES)}"
            )
        return self

    @model_validator(mode="after")
    def _languages_of_source(self) -> CorpusSection:
        if self.files is not None and len(self.languages) != 1:
            raise MisfitError(
                ("languages",),
                f"{len(self.languages)} languages for one set of files",
                expected="one",
                hint="give each language a corpus of its own, or use a `folder` with en-XX folders",
            )
        for language in self.languages:
            if self.bundled and language not in BUNDLED[self.bundled]:
                there = ", ".join(BUNDLED[self.bundled])
                raise MisfitError(("languages",), f"{language!r} is not in {self.bundled}", expected=f"some of {there}")
        return self

    @model_validator(mode="after")
    def _keys_of_source(self) -> CorpusSection:
        fields = type(self).model_fields
        if self.hub is None:
            for key in ("config", "revision", "split", "dev_split"):
                if getattr(self, key) != fields[key].default:
                    raise MisfitError((key,), "given for a corpus that is not from the Hub", expected="with `hub` only")
        if self.bundled and self.columns != fields["columns"].default:
            raise MisfitError(("columns",), "given for a bundled corpus", expected="with hub, folder or files only")
        if self.split == self.dev_split:
            raise MisfitError(("dev_split",), f"{self.dev_split!r}, as `split`", expected="another split, or null")
        return self

    @model_validator(mode="after")
    def _config_template(self) -> CorpusSection:
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(self.config or "") if name is not None}
        except ValueError:
            names = {""}
        if names - {"language"}:
            raise MisfitError(("config",), f"found {self.config!r}", expected="no braces but those of {language}")
        if self.config and not names and len(self.languages) > 1:
            raise MisfitError(
                ("config",),
                f"{self.config!r} is one configuration for {len(self.languages)} languages",
                expected="{language} in its name, or a corpus for each language",
            )
        return self

    def split_file(self, language: str, split: str = "train") -> Path | None:
        """Return the file of a `folder` corpus that holds a split of one language, however its folder spells it."""
        if self.folder is None:
            return None
        candidates = (
            self.folder / f"en-{code}" / f"{split}{suffix}" for code in spellings(language) for suffix in FILE_SUFFIXES
        )
        return next((path for path in candidates if path.is_file()), None)

    def matching_files(self) -> list[Path]:
        """Return the files that `files` matches, sorted."""
        if self.files is None:
            return []
        if self.files.is_file():
            return [self.files]
        return sorted(path for path in map(Path, glob.glob(str(self.files))) if path.is_file())

    @property
    def source(self) -> str:
        """Where the rows come from, for messages and reports."""
        return str(self.bundled or self.hub or self.folder or self.files)


class MseObjective(Section):
    """Put a sentence and its translation where the teacher puts the English one (Reimers & Gurevych 2020)."""

    loss: Literal["mse"] = "mse"
    corpora: Texts | None = Field(None, description="Names of the corpora it trains on; all if absent.")
    english_share: Share = Field(
        1.0,
        description="Share of the steps that train the English side too; the other side is trained in all.",
    )
    weight: Positive = Field(1.0, description="Factor of this objective's loss.")


class LearningRate(Section):
    """Peak learning rates; a plain number in the recipe sets both."""

    body: Positive
    embeddings: Positive


def _both_rates(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"body": value, "embeddings": value} if is_number else value


OneNumber = BeforeValidator(_both_rates, json_schema_input_type=float | LearningRate)


class EarlyStopping(Section):
    """Stop when the mean dev loss has not improved for some evaluations."""

    patience: PositiveInt = Field(description="Evaluations without improvement before training stops.")
    min_delta: NotNegative = Field(0.0, description="Smallest change that counts as improvement.")


class TrainingSection(Section):
    """The training loop."""

    epochs: PositiveInt = Field(1, description="Passes over all rows.")
    max_steps: PositiveInt | None = Field(None, description="Stop after this many optimizer steps.")
    batch_size: PositiveInt = Field(128, description="Rows per optimizer step, over all processes.")
    micro_batch_size: PositiveInt | None = Field(
        None,
        description="Rows encoded at once on one process; smaller uses less memory, the result is the same.",
    )
    learning_rate: Annotated[LearningRate, OneNumber] = Field(
        LearningRate(body=2e-5, embeddings=2e-5), description="One number, or {body: …, embeddings: …}."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="Decay after the warm-up.")
    warmup: Share = Field(0.06, description="Share of the steps in which the learning rate rises from 0.")
    weight_decay: NotNegative = Field(0.0, description="AdamW's weight decay.")
    clip_norm: Positive | None = Field(1.0, description="Largest gradient norm; null for none.")
    precision: Precision = Field("auto", description="auto: bf16 where the hardware has it, fp16 on older GPUs.")
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = Field(
        0.0, description="Dropout of the student while it trains."
    )
    gradient_checkpointing: bool = Field(False, description="Less memory for activations, about a third slower.")
    evaluate_every: PositiveInt | None = Field(
        None, description="Steps between dev losses; five times a run if absent."
    )
    checkpoint_every: PositiveInt | None = Field(None, description="Steps between checkpoints; ten a run if absent.")
    keep_checkpoints: PositiveInt = Field(2, description="Newest checkpoints kept; the best is always kept.")
    select: Literal["best", "last"] = Field(
        "best", description="Which weights become the model: lowest dev loss or last."
    )
    early_stopping: EarlyStopping | None = None
    trackers: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], OneOrMore] = Field(
        ("tensorboard",), description="Where the curves go, beside log.jsonl."
    )


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
    objectives: dict[str, MseObjective] = Field(
        {"mse": MseObjective()}, min_length=1, description="Name → what is trained on which corpora."
    )
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()

    @model_validator(mode="after")
    def _objectives_name_corpora(self) -> Recipe:
        for name, objective in self.objectives.items():
            for place, corpus in enumerate(objective.corpora or ()):
                if corpus not in self.corpora:
                    raise MisfitError(
                        ("objectives", name, "corpora", place),
                        f"no corpus {corpus!r}",
                        expected=f"one of {', '.join(self.corpora)}",
                        hint=nearest(corpus, self.corpora),
                    )
        return self

    @model_validator(mode="after")
    def _corpora_have_objectives(self) -> Recipe:
        used = {name for objective in self.objectives.values() for name in objective.corpora or self.corpora}
        for name in self.corpora:
            if name not in used:
                raise MisfitError(
                    ("corpora", name),
                    "no objective trains on it",
                    hint="add it to the corpora of an objective, or remove it",
                )
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
        if training.early_stopping and all(corpus.dev_rows == 0 for corpus in self.corpora.values()):
            raise MisfitError(
                ("training", "early_stopping"),
                "needs dev rows, but every corpus has dev_rows: 0",
                hint="leave dev_rows out, or early_stopping",
            )
        return self

    @property
    def languages(self) -> tuple[str, ...]:
        """The non-English languages of all corpora, sorted."""
        return tuple(sorted({code for corpus in self.corpora.values() for code in corpus.languages}))

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result: everything but where files lie and who is told."""
        content = self.model_dump(
            mode="json",
            exclude={"runs": True, "data_root": True, "license": True, "training": {"trackers", "keep_checkpoints"}},
        )
        for corpus in content["corpora"].values():
            for key in ("folder", "files"):
                corpus[key] = Path(corpus[key]).name if corpus[key] else None
        for part in ("teacher", "student"):
            if is_path(model := content[part].get("model", "")):
                content[part]["model"] = Path(model).name
        content["evaluation"]["baselines"] = {
            name: Path(model).name if is_path(model) else model for name, model in self.evaluation.baselines.items()
        }
        content["evaluation"]["suites"] = [Path(suite).name for suite in self.evaluation.suites]
        return content

    def fingerprint(self) -> str:
        """Return a hash of `identity`."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()
