"""`distill trim`: a smaller vocabulary for any model, without training."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.errors import DataError, StorageError

log = logging.getLogger("distill")

MOST_IDENTIFIED = 100_000
"""Lines whose languages are identified, which takes a second or two."""

LEAST_SHARE = 0.01
"""Share of these lines that a language has at least."""


@click.command()
@click.argument("model")
@click.option("--languages", required=True, help="Those of the texts, such as en,uk.")
@click.option(
    "--texts",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of text in these languages, UTF-8, a sentence a line. Can be given several times.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the new model.")
@click.option("--size", type=click.IntRange(min=1), help="Most pieces to keep.  [default: 25,000 for each language]")
@click.option("--min-count", type=click.IntRange(min=1), default=1, show_default=True, help="Leave out rarer pieces.")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model.")
def trim(
    model: str,
    languages: str,
    files: tuple[Path, ...],
    out: Path,
    size: int | None,
    min_count: int,
    trust_remote_code: bool,
) -> None:
    """Write MODEL (Hub id, folder or run directory) with only the pieces of its vocabulary that some languages need.

    Vectors of the texts given are the same as before, unless --size or --min-count leave out pieces that these texts
    are cut into: it says how many. Those of other texts are the same too where no rare piece is missing.
    """
    from distill.languages import parse_language

    codes = {parse_language(code, where="--languages") for code in languages.split(",")}
    _check_new_folder(out)
    go_offline_if_cut_off([model])
    quiet_libraries()
    from distill.files import disk_errors, whole_folder
    from distill.models import load_model
    from distill.named_models import model_source
    from distill.objectives import copy_heads
    from distill.report import size_facts
    from distill.student import check_encoder, describe, remember_sizes, save_student
    from distill.trimming import trim_vocabulary

    source = model_source(model, None)
    loaded = load_model(
        "model",
        source,
        trust_remote_code=trust_remote_code,
        to_trust="give --trust-remote-code",
        as_stored=True,
    )
    check_encoder(f"model: {model}", loaded)

    def texts() -> Iterator[str]:
        return itertools.chain.from_iterable(map(_lines, files))

    if not any(texts()):
        raise DataError(", ".join(map(str, files)), "no text", expected="sentences in these languages")
    remember_sizes(loaded)
    lost = trim_vocabulary(loaded, texts, languages=len(codes), size=size, min_count=min_count, where="--size")
    with disk_errors(out), whole_folder(out) as folder:
        save_student(loaded, folder)
        copy_heads(Path(source), folder)
    _warn_of_absent(codes, files)
    for name, value in size_facts(describe(loaded)).items():
        click.echo(f"{name}: {value}")
    click.echo(f"lost: {100 * lost:.3f} % of the pieces in the texts")
    click.echo(f"The model is in {out}")


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text file that are not blank."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            yield from filter(None, map(str.strip, lines))
    except UnicodeDecodeError as error:
        raise DataError(str(file), "not UTF-8", hint="save it as UTF-8") from error


def _warn_of_absent(languages: Iterable[str], files: Sequence[Path]) -> None:
    """Warn of languages that hardly any lines at the beginning of the files are in, if they can be identified."""
    from distill import identify

    some = [text for file in files for text in itertools.islice(_lines(file), MOST_IDENTIFIED // len(files))]
    best = identify.log_odds(some).argmax(axis=1).tolist()
    for language in sorted(filter(identify.knows, languages)):
        own = identify.columns(language)
        found = sum(place in own for place in best)
        if found < LEAST_SHARE * len(some):
            log.warning("--texts: %d of %d lines are in %s: most of its pieces are cut out", found, len(some), language)


def _check_new_folder(path: Path) -> None:
    """Check, before the work begins, that a folder is not there yet and can be made.

    Raises:
        StorageError: it is there, or cannot be made.
    """
    from distill.files import disk_errors

    with disk_errors(path):
        if path.exists():
            raise StorageError(str(path), "is there already", hint="remove it, or name another folder")
        above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise StorageError(str(path), f"cannot be made: {above} is a file", hint="name another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise StorageError(str(path), f"cannot be made: {above} cannot be written", hint="name another folder")
