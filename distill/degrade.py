"""What a student forgot while it trained: every checkpoint scored on every set, its best against the last."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text
from safetensors.torch import load_file

from distill.compare import Estimate, difference, is_real, standing
from distill.encode import EncodeTexts
from distill.errors import RunError
from distill.evaluate import Score, evaluate
from distill.gradients import Encoder
from distill.interpolation import interpolate
from distill.progress import progress
from distill.rundir import RunDirectory
from distill.scoring import main_scores
from distill.skip import without_skip
from distill.student import load_student
from distill.testsets import COMMAND_LINE, load_suites
from distill.vectors import vectors_by

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WEIGHTS = "model.safetensors"
"""File of a checkpoint in which accelerate saves the `Encoder`."""

MOST_STEPS = 6
"""Most steps in a table."""


@dataclass(frozen=True)
class Course:
    """How one number went while the student trained.

    Attributes:
        name: set of dev rows; or the kind of score, suite and pair.
        values: step → dev loss or score.
        best_step: step of the best value, the first of equal ones.
        drop: how much worse the last value is than the best one, with the interval of the paired bootstrap for scores.
    """

    name: tuple[str, ...]
    values: dict[int, float]
    best_step: int
    drop: Estimate

    @property
    def end_step(self) -> int:
        """The last step."""
        return max(self.values)

    @property
    def forgotten(self) -> bool:
        """Whether the drop is real."""
        return is_real(self.drop)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        drop = {"drop": self.drop.value, "low": self.drop.low, "high": self.drop.high, "real": self.forgotten}
        return {"name": list(self.name), "values": self.values, "best_step": self.best_step, **drop}


@dataclass(frozen=True)
class Degradation:
    """What a run forgot.

    Attributes:
        losses: dev loss of each set, and their weighted mean.
        scores: main score of each test set, and means of each pair in several suites and of all.
        steps: steps of the models that were scored; 0 is the untrained student.
        checkpoints: steps that a checkpoint was made at.
        weights_from: step that the finished model's weights are from; None if the run is not finished.
        skip: whether the finished model has a skip connection, without which all are scored.
        interpolation: how far the weights that are scored go from the untrained student's to the trained ones.
    """

    losses: list[Course]
    scores: list[Course]
    steps: tuple[int, ...]
    checkpoints: tuple[int, ...]
    weights_from: int | None
    skip: bool = False
    interpolation: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        courses = {"dev": [c.as_dict() for c in self.losses], "scores": [c.as_dict() for c in self.scores]}
        steps = {"scored_steps": self.steps, "checkpoints": self.checkpoints, "weights_from": self.weights_from}
        return {**steps, "scored_without_skip": self.skip, "interpolation": self.interpolation, **courses}


def degrade(path: Path, suites: Sequence[str] = (), pairs: Sequence[str] | None = None) -> Degradation:
    """Return how dev losses and scores went in a run, finished or not.

    Args:
        path: the run directory.
        suites: suites by name, files or declarations; those of its recipe if none.
        pairs: language pairs to score; those of its recipe if None.

    Raises:
        RunError: it is no run directory, or has no weights to score.
        DataError: there is no such suite or pair.
    """
    run, recipe = RunDirectory(path, writable=False), _read(path, "recipe.json")
    languages = sorted({code for corpus in recipe["corpora"].values() for code in corpus["languages"]} - {"en"})
    wanted = pairs or recipe["evaluation"]["pairs"]
    sets = load_suites(suites or suites_of(path), languages, wanted, options=COMMAND_LINE)
    share = recipe["training"].get("interpolation", 1.0)
    trusted = any(recipe[section].get("trust_remote_code") for section in ("teacher", "student"))
    models = models_by_step(run, PartialState().device, share, trust_remote_code=trusted)
    scores: list[Score] = []
    with progress("scoring", len(models), "models") as update:
        for done, (step, vectors) in enumerate(models.items(), start=1):
            scores += evaluate({str(step): vectors}, sets)
            update(done)
    events = run.read_log()
    made = tuple(event["step"] for event in events if event["event"] == "checkpoint")
    return Degradation(
        loss_courses([event for event in events if event["event"] == "dev"]),
        score_courses(main_scores(scores)),
        tuple(models),
        made,
        (run.read_json("scores.json") or {}).get("weights_from"),
        bool(recipe["student"].get("skip")),
        share,
    )


def suites_of(path: Path) -> list[str]:
    """Return the suites that a run is scored on.

    Raises:
        RunError: it is no run directory.
    """
    # The recipe of the record says only what files are called, not where they lie.
    return list(_read(path, "run.json").get("suites") or _read(path, "recipe.json")["evaluation"]["suites"])


def _read(path: Path, name: str) -> dict[str, Any]:
    run = RunDirectory(path, writable=False)
    if (found := run.read_json(name)) is None or not run.untrained.exists():
        raise RunError(str(path), "no run is here", expected="a run directory, such as runs/NAME")
    return found


def models_by_step(
    run: RunDirectory, device: torch.device, interpolation: float = 1.0, *, trust_remote_code: bool = False
) -> dict[int, EncodeTexts]:
    """Return step → what gives the vectors of a run's weights at that step: 0, those of checkpoints and the model's.

    Skip connections are left out: checkpoints have none.

    Args:
        run: the run.
        device: where they are run.
        interpolation: how far the model's weights are from the untrained ones, and those of checkpoints are to be.
        trust_remote_code: run Python code that the student's model came with.

    Raises:
        RunError: there are none but the untrained.
    """
    load = partial(load_student, device=device, trust_remote_code=trust_remote_code)
    untrained = without_skip(load(run.untrained))
    loads: dict[int, Callable[[], SentenceTransformer]] = {0: lambda: untrained}
    for step, folder in run.intact_checkpoints():
        loads[step] = partial(with_checkpoint, untrained, folder, interpolation)
    finished = run.read_json("scores.json")
    if finished and run.model.exists():
        loads.setdefault(finished["weights_from"], lambda: without_skip(load(run.model)))
    if len(loads) == 1:
        trained = finished is None or bool(finished["weights_from"])
        found = "no checkpoint and no model" if trained else "the student was not trained"
        raise RunError(str(run.path), found, hint="train it first: distill run, with training.epochs above 0")
    return {step: vectors_by(loads[step], f"{run.path.name} step {step}") for step in sorted(loads)}


def with_checkpoint(
    untrained: SentenceTransformer, checkpoint: Path, interpolation: float = 1.0
) -> SentenceTransformer:
    """Return a copy of a run's untrained student with the weights of a checkpoint, or some way towards them.

    Raises:
        RunError: the checkpoint has no such weights.
    """
    if not (checkpoint / WEIGHTS).is_file():
        raise RunError(str(checkpoint), f"no {WEIGHTS}", hint="checkpoints of sharded models cannot be scored")
    encoder = Encoder(copy.deepcopy(untrained))
    stored, own = load_file(checkpoint / WEIGHTS), encoder.state_dict()
    known = {own[name].data_ptr() for name in stored.keys() & own.keys()}  # tied weights have one name there
    if stored.keys() - own.keys() or any(tensor.data_ptr() not in known for tensor in own.values()):
        raise RunError(str(checkpoint), "has the weights of another model than the untrained student")
    encoder.load_state_dict(stored, strict=False)
    interpolate(encoder.student, dict(untrained.named_parameters()), interpolation)
    return encoder.student


def loss_courses(events: Sequence[Mapping[str, Any]]) -> list[Course]:
    """Return how the dev loss of each set went, and their mean where there are several.

    Args:
        events: lines of the log: step, the mean loss and the loss of each set.
    """
    values: dict[str, dict[int, float]] = {}
    for event in events:
        means = {"mean": event["loss"]} if len(event["sets"]) > 1 else {}
        for name, loss in {**event["sets"], **means}.items():
            values.setdefault(name, {})[event["step"]] = loss
    courses = []
    for name, losses in values.items():
        best = min(losses, key=lambda step: (losses[step], step))
        courses.append(Course((name,), losses, best, Estimate(losses[max(losses)] - losses[best])))
    return sorted(courses, key=lambda course: course.name == ("mean",))


def score_courses(scores: Sequence[Score]) -> list[Course]:
    """Return how the scores of each test set went, and their means: of a pair in several suites, and of all.

    Args:
        scores: one of each set and step; `model` is the step.
    """
    return [_score_course(name, own) for name, own in _groups(scores)]


def _groups(scores: Sequence[Score]) -> Iterator[tuple[tuple[str, ...], list[Score]]]:
    sets = dict.fromkeys((score.metric, score.suite, score.pair) for score in scores)
    for metric, suite, pair in sets:
        own = [s for s in scores if (s.metric, s.suite, s.pair) == (metric, suite, pair)]
        yield (metric, suite, pair), own
    pairs = [pair for _, _, pair in sets]
    for pair in dict.fromkeys(pairs):
        if 1 < pairs.count(pair) < len(pairs):
            yield ("mean", "", pair), [score for score in scores if score.pair == pair]
    if len(sets) > 1:
        yield ("mean", "", ""), list(scores)


def _score_course(name: tuple[str, ...], scores: Sequence[Score]) -> Course:
    means = standing(scores).means
    values = {int(step): mean.value for step, mean in means.items()}
    known = [step for step, value in values.items() if not math.isnan(value)] or list(values)
    best = max(known, key=lambda step: (values[step], -step))
    end = max(values)
    drop = difference(scores, str(best), str(end)) if best != end else Estimate(0.0)
    return Course(name, values, best, drop)


def loss_rows(courses: Sequence[Course]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of dev losses."""
    steps = shown_steps(courses)
    rows = []
    for course in courses:
        best = course.values[course.best_step]
        rise = f"+{course.drop.value:.4f} (+{100 * course.drop.value / abs(best):.0f} %)" if course.drop.value else "–"
        values = [_at(course, step, "{:.4f}") for step in steps]
        rows.append([*course.name, *values, f"{best:.4f} at {course.best_step}", rise])
    return ["set", *_headings(steps), "best", "rise since"], rows


