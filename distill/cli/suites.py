"""`distill suites`: the test suites that ship with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from distill.errors import DataError, nearest

if TYPE_CHECKING:
    from distill.testsets import Declaration, SetSection

PAIRS_SHOWN = 6


@click.command("suites")
@click.argument("name", required=False)
def suites_command(name: str | None) -> None:
    """List the test suites that ship with the program, or show NAME (a suite, or a declaration's file) in full."""
    from pathlib import Path

    from distill.recipe.sections import declared_suites
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
    """Print a line for each set of each suite."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for column in ("suite", "kind", "pairs", "licence", "source"):
        table.add_column(column, no_wrap=column in ("suite", "kind"), overflow="fold")
    for name, declaration in suites.items():
        for section in declaration.sets:
            label = f"{name}/{section.name}" if section.name else name
            table.add_row(label, section.kind, short_pairs(section), section.licence, section.source)
        table.add_section()
    Console().print(table)


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


def short_pairs(section: SetSection) -> str:
    """Return the pairs of a set as declared, or the first of them."""
    shown = ", ".join(section.pairs[:PAIRS_SHOWN])
    more = len(section.pairs) - PAIRS_SHOWN
    languages = f" ({len(section.languages)} languages)" if section.languages else ""
    return shown + f" and {more} more" * (more > 0) + languages
