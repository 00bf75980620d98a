"""A run from the recipe to the report: a chain of plain functions."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, parse_flag_from_env, set_seed
from ruamel.yaml import YAML

from distill.card import model_card
from distill.corpora import Corpus, SentenceFilter, english_columns, load_corpora
from distill.corpora_report import cleaning_dict, cleaning_markdown, corpora_markdown, overlap_markdown
from distill.encode import best_precision, speed_up
from distill.errors import DataError, ModelError, RunError
from distill.evaluate import Score, store_replicates, with_replicates
from distill.gradients import TrainingData, ZeroVectors
from distill.interpolation import copy_weights, interpolate, interpolated
from distill.models import weights_digest
from distill.objectives import columns_to_embed, corpora_of, objective_rows, save_heads
from distill.progress import duration, progress
from distill.recipe import Recipe
from distill.recipe.evaluation import MODELS
from distill.recipe.values import is_path
from distill.reduction import ProjectedVectors
from distill.report import dev_markdown, score_markdown, size_facts
from distill.rundir import Mode, RunDirectory
from distill.scoring import mean_score, score_before, score_student, scores_while_training
from distill.skip import add_skip, collect_states, without_skip
from distill.store import VectorStore
from distill.student import build_student, describe, load_student, save_student
from distill.teacher import (
    Teacher,
    check_dimensions,
    embed,
    load_teacher,
    missing_texts,
    reduced_teacher,
)
from distill.testsets import TestSet, digest, label, load_suites, sentences_by_suite
from distill.tokens import store_tokens, token_store
from distill.train import State, Trainer, TrainingResult

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")

FOLDERS = re.compile(r"(?<![\w.~])/(?:[^\s/'\"]+/)*")
"""The folders of an absolute path, which say nothing to readers of a model card."""

LONGEST_WAIT = timedelta(hours=12)
"""How long a process waits for the others, which may be reading corpora or embedding."""


PROJECTION = "projection.npy"
"""File of a run that reduces dimensions."""


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        model: folder of the student.
        scores: all scores of teacher, untrained student and student.
        facts: name → value, for the report.
        dev: step → set → dev loss.
        during: step → test set → main score × 100, where the student was scored while it trained.
        weights_from: step that the weights are from.
        corpora: what was trained on; empty when a finished run is shown again.
    """

    model: Path
    scores: list[Score]
    facts: dict[str, str]
    dev: dict[str, dict[str, float]] = field(default_factory=dict)
    during: dict[str, dict[str, float]] = field(default_factory=dict)
    weights_from: int = 0
    corpora: list[Corpus] = field(default_factory=list)


@dataclass
class Ready:
    """What a run begins with.

    Attributes:
        sets: test sets.
        corpora: the corpora, loaded.
        teacher: the teacher; its vectors of the corpora are stored.
        student: the student before its first step, with its skip connection if it is to have one.
    """

    sets: list[TestSet]
    corpora: list[Corpus]
    teacher: Teacher
    student: SentenceTransformer


def run_recipe(recipe: Recipe, *, mode: Mode = "new", command: str = "") -> Outcome:
    """Make a student from a recipe, from corpora to report.

    Args:
        recipe: the recipe.
        mode: new, resume or fresh (see `RunDirectory.open`).
        command: the command line, for the model card.

    Raises:
        DistillError: something the user gave is missing, malformed or does not fit.
    """
    accelerator = make_accelerator(recipe)
    main = accelerator.is_main_process
    with accelerator.main_process_first():
        run = RunDirectory.open(recipe, mode=mode, command=command, writable=main)
    try:
        if finished := _finished(run, recipe):
            return finished
        ready = prepare(recipe, run, accelerator)
        sets, corpora, teacher, student = ready.sets, ready.corpora, ready.teacher, ready.student
        before = score_before(teacher, student, recipe.evaluation.baselines, sets, run, accelerator)
        student = without_skip(student)  # it is fitted anew to what the layers have learnt
        share = recipe.training.interpolation
        if share < 1 and recipe.student.kind == "pretrained":
            log.warning("training.interpolation: a pretrained student is nowhere near the teacher before training")
        start = copy_weights(student) if share < 1 else {}
        data = training_data(recipe, teacher, teacher.targets, student, corpora, accelerator)
        set_seed(recipe.seed, device_specific=True)  # dropout must not depend on what was built and what was stored

        def score(student: SentenceTransformer, step: int) -> float:
            try:
                with interpolated(student, start, share):
                    scores = score_student(teacher, with_skip(recipe, student, teacher, corpora), sets)
            finally:
                if recipe.skip:
                    collect_states(student, on=False)
            run.log("scores", step=step, scores=[found.as_dict() for found in scores])
            accelerator.log({f"{s.suite}/{s.pair} {s.metric}": s.value for s in scores}, step=step)
            return mean_score(scores)

        trainer = Trainer(recipe, student, data, run, accelerator, score)
        trainer.resume()
        start_trackers(recipe, trainer.state.step, accelerator)
        with memory_errors(recipe):
            result = trainer.train()
        accelerator.end_training()
        if main:
            interpolate(result.student, start, share)
            classes = {name: rows.classes for name, rows in data.train.items() if rows.classes}
            return finish(recipe, run, corpora, teacher, result, before, sets, classes)
        return Outcome(run.model, [], {})
    finally:
        run.close()


