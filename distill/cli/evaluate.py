"""`distill eval`: scoring models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.cli.mteb import evaluate_on_mteb
from distill.cli.output import output_file, show, write_json
from distill.errors import DistillError

PATH = click.Path(path_type=Path)


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
    "--against",
    multiple=True,
    metavar="MODEL",
    help="A model to compare with: what MODELS score higher, and whether "
    "the difference is real. Can be given several times.",
)
@click.option("--all-metrics", is_flag=True, help="Show F1, xsim, Pearson, dot products, MRR and recall too.")
@click.option(
    "--mteb", help='Tasks or benchmarks of MTEB instead of suites: STS17,Tatoeba or "MTEB(Scandinavian, v1)".'
)
@click.option(
    "--languages", help="All tasks of MTEB in these languages, such as uk,da; with --mteb, only these of its."
)
@click.option(
    "--mteb-output",
    type=PATH,
    default=Path("mteb-results"),
    show_default=True,
    help="Folder of MTEB's result files; what is there is not computed again.",
)
@click.option(
    "--runs",
    type=PATH,
    default=Path("runs"),
    show_default=True,
    help="Where to look for the latest run.",
)
@click.option(
    "--leakage",
    "leakage_recipe",
    metavar="RECIPE",
    type=PATH,
    help="Load no model: report which sentences of the recipe's test sets (or of --suite) its corpora hold.",
)
@click.option("--json", "json_file", type=PATH, callback=output_file, help="Write the scores to this file.")
@click.option(
    "--markdown",
    "markdown_file",
    type=PATH,
    callback=output_file,
    help="Write the tables to this file.",
)
def evaluate_command(
    models: tuple[str, ...],
    suites: tuple[str, ...],
    pairs: str | None,
    against: tuple[str, ...],
    all_metrics: bool,
    mteb: str | None,
    languages: str | None,
    mteb_output: Path,
    runs: Path,
    leakage_recipe: Path | None,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Score MODELS (Hub ids, folders or run directories; the latest run if none) beside each other.

    `teacher` and `untrained` stand for those of the run directory, as in: distill eval --against teacher

    Every score comes with its 95 % bootstrap interval; the best model of each line is marked, and those that cannot
    be told from it.
    """
    from distill.languages import parse_pair

    wanted = ["-".join(parse_pair(pair, where="--pairs")) for pair in pairs.split(",")] if pairs is not None else None
    if leakage_recipe:
        refuse("--leakage", "models", "pairs", "against", "all_metrics", "mteb", "languages", "mteb_output", "runs")
        return show_leakage(leakage_recipe, suites if is_given("suites") else None, json_file, markdown_file)
    from distill.named_models import column_names, latest_run, model_source, named_run
    from distill.testsets import hub_sets

    columns = column_names([*(models or [str(latest_run(runs))]), *against])
    run = named_run(list(columns.values()), runs)
    sources = {column: model_source(name, run) for column, name in columns.items()}
    if mteb is not None or languages is not None:
        refuse("--mteb and --languages", "suites", "all_metrics")
        files = (json_file, markdown_file)
        sys.exit(evaluate_on_mteb(sources, mteb, languages, wanted, output=mteb_output, files=files))
    refuse("suites", "mteb_output")
    go_offline_if_cut_off([*sources.values(), *hub_sets(suites)])
    quiet_libraries()
    from distill.report import difference_markdown, difference_table, score_markdown, score_table
    from distill.scoring import score_models

    teacher_of = run if columns.get("teacher") == "teacher" else None
    scores = score_models(sources, suites, wanted, teacher_of=teacher_of)
    own, others = list(columns)[: len(columns) - len(against)], list(columns)[len(columns) - len(against) :]
    compared = [(one, other) for one in own for other in others]
    show(score_table(scores, list(columns), all_metrics=all_metrics))
    for one, other in compared:
        show(difference_table(scores, one, other, all_metrics=all_metrics))
    if json_file:
        write_json(json_file, {"scores": [score.as_dict() for score in scores]})
    if markdown_file:
        parts = [score_markdown(scores, list(columns), all_metrics=all_metrics)]
        parts += [difference_markdown(scores, one, other, all_metrics=all_metrics) for one, other in compared]
        markdown_file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def is_given(parameter: str) -> bool:
    """Return whether the user gave a parameter of the current command."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source not in (ParameterSource.DEFAULT, None) and bool(click.get_current_context().params[parameter])


def refuse(what: str, *parameters: str) -> None:
    """Refuse parameters that mean nothing beside what is asked for.

    Raises:
        DistillError: one of them is given.
    """
    for parameter in filter(is_given, parameters):
        option = {"models": "MODELS", "suites": "--suite"}.get(parameter, f"--{parameter.replace('_', '-')}")
        raise DistillError(option, f"does not go with {what}", hint="use a command of its own")


def show_leakage(path: Path, suites: Sequence[str] | None, json_file: Path | None, markdown_file: Path | None) -> None:
    """Print what the corpora of a recipe share with test sets."""
    from distill.recipe import load_recipe
    from distill.testsets import hub_sets

    recipe = load_recipe(path)
    corpora = [corpus.hub for corpus in recipe.corpora.values() if corpus.hub]
    go_offline_if_cut_off([*corpora, *hub_sets(suites or recipe.evaluation.suites)])
    quiet_libraries()
    from rich.console import Console

    from distill.leakage import leakage_markdown, leakage_table, leakage_text, recipe_leakage

    report = recipe_leakage(recipe, suites)
    console = Console()
    if report.overlaps:
        console.print(leakage_table(report))
    click.echo(leakage_text(report))
    if json_file:
        write_json(json_file, report.as_dict())
    if markdown_file:
        markdown_file.write_text(leakage_markdown(report), encoding="utf-8")
