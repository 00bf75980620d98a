"""Scoring the models of a run, and any others, on test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator, PartialState

from distill.compare import LOWER_IS_BETTER, standing
from distill.encode import EncodeTexts, encode
from distill.evaluate import Score, evaluate, store_replicates, with_replicates
from distill.named_models import teacher_section
from distill.report import MAIN
from distill.rundir import RunDirectory
from distill.teacher import Teacher, load_teacher
from distill.testsets import COMMAND_LINE, TestSet, load_suites
from distill.vectors import vectors_of

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
    """Return the scores of the teacher, the untrained student and the baselines; a resumed run reads them.

    The teacher is scored with all its dimensions, the distance to its vectors is in those that the student has.
    """
    scores: list[Score] = []
    if accelerator.is_main_process:
        stored = run.read_json("scores_before.json")
        if stored is None:
            whole = replace(teacher, projection=None) if teacher.projection else teacher
            models: dict[str, EncodeTexts] = {"teacher": whole.vectors, "untrained": partial(encode, student)}
            for name, model in baselines.items():
                models[name] = vectors_of(f"evaluation.baselines.{name}", model, accelerator.device)
            scores = evaluate(models, sets, teacher=teacher.vectors)
            store_replicates(run.path / "scores_before.npz", scores)
            run.write_json("scores_before.json", {"scores": [score.as_dict() for score in scores]})
        else:
            scores = with_replicates([Score(**score) for score in stored["scores"]], run.path / "scores_before.npz")
    accelerator.wait_for_everyone()
    return scores


def score_student(teacher: Teacher, student: SentenceTransformer, sets: Sequence[TestSet]) -> list[Score]:
    """Return the scores of the student."""
    return evaluate({"student": partial(encode, student)}, sets, teacher=teacher.vectors)


def mean_score(scores: Sequence[Score]) -> float:
    """Return the mean over the test sets of their main scores, where higher is better."""
    return fmean(score.value for score in main_scores(scores))


def main_scores(scores: Sequence[Score]) -> list[Score]:
    """Return one score of each model on each test set: the mean of its main metrics of which higher is better.

    Its metric is called as in the table of scores.
    """
    titles = {metric: title for title, metrics in MAIN for metric in metrics if metric not in LOWER_IS_BETTER}
    found: dict[tuple[str, str, str, str], list[Score]] = {}
    for score in scores:
        if title := titles.get(score.metric):
            found.setdefault((score.model, score.suite, score.pair, title), []).append(score)
    joined = []
    for (model, suite, pair, title), own in found.items():
        mean = standing(own).means[model]
        replicates = [score.replicates for score in own if score.replicates is not None]
        joined.append(
            Score(
                suite,
                pair,
                title,
                model,
                mean.value,
                own[0].n,
                mean.low,
                mean.high,
                replicates=np.mean(replicates, axis=0) if len(replicates) == len(own) else None,
            )
        )
    return joined


def scores_while_training(run: RunDirectory) -> dict[str, dict[str, float]]:
    """Return step → test set → main score × 100, and their mean; empty if the student was scored only at the end."""
    found: dict[str, dict[str, float]] = {}
    for event in run.read_log():
        if event["event"] == "scores":
            scores = main_scores([Score(**score) for score in event["scores"]])
            values = {f"{score.suite} {score.pair} {score.metric}": 100 * score.value for score in scores}
            found[str(event["step"])] = {**values, **({"mean": fmean(values.values())} if len(values) > 1 else {})}
    return found if len(found) > 1 else {}


def score_models(
    sources: Mapping[str, str], suites: Sequence[str], pairs: Sequence[str] | None, *, teacher_of: Path | None = None
) -> list[Score]:
    """Return the scores of some models.

    Args:
        sources: column → folder or Hub id.
        suites: suites by name, files or folders of `en-uk.tsv` files, or declarations.
        pairs: language pairs to score, None for all.
        teacher_of: the run whose teacher the column `teacher` is; the distance to its English vectors is then a score
            of the others.

    Raises:
        DistillError: there is no such model, suite or pair.
    """
    device = PartialState().device
    models = {column: vectors_of("model", source, device) for column, source in sources.items()}
    teacher = None
    if teacher_of is not None:
        teacher = models["teacher"] = _teacher_of(teacher_of, device)
    return evaluate(models, load_suites(suites, None, pairs, options=COMMAND_LINE), teacher=teacher)


def _teacher_of(run: Path, device: torch.device) -> EncodeTexts:
    """Return what gives the vectors of a run's teacher, with the pooling and prompt of its recipe."""
    section = teacher_section(run)
    return lambda texts: load_teacher(section, device).vectors(texts)
