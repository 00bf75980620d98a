"""What a run shows: tables for the terminal and `report.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from distill.corpora import Corpus
from distill.evaluate import Score

TITLES = {
    "accuracy": "retrieval accuracy",
    "spearman": "STS Spearman × 100",
    "pearson": "STS Pearson × 100",
    "mse": "squared distance to the teacher's English vector",
}


@dataclass(frozen=True)
class Row:
    """One line of a score table: the values of all models for one metric, suite and pair."""

    metric: str
    suite: str
    pair: str
    values: tuple[float | None, ...]


def score_rows(scores: Sequence[Score], models: Sequence[str], metrics: Iterable[str] = TITLES) -> list[Row]:
    """Return the lines of a table with one column per model, grouped by metric and suite."""
    value = {(s.metric, s.suite, s.pair, s.model): s.value for s in scores}
    rows = []
    for metric in metrics:
        places = dict.fromkeys((s.suite, s.pair) for s in scores if s.metric == metric)
        suites = list(dict.fromkeys(suite for suite, _ in places))
        for suite, pair in sorted(places, key=lambda place: suites.index(place[0])):
            rows.append(Row(metric, suite, pair, tuple(value.get((metric, suite, pair, m)) for m in models)))
    return rows


def mean_retrieval(scores: Sequence[Score], model: str, suite: str) -> float | None:
    """Return the mean retrieval accuracy of a model over all pairs and directions of a suite."""
    values = [s.value for s in scores if (s.model, s.suite, s.metric) == (model, suite, "accuracy")]
    return sum(values) / len(values) if values else None


def format_value(metric: str, value: float | None) -> str:
    """Return a score as it stands in a table: correlations × 100, accuracies in per cent."""
    if value is None:
        return "–"
    if metric == "accuracy":
        return f"{100 * value:.1f} %"
    if metric == "mse":
        return f"{value:.3f}"
    return f"{100 * value:.1f}"


def score_table(scores: Sequence[Score], models: Sequence[str]) -> Table:
    """Return the table of scores for the terminal, without Pearson (it is in scores.json)."""
    table = Table(title="Scores on held-out sentences", title_justify="left")
    for column in ("what", "suite", "pair"):
        table.add_column(column, no_wrap=True)
    for model in models:
        table.add_column(model, justify="right")
    shown = ""
    for row in score_rows(scores, models, ("accuracy", "spearman", "mse")):
        if shown and row.metric != shown:
            table.add_section()
        title = TITLES[row.metric] if row.metric != shown else ""
        shown = row.metric
        table.add_row(title, row.suite, row.pair, *(format_value(row.metric, v) for v in row.values))
    for suite in dict.fromkeys(s.suite for s in scores if s.metric == "accuracy"):
        means = [mean_retrieval(scores, model, suite) for model in models]
        table.add_section()
        table.add_row("mean retrieval", suite, "all", *(format_value("accuracy", mean) for mean in means), style="bold")
    return table


def score_markdown(scores: Sequence[Score], models: Sequence[str]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| metric | suite | pair | " + " | ".join(models) + " |",
        "|---|---|---|" + "---:|" * len(models),
    ]
    for row in score_rows(scores, models):
        values = " | ".join(format_value(row.metric, value) for value in row.values)
        lines.append(f"| {TITLES[row.metric]} | {row.suite} | {row.pair} | {values} |")
    return "\n".join(lines)


def corpora_markdown(corpora: Sequence[Corpus]) -> str:
    """Return what was read, dropped and kept of each corpus as a Markdown table."""
    columns = list(dict.fromkeys(name for corpus in corpora for name in corpus.counts))
    lines = [
        "| corpus | pair | source | " + " | ".join(columns) + " |",
        "|---|---|---|" + "---:|" * len(columns),
    ]
    for corpus in corpora:
        counts = " | ".join(f"{corpus.counts.get(name, 0):,}" for name in columns)
        lines.append(f"| {corpus.name} | en-{corpus.language} | {corpus.public_source} | {counts} |")
    return "\n".join(lines)


def corpora_table(corpora: Sequence[Corpus]) -> Table:
    """Return what was read, dropped and kept of each corpus, for the terminal."""
    table = Table(title="Corpora", title_justify="left")
    columns = list(dict.fromkeys(name for corpus in corpora for name in corpus.counts))
    for column in ("corpus", "pair"):
        table.add_column(column, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    for corpus in corpora:
        counts = (f"{corpus.counts.get(name, 0):,}" for name in columns)
        table.add_row(corpus.name, f"en-{corpus.language}", *counts)
    return table
