"""Which sentences of test sets a recipe's corpora hold, the same or nearly: no model is loaded, nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.corpora import Corpus, Matches, SentenceFilter, load_corpora
from distill.corpora.readers import ROWS_PER_BATCH
from distill.recipe import Recipe
from distill.testsets import COMMAND_LINE, TestSet, load_suites

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = 3
"""Examples of each kind, the same and nearly, of one corpus, side and suite."""

TITLES = {"exact": "the same", "near": "nearly the same"}


@dataclass(frozen=True)
class Example:
    """A row of a corpus and the sentence of a test set that it holds.

    Attributes:
        row: number of the row, from 0.
        text: the row's text.
        sentence: the test set's sentence.
        pairs: the language pairs of the suite that have the sentence.
        similarity: Jaccard similarity of their trigrams; 1 for the same sentence.
        exact: whether they are the same up to case, blanks and punctuation.
    """

    row: int
    text: str
    sentence: str
    pairs: tuple[str, ...]
    similarity: float
    exact: bool


@dataclass(frozen=True)
class Overlap:
    """What one side of one corpus shares with one suite.

    Attributes:
        corpus: name in the recipe.
        languages: its pair or language, such as en-uk.
        side: where the sentences stand.
        suite: where they are from.
        rows: all rows of the corpus.
        exact: rows with a sentence of the suite.
        near: rows with a near-duplicate only.
        pairs: rows of either kind per language pair of the suite; a row counts for each.
        examples: the most similar first.
    """

    corpus: str
    languages: str
    side: str
    suite: str
    rows: int
    exact: int
    near: int
    pairs: Mapping[str, int]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class LeakageReport:
    """What the corpora of a recipe share with test sets.

    Attributes:
        rows: rows of each corpus, by label.
        suites: names of the suites, in their order.
        overlaps: the worst first; none for a side that shares nothing.
        near_duplicates: what a run of the recipe does with them: remove or keep.
    """

    rows: Mapping[str, int]
    suites: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    near_duplicates: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def recipe_leakage(recipe: Recipe, suites: Sequence[str] | None = None) -> LeakageReport:
    """Return what a recipe's corpora share with its own test sets, or with some suites (all their pairs).

    Raises:
        DataError: a corpus or test set is missing or malformed.
    """
    if suites:
        sets = load_suites(suites, None, options=COMMAND_LINE)
    else:
        sets = load_suites(recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
    return leakage(recipe, load_corpora(recipe, SentenceFilter()), sets)


def leakage(recipe: Recipe, corpora: Sequence[Corpus], sets: Sequence[TestSet]) -> LeakageReport:
    """Return what corpora share with test sets, over all their rows, also those that a run would not use."""
    texts: dict[str, dict[str, list[str]]] = {}
    for found in sets:
        texts.setdefault(found.suite, {}).setdefault(found.pair, []).extend(found.texts())
    pairs = [(suite, pair) for suite, by_pair in texts.items() for pair in by_pair]
    held_out = SentenceFilter({f"{suite} {pair}": texts[suite][pair] for suite, pair in pairs})
    overlaps = []
    for corpus in corpora:
        for side in corpus.columns:
            matches = _side_matches(corpus, side, held_out)
            for suite in texts:
                columns = {pair: number for number, (other, pair) in enumerate(pairs) if other == suite}
                overlaps.append(_overlap(corpus, side, suite, columns, matches, held_out))
    return LeakageReport(
        {corpus.label: len(corpus.rows) for corpus in corpora},
        tuple(texts),
        tuple(sorted((o for o in overlaps if o.exact or o.near), key=lambda o: (-o.exact, -o.near))),
        recipe.evaluation.near_duplicates,
    )


def _side_matches(corpus: Corpus, side: str, held_out: SentenceFilter) -> Matches:
    """Return all matches of one side of a corpus; `texts` are numbers of rows, the most similar come first."""
    parts = []
    for start in range(0, len(corpus.rows), ROWS_PER_BATCH):
        found = held_out.find(list(corpus.rows[start : start + ROWS_PER_BATCH][side]))
        parts.append((found.texts + start, found.sentences, found.similarity, found.exact))
    texts, sentences, similarity, exact = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((texts, -similarity, ~exact))
    return Matches(texts[order], sentences[order], similarity[order], exact[order])


def _overlap(
    corpus: Corpus, side: str, suite: str, columns: Mapping[str, int], matches: Matches, held_out: SentenceFilter
) -> Overlap:
    """Return what one side of a corpus shares with one suite; `columns` are its pairs' places in `held_out`."""
    member = held_out.membership[matches.sentences]
    here = member[:, list(columns.values())].any(axis=1)
    exact = np.unique(matches.texts[here & matches.exact])
    nearly = here & ~matches.exact & ~np.isin(matches.texts, exact)
    by_pair = {pair: len(np.unique(matches.texts[member[:, column]])) for pair, column in columns.items()}
    examples = []
    for kind in (here & matches.exact, nearly):
        for number in np.flatnonzero(kind)[:EXAMPLES].tolist():
            row, sentence = int(matches.texts[number]), int(matches.sentences[number])
            example = Example(
                row,
                corpus.rows[row][side],
                held_out.sentences[sentence],
                tuple(pair for pair, column in columns.items() if held_out.membership[sentence, column]),
                float(matches.similarity[number]),
                bool(matches.exact[number]),
            )
            examples.append(example)
    return Overlap(
        corpus.name,
        corpus.languages,
        side,
        suite,
        len(corpus.rows),
        len(exact),
        len(np.unique(matches.texts[nearly])),
        {pair: count for pair, count in by_pair.items() if count},
        tuple(examples),
    )


