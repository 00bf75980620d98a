"""`distill data`: what corpora there are, what they are like, and making them ready."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.cli.clean import clean_command
from distill.cli.hub import go_offline_if_cut_off, hub_names, quiet_libraries
from distill.cli.output import output_file, show, write_json
from distill.cli.run import SET_HELP
from distill.errors import DataError, DistillError, nearest

if TYPE_CHECKING:
    from distill.corpora import Corpus
    from distill.corpora.catalogue import Entry
    from distill.recipe import CorpusSection, Recipe
    from distill.recipe.corpora import RowKind

PATH = click.Path(path_type=Path)
KINDS = click.Choice(["parallel", "pairs", "triplets", "scored", "labelled"])
LANGUAGES_SHOWN = 8
LONGEST_SAMPLE = 160


@click.group()
def data() -> None:
    """See what corpora there are and what they are like, and make those of a recipe ready."""


@data.command("ls")
@click.option("--language", help="Only corpora with this language, and its rows.")
@click.option("--kind", type=KINDS, help="Only corpora of this kind of rows.")
@click.option("--json", "json_file", type=PATH, callback=output_file, help="Write all that is known to this file.")
def data_ls(language: str | None, kind: RowKind | None, json_file: Path | None) -> None:
    """List the known corpora: languages, size, domain, licence."""
    from rich import box
    from rich.table import Table

    from distill.corpora.catalogue import catalogue
    from distill.languages import parse_language

    code = parse_language(language, where="--language") if language else None
    chosen = {
        name: entry
        for name, entry in catalogue().items()
        if kind in (None, entry.rows) and (code is None or code in entry.languages or not entry.complete)
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("corpus", "kind", "languages", "rows", "domain", "licence"):
        table.add_column(column, no_wrap=True, justify="right" if column == "rows" else "left")
    for name, entry in chosen.items():
        mined = " (mined)" * entry.mined
        table.add_row(
            name, entry.rows or "?", _languages(entry, code), entry.size_of(code), entry.domain + mined, entry.licence
        )
    show(table)
    if not chosen:
        click.echo("none of the known corpora; any other set on the Hub, and files of your own, can be used too")
        return
    name, entry = next(iter(chosen.items()))
    click.echo(
        "(mined): found by a machine; use it with cleaning: strict. No licence: none is stated; see the sources."
    )
    click.echo("`distill data show CORPUS` shows one in full. In a recipe, below `corpora:`\n")
    click.echo(f"  {entry.usage(name, code or next(iter(entry.languages), 'uk'))}")
    if json_file:
        write_json(json_file, {name: entry.model_dump(mode="json") for name, entry in chosen.items()})


def _languages(entry: Entry, code: str | None) -> str:
    """Return the languages of a corpus, or whether it has one."""
    if code is not None:
        return code if code in entry.languages else "perhaps"
    if not entry.languages:
        return "many"
    shown = ", ".join(list(entry.languages)[:LANGUAGES_SHOWN])
    more = len(entry.languages) - LANGUAGES_SHOWN
    return shown + (f" and {more} more" if more > 0 else "") + ", …" * (not entry.complete)


@data.command("show")
@click.argument("corpus")
@click.option("--pair", help="The pair to load, such as en-uk; a language such as nb for rows that are not parallel.")
@click.option("--rows", type=click.IntRange(min=1), default=5, show_default=True, help="Rows to show.")
@click.option("--kind", type=KINDS, help="What a row is.  [default: as the catalogue says, else parallel]")
@click.option(
    "--column",
    "columns",
    metavar="PART=NAME",
    multiple=True,
    help="Name of a column, such as english=en. Can be given several times.",
)
@click.option("--config", help="Configuration of a set on the Hub.  [default: en-LANGUAGE]")
@click.option("--cleaning", type=click.Choice(["default", "strict", "off"]), help="What is dropped.")
def data_show(
    corpus: str,
    pair: str | None,
    rows: int,
    kind: RowKind | None,
    columns: tuple[str, ...],
    config: str | None,
    cleaning: str | None,
) -> None:
    """Show what CORPUS is like: a name of `distill data ls`, a Hub id, a folder or a file.

    With --pair it is loaded and cleaned: statistics, what cleaning did, and some rows.
    """
    from distill.corpora.catalogue import catalogue

    known = catalogue()
    if pair is None:
        if corpus in known:
            return show_entry(corpus, known[corpus])
        _source(corpus)
        raise DistillError("--pair", "not given", expected="the pair or language to load, such as --pair en-uk")
    given = {"rows": kind, "columns": _columns(columns), "config": config, "cleaning": cleaning}
    section = corpus_section(corpus, pair, {key: value for key, value in given.items() if value})
    go_offline_if_cut_off([section.hub] if section.hub else [])
    quiet_libraries()
    from distill.corpora import SentenceFilter
    from distill.corpora.load import load_sections
    from distill.recipe.cleaning import CleaningSection

    name = corpus if corpus in known else section.source.rstrip("/").rpartition("/")[2]
    for found in load_sections({name: section}, CleaningSection(), SentenceFilter(), remove_near=False):
        show_corpus(found, rows)


def show_entry(name: str, entry: Entry) -> None:
    """Print what is known of a corpus."""
    languages = ", ".join(
        code if rows is None else f"{code} {entry.size_of(code)}" for code, rows in entry.languages.items()
    )
    found = {
        "rows": entry.size,
        "kind": entry.rows or "",
        "languages": languages + ", …" * (not entry.complete),
        "domain": entry.domain,
        "licence": entry.licence or "none stated",
        "note": entry.note,
        "sources": "\n             ".join(entry.sources),
    }
    click.echo(f"{name}: {entry.description}")
    for key, value in found.items():
        if value:
            click.echo(f"  {key + ':':10} {value}")
    click.echo(f"\nIn a recipe, below `corpora:`\n\n  {entry.usage(name, next(iter(entry.languages), 'uk'))}")


def corpus_section(name: str, pair: str, given: dict[str, Any]) -> CorpusSection:
    """Return the recipe section of what a user names on the command line.

    Args:
        name: a known corpus, a Hub id, a folder, or a file.
        pair: the pair, or the language of rows that are not parallel.
        given: further keys of the section.

    Raises:
        DataError: there is no such corpus, or it does not have the pair.
    """
    from pydantic import ValidationError

    from distill.corpora.catalogue import catalogue
    from distill.recipe import CorpusSection

    known = catalogue()
    language = _language(pair)
    given = {"dev_rows": 0, **given}
    try:
        if name in known:
            section = known[name].section(language, **given)
            if section.files and not section.matching_files(language):
                raise DataError(name, f"no file {section.files}", hint=known[name].note)
            return section
        return CorpusSection.model_validate({**_source(name), "languages": [language], **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        misfit = first.get("ctx", {}).get("error")
        place = ".".join(map(str, (*first["loc"], *getattr(misfit, "key", ()))))
        found, expected = getattr(misfit, "found", first["msg"]), getattr(misfit, "expected", "")
        raise DataError(f"{name} {pair}", f"{place}: {found}" if place else found, expected=expected) from None


def _source(name: str) -> dict[str, Any]:
    """Return the key of a recipe for a corpus that is not in the catalogue."""
    from distill.corpora.catalogue import catalogue

    path = Path(name).expanduser()
    if path.exists() or glob.has_magic(name):
        return {"folder" if path.is_dir() else "files": path.absolute()}
    if "/" in name and not name.startswith((".", "/", "~")):
        return {"hub": name}
    raise DataError(
        name,
        "no such corpus",
        expected="a name of `distill data ls`, a Hub id (owner/name), a folder or a file",
        hint=nearest(name, catalogue()),
    )


def _language(pair: str) -> str:
    """Return the language to load: the other side of an English pair, or a language by itself."""
    from distill.languages import parse_language, parse_pair

    if not any(dash in pair for dash in "-_–—"):
        return parse_language(pair, where="--pair")
    first, second = parse_pair(pair, where="--pair")
    if "en" not in (first, second):
        raise DistillError("--pair", f"found {pair!r}", expected="a pair with en, such as en-uk, or a language")
    return second if first == "en" else first


def _columns(given: Sequence[str]) -> dict[str, Any]:
    """Return `PART=NAME` options as a recipe's `columns`."""
    columns: dict[str, Any] = {}
    for option in given:
        part, equals, name = option.partition("=")
        if not (part and equals and name):
            raise DistillError("--column", f"found {option!r}", expected="PART=NAME, such as english=en")
        columns[part] = [*columns.get(part, []), name] if part == "negative" else name
    return columns


