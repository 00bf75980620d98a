"""Scoring the models of a run, and any others, on test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator, PartialState

from distill.encode import Vectors, encode, speed_up
from distill.errors import RunError
from distill.evaluate import EncodeTexts, Score, evaluate, store_replicates, with_replicates
from distill.models import load_model
from distill.rundir import RunDirectory
from distill.teacher import Teacher
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
    """Return a function from texts to vectors that holds its model in memory only while it runs."""

    def vectors(texts: Sequence[str]) -> Vectors:
        model = load_model(where, name, device=str(device))
        speed_up(model)
        return encode(model, texts)

    return vectors


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