def _verdict(report: LeakageReport) -> str:
    """Return what was compared and what a run does about it, in a sentence or two."""
    rows = f"{sum(report.rows.values()):,} rows of {', '.join(report.rows)}"
    compared = f"{rows}, both sides, with the sentences of {', '.join(report.suites)}"
    if not report.overlaps:
        return f"No overlap: compared were {compared}."
    near = "are removed too" if report.near_duplicates == "remove" else "are kept (evaluation.near_duplicates: keep)"
    return f"Compared were {compared}. A run removes rows with the same sentence; near-duplicates {near}."


def _cells(overlap: Overlap) -> tuple[str, ...]:
    pairs = ", ".join(f"{pair} {count:,}" for pair, count in overlap.pairs.items())
    return (
        f"{overlap.corpus} {overlap.languages}",
        overlap.side.replace("_", "-"),
        overlap.suite,
        pairs,
        f"{overlap.exact:,}",
        f"{overlap.near:,}",
        f"{overlap.rows:,}",
    )


COLUMNS = ("corpus", "side", "suite", "rows by pair of the suite", "same", "near", "of rows")


def leakage_table(report: LeakageReport) -> Table:
    """Return the counts for the terminal."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Test sentences in the corpora", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in COLUMNS[4:] else "left")
    for overlap in report.overlaps:
        table.add_row(*_cells(overlap))
    return table


def leakage_text(report: LeakageReport) -> str:
    """Return what a run does with the overlaps, and examples, as plain text for the terminal."""
    parts = [_verdict(report)]
    for overlap in report.overlaps:
        corpus, side, suite, *_ = _cells(overlap)
        parts.append(f"\n{corpus}, {side} side, {suite}:")
        for example in overlap.examples:
            kind = TITLES["exact"] if example.exact else f"{TITLES['near']}, {example.similarity:.2f}"
            parts.append(f"  row {example.row:,} ({kind}): {example.text}")
            parts.append(f"    {', '.join(example.pairs)}: {example.sentence}")
    return "\n".join(parts)


def leakage_markdown(report: LeakageReport) -> str:
    """Return the report in Markdown: verdict, counts and examples."""
    parts = [_verdict(report)]
    if report.overlaps:
        parts.append(
            "\n".join([_row(COLUMNS), "|---|---|---|---|---:|---:|---:|", *map(_row, map(_cells, report.overlaps))])
        )
    for overlap in report.overlaps:
        corpus, side, suite, *_ = _cells(overlap)
        lines = [_row(("row", "similarity", "corpus", suite, "pairs")), "|---:|---:|---|---|---|"]
        for e in overlap.examples:
            similarity = "same" if e.exact else f"{e.similarity:.2f}"
            lines.append(_row((f"{e.row:,}", similarity, e.text, e.sentence, ", ".join(e.pairs))))
        parts.append(f"**{corpus}, {side} side, {suite}**\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