def score_rows(courses: Sequence[Course]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of scores, which are × 100."""
    steps = shown_steps(courses)
    rows = []
    for course in courses:
        values = [_at(course, step, "{:.1f}", 100) for step in steps]
        best = f"{100 * course.values[course.best_step]:.1f} at {course.best_step}"
        rows.append([*course.name, *values, best, _drop(course)])
    return ["score", "suite", "pair", *_headings(steps), "best", "drop since [95 % interval]"], rows


def _drop(course: Course) -> str:
    if course.best_step == course.end_step:
        return "–"
    drop = course.drop
    between = "" if drop.low is None or drop.high is None else f" [{100 * drop.low:.1f}, {100 * drop.high:.1f}]"
    return f"{100 * drop.value:.1f}{between} {'forgotten' if course.forgotten else 'may be chance'}"


def shown_steps(courses: Sequence[Course]) -> list[int]:
    """Return the steps that a table shows: the first, the last and some evenly between them."""
    steps = sorted({step for course in courses for step in course.values})
    if len(steps) <= MOST_STEPS:
        return steps
    return [steps[round(place * (len(steps) - 1) / (MOST_STEPS - 1))] for place in range(MOST_STEPS)]


def _headings(steps: Sequence[int]) -> list[str]:
    return ["untrained" if step == 0 else f"step {step}" for step in steps]


def _at(course: Course, step: int, form: str, factor: float = 1.0) -> str:
    return form.format(factor * course.values[step]) if step in course.values else "–"


def remarks(found: Degradation) -> list[str]:
    """Return what the tables mean, what was forgotten, and which steps could be scored."""
    sets = [course for course in found.scores if course.name[0] != "mean"]
    lost = [
        f"{' '.join(c.name[1:])} {c.name[0]}, {100 * c.drop.value:.1f} since step {c.best_step}"
        for c in sets
        if c.forgotten
    ]
    lines = [
        f"forgotten: {'; '.join(lost) or 'nothing that can be told from chance'}",
        "drop: of the last step from the best one, with the interval of the paired bootstrap; forgotten: it does not "
        "include 0. The best of many steps is so partly by chance. Dev losses have no interval",
    ]
    if found.weights_from is not None:
        lines.append(f"the finished model has the weights of step {found.weights_from}")
    if found.interpolation < 1:
        lines.append(
            f"scores, not dev losses, are of weights {found.interpolation:g} of the way from the untrained student's, "
            "as the finished model's are"
        )
    if found.skip:
        lines.append("all steps are scored without the skip connection; the scores of report.md have it")
    if gone := sorted(set(found.checkpoints) - set(found.steps)):
        lines.append(
            f"not scored: step{'s' * (len(gone) > 1)} {_listed(gone)}, whose checkpoints are gone; to keep all, train "
            f"with training.keep_checkpoints={len(set(found.checkpoints))}"
        )
    return lines


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) <= MOST_STEPS else f"{steps[0]}, {steps[1]}, … {steps[-1]}"


def degradation_table(found: Degradation) -> Group:
    """Return the tables for the terminal."""
    parts = []
    for title, courses, (header, rows) in _tables(found):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for column in header:
            table.add_column(column, no_wrap=True, justify="left" if column in LEFT else "right")
        for course, row in zip(courses, rows, strict=True):
            table.add_row(*row, style="bold" if course.forgotten else "italic" if course.name[0] == "mean" else "")
        parts.append(table)
    return Group(*parts, *(Text(remark, style="italic") for remark in remarks(found)), "")


def degradation_markdown(found: Degradation) -> str:
    """Return the tables in Markdown."""
    parts = []
    for title, _, (header, rows) in _tables(found):
        lines = [header, ["---" if column in LEFT else "---:" for column in header], *rows]
        parts.append(f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, "\n".join(f"- {remark}" for remark in remarks(found))])


LEFT = ("set", "score", "suite", "pair")
"""Columns that are no numbers."""


def _tables(found: Degradation) -> Iterator[tuple[str, list[Course], tuple[list[str], list[list[str]]]]]:
    if found.losses:
        yield "Dev loss", found.losses, loss_rows(found.losses)
    if found.scores:
        yield "Scores × 100", found.scores, score_rows(found.scores)
