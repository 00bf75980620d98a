"""Scoring the models of a run, and any others, on test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator, PartialState

from distill.encode import Vectors, encode, speed_up
from distill.errors import ModelError, RunError
from distill.evaluate import EncodeTexts, Score, evaluate, store_replicates, with_replicates
from distill.models import encoder_digest, load_model
from distill.recipe.values import is_path
from distill.rundir import RunDirectory, model_folder, teacher_section
from distill.store import VectorStore
from distill.teacher import Teacher, load_teacher, stored_vectors
from distill.testsets import TestSet, load_suites

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def score_before(
    teacher: Teacher,
    student: SentenceTransformer,
    baselines: Mapping[str, str],
    sets: Sequence[TestSet],
    run: RunDirectory,
    accelerator: Accelerator,
) -> list[Score]:
    """Return the scores of the teacher, the untrained student and the baselines; a resumed run reads them."""
    scores: list[Score] = []
    if accelerator.is_main_process:
        stored = run.read_json("scores_before.json")
        if stored is None:
            models: dict[str, EncodeTexts] = {"teacher": teacher.vectors, "untrained": partial(encode, student)}
            for name, model in baselines.items():
                models[name] = _loaded_when_used(f"evaluation.baselines.{name}", model, accelerator.device)
            scores = evaluate(models, sets, teacher="teacher")
            store_replicates(run.path / "scores_before.npz", scores)
            run.write_json("scores_before.json", {"scores": [score.as_dict() for score in scores]})
        else:
            scores = with_replicates([Score(**score) for score in stored["scores"]], run.path / "scores_before.npz")
    accelerator.wait_for_everyone()
    return scores


def score_student(teacher: Teacher, student: SentenceTransformer, sets: Sequence[TestSet]) -> list[Score]:
    """Return the scores of the student."""
    models: dict[str, EncodeTexts] = {"teacher": teacher.vectors, "student": partial(encode, student)}
    return [score for score in evaluate(models, sets, teacher="teacher") if score.model == "student"]


def _loaded_when_used(where: str, name: str, device: torch.device) -> EncodeTexts:
    """Return a function from texts to stored vectors that holds its model in memory only while it runs."""

    def vectors(texts: Sequence[str]) -> Vectors:
        model = load_model(where, name, device=str(device))
        store = VectorStore({"model": Path(name).name, "encoder": encoder_digest(model), "precision": "fp32"})
        speed_up(model)
        return stored_vectors(store, texts, partial(encode, model))

    return vectors


def score_models(
    names: Sequence[str], suites: Sequence[str], pairs: Sequence[str] | None, *, run: Path | None = None
) -> list[Score]:
    """Return the scores of some models, each under the name of its column.

    Args:
        names: Hub ids, folders of models, or run directories; `teacher` and `untrained` are those of `run`. With
            `teacher`, the distance to its English vectors is a score of the others.
        suites: suites by name, files or folders of `en-uk.tsv` files, or declarations.
        pairs: language pairs to score, None for all.
        run: a run directory.

    Raises:
        DistillError: there is no such model, suite or pair.
    """
    models: dict[str, EncodeTexts] = {}
    for name in names:
        column = name if Path(name).name in models else Path(name).name
        models[column] = _model(name, run)
    return evaluate(models, load_suites(suites, None, pairs), teacher="teacher" if "teacher" in models else None)


def _model(name: str, run: Path | None) -> EncodeTexts:
    """Return a function from texts to vectors of a model as a user names it."""
    device = PartialState().device
    if name in ("teacher", "untrained") and run is None:
        raise RunError(name, "no run directory among the models, and none in --runs", hint="name a run directory")
    if name == "teacher" and run is not None:
        section = teacher_section(run)
        return lambda texts: load_teacher(section, device).vectors(texts)
    folder = run / "untrained" if name == "untrained" and run is not None else model_folder(name)
    if is_path(str(folder)) and not folder.is_dir():
        raise ModelError(f"model: {name}", "no such folder", expected="a model's folder, a run directory or a Hub id")
    return _loaded_when_used("model", str(folder) if folder.is_dir() else name, device)
