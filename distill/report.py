"""What a run shows: tables for the terminal and `report.md`."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from distill.corpora import Corpus
from distill.evaluate import Score

TITLES = {
    "accuracy_forward": "retrieval accuracy, first → second",
    "accuracy_backward": "retrieval accuracy, second → first",
    "spearman": "STS Spearman × 100",
    "pearson": "STS Pearson × 100",
    "mse": "squared distance to the teacher's English vector",
}
ACCURACIES = ("accuracy_forward", "accuracy_backward")

TABLE = (("retrieval %", ACCURACIES), ("STS Spearman", ("spearman",)), ("distance²", ("mse",)))
"""Lines of the terminal's table: a title and the metrics that share a cell. Pearson is in scores.json."""


def mean_retrieval(scores: Sequence[Score], model: str, suite: str) -> float | None:
    """Return the mean retrieval accuracy of a model over all pairs of a suite, both ways."""
    values = [s.value for s in scores if (s.model, s.suite) == (model, suite) and s.metric in ACCURACIES]
    return sum(values) / len(values) if values else None


def format_value(metric: str, value: float | None) -> str:
    """Return a score as it stands in a table: correlations × 100, accuracies in per cent."""
    if value is None:
        return "–"
    return f"{value:.3f}" if metric == "mse" else f"{100 * value:.1f}"


def score_table(scores: Sequence[Score], models: Sequence[str]) -> Table:
    """Return the table of scores for the terminal, one column per model, 80 columns wide at most for three."""
    value = {(s.metric, s.suite, s.pair, s.model): s.value for s in scores}
    table = Table(
        title="Scores on held-out sentences",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption="retrieval: en → xx / xx → en; distance² to the teacher's English vectors",
        caption_justify="left",
    )
    for column in ("score", "suite", "pair"):
        table.add_column(column, no_wrap=True)
    for model in models:
        table.add_column(model, justify="right", no_wrap=True)
    for title, metrics in TABLE:
        places = dict.fromkeys((s.suite, s.pair) for s in scores if s.metric in metrics)
        for number, (suite, pair) in enumerate(places):
            cells = [" / ".join(format_value(m, value.get((m, suite, pair, name))) for m in metrics) for name in models]
            table.add_row(title if number == 0 else "", suite, pair, *cells)
        table.add_section()
    for suite in dict.fromkeys(s.suite for s in scores if s.metric in ACCURACIES):
        means = [format_value("accuracy", mean_retrieval(scores, model, suite)) for model in models]
        table.add_row("mean of retrieval", suite, "all", *means, style="bold")
    return table


def score_markdown(scores: Sequence[Score], models: Sequence[str]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| metric | suite | pair | " + " | ".join(models) + " |",
        "|---|---|---|" + "---:|" * len(models),
    ]
    value = {(s.metric, s.suite, s.pair, s.model): s.value for s in scores}
    for metric, title in TITLES.items():
        for suite, pair in dict.fromkeys((s.suite, s.pair) for s in scores if s.metric == metric):
            values = " | ".join(format_value(metric, value.get((metric, suite, pair, model))) for model in models)
            lines.append(f"| {title} | {suite} | {pair} | {values} |")
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


def overlap_markdown(corpora: Sequence[Corpus]) -> str:
    """Return which suites have how many sentences of which corpus as a Markdown table, or that none have."""
    if not any(corpus.overlap for corpus in corpora):
        return "No row has a sentence of a test set, or nearly one."
    lines = [
        "Rows with a sentence of a test set on either side (a row counts for each suite):",
        "",
        "| corpus | pair | suite | the same | nearly the same |",
        "|---|---|---|---:|---:|",
    ]
    for corpus in corpora:
        for suite, (same, near) in corpus.overlap.items():
            lines.append(f"| {corpus.name} | en-{corpus.language} | {suite} | {same:,} | {near:,} |")
    return "\n".join(lines)


def corpora_table(corpora: Sequence[Corpus]) -> Table:
    """Return what was read, dropped and kept of each corpus, for the terminal."""
    table = Table(title="Rows of the corpora", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = list(dict.fromkeys(name for corpus in corpora for name in corpus.counts))
    for column in ("corpus", "pair"):
        table.add_column(column, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    for corpus in corpora:
        counts = (f"{corpus.counts.get(name, 0):,}" for name in columns)
        table.add_row(corpus.name, f"en-{corpus.language}", *counts)
    return table
