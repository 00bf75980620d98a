"""What a run of a recipe would do, measured on a few steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate.utils import set_seed

from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.encode import encode, speed_up
from distill.gradients import ZeroVectors
from distill.pipeline import check_teacher, embedded_columns, make_accelerator, training_data
from distill.recipe import Recipe
from distill.rundir import RunDirectory
from distill.skip import check_first_input, collect_states, with_map
from distill.student import build_student, describe
from distill.teacher import load_teacher, missing_texts, project
from distill.testsets import load_suites, sentences_by_suite
from distill.train import Trainer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


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
    corpora = load_corpora(recipe, SentenceFilter(sentences_by_suite(sets)))
    teacher = load_teacher(recipe.teacher, accelerator.device)
    check_teacher(recipe, teacher, corpora)
    jobs = list(missing_texts(teacher.store, corpora, embedded_columns(recipe)))
    missing = sum(len(job.keys) for job in jobs)
    sample = jobs[0].texts()[:512] if jobs else []
    began = time.monotonic()
    encode(teacher.model, sample, precision=teacher.precision)
    vectors_seconds = (time.monotonic() - began) * missing / max(1, len(sample))
    if recipe.student.dimensions:  # the vectors may not be there yet; any projection takes as long
        teacher = project(teacher, np.eye(recipe.student.dimensions, teacher.dimension, dtype=np.float32))
    student = build_student(recipe.student, teacher, corpora, accelerator.device, with_vectors=False)
    speed_up(student)
    sizes = _sizes(recipe, student)
    data = training_data(recipe, teacher, ZeroVectors(teacher.dimension), student, corpora, accelerator)
    nowhere = RunDirectory(recipe.runs / recipe.name, writable=False)
    trainer = Trainer(recipe, student, data, nowhere, accelerator)
    seconds = trainer.time_steps()
    steps = trainer.schedule.n_steps
    return Plan(corpora, sizes, steps, missing, vectors_seconds, seconds * steps)


def _sizes(recipe: Recipe, student: SentenceTransformer) -> dict[str, Any]:
    """Return the sizes of a student with the skip connection that it is to have, which cannot be fitted yet."""
    if not recipe.skip:
        return describe(student)
    hidden, dimension = student[0].model.config.hidden_size, int(student.get_embedding_dimension() or 0)
    check_first_input(student)
    whole = with_map(student, np.zeros((hidden + 1, dimension), np.float32))
    sizes = describe(whole)
    collect_states(student, on=False)  # steps are timed without it, as it is trained
    return sizes
