"""`distill eval`: scoring models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from distill.cli.hub import find_distribution, go_offline_if_cut_off, quiet_libraries
from distill.cli.mteb import evaluate_on_mteb
from distill.cli.output import output_file, write_json
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
    if leakage_recipe:
        given = click.get_current_context().get_parameter_source("suites") != ParameterSource.DEFAULT
        return show_leakage(leakage_recipe, suites if given else None, json_file, markdown_file)
    from distill.languages import parse_pair
    from distill.rundir import is_run, latest_run
    from distill.testsets import hub_sets

    wanted = ["-".join(parse_pair(pair, where="--pairs")) for pair in pairs.split(",")] if pairs else None
    if mteb is not None or languages:
        if click.get_current_context().get_parameter_source("suites") is not ParameterSource.DEFAULT:
            raise DistillError(
                "--suite", "MTEB is scored instead of suites", hint="score them in a command of their own"
            )
        sys.exit(
            evaluate_on_mteb(
                [*(models or [str(latest_run(runs))]), *against],
                names=mteb,
                languages=languages,
                pairs=wanted,
                output=mteb_output,
                json_file=json_file,
                markdown_file=markdown_file,
            )
        )
    models = models or (str(latest_run(runs)),)
    run = next((Path(name) for name in (*models, *against) if is_run(Path(name))), None)
    if run is None and {"teacher", "untrained"} & {*models, *against}:
        run = latest_run(runs)
    go_offline_if_cut_off([*models_of_the_hub([*models, *against], run), *hub_sets(suites)])
    quiet_libraries()
    from rich.console import Console

    from distill.report import difference_markdown, difference_table, score_markdown, score_table
    from distill.scoring import score_models

    scores = score_models([*models, *against], suites, wanted, run=run)
    columns = list(dict.fromkeys(score.model for score in scores))
    compared = [(one, other) for one in columns[: len(models)] for other in columns[len(models) :]]
    console = Console()
    console.print(score_table(scores, columns, all_metrics=all_metrics))
    for one, other in compared:
        console.print(difference_table(scores, one, other, all_metrics=all_metrics))
    if json_file:
        write_json(json_file, {"scores": [score.as_dict() for score in scores]})
    if markdown_file:
        parts = [score_markdown(scores, columns, all_metrics=all_metrics)]
        parts += [difference_markdown(scores, one, other, all_metrics=all_metrics) for one, other in compared]
        markdown_file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def models_of_the_hub(names: Sequence[str], run: Path | None) -> list[str]:
    """Return the models that may have to come from the Hub."""
    from distill.rundir import teacher_section

    found = [name for name in names if name not in ("teacher", "untrained") and not Path(name).is_dir()]
    if "teacher" in names and run is not None:
        section = teacher_section(run)
        found += [] if section.package and find_distribution(section.package) else [section.model]
    return found


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
        write_json(json_file, report.as_dict())
    if markdown_file:
        markdown_file.write_text(leakage_markdown(report), encoding="utf-8")
