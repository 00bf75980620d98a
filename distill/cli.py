"""The command line. Heavy imports live inside the commands: `distill --help` answers at once."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill import __version__
from distill.errors import DistillError

if TYPE_CHECKING:
    from distill.pipeline import Outcome, Plan
    from distill.recipe import Recipe
    from distill.rundir import Mode

log = logging.getLogger("distill")

SECONDS_FOR_THE_HUB = 10.0
SET_HELP = "Override a key of the recipe, such as training.epochs=2. Can be given several times."


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
            goes_on = "; `--resume` goes on from the last checkpoint" * (ctx.invoked_subcommand == "run")
            click.echo(f"interrupted{goes_on}", err=True)
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


@main.command()
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
        from distill.pipeline import plan_run, run_recipe

        if dry_run:
            plan = plan_run(loaded)
            if main_process:
                show_plan(plan)
            return
        outcome = run_recipe(loaded, mode=mode, command=shlex.join(["distill", *sys.argv[1:]]))
        if main_process:
            show_outcome(outcome)


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Check RECIPE for mistakes without loading anything."""
    from distill.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    click.echo(
        f"{recipe} is a valid recipe: a {loaded.student.kind} student of {loaded.teacher.model} "
        f"for {', '.join(loaded.languages)}"
    )
    for name, corpus in loaded.corpora.items():
        click.echo(f"  {name}: {corpus.source} ({', '.join(corpus.languages)})")


@main.command("eval")
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
    runs: Path,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Score MODELS (Hub ids, folders or run directories; the latest run if none) beside each other."""
    from distill.languages import parse_pair

    wanted = ["-".join(parse_pair(pair, where="--pairs")) for pair in pairs.split(",")] if pairs else None
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


@main.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from distill.recipe import recipe_schema

    click.echo(json.dumps(recipe_schema(), indent=2))


@main.group()
def cache() -> None:
    """See and clear what is stored: teacher vectors, tokens and corpora."""


@cache.command("ls")
def cache_ls() -> None:
    """List the stores, largest first."""
    from distill.store import cache_root, list_stores

    stores = list_stores()
    for store in stores:
        what = store.identity.get("model") or store.identity.get("hub") or store.identity.get("files") or ""
        if isinstance(what, list):
            what = ", ".join(name for name, _ in what)
        click.echo(f"{store.id}  {store.kind:8}  {store.texts:>10,} texts  {store.bytes / 1e6:>9,.1f} MB  {what}")
    total = sum(store.bytes for store in stores)
    click.echo(f"{len(stores)} stores, {total / 1e6:,.1f} MB in {cache_root()}")


@cache.command("rm")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Remove all stores.")
@click.option("--kind", type=click.Choice(["vectors", "tokens", "corpora"]), help="Remove all stores of one kind.")
def cache_rm(ids: tuple[str, ...], everything: bool, kind: str | None) -> None:
    """Remove stores by the IDS that `distill cache ls` shows (their beginnings will do)."""
    from distill.store import list_stores, remove_stores

    stores = list_stores()
    if not (ids or everything or kind):
        raise DistillError("distill cache rm", "nothing to remove", expected="ids, --kind or --all")
    for wanted in ids:
        if not any(store.id.startswith(wanted) for store in stores):
            raise DistillError(
                "distill cache rm", f"no store {wanted!r}", expected="an id that `distill cache ls` shows"
            )
    chosen = [s for s in stores if everything or s.kind == kind or any(s.id.startswith(i) for i in ids)]
    freed = remove_stores(chosen)
    click.echo(f"{len(chosen)} stores removed, {freed / 1e6:,.1f} MB freed")


def hub_names(recipe: Recipe) -> list[str]:
    """Return the models and data sets that a recipe takes from the Hub, where they are not local folders."""
    names = [corpus.hub for corpus in recipe.corpora.values() if corpus.hub]
    if recipe.student.kind == "pretrained":
        names.append(recipe.student.model)
    if not (recipe.teacher.package and find_distribution(recipe.teacher.package)):
        names.append(recipe.teacher.model)
    return names


def find_distribution(name: str) -> bool:
    """Return whether a Python distribution is installed."""
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def go_offline_if_cut_off(names: Iterable[str]) -> None:
    """Tell the clients of the Hub not to ask it, if one of some names is to come from there and it does not answer.

    Left to themselves they ask again for half a minute for each file, also for those that are stored.
    """
    if all(Path(name).is_dir() for name in names):
        return
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session
    from huggingface_hub.utils import logging as hub_logging

    if constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS_FOR_THE_HUB)
    except Exception as error:  # its class depends on the HTTP library that huggingface_hub uses
        log.warning("the Hub cannot be reached (%s: %s): only what is stored here is used", constants.ENDPOINT, error)
        hub_logging.set_verbosity_error()
        constants.HF_HUB_OFFLINE = True
        os.environ["HF_HUB_OFFLINE"] = "1"  # for other processes of this run


def quiet_libraries() -> None:
    """Keep the progress bars and notices of libraries out of this program's output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def show_outcome(outcome: Outcome) -> None:
    """Print the scores of a finished run, where the model is, and how to use it."""
    from rich.console import Console

    from distill.card import usage
    from distill.pipeline import MODELS
    from distill.report import corpora_table, score_table

    console = Console()
    if outcome.corpora:
        console.print(corpora_table(outcome.corpora))
    console.print(score_table(outcome.scores, MODELS))
    for name, value in outcome.facts.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    console.print(
        f"\nThe model is in {outcome.model}; report.md and scores.json are beside it. To use it:\n",
        highlight=False,
        soft_wrap=True,
    )
    languages = sorted({code for score in outcome.scores for code in score.pair.split("-")} - {"en"})
    console.print(usage(str(outcome.model), languages), highlight=False, markup=False, soft_wrap=True)


def show_plan(plan: Plan) -> None:
    """Print what a run would do."""
    from rich.console import Console

    from distill.progress import duration
    from distill.report import corpora_table

    console = Console()
    console.print(corpora_table(plan.corpora))
    lines = [
        "student: {parameters:,} parameters, {vocabulary:,} pieces, {dimension} dimensions".format(**plan.sizes),
        f"teacher vectors to compute: {plan.vectors:,}, about {duration(plan.vectors_seconds)}",
        f"training: {plan.steps:,} steps, about {duration(plan.training_seconds)} (from a few timed steps)",
        "nothing was trained or written: leave out --dry-run to run it",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
