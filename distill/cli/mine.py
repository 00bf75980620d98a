"""`distill mine`: training data out of rows: hard negatives, similar names, triplets with a review."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.cli.hub import find_distribution, go_offline_if_cut_off, quiet_libraries
from distill.cli.output import output_file
from distill.errors import DataError, DistillError, nearest

if TYPE_CHECKING:
    from distill.mining import Judge, MakeFind

PATH = click.Path(path_type=Path)
SEARCHES = ("bm25", "dense")
OUT_HELP = "File to write: .parquet, .tsv or .jsonl."
MODEL_HELP = "Bi-encoder (Hub id, folder or run) of the dense search, and the judge unless --judge names another."


def searching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that search candidates and judge them."""
    options = (
        click.option("--by", "by", default="bm25", show_default=True, help="Search by bm25, dense or bm25,dense."),
        click.option("--model", help=f"{MODEL_HELP}  [default: sentence-transformers/all-MiniLM-L6-v2]"),
        click.option("--judge", help="Bi-encoder or cross-encoder that scores the candidates."),
        click.option("--top", type=click.IntRange(min=1), default=100, show_default=True, help="Candidates a search."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def mine() -> None:
    """Mine training data: hard negatives, similar names, triplets."""


@mine.command("negatives")
@click.argument("pairs", type=PATH)
@click.option("--out", type=PATH, required=True, callback=output_file, help=OUT_HELP)
@click.option("--anchor", default="anchor", show_default=True, help="Column of the anchors.")
@click.option("--positive", default="positive", show_default=True, help="Column of the positives.")
@click.option("--corpus", type=PATH, help="File of passages to take negatives from.  [default: other rows' positives]")
@click.option("--passage", default="text", show_default=True, help="Its column.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="Negatives a row.")
@click.option("--relative-margin", type=click.FloatRange(min=0), default=0.2, show_default=True,
              help="A negative scores at least this share below the positive.")  # fmt: skip
@click.option("--absolute-margin", type=click.FloatRange(min=0), default=0.0, show_default=True,
              help="And at least this much below it.")  # fmt: skip
@click.option("--choose", type=click.Choice(["top", "random"]), default="top", show_default=True,
              help="Of the candidates that pass, those with the highest scores, or any.")  # fmt: skip
@searching
def negatives(
    pairs: Path,
    out: Path,
    anchor: str,
    positive: str,
    corpus: Path | None,
    passage: str,
    by: str,
    model: str | None,
    judge: str | None,
    **settings: Any,
) -> None:
    """Find hard negatives for the rows of PAIRS (parquet, TSV, CSV or JSONL): high in a search, but no positives.

    The output is a corpus of triplets, each negative with its ranks and scores.
    """
    from distill.mining import (
        NegativeSettings,
        check_format,
        mine_negatives,
        negative_columns,
        read_texts,
        write_rows,
    )

    check_format(out)
    names = _searches(by)
    _differ(out, pairs)
    anchors, positives = read_texts(pairs, {"--anchor": anchor, "--positive": positive})
    passages = read_texts(corpus, {"--passage": passage})[0] if corpus else positives
    passages = list(dict.fromkeys(passages))
    searches, judged = _prepare(names, model, judge)
    found = mine_negatives(anchors, positives, passages, searches, judged, NegativeSettings(**settings))
    write_rows(out, negative_columns(anchors, positives, passages, found))
    filled = (found.passages >= 0).sum(axis=1)
    click.echo(f"{found.found.mean():,.1f} candidates a row, of which {found.known.mean():,.1f} are known positives "
               f"or near-duplicates, and {found.passed.mean():,.1f} pass as negatives")  # fmt: skip
    click.echo(f"{out}: {len(filled):,} rows: {(filled == settings['count']).sum():,} with {settings['count']} "
               f"negatives, {((filled > 0) & (filled < settings['count'])).sum():,} with fewer, "
               f"{(filled == 0).sum():,} without")  # fmt: skip


@mine.command("duplicates")
@click.argument("names", type=PATH)
@click.option("--out", type=PATH, required=True, callback=output_file, help=OUT_HELP)
@click.option("--column", default="name", show_default=True, help="Column of the names.")
@click.option("--model", help="Bi-encoder (Hub id, folder or run) to compare the names by too.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Candidates a name.")
@click.option("--least", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Score of a pair.")
def duplicates(names: Path, out: Path, column: str, model: str | None, top: int, least: float) -> None:
    """Find pairs of NAMES (parquet, TSV, CSV or JSONL) that may mean the same, by spelling, sound and script.

    The output is a corpus of scored pairs, most similar first.
    """
    from distill.mining import check_format, load_encoder, name_columns, read_texts, similar_names, write_rows

    check_format(out)
    _differ(out, names)
    listed = read_texts(names, {"--column": column})[0]
    distinct = list(dict.fromkeys(listed))
    if model:
        _prepare_hub([model])
    found = similar_names(
        distinct, top=top, least=least, encode_texts=load_encoder("--model", model) if model else None
    )
    write_rows(out, name_columns(distinct, found))
    equal = f" ({len(listed) - len(distinct):,} stood there again)" * (len(listed) > len(distinct))
    click.echo(f"{out}: {len(found.score):,} pairs of {len(distinct):,} names{equal}")


@mine.command("triplets")
@click.argument("rows", type=PATH)
@click.option("--category", required=True, help="Column of the categories.")
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option("--out", type=PATH, required=True, callback=output_file, help=f"{OUT_HELP} The review is put beside it.")
@click.option("--per-category", type=click.IntRange(min=1), default=100, show_default=True, help="Triplets, at most.")
@click.option("--per-anchor", type=click.IntRange(min=1), default=2, show_default=True, help="Triplets, at most.")
@click.option("--auto-keep", type=float, metavar="MARGIN",
              help="Fill in keep where the positive scores this much above the negative.")  # fmt: skip
@searching
def triplets(
    rows: Path,
    category: str,
    text: str,
    out: Path,
    by: str,
    model: str | None,
    judge: str | None,
    auto_keep: float | None,
    **settings: Any,
) -> None:
    """Find triplets in ROWS with categories (parquet, TSV, CSV or JSONL), and write a review file, doubtful ones first.

    Fill in keep, drop or fix, then: distill mine accept. Mining again keeps what was filled in.
    """
    from distill.mining import TripletSettings, check_format, check_review, mine_triplets, read_texts, write_review

    check_format(out)
    names = _searches(by)
    check_review(out)
    texts, categories = read_texts(rows, {"--text": text, "--category": category})
    searches, judged = _prepare(names, model, judge)
    found = mine_triplets(texts, categories, searches, judged, TripletSettings(**settings))
    review = write_review(out, found, auto_keep)
    click.echo(f"{review}: {len(found):,} triplets of {len({triplet.category for triplet in found}):,} categories")
    click.echo(f"Fill in its column decision (keep, drop, fix), then: distill mine accept {review}")


@mine.command("accept")
@click.argument("path", type=PATH)
def accept_command(path: Path) -> None:
    """Write the training data of the reviews in PATH, a folder or one review file."""
    from distill.mining import accept

    for out, counts in accept(path).items():
        kept = counts["keep"] + counts["fix"]
        click.echo(f"{out}: {kept} rows ({counts['fix']} fixed); {counts['drop']} dropped, {counts['']} not reviewed")


def _searches(by: str) -> list[str]:
    """Return the searches that --by names."""
    names = [name.strip() for name in by.split(",")]
    for name in names:
        if name not in SEARCHES:
            raise DistillError("--by", repr(name), expected="bm25, dense or bm25,dense", hint=nearest(name, SEARCHES))
    return names


def _differ(out: Path, source: Path) -> None:
    if out.resolve() == source.resolve():
        raise DataError(f"--out {out}", "is the file that is read", expected="another file")


def _prepare(names: list[str], model: str | None, judge: str | None) -> tuple[dict[str, MakeFind], Judge]:
    """Return the searches of some names, and the judge."""
    from distill.mining.packages import require

    require(*["bm25s"] * ("bm25" in names), *["faiss"] * ("dense" in names))
    from distill.mining import DEFAULT_MODEL, bm25, cosines, dense, load_encoder, load_judge

    model = model or DEFAULT_MODEL
    _prepare_hub([name for name in (model, judge) if name])
    searches: dict[str, MakeFind] = {"bm25": bm25} if "bm25" in names else {}
    encode_texts = load_encoder("--model", model) if "dense" in names or not judge else None
    if encode_texts and "dense" in names:
        searches["dense"] = partial(dense, encode_texts)
    return searches, cosines(encode_texts) if encode_texts and not judge else load_judge("--judge", judge or model)


def _prepare_hub(models: list[str]) -> None:
    from distill.mining.models import DEFAULT_MODEL, DEFAULT_PACKAGE

    packaged = find_distribution(DEFAULT_PACKAGE)
    go_offline_if_cut_off([name for name in models if not (name == DEFAULT_MODEL and packaged)])
    quiet_libraries()
