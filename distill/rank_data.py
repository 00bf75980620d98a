"""Ranking corpora: a short trial run on each alone, all from the same untrained student, scored zero-shot."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from distill.compare import Estimate, difference, standing
from distill.corpora import Corpus
from distill.errors import DataError, RecipeError, RunError
from distill.evaluate import Score
from distill.files import file_checksum
from distill.objectives import corpora_of
from distill.pipeline import PROJECTION, Outcome, Ready, make_accelerator, prepare, run_recipe
from distill.recipe import Recipe, StudentSection
from distill.recipe.mixture import MixtureSection
from distill.recipe.training import TrainingSection
from distill.rundir import RunDirectory
from distill.scoring import main_scores
from distill.sweep import run_name

log = logging.getLogger("distill")

HEADER = ("rank", "corpus", "rows", "before", "after", "gain [95 % interval]")


NOTHING = Estimate(float("nan"))


@dataclass(frozen=True)
class Trial:
    """A short run on one corpus.

    Attributes:
        corpus: its name.
        rows: rows to train on.
        recipe: what is run; None if no objective alone can train on it.
        problem: why not.
    """

    corpus: str
    rows: int
    recipe: Recipe | None
    problem: str = ""


@dataclass(frozen=True)
class Ranked:
    """What a trial came to.

    Attributes:
        trial: the trial; its `problem` says why there are no scores.
        scores: all scores of the student, under the corpus's name.
        sets: number of test sets that the means are of.
        before: mean score of the untrained student.
        after: mean score after the trial.
        gain: how much higher it is, with the interval of the paired bootstrap.
        tied: whether it cannot be told from the best.
    """

    trial: Trial
    scores: tuple[Score, ...] = ()
    sets: int = 0
    before: float = float("nan")
    after: float = float("nan")
    gain: Estimate = NOTHING
    tied: bool = False

    def as_dict(self, rank: int | None) -> dict[str, Any]:
        """Return it for JSON."""
        found: dict[str, Any] = {"rank": rank, "corpus": self.trial.corpus, "rows": self.trial.rows}
        if self.trial.problem:
            return {**found, "problem": self.trial.problem}
        ends = {"before": self.before, "after": self.after, "gain": self.gain.value}
        interval = {"low": self.gain.low, "high": self.gain.high, "tied_with_best": self.tied}
        return {**found, **ends, **interval, "scores": [score.as_dict() for score in self.scores]}


def start(recipe: Recipe) -> tuple[Path, Ready]:
    """Return the run directory that holds the student all trials start from, and what it was made of.

    It is built from all corpora once: a vocabulary of its own for each would make the trials incomparable. A skip
    connection, which is fitted to a whole recipe's corpora, is left out.

    Raises:
        RecipeError: there are no test sets.
    """
    accelerator = make_accelerator(recipe)
    own = {
        "name": run_name(recipe, "rank"),
        "student": _without_skip(recipe),
        "training": TrainingSection(),
        "mixture": MixtureSection(),
    }
    run = RunDirectory.open(recipe.model_copy(update=own), mode="resume")
    try:
        ready = prepare(recipe, run, accelerator)
    finally:
        run.close()
    if not ready.sets:
        raise RecipeError("evaluation.suites", "no test set to score the trials on", hint="name a suite that has some")
    return run.path, ready


def trials(recipe: Recipe, ready: Ready, steps: int) -> list[Trial]:
    """Return a trial of each corpus: as many steps of the objectives that take its rows, whatever its size.

    Args:
        recipe: the recipe.
        ready: its corpora and test sets.
        steps: optimizer steps.

    Raises:
        RecipeError: two would run under the same name.
    """
    pairs = recipe.evaluation.pairs or tuple(dict.fromkeys(found.pair for found in ready.sets))
    evaluation = recipe.evaluation.model_copy(update={"pairs": pairs, "every": None, "baselines": {}})
    length = {"epochs": steps, "max_steps": steps}
    same = {"select": "last", "select_by": "loss", "early_stopping": None, "interpolation": 1.0}
    shared = {
        "training": recipe.training.model_copy(update={**length, **same}),
        "evaluation": evaluation,
        "mixture": MixtureSection(batches=recipe.mixture.batches),
        "student": _without_skip(recipe),
    }
    found = [
        _trial(recipe, name, [c for c in ready.corpora if c.name == name], steps, shared) for name in recipe.corpora
    ]
    names = [trial.recipe.name for trial in found if trial.recipe]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError("corpora", f"two corpora would both run as {twice}", hint="give one another name")
    return found


def _without_skip(recipe: Recipe) -> StudentSection:
    return recipe.student.model_copy(update={"skip": None}) if recipe.skip else recipe.student


def _trial(recipe: Recipe, name: str, corpora: Sequence[Corpus], steps: int, shared: dict[str, Any]) -> Trial:
    rows = sum(len(corpus.train) for corpus in corpora)
    objectives = {
        key: objective.model_copy(update={"corpora": (name,)})
        for key, objective in recipe.objectives.items()
        if any(len(corpus.train) for corpus in corpora_of(objective, corpora))
    }
    if not objectives:
        kinds = " and ".join(dict.fromkeys(corpus.kind for corpus in corpora))
        return Trial(name, rows, None, f"no objective takes its rows ({kinds})" if rows else "no rows to train on")
    own = {"name": run_name(recipe, f"rank-{steps}-{name}"), "corpora": {name: recipe.corpora[name]}}
    return Trial(name, rows, recipe.model_copy(update={**shared, **own, "objectives": objectives}))


def run_trial(recipe: Recipe, began: Path) -> Outcome:
    """Return what a trial came to; it is not run again if it is finished, and goes on if it was killed.

    Args:
        recipe: the trial's.
        began: the run directory that holds the student to start from.

    Raises:
        RunError: the trial started from another student.
    """
    path = recipe.runs / recipe.name
    place_student(began, path)
    return run_recipe(recipe, mode="resume")


def place_student(began: Path, path: Path) -> None:
    """Put the untrained student of a run directory into another one, where a run takes it from.

    Raises:
        RunError: there is another one.
    """
    if not (path / "untrained").exists():
        temporary = path / ".tmp-untrained"
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(began / "untrained", temporary)
        if (began / PROJECTION).exists():
            shutil.copyfile(began / PROJECTION, path / PROJECTION)
        temporary.rename(path / "untrained")
    elif _weights(path / "untrained") != _weights(began / "untrained"):
        raise RunError(
            str(path),
            f"this trial did not start from the student in {began}",
            hint="remove this folder to run it again, or use another name: --set name=…",
        )


def _weights(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_checksum(path) for path in sorted(folder.rglob("*.safetensors"))}


def rank(chosen: Sequence[Trial], run: Callable[[Recipe], Outcome]) -> list[Ranked]:
    """Return what all trials came to, the greatest gain first, those that cannot be run last."""
    done = [_ran(trial, run) for trial in chosen]
    found = standing(main_scores([score for ranked in done for score in ranked.scores]))
    done = [replace(ranked, tied=ranked.trial.corpus in found.tied) for ranked in done]
    return sorted(done, key=lambda ranked: (bool(ranked.trial.problem), -ranked.gain.value))


def _ran(trial: Trial, run: Callable[[Recipe], Outcome]) -> Ranked:
    if trial.recipe is None:
        return Ranked(trial)
    try:
        outcome = run(trial.recipe)
    except DataError as error:
        log.warning("%s: %s", trial.corpus, error)
        return Ranked(replace(trial, problem=f"{error.where}: {error.found}"))
    ends = [score for score in main_scores(outcome.scores) if score.model in ("untrained", "student")]
    means, gain = standing(ends).means, difference(ends, "student", "untrained")
    scores = tuple(replace(score, model=trial.corpus) for score in outcome.scores if score.model == "student")
    return Ranked(trial, scores, len(ends) // 2, means["untrained"].value, means["student"].value, gain)


def rank_rows(ranking: Sequence[Ranked]) -> list[tuple[str, ...]]:
    """Return the rows of the table below `HEADER`; scores are × 100."""
    rows: list[tuple[str, ...]] = []
    for place, ranked in enumerate(ranking, start=1):
        trial = ranked.trial
        if trial.problem:
            rows.append(("–", trial.corpus, f"{trial.rows:,}", "", "", trial.problem))
            continue
        gain = f"{100 * ranked.gain.value:+.1f}"
        if ranked.gain.low is not None and ranked.gain.high is not None:
            gain += f" [{100 * ranked.gain.low:.1f}, {100 * ranked.gain.high:.1f}]"
        ends = (f"{100 * ranked.before:.1f}", f"{100 * ranked.after:.1f}")
        rows.append((f"{place}{'=' * ranked.tied}", trial.corpus, f"{trial.rows:,}", *ends, gain))
    return rows


def remarks(steps: int, ranking: Sequence[Ranked]) -> list[str]:
    """Return what the table means."""
    sets = next((ranked.sets for ranked in ranking if ranked.scores), 0)
    lines = [f"before, after: mean of the main scores × 100 on {sets} test sets; {steps:,} steps on each corpus alone"]
    if any(ranked.tied for ranked in ranking):
        lines.append("=: not distinguishable from the best (95 % interval of the paired difference includes 0)")
    return lines


def rank_table(steps: int, ranking: Sequence[Ranked]) -> Group:
    """Return the table for the terminal."""
    table = Table(title="Corpora, best first", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in HEADER:
        table.add_column(column, no_wrap=True, justify="left" if column == "corpus" else "right")
    for row in rank_rows(ranking):
        table.add_row(*row)
    return Group(table, *(Text(remark, style="italic") for remark in remarks(steps, ranking)), "")


def rank_markdown(steps: int, ranking: Sequence[Ranked]) -> str:
    """Return the table in Markdown."""
    lines = [HEADER, ("---:", "---", "---:", "---:", "---:", "---:"), *rank_rows(ranking)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([table, "", *(f"- {remark}" for remark in remarks(steps, ranking))])
