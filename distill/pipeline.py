"""A run from the recipe to the report: a chain of plain functions."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
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
from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.encode import best_precision, encode, speed_up
from distill.errors import RunError
from distill.evaluate import Score, evaluate, store_replicates, with_replicates
from distill.models import load_model
from distill.objectives import parallel_rows
from distill.progress import duration, progress
from distill.recipe import Recipe
from distill.report import corpora_markdown, score_markdown
from distill.rundir import Mode, RunDirectory
from distill.store import VectorStore
from distill.student import build_student, describe, load_student, save_student
from distill.teacher import Teacher, embed, load_teacher, missing_texts
from distill.testsets import TestSet, digest, label, load_suites, sentences
from distill.tokens import store_tokens, token_store
from distill.train import Trainer, TrainingData, TrainingResult, ZeroVectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")

MODELS = ("teacher", "untrained", "student")
LONGEST_WAIT = timedelta(hours=12)
"""How long a process waits for the others, which may be reading corpora or embedding."""


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        model: folder of the student.
        scores: all scores of teacher, untrained student and student.
        facts: name → value, for the report.
        corpora: what was trained on; empty when a finished run is shown again.
    """

    model: Path
    scores: list[Score]
    facts: dict[str, str]
    corpora: list[Corpus] = field(default_factory=list)


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
        if finished := _finished(run):
            return finished
        set_seed(recipe.seed)
        sets = load_suites(recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
        with accelerator.main_process_first():
            corpora = load_corpora(recipe, SentenceFilter(sentences(sets)))
        run.log("corpora", corpora={corpus.label: corpus.counts for corpus in corpora})
        teacher = load_teacher(recipe.teacher, accelerator.device)
        embed_corpora(teacher, corpora, accelerator)
        student = untrained_student(recipe, teacher, corpora, run, accelerator)
        run.check_data({c.label: c.digest() for c in corpora} | {label(s): digest(s) for s in sets})
        before = score_before(teacher, student, sets, run, accelerator)
        data = training_data(recipe, teacher, teacher.store, student, corpora, accelerator)
        accelerator.init_trackers(recipe.name, config={"recipe": recipe.fingerprint()})
        set_seed(recipe.seed, device_specific=True)  # dropout must not depend on what was built and what was stored
        result = Trainer(recipe, student, data, run, accelerator).train()
        accelerator.end_training()
        if main:
            return finish(recipe, run, corpora, teacher, result, before, sets)
        return Outcome(run.model, [], {})
    finally:
        run.close()


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return accelerate's view of devices and processes, with the precision the hardware is best at.

    Raises:
        RunError: the hardware cannot do what the recipe or the number of processes asks for.
    """
    device = _process_state().device
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


def embed_corpora(teacher: Teacher, corpora: Sequence[Corpus], accelerator: Accelerator) -> None:
    """Put the teacher's vectors of all English sentences into its store; every process does its share."""
    jobs = list(missing_texts(teacher.store, corpora, ("english",)))
    own = sum(len(job.keys) for job in jobs[accelerator.process_index :: accelerator.num_processes])
    accelerator.wait_for_everyone()
    if own:
        with progress("teacher vectors", own, "sentences", show=accelerator.is_main_process) as update:
            embed(
                teacher,
                corpora,
                rank=accelerator.process_index,
                world=accelerator.num_processes,
                progress=lambda done, _: update(done),
            )
    accelerator.wait_for_everyone()
    teacher.store.reload()


def untrained_student(
    recipe: Recipe, teacher: Teacher, corpora: Sequence[Corpus], run: RunDirectory, accelerator: Accelerator
) -> SentenceTransformer:
    """Return the student before its first step; it is built once and kept in the run directory."""
    if accelerator.is_main_process and not run.untrained.exists():
        student = build_student(recipe.student, teacher, corpora, accelerator.device)
        temporary = run.temporary("untrained")
        save_student(student, temporary)
        run.publish(temporary, run.untrained)
    accelerator.wait_for_everyone()
    student = load_student(run.untrained, accelerator.device)
    speed_up(student)
    return student


def training_data(
    recipe: Recipe,
    teacher: Teacher,
    vectors: VectorStore | ZeroVectors,
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
    train_rows = {
        name: parallel_rows(
            [c for c in corpora if objective.corpora is None or c.name in objective.corpora],
            "train",
            tokens,
            vectors,
        )
        for name, objective in recipe.objectives.items()
    }
    dev_rows = parallel_rows(corpora, "dev", tokens, vectors)
    return TrainingData(train_rows, dev_rows, tokens, vectors, teacher.unit_length)


def score_before(
    teacher: Teacher,
    student: SentenceTransformer,
    sets: Sequence[TestSet],
    run: RunDirectory,
    accelerator: Accelerator,
) -> list[Score]:
    """Return the scores of the teacher and of the untrained student; a resumed run reads them."""
    scores: list[Score] = []
    if accelerator.is_main_process:
        stored = run.read_json("scores_before.json")
        if stored is None:
            models = {"teacher": teacher.vectors, "untrained": lambda texts: encode(student, texts)}
            scores = evaluate(models, sets, teacher="teacher")
            store_replicates(run.path / "scores_before.npz", scores)
            run.write_json("scores_before.json", {"scores": [score.as_dict() for score in scores]})
        else:
            scores = with_replicates([Score(**score) for score in stored["scores"]], run.path / "scores_before.npz")
    accelerator.wait_for_everyone()
    return scores


def finish(
    recipe: Recipe,
    run: RunDirectory,
    corpora: list[Corpus],
    teacher: Teacher,
    result: TrainingResult,
    before: list[Score],
    sets: Sequence[TestSet],
) -> Outcome:
    """Score the student, save it with its card, and write the report."""
    command = (run.read_json("run.json") or {}).get("command", "")
    models = {"teacher": teacher.vectors, "student": lambda texts: encode(result.student, texts)}
    after = [score for score in evaluate(models, sets, teacher="teacher") if score.model == "student"]
    scores = before + after
    facts = {
        "training time": f"{duration(result.state.seconds)} on {describe_device(teacher.model.device)}",
        "steps": f"{result.state.step} of {result.n_steps}" + " (stopped early)" * result.stopped_early,
        "weights from step": str(result.step),
        "command": f"`{command}`",
    }
    temporary = run.temporary("model")
    save_student(result.student, temporary)
    card = model_card(recipe, corpora, scores, MODELS, describe(result.student), facts, recipe_yaml(recipe))
    (temporary / "README.md").write_text(card, encoding="utf-8")
    run.publish(temporary, run.model)
    run.write_text("report.md", report(recipe, corpora, scores, facts, result))
    run.log("scores", step=result.state.step, scores=[score.as_dict() for score in after])
    store_replicates(run.path / "scores.npz", scores)
    run.write_json("scores.json", {"facts": facts, "scores": [score.as_dict() for score in scores]})
    return Outcome(run.model, scores, facts, corpora)


def report(
    recipe: Recipe,
    corpora: Sequence[Corpus],
    scores: Sequence[Score],
    facts: dict[str, str],
    result: TrainingResult,
) -> str:
    """Return the run's report in Markdown."""
    losses = "\n".join(f"| {step} | {loss:.4f} |" for step, loss in result.state.dev.items())
    lines = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return (
        f"# {recipe.name}\n\n{lines}\n\n## Scores\n\n{score_markdown(scores, MODELS)}\n\n"
        f"## Corpora\n\n{corpora_markdown(corpora)}\n\n## Dev loss\n\n| step | mean loss |\n|---:|---:|\n{losses}\n\n"
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


def score_models(names: Sequence[str], suites: Sequence[str], pairs: Sequence[str] | None) -> dict[str, list[Score]]:
    """Return the scores of some models, by the name of the table's column.

    Args:
        names: Hub ids, folders of models, or run directories.
        suites: bundled suites by name, or files or folders of `en-uk.tsv` files.
        pairs: language pairs to score, None for all.
    """
    sets = load_suites(suites, None, pairs)
    scores = {}
    for name in names:
        folder = Path(name) / "model"
        model = load_model("model", str(folder) if folder.is_dir() else name, device=str(PartialState().device))
        speed_up(model)
        column = Path(name).name if Path(name).name not in scores else name
        scores[column] = evaluate({column: partial(encode, model)}, sets)
    return scores


def latest_run(runs: Path) -> Path:
    """Return the run directory whose model was finished last.

    Raises:
        RunError: there is none.
    """
    models = sorted(runs.glob("*/model"), key=lambda folder: folder.stat().st_mtime)
    if not models:
        raise RunError(str(runs), "no finished run", hint="name a model, or make one with distill run")
    return models[-1].parent


@dataclass
class Plan:
    """What a run would do, measured on a few steps.

    Attributes:
        corpora: the corpora, loaded.
        sizes: sizes of the student.
        steps: optimizer steps.
        vectors: teacher vectors still to compute.
        vectors_seconds: expected time for them.
        training_seconds: expected time of training.
    """

    corpora: list[Corpus]
    sizes: dict[str, Any]
    steps: int
    vectors: int
    vectors_seconds: float
    training_seconds: float


def plan_run(recipe: Recipe) -> Plan:
    """Return what a run of a recipe would do; nothing is written but the corpora's and tokens' cache."""
    accelerator = make_accelerator(recipe)
    set_seed(recipe.seed)
    sets = load_suites(recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
    corpora = load_corpora(recipe, SentenceFilter(sentences(sets)))
    teacher = load_teacher(recipe.teacher, accelerator.device)
    jobs = list(missing_texts(teacher.store, corpora, ("english",)))
    missing = sum(len(job.keys) for job in jobs)
    sample = jobs[0].texts()[:512] if jobs else []
    began = time.monotonic()
    encode(teacher.model, sample, precision=teacher.precision)
    vectors_seconds = (time.monotonic() - began) * missing / max(1, len(sample))
    student = build_student(recipe.student, teacher, corpora, accelerator.device)
    speed_up(student)
    sizes = describe(student)
    data = training_data(recipe, teacher, ZeroVectors(teacher.dimension), student, corpora, accelerator)
    nowhere = RunDirectory(recipe.runs / recipe.name, writable=False)
    trainer = Trainer(recipe, student, data, nowhere, accelerator)
    seconds = trainer.time_steps()
    steps = trainer.schedule.n_steps
    return Plan(corpora, sizes, steps, missing, vectors_seconds, seconds * steps)


def _finished(run: RunDirectory) -> Outcome | None:
    """Return the outcome of a run that was finished before."""
    stored = run.read_json("scores.json")
    if stored is None or not run.model.exists():
        return None
    scores = with_replicates([Score(**score) for score in stored["scores"]], run.path / "scores.npz")
    return Outcome(run.model, scores, stored["facts"])
