"""`distill translate`: machine-translated test sets."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.errors import DataError, DistillError, nearest

if TYPE_CHECKING:
    from distill.translate.engine import Engine

SEQ2SEQ = ("seq2seq", "marian", "nllb", "m2m100")
KINDS = (*SEQ2SEQ, "openai")
DEFAULT_ENGINE = "marian:Helsinki-NLP/opus-mt-{from}-{to}"
ENGINE_HELP = (
    "KIND:MODEL. marian, nllb, m2m100 or seq2seq: a Hub id or folder, with @REVISION if wanted; openai: a model behind "
    "--base-url. {from} and {to} stand for the language codes."
)


@click.group("translate", invoke_without_command=True)
@click.option("--suite", help="The English set: a suite, or a file or folder of test sets.")
@click.option("--pairs", help="Pairs to make, such as en-uk,uk-uk.")
@click.option("--to", "to", help="A language to translate into: --to uk means --pairs en-uk,uk-uk (en-uk for bitext).")
@click.option("--from", "source_pair", default="en-en", show_default=True, help="The suite's pair with the English.")
@click.option("--engine", "spec", default=DEFAULT_ENGINE, show_default=True, metavar="KIND:MODEL", help=ENGINE_HELP)
@click.option("--back-engine", "back_spec", metavar="KIND:MODEL", help="Translates back, to measure the quality.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sets.  [default: testsets/SUITE]")
@click.option("--licence", default="", help="Licence of the source.  [default: as the suite declares]")
@click.option("--beams", type=click.IntRange(min=1), default=4, show_default=True, help="Beam width (models here).")
@click.option("--base-url", default="https://api.openai.com/v1", show_default=True, help="Endpoint (openai).")
@click.option("--key-variable", default="OPENAI_API_KEY", show_default=True, help="Environment variable of its key.")
@click.option("--prompt", type=click.Path(path_type=Path), help="File with another system message for it.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True)
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Requests at once.")
@click.option("--requests-per-minute", type=click.FloatRange(min=0, min_open=True), help="Limit of their rate.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=120.0, show_default=True)
@click.option("--retries", type=click.IntRange(min=0), default=6, show_default=True, help="Of one request.")
@click.pass_context
def translate(
    context: click.Context,
    /,
    suite: str | None,
    pairs: str | None,
    to: str | None,
    source_pair: str,
    spec: str,
    back_spec: str | None,
    out: Path | None,
    licence: str,
    beams: int,
    prompt: Path | None,
    **endpoint: Any,
) -> None:
    """Make a machine-translated test set with its manifest and a review file.

    A killed run goes on where it was when the same command is given again; no sentence is translated twice.
    """
    if context.invoked_subcommand:
        return
    if not suite or bool(pairs) == bool(to):
        raise click.UsageError("give --suite, and either --pairs or --to")
    from distill.languages import parse_language, parse_pair

    source_pair = "-".join(parse_pair(source_pair, where="--from"))
    if to:
        language = parse_language(to, where="--to")
        if language == "en":
            raise DistillError("--to", "en", expected="a language to translate into, not English")
        wanted = [f"en-{language}"] + ([f"{language}-{language}"] if source_pair == "en-en" else [])
    else:
        wanted = ["-".join(parse_pair(pair.strip(), where="--pairs")) for pair in (pairs or "").split(",")]
    endpoint |= {"prompt": _read_prompt(prompt)} if prompt else {}
    make_engine = _engine_maker(spec, "--engine", beams, endpoint)
    make_back_engine = _engine_maker(back_spec, "--back-engine", beams, endpoint) if back_spec else None
    from distill.files import full_disk_errors
    from distill.testsets import hub_sets

    go_offline_if_cut_off(hub_sets([suite]))
    quiet_libraries()
    from distill.translate import make_sets

    name = Path(suite).resolve().name if Path(suite).exists() else suite
    folder = out or Path("testsets") / name.removesuffix(".tsv")
    with full_disk_errors(folder):
        manifests = make_sets(
            suite,
            wanted,
            make_engine,
            folder=folder,
            make_back_engine=make_back_engine,
            source_pair=source_pair,
            licence=licence,
        )
    for manifest in manifests:
        click.echo(f"{folder / manifest['pair']}.tsv: {manifest['rows']} rows, {manifest['note']}")
    click.echo(f"To review: fill in {folder}/*.review.csv, then: distill translate accept {folder}")


@translate.command("accept")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--reviewer", default=getpass.getuser, help="Who reviewed, for the manifest.  [default: your user name]")
def translate_accept(path: Path, reviewer: str) -> None:
    """Apply the reviews in PATH, a set's folder or one review file, to the set."""
    from distill.translate import accept

    for language, counts in accept(path, reviewer).items():
        done = f"{counts['ok']} ok, {counts['fix']} fixed, {counts['drop']} dropped, {counts['']} not reviewed"
        click.echo(f"{language}: {done}")


def _engine_maker(spec: str, where: str, beams: int, endpoint: dict[str, Any]) -> Callable[[str, str], Engine]:
    """Return what makes the engine of an option for a source and a target language."""
    kind, _, model = spec.partition(":")
    if kind not in KINDS or not model:
        hint = f"say which model: {kind}:MODEL" if kind in KINDS else nearest(kind, KINDS)
        raise DistillError(where, repr(spec), expected=f"KIND:MODEL with one of {', '.join(KINDS)}", hint=hint)

    def make(source: str, target: str) -> Engine:
        name = model.replace("{from}", source).replace("{to}", target)
        if kind == "openai":
            from distill.translate.endpoint import endpoint_engine

            renamed = {**endpoint, "timeout_seconds": endpoint["timeout"]}
            del renamed["timeout"]
            return endpoint_engine(name, source=source, target=target, where=where, **renamed)
        revision = None
        if not Path(name).exists():
            name, _, revision = name.partition("@")
        go_offline_if_cut_off([name])
        from distill.translate.seq2seq import seq2seq_engine

        return seq2seq_engine(name, revision or None, source=source, target=target, beams=beams, where=where)

    return make


def _read_prompt(path: Path) -> str:
    try:
        prompt = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--prompt {path}", f"cannot be read: {error}") from error
    if not prompt:
        raise DataError(f"--prompt {path}", "is empty", expected="a system message")
    return prompt
