"""`distill data clean`: more rows than one machine wants, cleaned shard by shard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.cli.run import SET_HELP
from distill.errors import RecipeError, nearest

if TYPE_CHECKING:
    from distill.recipe.cleaning import CleaningSection


@click.command("clean")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the result.")
@click.option("--language", required=True, metavar="CODE", help="Language of the non-English side, such as uk.")
@click.option("--recipe", type=click.Path(path_type=Path), help="Recipe whose rules are applied; see --corpus.")
@click.option("--corpus", metavar="NAME", help="Corpus of the recipe whose own rules are applied too.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=SET_HELP)
@click.option(
    "--cleaning", "preset", type=click.Choice(["default", "strict"]), default="default", help="Rules without a recipe."
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What runs it.")
@click.option("--processes", type=click.IntRange(min=1), help="Processes of the local engine; one per core if absent.")
def clean_command(
    shards: tuple[Path, ...],
    out: Path,
    language: str,
    recipe: Path | None,
    corpus: str | None,
    overrides: tuple[str, ...],
    preset: str,
    engine: str,
    processes: int | None,
) -> None:
    """Clean parquet SHARDS with columns english and non_english into shards of the same names.

    Both engines write the same bytes. A killed command goes on where it was. Of rows alike, the first is kept, in the
    order of SHARDS.
    """
    from distill.cleaning.shard_rules import across_rules, row_rules
    from distill.cleaning.shards import clean_shards_locally, clean_shards_with_ray
    from distill.languages import parse_language
    from distill.recipe.cleaning import CleaningSection, merged

    section = merged(CleaningSection.model_validate({"preset": preset}), None)
    if recipe is not None:
        section = _section(recipe, corpus, overrides)
    code = parse_language(language, where="--language")
    rules, across = row_rules(section, code), across_rules(section)
    began = time.monotonic()
    if engine == "ray":
        _need_ray()
        counts = clean_shards_with_ray(shards, out, rules, across)
    else:
        from distill.corpora.clean import n_processes

        counts = clean_shards_locally(shards, out, rules, across, processes=processes or n_processes())
    _show(counts, time.monotonic() - began, out)


def _section(path: Path, corpus: str | None, overrides: tuple[str, ...]) -> CleaningSection:
    """Return the rules of a recipe, or of one of its corpora."""
    from distill.recipe import load_recipe
    from distill.recipe.cleaning import merged

    recipe = load_recipe(path, overrides)
    if corpus is not None and corpus not in recipe.corpora:
        raise RecipeError(
            "--corpus",
            f"no corpus {corpus!r} in {path}",
            expected=f"one of {', '.join(recipe.corpora)}",
            hint=nearest(corpus, recipe.corpora),
        )
    section = merged(recipe.cleaning, recipe.corpora[corpus].cleaning if corpus else None)
    if section.similarity and section.similarity.on:
        raise RecipeError(
            "cleaning.similarity",
            "is not applied to shards: it needs a model",
            hint="leave it out here; a run of the recipe on the cleaned shards applies it",
        )
    return section


def _need_ray() -> None:
    import importlib.util

    if importlib.util.find_spec("ray") is None:
        raise RecipeError(
            "--engine ray", "the package ray is not installed", hint="pip install 'distill-multilingual[ray]'"
        )


def _show(counts: dict[str, dict[str, int]], seconds: float, out: Path) -> None:
    """Print what became of the rows of all shards."""
    total: dict[str, int] = {}
    for shard in counts.values():
        for name, count in shard.items():
            total[name] = total.get(name, 0) + count
    for name, count in total.items():
        click.echo(f"{name + ':':18} {count:>12,}")
    rate = total.get("read", 0) / max(seconds, 1e-9)
    click.echo(f"{len(counts)} shards in {out}; counts by shard in cleaning.json; {rate:,.0f} rows/s")