def show_corpus(corpus: Corpus, rows: int) -> None:
    """Print what a loaded corpus is like, and some rows, kept and dropped."""
    from distill.corpora_report import REASONS, cleaning_table, corpora_table, lengths_table
    from distill.corpora_stats import corpus_statistics
    from distill.spread import spread

    found = corpus_statistics(corpus)
    show(corpora_table([corpus]))
    show(lengths_table([found]))
    show(cleaning_table([corpus]))
    lines = []
    if found.ratio_quantiles:
        low, _, median, _, high = found.ratio_quantiles
        lines.append(f"length ratio: median {median:g}; 90 % lie between {low:g} and {high:g}")
    for texts in found.texts:
        seen = ", ".join(f"{code} {n:,}" for code, n in list(texts.identified.items())[:LANGUAGES_SHOWN])
        lines.append(f"{texts.column}, as the identifier sees it: {seen or 'texts too short to tell'}")
    chosen = spread(corpus.train, rows)
    lines += ["", f"{len(chosen)} of {len(corpus.train):,} rows to train on:"]
    lines += _samples(zip(*(corpus.texts(column, chosen) for column in corpus.columns), strict=True))
    for rule, tally in corpus.cleaning.dropped.items():
        lines += ["", f"dropped: {REASONS[rule]}, {tally.count:,} in all", *_samples(tally.examples[:rows])]
    click.echo("\n".join(lines))


