"""The command line. Heavy imports live inside the commands: `distill --help` answers at once."""

from __future__ import annotations

import sys
from typing import Any

import click

from distill import __version__
from distill.cli.cache import cache
from distill.cli.data import data
from distill.cli.evaluate import evaluate_command
from distill.cli.mine import mine
from distill.cli.predict import predict
from distill.cli.run import check, run, schema
from distill.cli.suites import suites_command
from distill.cli.sweep import sweep_command
from distill.cli.translate import translate
from distill.cli.trim import trim
from distill.errors import DistillError

GOES_ON = {
    "data": "; the same command goes on from here",
    "run": "; `--resume` goes on from the last checkpoint",
    "sweep": "; the same command goes on from here",
    "translate": "; the same command goes on from here",
}
"""What to do after an interruption, by command."""


class Commands(click.Group):
    """A group whose commands end with a clear message and exit code 2 when the user can mend the error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DistillError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo(f"interrupted{GOES_ON.get(ctx.invoked_subcommand or '', '')}", err=True)
            sys.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="distill")
def main() -> None:
    """Distil an English sentence-embedding model into a multilingual student.

    A recipe (YAML) says which teacher, student, corpora and training; one command runs it:

        distill run recipes/quickstart.yaml
    """
    from distill.progress import show_log

    show_log()


for command in (
    run,
    check,
    evaluate_command,
    suites_command,
    predict,
    sweep_command,
    translate,
    mine,
    trim,
    data,
    schema,
    cache,
):
    main.add_command(command)
