"""The training loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from distill.recipe.section import Precision, Section
from distill.recipe.values import Count, MisfitError, NotNegative, OneOrMore, Positive, PositiveInt, Share


class LearningRate(Section):
    """Peak learning rates; a plain number in the recipe sets those of the student."""

    body: Positive
    embeddings: Positive
    heads: Positive = Field(1e-3, description="Of classification heads and learnable scales, which start from nothing.")


def _both_rates(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"body": value, "embeddings": value} if is_number else value


OneNumber = BeforeValidator(_both_rates, json_schema_input_type=float | LearningRate)


def _rising(lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if lengths and list(lengths) != sorted(set(lengths)):
        raise MisfitError((), f"found {list(lengths)}", expected="rising numbers, such as [64, 128, 196, 256]")
    return lengths


class EarlyStopping(Section):
    """Stop when what `select_by` names has not improved for some evaluations."""

    patience: PositiveInt = Field(description="Evaluations without improvement before training stops.")
    min_delta: NotNegative = Field(
        0.0,
        description="Smallest change that counts as improvement: of the mean dev loss, or of the mean score, which is "
        "1 at most.",
    )


class TrainingSection(Section):
    """The training loop."""

    epochs: Count = Field(1, description="Passes over all rows; 0: the student is saved as it was built.")
    max_steps: PositiveInt | None = Field(None, description="Stop after this many optimizer steps.")
    batch_size: PositiveInt = Field(128, description="Rows per optimizer step, over all processes.")
    micro_batch_size: PositiveInt | None = Field(
        None,
        description="Rows encoded at once on one process; smaller uses less memory, the result is the same.",
    )
    pad_to: Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_rising)] | None = Field(
        None,
        description="Lengths in tokens that inputs are padded to, such as [64, 128, 196, 256], for compilers that want "
        "few shapes; to the longest of a few inputs if absent.",
    )
    learning_rate: Annotated[LearningRate, OneNumber] = Field(
        LearningRate(body=2e-5, embeddings=2e-5),
        description="One number, or {body: …, embeddings: …, heads: …}; if absent 2e-5, for a transplant {body: 3e-4, "
        "embeddings: 2e-3}.",
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
        "best", description="Which weights become the model: the best by `select_by`, or the last."
    )
    select_by: Literal["loss", "scores"] = Field(
        "loss",
        description="loss: the lowest mean of all sets' dev losses, each times its objective's weight; scores: the "
        "highest mean of all test sets' scores, computed every `evaluation.every` steps.",
    )
    interpolation: Annotated[float, Field(gt=0, le=1, strict=True)] = Field(
        1.0,
        description="How far the model's weights go from the untrained student's (0) to the trained ones (1): between "
        "them lie models that keep more of the teacher (WiSE-FT); 0.75 to 0.9 for transplants. Dev losses are of the "
        "trained weights. A finished run that has its checkpoints is given another share by --resume.",
    )
    early_stopping: EarlyStopping | None = None
    trackers: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], OneOrMore] = Field(
        ("tensorboard",), description="Where the curves go, beside log.jsonl."
    )
