"""`distill rank-data`: which corpora help most."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path

import click

from distill.cli.hub import go_offline_if_cut_off, hub_names, quiet_libraries
from distill.cli.output import output_file, show, write_json
from distill.cli.run import SET_HELP


@click.command("rank-data")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), default=2_000, show_default=True, help="Steps of each trial run.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option("--json", "json_file", type=click.Path(path_type=Path), callback=output_file, help="Write scores here.")
@click.option("--markdown", type=click.Path(path_type=Path), callback=output_file, help="Write the tables here.")
def rank_data_command(
    recipe: Path, steps: int, overrides: tuple[str, ...], json_file: Path | None, markdown: Path | None
) -> None:
    """Rank the corpora of RECIPE by a short trial run on each alone.

    All trials start from the same untrained student, take as many steps, and are scored on the recipe's suites. Each is
    a run of its own. Given again, the command runs only what is not finished.
    """
    from distill.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    go_offline_if_cut_off(hub_names(loaded))
    quiet_libraries()
    from distill.rank_data import rank, rank_markdown, rank_table, run_trial, start, trials
    from distill.report import score_markdown, score_table

    began, ready = start(loaded)
    chosen = trials(loaded, ready, steps)
    click.echo(f"{sum(trial.recipe is not None for trial in chosen)} trial runs of {steps:,} steps from {began}")
    ranking = rank(chosen, partial(run_trial, began=began))
    names = [ranked.trial.corpus for ranked in ranking if ranked.scores]
    scores = [score for ranked in ranking for score in ranked.scores]
    show(rank_table(steps, ranking))
    show(score_table(scores, names))
    if json_file:
        found = [ranked.as_dict(place if ranked.scores else None) for place, ranked in enumerate(ranking, start=1)]
        write_json(json_file, {"steps": steps, "untrained": str(began), "corpora": found})
    if markdown:
        tables = f"{rank_markdown(steps, ranking)}\n\n{score_markdown(scores, names)}"
        markdown.write_text(f"`{shlex.join(['distill', *sys.argv[1:]])}`\n\n{tables}\n", encoding="utf-8")
