"""`distill sweep`: variants of a recipe side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from distill.cli.hub import go_offline_if_cut_off, hub_names, quiet_libraries
from distill.cli.output import output_file, show, write_json
from distill.cli.run import SET_HELP


@click.command("sweep")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--vary",
    metavar="KEY=A,B,C",
    multiple=True,
    required=True,
    help="Values of a key, such as mixture.sampling=proportional,equal. Given several times, every combination is run.",
)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option("--all-metrics", is_flag=True, help="Show all metrics, not only the main ones.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), callback=output_file, help="Write scores here.")
@click.option("--markdown", type=click.Path(path_type=Path), callback=output_file, help="Write the table here.")
def sweep_command(
    recipe: Path,
    vary: tuple[str, ...],
    overrides: tuple[str, ...],
    all_metrics: bool,
    json_file: Path | None,
    markdown: Path | None,
) -> None:
    """Run variants of RECIPE and show their scores side by side.

    Each is a run of its own. Given again, the command runs only what is not finished.
    """
    quiet_libraries()
    from distill.report import score_markdown, score_table
    from distill.sweep import sweep, variants

    chosen = variants(recipe, vary, overrides)
    go_offline_if_cut_off(name for variant in chosen for name in hub_names(variant.recipe))
    click.echo(f"{len(chosen)} runs: {', '.join(variant.recipe.name for variant in chosen)}")
    scores = sweep(chosen)
    labels = [variant.label for variant in chosen]
    show(score_table(scores, labels, all_metrics=all_metrics))
    if json_file:
        content = {variant.label: str(variant.recipe.runs / variant.recipe.name) for variant in chosen}
        write_json(json_file, {"runs": content, "scores": [score.as_dict() for score in scores]})
    if markdown:
        command = shlex.join(["distill", *sys.argv[1:]])
        table = score_markdown(scores, labels, all_metrics=all_metrics)
        markdown.write_text(f"`{command}`\n\n{table}\n", encoding="utf-8")
