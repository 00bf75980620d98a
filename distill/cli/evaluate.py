"""`distill eval`: scoring models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.cli.mteb import evaluate_on_mteb
from distill.errors import DistillError


@click.command("eval")
@click.argument("models", nargs=-1)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    default=("everyday",),
    show_default=True,
    help="A bundled suite, or a file or folder of en-uk.tsv files.",
)
@click.option("--pairs", help="Language pairs, such as en-uk,uk-uk; all of the suites if absent.")
@click.option(
    "--mteb", help='Tasks or benchmarks of MTEB instead of suites: STS17,Tatoeba or "MTEB(Scandinavian, v1)".'
)
@click.option(
    "--languages", help="All tasks of MTEB in these languages, such as uk,da; with --mteb, only these of its."
)
@click.option(
    "--mteb-output",
    type=click.Path(path_type=Path),
    default=Path("mteb-results"),
    show_default=True,
    help="Folder of MTEB's result files; what is there is not computed again.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where to look for the latest run.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the scores to this file.")
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the table to this file.")
def evaluate_command(
    models: tuple[str, ...],
    suites: tuple[str, ...],
    pairs: str | None,
    mteb: str | None,
    languages: str | None,
    mteb_output: Path,
    runs: Path,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Score MODELS (Hub ids, folders or run directories; the latest run if none) beside each other."""
    from distill.languages import parse_pair

    wanted = ["-".join(parse_pair(pair, where="--pairs")) for pair in pairs.split(",")] if pairs else None
    if mteb is not None or languages:
        if click.get_current_context().get_parameter_source("suites") is not ParameterSource.DEFAULT:
            raise DistillError(
                "--suite", "MTEB is scored instead of suites", hint="score them in a command of their own"
            )
        sys.exit(
            evaluate_on_mteb(
                models,
                runs,
                names=mteb,
                languages=languages,
                pairs=wanted,
                output=mteb_output,
                json_file=json_file,
                markdown_file=markdown_file,
            )
        )
    go_offline_if_cut_off(models)
    quiet_libraries()
    from rich.console import Console

    from distill.pipeline import latest_run, score_models
    from distill.report import score_markdown, score_table

    by_model = score_models(models or [str(latest_run(runs))], suites, wanted)
    scores = [score for found in by_model.values() for score in found]
    Console().print(score_table(scores, list(by_model)))
    if json_file:
        json_file.write_text(json.dumps([score.as_dict() for score in scores], indent=1) + "\n", encoding="utf-8")
    if markdown_file:
        markdown_file.write_text(score_markdown(scores, list(by_model)) + "\n", encoding="utf-8")
