"""What a run shows: tables for the terminal and `report.md`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from distill.compare import difference, is_real, standing
from distill.evaluate import Score

MAIN = (
    ("bitext %", ("accuracy_forward", "accuracy_backward")),
    ("Spearman", ("spearman",)),
    ("nDCG@10", ("ndcg_at_10",)),
    ("probe %", ("accuracy",)),
    ("distance²", ("mse",)),
)
"""Lines of the table: a title and the metrics that share a cell."""

MORE = (
    ("F1 %", ("f1_forward", "f1_backward")),
    ("xsim %", ("xsim_forward", "xsim_backward")),
    ("Pearson", ("pearson",)),
    ("dot Spearman", ("spearman_dot",)),
    ("dot Pearson", ("pearson_dot",)),
    ("MRR@10", ("mrr_at_10",)),
    ("recall@1", ("recall_at_1",)),
    ("recall@10", ("recall_at_10",)),
    ("recall@100", ("recall_at_100",)),
    ("macro F1 %", ("macro_f1",)),
)
"""Further lines, shown on request."""

MAIN_METRICS = frozenset(metric for _, metrics in MAIN for metric in metrics)

LEGENDS = {
    "bitext %": "bitext: accuracy of searching translations, first → second language / second → first",
    "F1 %": "F1: as mteb's bitext mining",
    "xsim %": "xsim: errors of searching by margin, lower is better",
    "Spearman": "Spearman: rank correlation × 100 of cosines with people's scores",
    "probe %": "probe: accuracy of a logistic regression on the vectors",
    "distance²": "distance²: to the teacher's English vectors, lower is better",
}
LONGEST_MODEL = 15

BYTES_PER_FLOAT = 4
"""Of a number in float32, as models have where nothing else is noted."""

DevLosses = Mapping[str, Mapping[str, float]]
"""Step → set → dev loss."""

MOST_STEPS = 5
"""Most steps in the table of dev losses, the one that the weights are from aside."""


@dataclass(frozen=True)
class Cell:
    """What stands in a table for one model: its scores, half of the interval, and whether it is `best` or `tied`."""

    values: str
    spread: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the table of scores."""

    title: str
    suite: str
    pair: str
    cells: tuple[Cell, ...]


def score_lines(scores: Sequence[Score], models: Sequence[str], *, all_metrics: bool = False) -> list[Line]:
    """Return the lines of the table of scores; a suite's mean follows its pairs where it has several.

    Args:
        scores: all scores.
        models: columns.
        all_metrics: whether to show more than the main metrics.
    """
    lines = []
    for title, metrics in MAIN + MORE if all_metrics else MAIN:
        chosen = [score for score in scores if score.metric in metrics and score.model in models]
        for suite in dict.fromkeys(score.suite for score in chosen):
            own = [score for score in chosen if score.suite == suite]
            pairs = list(dict.fromkeys(score.pair for score in own))
            for pair in pairs:
                here = [score for score in own if score.pair == pair]
                values = {(s.model, s.metric): format_value(s.metric, s.value) for s in here}
                texts = {m: "/".join(values.get((m, metric), "–") for metric in metrics) for m in models}
                lines.append(Line(title, suite, pair, _cells(here, models, texts)))
            if len(pairs) > 1:
                means = standing(own).means
                texts = {m: format_value(metrics[0], means[m].value) if m in means else "–" for m in models}
                lines.append(Line(title, suite, "mean", _cells(own, models, texts)))
    return lines


def _cells(scores: Sequence[Score], models: Sequence[str], values: Mapping[str, str]) -> tuple[Cell, ...]:
    """Return a line's cells: `values` with the interval and the standing of the mean of `scores`."""
    found = standing(scores)
    cells = []
    for model in models:
        if model not in found.means:
            cells.append(Cell("–" if set(values[model]) <= set("–/") else values[model]))
            continue
        half = found.means[model].spread
        spread = "" if half is None else f"±{format_value(scores[0].metric, half)}"
        mark = "best" if model == found.best else "tied" if model in found.tied else ""
        cells.append(Cell(values[model], spread, mark))
    return tuple(cells)


