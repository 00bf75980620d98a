"""What became of the rows of the corpora: tables for the terminal, the run's report and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table

from distill.cleaning import RULES
from distill.corpora import Corpus, Tally
from distill.corpora_stats import QUANTILES, CorpusStatistics

ACROSS = {
    "duplicates": "the row is there already",
    "near_duplicates": "the row is there already, nearly",
    "translations": "the English text has many other translations",
    "similarity": "the sides mean different things to a multilingual model",
}
REASONS = {rule.name: rule.description for rule in RULES} | ACROSS
"""Why each rule of cleaning drops a row."""

REPAIRS = {
    "mojibake": "read in a wrong encoding",
    "markup": "markup and entities",
    "unicode": "Unicode form, invisible characters",
    "blanks": "control characters and blanks",
}

LONGEST_EXAMPLE = 160

NOTHING = "Cleaning changed nothing."


def corpora_markdown(corpora: Sequence[Corpus]) -> str:
    """Return what was read, dropped and kept of each corpus as a Markdown table."""
    columns = _counts(corpora)
    lines = [
        "| corpus | pair | source | " + " | ".join(columns) + " |",
        "|---|---|---|" + "---:|" * len(columns),
    ]
    for corpus in corpora:
        counts = " | ".join(f"{corpus.counts.get(name, 0):,}" for name in columns)
        lines.append(f"| {corpus.name} | {corpus.languages} | {corpus.public_source} | {counts} |")
    return "\n".join(lines)


def _counts(corpora: Sequence[Corpus]) -> list[str]:
    """Return the counts that are not 0 for all corpora; what became of the rows in the end stands last."""
    last = ("train", "dev")
    used = {name: None for corpus in corpora for name, count in corpus.counts.items() if count and name not in last}
    return ["read", *(name for name in used if name != "read"), *last]


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
            lines.append(f"| {corpus.name} | {corpus.languages} | {suite} | {same:,} | {near:,} |")
    return "\n".join(lines)


def corpora_table(corpora: Sequence[Corpus]) -> Table:
    """Return what was read, dropped and kept of each corpus, for the terminal."""
    table = Table(title="Rows of the corpora", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = _counts(corpora)
    for column in ("corpus", "pair"):
        table.add_column(column, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    for corpus in corpora:
        counts = (f"{corpus.counts.get(name, 0):,}" for name in columns)
        table.add_row(corpus.name, corpus.languages, *counts)
    return table


def lengths_table(corpora: Sequence[CorpusStatistics]) -> Table:
    """Return how many texts each column has and how long they are, for the terminal."""
    table = Table(title="Texts to train on", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("corpus", "languages", "side"):
        table.add_column(column, no_wrap=True)
    shares = ", ".join(f"{share:.0%}" for share in QUANTILES)
    for column in ("texts", "different", "words", f"words of a text at\n{shares}", f"characters at\n{shares}"):
        table.add_column(column, justify="right")
    for corpus in corpora:
        for texts in corpus.texts:
            lengths = (" ".join(f"{n:>4}" for n in own) for own in (texts.word_quantiles, texts.character_quantiles))
            counts = (f"{n:,}" for n in (texts.texts, texts.distinct, texts.words))
            table.add_row(corpus.name, corpus.languages, texts.column.replace("_", "-"), *counts, *lengths)
    return table


def cleaning_markdown(corpora: Sequence[Corpus], *, examples: bool) -> str:
    """Return what each rule dropped and each repair changed as Markdown.

    Args:
        corpora: the corpora.
        examples: whether to show some of the rows.
    """
    if not any(_happened(corpus) for corpus in corpora):
        return NOTHING
    lines = ["| corpus | pair | what | rule | rows | why |", "|---|---|---|---|---:|---|"]
    for corpus in corpora:
        for found in _happened(corpus):
            cells = (corpus.name, corpus.languages, found.what, found.rule, f"{found.tally.count:,}", found.why)
            lines.append(f"| {' | '.join(cells)} |")
    if examples:
        for corpus in corpora:
            shown = [
                f"- {found.what}{' by ' * bool(found.rule)}{found.rule}: {' · '.join(map(_quoted, row))}"
                for found in _happened(corpus)
                for row in found.tally.examples
            ]
            lines += ["", f"**{corpus.label}**, for example", "", *shown] if shown else []
    return "\n".join(lines)


def cleaning_table(corpora: Sequence[Corpus]) -> Table | str:
    """Return what each rule dropped and each repair changed, for the terminal."""
    if not any(_happened(corpus) for corpus in corpora):
        return NOTHING
    table = Table(title="Cleaning", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("corpus", "pair", "what", "rule", "rows", "why"):
        table.add_column(column, no_wrap=column != "why", justify="right" if column == "rows" else "left")
    previous = ""
    for corpus in corpora:
        for found in _happened(corpus):
            new = corpus.label != previous
            count = f"{found.tally.count:,}"
            table.add_row(corpus.name * new, corpus.languages * new, found.what, found.rule, count, found.why)
            previous = corpus.label
    return table


def cleaning_dict(corpora: Sequence[Corpus]) -> dict[str, Any]:
    """Return all counts and examples by corpus, for JSON."""
    return {
        corpus.label: {"source": corpus.public_source, "counts": corpus.counts, **asdict(corpus.cleaning)}
        for corpus in corpora
    }


@dataclass(frozen=True)
class _Happened:
    """What happened to rows: malformed, repaired, dropped, not judged; by which rule, what it looks for or why not."""

    what: str
    rule: str
    why: str
    tally: Tally


def _happened(corpus: Corpus) -> list[_Happened]:
    """Return what was malformed, repaired, dropped and not judged, where anything was."""
    cleaning = corpus.cleaning
    found = [_Happened("malformed", "", "not to be read; see the first ones", cleaning.malformed)]
    found += [_Happened("repaired", name, REPAIRS[name], tally) for name, tally in cleaning.repaired.items()]
    found += [_Happened("dropped", name, REASONS[name], tally) for name, tally in cleaning.dropped.items()]
    rows = Tally(corpus.counts.get("read", 0))
    found += [_Happened("not judged", name, why, rows) for name, why in cleaning.not_judged.items()]
    return [one for one in found if one.tally.count]


def _quoted(text: str) -> str:
    """Return a text for a line of Markdown, cut where it is long."""
    short = text if len(text) <= LONGEST_EXAMPLE else text[:LONGEST_EXAMPLE] + "…"
    return f"`{short!r}`".replace("|", "\\|") if not short.isprintable() else f"“{short}”".replace("|", "\\|")
