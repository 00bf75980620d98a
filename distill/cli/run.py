"""`distill run`, `distill check` and `distill schema`."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.cli.hub import go_offline_if_cut_off, hub_names, quiet_libraries
from distill.cli.output import show

if TYPE_CHECKING:
    from distill.pipeline import Outcome
    from distill.plan import Plan
    from distill.rundir import Mode

log = logging.getLogger("distill")

SET_HELP = "Override a key of the recipe, such as training.epochs=2. Can be given several times."


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option("--resume", "mode", flag_value="resume", help="Go on from the last checkpoint of a killed run.")
@click.option("--fresh", "mode", flag_value="fresh", help="Move an older run of this name aside and start anew.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, with timings of a few steps.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train in this many processes.",
)
def run(recipe: Path, overrides: tuple[str, ...], mode: Mode | None, dry_run: bool, processes: int) -> None:
    """Make a student from RECIPE: corpora, teacher vectors, training, scores, report."""
    from distill.files import full_disk_errors
    from distill.launch import launch, launched
    from distill.recipe import load_recipe
    from distill.rundir import RunDirectory

    loaded = load_recipe(recipe, overrides)
    mode = mode or "new"
    if not dry_run:
        RunDirectory(loaded.runs / loaded.name).check(loaded, mode)  # before the seconds that the imports below take
    go_offline_if_cut_off(hub_names(loaded))
    if processes > 1 and "RANK" not in os.environ:
        sys.exit(launch(sys.argv[1:], processes))
    main_process = int(os.environ.get("RANK", "0")) == 0
    if not main_process:
        log.setLevel(logging.ERROR)
    with launched(), full_disk_errors(loaded.runs / loaded.name):
        quiet_libraries()
        from distill.pipeline import run_recipe
        from distill.plan import plan_run

        if dry_run:
            plan = plan_run(loaded)
            if main_process:
                show_plan(plan)
            return
        outcome = run_recipe(loaded, mode=mode, command=shlex.join(["distill", *sys.argv[1:]]))
        if main_process:
            show_outcome(outcome)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Check RECIPE for mistakes without loading anything."""
    from distill.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    click.echo(
        f"{recipe} is a valid recipe: a {loaded.student.kind} student of {loaded.teacher.model} "
        f"for {', '.join(loaded.languages) or 'en'}"
    )
    for name, corpus in loaded.corpora.items():
        click.echo(f"  {name}: {corpus.source} ({', '.join(corpus.languages)})")


@click.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from distill.recipe import recipe_schema

    click.echo(json.dumps(recipe_schema(), indent=2))


def show_outcome(outcome: Outcome) -> None:
    """Print the scores of a finished run, where the model is, and how to use it."""
    from distill.card import usage
    from distill.corpora_report import cleaning_table, corpora_table
    from distill.pipeline import columns
    from distill.report import dev_table, score_table

    if outcome.corpora:
        show(corpora_table(outcome.corpora))
        show(cleaning_table(outcome.corpora))
    if outcome.dev:
        show(dev_table(outcome.dev, outcome.weights_from))
    if outcome.during:
        show(dev_table(outcome.during, outcome.weights_from, title="Scores while training × 100", digits=1))
    show(score_table(outcome.scores, columns(outcome.scores)))
    for name, value in outcome.facts.items():
        click.echo(f"{name}: {value}")
    click.echo(f"\nThe model is in {outcome.model}; report.md and scores.json are beside it. To use it:\n")
    languages = sorted({code for score in outcome.scores for code in score.pair.split("-")} - {"en"})
    click.echo(usage(str(outcome.model), languages))


def show_plan(plan: Plan) -> None:
    """Print what a run would do."""
    from distill.corpora_report import cleaning_table, corpora_table
    from distill.progress import duration

    show(corpora_table(plan.corpora))
    show(cleaning_table(plan.corpora))
    lines = [
        "student: {parameters:,} parameters, {vocabulary:,} pieces, {dimension} dimensions".format(**plan.sizes),
        f"teacher vectors to compute: {plan.vectors:,}, about {duration(plan.vectors_seconds)}",
        f"training: {plan.steps:,} steps, about {duration(plan.training_seconds)} (from a few timed steps)",
        "nothing was trained or written: leave out --dry-run to run it",
    ]
    for line in lines:
        click.echo(line)
