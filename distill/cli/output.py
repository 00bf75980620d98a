"""Files that a command writes where the user says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.errors import StorageError

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_COLUMNS = 1_000


def output_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Return a file to write to, checked before the work begins; a callback for options.

    Raises:
        StorageError: its folder is not there or cannot be written.
    """
    if value is not None:
        if not value.parent.is_dir():
            raise StorageError(str(value), f"no folder {value.parent}", hint="make it, or name another file")
        if value.is_dir() or not os.access(value if value.exists() else value.parent, os.W_OK):
            raise StorageError(str(value), "cannot be written", hint="name another file")
    return value


def show(table: RenderableType) -> None:
    """Print a table, as wide as it must be: no value is cut on a narrow terminal or in a file."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console()
    parts = getattr(table, "renderables", [table])
    widest = console.options.update(max_width=MOST_COLUMNS)
    width = max(
        (Measurement.get(console, widest, part).maximum for part in parts if isinstance(part, Table)), default=0
    )
    Console(width=max(console.width, width)).print(table)


def write_json(path: Path, content: Any) -> None:
    """Write what a command found to a file."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