def prepare(recipe: Recipe, run: RunDirectory, accelerator: Accelerator) -> Ready:
    """Return what a run begins with; the untrained student is kept in its directory."""
    set_seed(recipe.seed)
    sets = load_suites(recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
    with accelerator.main_process_first():
        corpora = load_corpora(recipe, SentenceFilter(sentences_by_suite(sets)))
    run.log(
        "corpora",
        corpora={corpus.label: corpus.counts for corpus in corpora},
        overlap={corpus.label: corpus.overlap for corpus in corpora},
    )
    run.write_json("cleaning.json", cleaning_dict(corpora))
    teacher = load_teacher(recipe.teacher, accelerator.device)
    check_teacher(recipe, teacher, corpora)
    embed_corpora(teacher, recipe, corpora, accelerator)
    if recipe.student.dimensions:
        with accelerator.main_process_first():
            if accelerator.is_main_process and not run.untrained.exists():
                (run.path / PROJECTION).unlink(missing_ok=True)  # of a run that ended before there was a student
            teacher = reduced_teacher(teacher, corpora, recipe.student.dimensions, run.path / PROJECTION)
    student = untrained_student(recipe, teacher, corpora, run, accelerator)
    rows = {c.label: c.digest() for c in corpora} | {label(s): digest(s) for s in sets}
    run.check_data(rows, model_digests(recipe, teacher))
    return Ready(sets, corpora, teacher, student)


def model_digests(recipe: Recipe, teacher: Teacher) -> dict[str, str]:
    """Return hashes of the models that a run is made from: of the teacher, and of a student in a folder."""
    digests = {"teacher.model": teacher.digest}
    model = getattr(recipe.student, "model", None)
    if model and is_path(model) and Path(model).is_dir():
        digests["student.model"] = weights_digest(Path(model))
    return digests


def check_teacher(recipe: Recipe, teacher: Teacher, corpora: Sequence[Corpus]) -> None:
    """Check before hours of work that the student's dimensions and its skip connection suit the teacher.

    Raises:
        ModelError: its vectors are not longer, or do not have length 1.
    """
    if recipe.student.dimensions:
        check_dimensions(teacher, corpora, recipe.student.dimensions)
    if recipe.skip and not teacher.unit_length:
        raise ModelError(
            f"teacher: {recipe.teacher.model}",
            "its vectors do not have length 1",
            expected="vectors of length 1 for student.skip",
            hint="leave student.skip out",
        )


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return accelerate's view of devices and processes, with the precision the hardware is best at.

    Raises:
        RunError: the hardware cannot do what the recipe or the number of processes asks for.
    """
    state = _process_state()
    device, processes = state.device, state.num_processes
    if recipe.matches_layers and processes > 1:
        raise RunError("student.layers.match", f"{processes} processes", expected="one process")
    precision = best_precision(recipe.training.precision, device)
    if precision == "fp16" and device.type == "cpu":
        raise RunError("training.precision", "fp16 does not train on a CPU", expected="auto, bf16 or fp32")
    logdir = recipe.runs / recipe.name
    return Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        log_with=list(recipe.training.trackers) or None,
        # Buffers are constants such as position numbers: sending them in each forward is work, and would make
        # processes that do not run the same number of forwards wait for each other.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        project_config=ProjectConfiguration(project_dir=str(logdir), logging_dir=str(logdir / "tracking")),
    )


def _process_state() -> PartialState:
    """Return this process's place among the processes of the run, and its device."""
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    if not cpu and gpus and processes > gpus:
        raise RunError("--processes", f"{processes} processes on {gpus} GPUs", expected=f"at most {gpus}")
    state = PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    if state.num_processes < processes:
        raise RunError("--processes", f"{state.device.type} devices train in one process only")
    return state


@contextmanager
def memory_errors(recipe: Recipe) -> Iterator[None]:
    """Turn a full GPU into a `RunError` that says what to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        size = recipe.training.micro_batch_size or recipe.training.batch_size
        raise RunError(
            "training.micro_batch_size",
            f"the GPU's memory is full: {str(error).split('.')[0]}",
            hint=f"set it to {max(1, size // 4)} (less memory, the same result), or use gradient_checkpointing: true, "
            "and go on with --resume",
        ) from error


def start_trackers(recipe: Recipe, step: int, accelerator: Accelerator) -> None:
    """Open the trackers; TensorBoard forgets what a killed run showed after the step that this one goes on from."""
    options = {"tensorboard": {"purge_step": step + 1}} if step else {}
    accelerator.init_trackers(recipe.name, config={"recipe": recipe.fingerprint()}, init_kwargs=options)


def embedded_columns(recipe: Recipe) -> Callable[[Corpus], tuple[str, ...]]:
    """Return which columns the teacher embeds: those that objectives read, or all English ones to reduce dimensions,
    to fit a static student or a skip connection.
    """
    all_english = recipe.student.dimensions or recipe.student.kind == "static" or recipe.skip
    return english_columns if all_english else partial(columns_to_embed, recipe.objectives)


def embed_corpora(teacher: Teacher, recipe: Recipe, corpora: Sequence[Corpus], accelerator: Accelerator) -> None:
    """Put the teacher's vectors that the objectives read into its store; every process does its share."""
    columns = embedded_columns(recipe)
    jobs = list(missing_texts(teacher.store, corpora, columns))
    own = sum(len(job.keys) for job in jobs[accelerator.process_index :: accelerator.num_processes])
    accelerator.wait_for_everyone()
    if own:
        with progress("teacher vectors", own, "sentences", show=accelerator.is_main_process) as update:
            embed(
                teacher,
                corpora,
                columns,
                rank=accelerator.process_index,
                world=accelerator.num_processes,
                progress=lambda done, _: update(done),
            )
    accelerator.wait_for_everyone()
    teacher.store.reload()
    if accelerator.is_main_process:
        embed(teacher, corpora, columns)  # what fell between the shares because another run stored vectors meanwhile
    accelerator.wait_for_everyone()
    teacher.store.reload()


def untrained_student(
    recipe: Recipe, teacher: Teacher, corpora: Sequence[Corpus], run: RunDirectory, accelerator: Accelerator
) -> SentenceTransformer:
    """Return the student before its first step; it is built once and kept in the run directory."""
    if accelerator.is_main_process and not run.untrained.exists():
        student = build_student(recipe.student, teacher, corpora, accelerator.device)
        student = with_skip(recipe, student, teacher, corpora)
        temporary = run.temporary("untrained")
        save_student(student, temporary)
        run.publish(temporary, run.untrained)
    accelerator.wait_for_everyone()
    student = load_student(run.untrained, accelerator.device, trust_remote_code=recipe.trust_remote_code)
    speed_up(student)
    return student


def with_skip(
    recipe: Recipe, student: SentenceTransformer, teacher: Teacher, corpora: Sequence[Corpus]
) -> SentenceTransformer:
    """Return a student with the skip connection that its recipe asks for, fitted to its token embeddings."""
    return add_skip(student, recipe.skip, teacher, corpora) if recipe.skip else student


def training_data(
    recipe: Recipe,
    teacher: Teacher,
    vectors: VectorStore | ProjectedVectors | ZeroVectors,
    student: SentenceTransformer,
    corpora: Sequence[Corpus],
    accelerator: Accelerator,
) -> TrainingData:
    """Return the rows of each objective, their tokens stored."""
    tokens = token_store(student)
    accelerator.wait_for_everyone()
    store_tokens(tokens, student, corpora, rank=accelerator.process_index, world=accelerator.num_processes)
    accelerator.wait_for_everyone()
    tokens.reload()
    if accelerator.is_main_process:
        store_tokens(tokens, student, corpora)  # as above
    accelerator.wait_for_everyone()
    tokens.reload()
    train, dev = {}, {}
    for name, objective in recipe.objectives.items():
        own = corpora_of(objective, corpora)
        if not own:
            raise DataError(
                f"objectives.{name}", "no rows to train on", expected=f"rows of kind {' or '.join(objective.rows)}"
            )
        train[name] = objective_rows(objective, own, "train", tokens, vectors)
        dev[name] = objective_rows(objective, own, "dev", tokens, vectors)
    for corpus in corpora:
        if not any(corpora_of(objective, [corpus]) for objective in recipe.objectives.values()):
            log.warning("%s: no objective takes its %d rows of %s", corpus.label, len(corpus.train), corpus.kind)
    matched = teacher.model if recipe.matches_layers else None
    return TrainingData(train, dev, tokens, vectors, teacher.unit_length, matched)


def finish(
    recipe: Recipe,
    run: RunDirectory,
    corpora: list[Corpus],
    teacher: Teacher,
    result: TrainingResult,
    before: list[Score],
    sets: Sequence[TestSet],
    classes: dict[str, tuple[str, ...]],
) -> Outcome:
    """Score the student, save it with its card, and write the report."""
    command = FOLDERS.sub("", (run.read_json("run.json") or {}).get("command", ""))
    student = with_skip(recipe, result.student, teacher, corpora)
    after = score_student(teacher, student, sets)
    scores = before + after
    sizes = describe(student)
    facts = {
        **size_facts(sizes),
        "training time": f"{duration(result.state.seconds)} on {describe_device(teacher.model.device)}",
        "steps": f"{result.state.step} of {result.n_steps}" + _why_stopped(recipe, result),
        "weights from step": f"{result.step}{_how_far(recipe, result.step)}",
        "command": f"`{command}`",
    }
    temporary = run.temporary("model")
    save_student(student, temporary)
    save_heads(result.heads, recipe.objectives, classes, temporary)
    card = model_card(recipe, corpora, scores, columns(scores), sizes, facts, recipe_yaml(recipe), classes)
    (temporary / "README.md").write_text(card, encoding="utf-8")
    (run.path / "scores.json").unlink(missing_ok=True)  # of the same run with another interpolation
    run.publish(temporary, run.model)
    run.log("scores", step=result.step, scores=[score.as_dict() for score in after])
    during = scores_while_training(run)
    run.write_text("report.md", report(recipe, corpora, scores, facts, result, during))
    store_replicates(run.path / "scores.npz", scores)
    dev = dev_losses(result.state)
    stored = {"facts": facts, "scores": [score.as_dict() for score in scores]}
    weights = {"weights_from": result.step, "interpolation": recipe.training.interpolation}
    run.write_json("scores.json", {**stored, "dev": dev, **weights})
    return Outcome(run.model, scores, facts, dev, during, result.step, corpora)


def _how_far(recipe: Recipe, step: int) -> str:
    """Return how far the model's weights are from the untrained student's, an empty string if they are as trained."""
    share = recipe.training.interpolation
    return f" ({share:g} of the way from the untrained student)" if step and share < 1 else ""


def _why_stopped(recipe: Recipe, result: TrainingResult) -> str:
    """Return why training ended before its last step, an empty string if it did not."""
    stopping = recipe.training.early_stopping
    if not result.stopped_early or stopping is None:
        return ""
    return f" (stopped early: evaluations without improvement: {stopping.patience})"


def dev_losses(state: State) -> dict[str, dict[str, float]]:
    """Return step → set → dev loss, and their mean where there are several sets."""
    return {step: {**sets, **({"mean": state.dev[step]} if len(sets) > 1 else {})} for step, sets in state.sets.items()}


def columns(scores: Sequence[Score]) -> list[str]:
    """Return the columns of a run's table: teacher, untrained student, student, baselines."""
    return [*MODELS, *dict.fromkeys(score.model for score in scores if score.model not in MODELS)]


def report(
    recipe: Recipe,
    corpora: Sequence[Corpus],
    scores: Sequence[Score],
    facts: dict[str, str],
    result: TrainingResult,
    during: dict[str, dict[str, float]],
) -> str:
    """Return the run's report in Markdown."""
    lines = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    while_training = (
        f"## Scores while training (× 100)\n\n{dev_markdown(during, result.step, digits=1)}\n\n" if during else ""
    )
    return (
        f"# {recipe.name}\n\n{lines}\n\n## Scores\n\n{score_markdown(scores, columns(scores))}\n\n"
        f"## Corpora\n\n{corpora_markdown(corpora)}\n\n{overlap_markdown(corpora)}\n\n"
        f"## Cleaning\n\n{cleaning_markdown(corpora, examples=True)}\n\n"
        f"## Dev loss\n\n{dev_markdown(dev_losses(result.state), result.step)}\n\n{while_training}"
        f"## Recipe\n\n```yaml\n{recipe_yaml(recipe).strip()}\n```\n"
    )


def recipe_yaml(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML for others to read: what is not set and where files lie is left out."""
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(_without_none(recipe.identity()), stream)
    return stream.getvalue()


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def describe_device(device: torch.device) -> str:
    """Return what a run ran on, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else device.type


def _finished(run: RunDirectory, recipe: Recipe) -> Outcome | None:
    """Return the outcome of a run that was finished before; None if there is none, or with another interpolation.

    Raises:
        RunError: the trained weights, which another interpolation is of, are not there any more.
    """
    stored, interpolation = run.read_json("scores.json"), recipe.training.interpolation
    if stored is None or not run.model.exists():
        return None
    if (found := stored.get("interpolation", 1.0)) != interpolation:
        if stored["weights_from"] and not run.checkpoints():
            raise RunError(
                "training.interpolation",
                f"the finished run in {run.path} has {found:g}, and no checkpoints to make a model with "
                f"{interpolation:g} of",
                hint=f"leave it at {found:g}, or train again with --fresh",
            )
        return None
    scores = with_replicates([Score(**score) for score in stored["scores"]], run.path / "scores.npz")
    during = scores_while_training(run)
    return Outcome(run.model, scores, stored["facts"], stored["dev"], during, stored["weights_from"])
