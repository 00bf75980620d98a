"""`distill suites`: the test suites that ship with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from distill.errors import DataError, nearest

if TYPE_CHECKING:
    from distill.testsets import Declaration

PAIRS_SHOWN = 6
PAIRS_WIDTH = 22


@click.command("suites")
@click.argument("name", required=False)
def suites_command(name: str | None) -> None:
    """List the test suites that ship with the program, or show NAME (a suite, or a declaration's file) in full."""
    from pathlib import Path

    from distill.recipe.evaluation import declared_suites
    from distill.testsets.declaration import declaration_file, read_declaration
    from distill.testsets.suites import list_suites

    if name is None:
        list_all(list_suites())
        return
    known = declared_suites()
    if name not in known and not Path(name).is_file():
        raise DataError(
            "distill suites", f"no suite {name!r}", expected=f"one of {', '.join(known)}", hint=nearest(name, known)
        )
    show_one(Path(name).stem, read_declaration(declaration_file(name) if name in known else Path(name)))


def list_all(suites: dict[str, Declaration]) -> None:
    """Print each suite with its kinds, pairs and description."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("suite", no_wrap=True)
    table.add_column("kinds", no_wrap=True)
    table.add_column("pairs", max_width=PAIRS_WIDTH)
    table.add_column("what it measures")
    for name, declaration in suites.items():
        kinds = dict.fromkeys(section.kind for section in declaration.sets)
        table.add_row(name, "\n".join(kinds), short_pairs(declaration), declaration.description)
        table.add_section()
    Console().print(table)
    click.echo("xx is each language of the suite.\n`distill suites NAME` shows all its pairs, sources and licences.")


def show_one(name: str, declaration: Declaration) -> None:
    """Print a suite in full."""
    click.echo(f"{name}: {declaration.description}")
    for section in declaration.sets:
        found = {
            "pairs": ", ".join(section.all_pairs()) + " (and any two of these languages)" * section.any_pair,
            "source": section.source + f" at {section.revision}" * bool(section.revision),
            "licence": section.licence,
            "citation": section.citation,
            "MTEB": section.mteb,
            "note": section.note,
        }
        click.echo(f"\n{section.name or name} ({section.kind})")
        for key, value in found.items():
            if value:
                click.echo(f"  {key + ':':9} {value}")


def short_pairs(declaration: Declaration) -> str:
    """Return the pairs of a suite as declared, or the first of them."""
    pairs = list(dict.fromkeys(pair for section in declaration.sets for pair in section.pairs))
    shown = ", ".join(pairs[:PAIRS_SHOWN])
    more = len(pairs) - PAIRS_SHOWN
    languages = {code for section in declaration.sets for pair in section.all_pairs() for code in pair.split("-")}
    return shown + f" and {more} more" * (more > 0) + f" ({len(languages)} languages)"
