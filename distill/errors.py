"""The errors a user can mend: they say where, what was found, what was expected and what to do."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Any


class DistillError(Exception):
    """An error in what the user gave, not in this program; the command line prints it and exits with 2.

    Args:
        where: the place: a recipe key with its line, a file with its line, a model.
        found: what is there.
        expected: what should be there.
        hint: what to do next.
    """

    def __init__(self, where: str, found: str, *, expected: str = "", hint: str = "") -> None:
        self.where, self.found, self.expected, self.hint = where, found, expected, hint
        super().__init__(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self), expected=self.expected, hint=self.hint)
        return make, (self.where, self.found), vars(self)  # errors of worker processes are pickled

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}"]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return "\n".join(lines)


class RecipeError(DistillError):
    """A mistake in a recipe or in a `--set` override.

    Attributes:
        others: further mistakes of the same recipe, shown with it.
    """

    others: tuple[RecipeError, ...] = ()

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.others)])


class DataError(DistillError):
    """A corpus or test set that is missing, empty, unreadable or malformed."""


class ModelError(DistillError):
    """A teacher or student that does not exist, cannot be read or does not fit."""


class StorageError(DistillError):
    """A disk that is full or a folder that cannot be written."""


class RunError(DistillError):
    """A run directory that cannot be used as asked."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""
