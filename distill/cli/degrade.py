"""`distill degrade`: what a run forgot."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.cli.output import output_file, show, write_json


@click.command("degrade")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--suite",
    "suites",
    multiple=True,
    help="A suite (`distill suites` lists them), a file or folder of en-uk.tsv files, or a declaration; those of the "
    "run's recipe if absent.",
)
@click.option("--pairs", help="Language pairs, such as en-uk,uk-uk; those of the recipe if absent.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), callback=output_file, help="Write values here.")
@click.option("--markdown", type=click.Path(path_type=Path), callback=output_file, help="Write the tables here.")
def degrade_command(
    run: Path, suites: tuple[str, ...], pairs: str | None, json_file: Path | None, markdown: Path | None
) -> None:
    """Show what the student of RUN, a run directory, forgot while it trained.

    Every checkpoint that is there, the untrained student and the finished model are scored on each test set; dev losses
    come from the log. For each set: its best step, and how much worse the last one is.
    """
    from distill.languages import parse_pair

    wanted = ["-".join(parse_pair(pair, where="--pairs")) for pair in pairs.split(",")] if pairs is not None else None
    quiet_libraries()
    from distill.degrade import degradation_markdown, degradation_table, degrade, suites_of
    from distill.testsets import hub_sets

    go_offline_if_cut_off(hub_sets(suites or suites_of(run)))
    found = degrade(run, suites, wanted)
    show(degradation_table(found))
    if json_file:
        write_json(json_file, {"run": str(run), **found.as_dict()})
    if markdown:
        command = shlex.join(["distill", *sys.argv[1:]])
        markdown.write_text(f"`{command}`\n\n{degradation_markdown(found)}\n", encoding="utf-8")
