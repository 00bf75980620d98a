"""Types of single values in a recipe, and the error of one that does not fit."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from distill.errors import DistillError
from distill.languages import parse_language, parse_pair

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


class MisfitError(ValueError):
    """A value that is none of its kind, or does not go with another.

    Args:
        key: the key it is about, below the section or value that is validated.
        found: what is there.
        expected: what should be there.
        hint: what to do.
    """

    def __init__(self, key: tuple[str | int, ...], found: str, *, expected: str = "", hint: str = "") -> None:
        self.key, self.found, self.expected, self.hint = key, found, expected, hint
        super().__init__(found)


def is_path(name: str) -> bool:
    """Return whether a model or suite is written as a path: it begins with `.`, `~` or `/`."""
    return name.startswith((".", "~", "/"))


def _model_name(name: str) -> str:
    if not is_path(name) and not HUB_ID.fullmatch(name):
        raise MisfitError(
            (), f"found {name!r}", expected="a Hub id such as owner/name, or a folder that begins with ./ or /"
        )
    return name


def _hub_id(name: str) -> str:
    if not HUB_ID.fullmatch(name):
        raise MisfitError(
            (), f"found {name!r}", expected="a Hub id such as owner/name", hint="a local set is a `folder`"
        )
    return name


def _language(code: str) -> str:
    try:
        parsed = parse_language(code, where="languages")
    except DistillError as error:
        raise MisfitError((), error.found, expected=error.expected) from None
    return parsed


def _pair(text: str) -> str:
    try:
        return "-".join(parse_pair(text, where="pairs"))
    except DistillError as error:
        raise MisfitError((), error.found, expected=error.expected) from None


def _listed(value: Any) -> Any:
    """Return a lone text as a list of one."""
    return [value] if isinstance(value, str) else value


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


# Numbers are strict, because "16" and true would do for them otherwise.
PositiveInt = Annotated[int, Field(gt=0, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[float, Field(gt=0, strict=True)]
NotNegative = Annotated[float, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]

Text = Annotated[str, Field(min_length=1)]
ModelName = Annotated[str, AfterValidator(_model_name)]
HubId = Annotated[str, AfterValidator(_hub_id)]

OneOrMore = BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])
"""A list of texts that may be written as one text."""

Texts = Annotated[tuple[Text, ...], Field(min_length=1), OneOrMore]
Languages = Annotated[
    tuple[Annotated[str, AfterValidator(_language)], ...], Field(min_length=1), AfterValidator(_once), OneOrMore
]
Pairs = Annotated[tuple[Annotated[str, AfterValidator(_pair)], ...], Field(min_length=1), OneOrMore]
