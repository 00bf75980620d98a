"""`distill eval`: scoring models."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
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
    help="A suite (`distill suites` lists them), a file or folder of en-uk.tsv files, or a declaration.",
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
@click.option(
    "--leakage",
    "leakage_recipe",
    metavar="RECIPE",
    type=click.Path(path_type=Path),
    help="Load no model: report which sentences of the recipe's test sets (or of --suite) its corpora hold.",
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
    leakage_recipe: Path | None,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Score MODELS (Hub ids, folders or run directories; the latest run if none) beside each other."""
    if leakage_recipe:
        given = click.get_current_context().get_parameter_source("suites") != ParameterSource.DEFAULT
        return show_leakage(leakage_recipe, suites if given else None, json_file, markdown_file)
    from distill.languages import parse_pair
    from distill.testsets import hub_sets

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
    go_offline_if_cut_off([*models, *hub_sets(suites)])
    quiet_libraries()
    from rich.console import Console

    from distill.report import score_markdown, score_table
    from distill.scoring import latest_run, score_models

    by_model = score_models(models or [str(latest_run(runs))], suites, wanted)
    scores = [score for found in by_model.values() for score in found]
    Console().print(score_table(scores, list(by_model)))
    if json_file:
        json_file.write_text(json.dumps([score.as_dict() for score in scores], indent=1) + "\n", encoding="utf-8")
    if markdown_file:
        markdown_file.write_text(score_markdown(scores, list(by_model)) + "\n", encoding="utf-8")


def show_leakage(path: Path, suites: Sequence[str] | None, json_file: Path | None, markdown_file: Path | None) -> None:
    """Print what the corpora of a recipe share with test sets."""
    from distill.recipe import load_recipe

    recipe = load_recipe(path)
    go_offline_if_cut_off([corpus.hub for corpus in recipe.corpora.values() if corpus.hub])
    quiet_libraries()
    from rich.console import Console

    from distill.leakage import leakage_markdown, leakage_table, leakage_text, recipe_leakage

    report = recipe_leakage(recipe, suites)
    console = Console()
    if report.overlaps:
        console.print(leakage_table(report))
    console.print(leakage_text(report), highlight=False, markup=False, soft_wrap=True)
    if json_file:
        json_file.write_text(json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if markdown_file:
        markdown_file.write_text(leakage_markdown(report), encoding="utf-8")