def format_value(metric: str, value: float) -> str:
    """Return a score as it stands in a table: × 100, but for mse."""
    return f"{value:.3f}" if metric == "mse" else f"{100 * value:.1f}"


def score_table(scores: Sequence[Score], models: Sequence[str], *, all_metrics: bool = False) -> Group:
    """Return the table of scores for the terminal with its legend, 80 columns wide at most for three models."""
    lines = score_lines(scores, models, all_metrics=all_metrics)
    table = Table(
        title="Scores",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in ("score", "suite", "pair"):
        table.add_column(column, no_wrap=True)
    for model in models:
        table.add_column("\n".join(wrap(model, LONGEST_MODEL)), justify="right", no_wrap=True)
    previous = ""
    for line in lines:
        if previous not in ("", line.title):
            table.add_section()
        style = "italic" if line.pair == "mean" else ""
        first = "" if line.title == previous else line.title
        table.add_row(first, line.suite, line.pair, *(_text(cell, len(models) > 1) for cell in line.cells), style=style)
        previous = line.title
    remarks = _legend(lines, "* best model; = not distinguishable from it") + _notes(scores)
    return Group(table, *(Text(remark, style="italic") for remark in remarks), "")


def _text(cell: Cell, marked: bool) -> Text:
    mark = {"best": "*", "tied": "="}.get(cell.mark, " ") if marked else ""
    return Text(" ".join(filter(None, (cell.values, cell.spread))) + mark, style="bold" * (cell.mark == "best"))


def score_markdown(scores: Sequence[Score], models: Sequence[str], *, all_metrics: bool = False) -> str:
    """Return the scores as a Markdown table with what its marks mean and the notes on its sets."""
    lines = score_lines(scores, models, all_metrics=all_metrics)
    rows = [
        "| score | suite | pair | " + " | ".join(models) + " |",
        "|---|---|---|" + "---:|" * len(models),
        *(
            f"| {line.title} | {line.suite} | {line.pair} | {' | '.join(map(_markdown, line.cells))} |"
            for line in lines
        ),
    ]
    remarks = _legend(lines, "**bold**: best model; =: not distinguishable from it") + _notes(scores)
    return "\n".join([*rows, "", *(f"- {remark}" for remark in remarks)] if remarks else rows)


def _markdown(cell: Cell) -> str:
    values = f"**{cell.values}**" if cell.mark == "best" else cell.values
    return " ".join(filter(None, (values, cell.spread, "=" * (cell.mark == "tied"))))


def difference_rows(
    scores: Sequence[Score], first: str, second: str, *, all_metrics: bool = False
) -> list[tuple[str, str, str, str, str]]:
    """Return title, suite, pair, difference with its interval, and verdict of how much higher one model scores.

    The difference of a line with two metrics is that of their mean; a suite's mean follows its pairs.
    """
    rows = []
    for title, metrics in MAIN + MORE if all_metrics else MAIN:
        chosen = [score for score in scores if score.metric in metrics and score.model in (first, second)]
        for suite in dict.fromkeys(score.suite for score in chosen):
            own = [score for score in chosen if score.suite == suite]
            pairs = list(dict.fromkeys(score.pair for score in own))
            for pair in pairs + ["mean"] * (len(pairs) > 1):
                found = difference([s for s in own if pair in (s.pair, "mean")], first, second)
                if math.isnan(found.value):
                    continue
                low, high = (None if end is None else format_value(metrics[0], end) for end in (found.low, found.high))
                value = f"{'+' * (found.value > 0)}{format_value(metrics[0], found.value)}"
                interval = f" [{low}, {high}]" if low else ""
                rows.append((title, suite, pair, value + interval, "real" if is_real(found) else "may be chance"))
    return rows


def difference_table(scores: Sequence[Score], first: str, second: str, *, all_metrics: bool = False) -> Group:
    """Return the table of differences between two models for the terminal."""
    table = Table(title=f"{first} − {second}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("score", "suite", "pair", "difference", ""):
        table.add_column(column, no_wrap=True, justify="right" if column == "difference" else "left")
    previous = ""
    for title, *row in difference_rows(scores, first, second, all_metrics=all_metrics):
        table.add_row("" if title == previous else title, *row)
        previous = title
    return Group(table, Text("95 % interval of the paired bootstrap; real: it does not include 0\n", style="italic"))


def difference_markdown(scores: Sequence[Score], first: str, second: str, *, all_metrics: bool = False) -> str:
    """Return the differences between two models as a Markdown table."""
    rows = difference_rows(scores, first, second, all_metrics=all_metrics)
    lines = [f"| score | suite | pair | {first} − {second} [95 % interval] | |", "|---|---|---|---:|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _legend(lines: Sequence[Line], marks: str) -> list[str]:
    """Return what the titles and marks that occur in a table mean."""
    titles, cells = {line.title for line in lines}, [cell for line in lines for cell in line.cells]
    legend = [meaning for title, meaning in LEGENDS.items() if title in titles]
    if any(cell.spread for cell in cells):
        two = ", of the mean where a cell has two values" if any("/" in cell.values for cell in cells) else ""
        legend.append(f"±: half of the 95 % bootstrap interval{two}")
    if any(cell.mark for cell in cells):
        legend.append(f"{marks} (95 % interval of the paired difference includes 0)")
    return legend


def _notes(scores: Sequence[Score]) -> list[str]:
    """Return the notes on the sets, each once, with the sets it is about."""
    pairs: dict[tuple[str, str], dict[str, None]] = {}
    for score in scores:
        if score.note:
            pairs.setdefault((score.suite, score.note), {})[score.pair] = None
    return [f"{suite} {', '.join(found)}: {note}" for (suite, note), found in pairs.items()]


def _dev_rows(dev: DevLosses, weights_from: int, digits: int = 4) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of dev losses: a row for each set, a column for some steps."""
    steps = sorted(map(int, dev))
    spread = {steps[round(place * (len(steps) - 1) / (MOST_STEPS - 1))] for place in range(MOST_STEPS)}
    shown = sorted(spread | {step for step in steps if step == weights_from})
    sets = dict.fromkeys(name for losses in dev.values() for name in losses)
    header = ["set", *(f"step {step}{'*' * (step == weights_from)}" for step in shown)]
    return header, [[name, *(f"{dev[str(step)][name]:.{digits}f}" for step in shown)] for name in sets]


def dev_markdown(dev: DevLosses, weights_from: int, *, digits: int = 4) -> str:
    """Return the dev losses of each set as a Markdown table; * marks the step that the weights are from."""
    if not dev:
        return "There are no dev rows."
    header, rows = _dev_rows(dev, weights_from, digits)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def dev_table(dev: DevLosses, weights_from: int, *, title: str = "Dev loss", digits: int = 4) -> Table:
    """Return the dev losses of each set, or other values of the same form, for the terminal."""
    header, rows = _dev_rows(dev, weights_from, digits)
    marked = " (*: weights from)" if any(name.endswith("*") for name in header) else ""
    table = Table(title=title + marked, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in header:
        table.add_column(column, no_wrap=True, justify="left" if column == "set" else "right")
    for row in rows:
        table.add_row(*row, style="italic" if row[0] == "mean" else "")
    return table


def size_facts(sizes: Mapping[str, Any]) -> dict[str, str]:
    """Return name → a model's size for people, after the arrow where the model it was made from had another.

    Args:
        sizes: what `distill.student.describe` returns.
    """
    models = [
        {**found, "megabytes": found.get("bytes", found["parameters"] * BYTES_PER_FLOAT) / 1e6}
        for found in (sizes["before"] or sizes, sizes)
    ]

    def both(name: str, form: str) -> str:
        return " → ".join(dict.fromkeys(form.format(found[name]) for found in models))

    return {
        "vocabulary": f"{both('vocabulary', '{:,}')} pieces",
        **({"layers": both("layers", "{}")} if sizes["layers"] else {}),
        "parameters": f"{both('parameters', '{:,}')} ({sizes['embedding_parameters']:,} of them token embeddings)",
        "size": f"{both('megabytes', '{:,.0f}')} MB",
    }
