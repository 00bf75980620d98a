"""Files that a command writes where the user says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from distill.errors import StorageError


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


def write_json(path: Path, content: Any) -> None:
    """Write what a command found to a file."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