def _samples(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines, a text each."""
    lines = []
    for row in rows:
        cut = (text if len(text) <= LONGEST_SAMPLE else text[:LONGEST_SAMPLE] + "…" for text in row)
        lines += [f"{'  - ' if place == 0 else '    '}{text}" for place, text in enumerate(cut)]
    return lines


@data.command("prepare")
@click.argument("recipe", type=PATH)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option("--processes", type=click.IntRange(min=1), help="Clean in this many processes.  [default: all cores]")
@click.option("--tokens", is_flag=True, help="Build the student and store the tokens of all texts too.")
def data_prepare(recipe: Path, overrides: tuple[str, ...], processes: int | None, tokens: bool) -> None:
    """Read, clean and store the corpora of RECIPE without training.

    What is stored is not made again: an interrupted command goes on with the corpus it was at.
    """
    from distill.corpora_report import cleaning_table, corpora_table
    from distill.recipe import load_recipe
    from distill.store import cache_root

    loaded = load_recipe(recipe, overrides)
    if processes:
        os.environ["DISTILL_PROCESSES"] = str(processes)
    corpora = _load(loaded, tell=True)
    show(corpora_table(corpora))
    show(cleaning_table(corpora))
    if tokens:
        from distill.prepare import prepare_tokens

        click.echo(f"tokens are stored in {prepare_tokens(loaded, corpora).folder}")
    folders = {Path(file["filename"]).parent for corpus in corpora for file in corpus.rows.cache_files}
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    click.echo(f"stored in {cache_root() / 'corpora'}: {size / 1e6:,.1f} MB")


def _load(recipe: Recipe, *, tell: bool) -> list[Corpus]:
    """Return the corpora of a recipe as a run would have them, saying how long each took if told to."""
    go_offline_if_cut_off(hub_names(recipe))
    quiet_libraries()
    from distill.corpora import SentenceFilter, load_corpora
    from distill.testsets import load_suites, sentences_by_suite

    sets = load_suites(recipe.evaluation.suites, recipe.languages, recipe.evaluation.pairs)
    held_out = SentenceFilter(sentences_by_suite(sets))
    began = time.monotonic()

    def done(corpus: Corpus) -> None:
        nonlocal began
        seconds, began = time.monotonic() - began, time.monotonic()
        rows = corpus.counts["read"]
        click.echo(f"{corpus.label}: {rows:,} rows in {seconds:.1f} s ({rows / max(seconds, 0.001):,.0f} rows/s)")

    return load_corpora(recipe, held_out, done) if tell else load_corpora(recipe, held_out)


@data.command("stats")
@click.argument("recipe", type=PATH)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option("--html", type=PATH, callback=output_file, help="Write a page with pictures to this file.")
@click.option("--json", "json_file", type=PATH, callback=output_file, help="Write all numbers to this file.")
def data_stats(recipe: Path, overrides: tuple[str, ...], html: Path | None, json_file: Path | None) -> None:
    """Show what the corpora of RECIPE are like: rows, lengths, languages, what they share, what cleaning removed."""
    from distill.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    corpora = _load(loaded, tell=False)
    from distill.corpora_page import statistics_page
    from distill.corpora_report import cleaning_table, corpora_table, lengths_table
    from distill.corpora_stats import recipe_statistics

    found = recipe_statistics(loaded, corpora)
    show(corpora_table(corpora))
    show(lengths_table(found.corpora))
    show(cleaning_table(corpora))
    if html:
        html.write_text(statistics_page(found), encoding="utf-8")
        click.echo(f"the page is {html}")
    else:
        click.echo("--html FILE makes a page with pictures: overlap, languages, mixture and examples too")
    if json_file:
        write_json(json_file, found.as_dict())


data.add_command(clean_command)
