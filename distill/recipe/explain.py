"""What is wrong with a recipe, in the user's terms: pydantic's errors with key path, line and nearest match."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from distill.errors import RecipeError, nearest
from distill.recipe.document import Document, Key
from distill.recipe.recipe import Recipe
from distill.recipe.section import Section
from distill.recipe.values import MisfitError

EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt:.10g}",
    "greater_than_equal": "at least {ge:.10g}",
    "less_than": "a number below {lt:.10g}",
    "less_than_equal": "at most {le:.10g}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "keys and values below it",
    "model_type": "keys and values below it",
    "model_attributes_type": "keys and values below it",
    "too_short": "at least {min_length} item",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
    "path_type": "a path",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "",
}
"""What pydantic's error types expect, for people."""

LONGEST_SHOWN = 80
"""Longest value that a message repeats, in characters."""


@dataclass
class _Place:
    """A place in a recipe: its key as far as the document has it, and what belongs there."""

    key: Key
    annotation: Any
    field: FieldInfo | None


def explain(errors: Sequence[ErrorDetails], document: Document, root: type[Section] = Recipe) -> RecipeError:
    """Return all of pydantic's errors as one of ours; `root` is what the document was checked as."""
    located = [(_locate(error["loc"], root).key, error) for error in errors]
    told = [
        _explain(error, document, root)
        for key, error in located
        if not any(len(other) > len(key) and other[: len(key)] == key for other, _ in located)  # it only follows
    ]
    first, *others = {str(mistake): mistake for mistake in told}.values()
    first.others = tuple(others)
    return first


def _explain(error: ErrorDetails, document: Document, root: type[Section]) -> RecipeError:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(error, document, root)
    if kind == "missing":
        return _missing_key(error, document, root)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _unknown_kind(error, document, root)
    place = _locate(error["loc"], root)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisfitError):
        where = document.where((*place.key, *cause.key))
        return RecipeError(where, cause.found, expected=cause.expected, hint=cause.hint)
    return _wrong_value(error, place, document)


def _unknown_key(error: ErrorDetails, document: Document, root: type[Section]) -> RecipeError:
    *parents, name = error["loc"]
    section = _locate(parents, root)
    known = sorted(_fields(section.annotation))
    hint = nearest(str(name), known)
    elsewhere = [place for key, place in _all_keys(root, "the top level") if key == name]
    if elsewhere:
        hint = f'"{name}" is a key of {" and of ".join(dict.fromkeys(elsewhere))}'
    return RecipeError(
        document.where((*section.key, name)), f'unknown key "{name}"', expected="one of " + ", ".join(known), hint=hint
    )


def _missing_key(error: ErrorDetails, document: Document, root: type[Section]) -> RecipeError:
    *parents, name = error["loc"]
    place = _locate(error["loc"], root)
    return RecipeError(
        document.where(_locate(parents, root).key),
        f'"{name}" is missing',
        expected=_describe(place.field),
        hint=f'add "{name}:" here',
    )


def _unknown_kind(error: ErrorDetails, document: Document, root: type[Section]) -> RecipeError:
    """Return what is wrong with the key, such as `kind`, that says which of several sections this is."""
    place = _locate(error["loc"], root)
    name = error["ctx"]["discriminator"].strip("'")
    tags = [tag for section in _sections(place.annotation) for tag in _tags(section, name)]
    expected = f"{name}: {' or '.join(tags)}"
    if error["type"] == "union_tag_not_found":
        return RecipeError(document.where(place.key), f'"{name}" is missing', expected=expected)
    found = str(error["input"][name])
    return RecipeError(
        document.where((*place.key, name)), f"found {_show(found)}", expected=expected, hint=nearest(found, tags)
    )


def _wrong_value(error: ErrorDetails, place: _Place, document: Document) -> RecipeError:
    kind, found, details = error["type"], error["input"], error.get("ctx", {})
    expected = EXPECTED[kind].format(**details) if kind in EXPECTED else error["msg"]
    hint = ""
    if found is None:
        required = place.field is None or place.field.is_required()
        hint = "give it a value" + ("" if required else ", or leave the key out")
    elif kind == "string_type" and isinstance(found, int | float):
        hint = "put it in quotes"
    elif kind == "literal_error":
        hint = nearest(str(found), _literals(place.annotation))
    elif (kind == "int_type" or kind == "float_type") and isinstance(found, str):
        hint = "write it without quotes" if _is_number(found) else ""
    description = _describe(place.field)
    if description and kind != "literal_error":
        expected = f"{expected} ({description})" if expected else description
    key = place.key
    while key and key not in document.lines and not document.overridden(key):
        key = key[:-1]  # pydantic can go deeper than what is written: a number for both learning rates
    return RecipeError(document.where(key), f"found {_show(found)}", expected=expected, hint=hint)


def _show(found: Any) -> str:
    if found is None:
        return "nothing"
    text = repr(found)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _describe(field: FieldInfo | None) -> str:
    """Return the description of a field as part of a sentence."""
    return (field.description or "").rstrip(".") if field else ""


def _locate(loc: Sequence[str | int], root: type[Section]) -> _Place:
    """Return the place of pydantic's location, which names the chosen section of a union where there are several."""
    place = _Place((), root, None)
    for part in loc:
        sections = _sections(place.annotation)
        if len(sections) > 1 and (chosen := [s for s in sections if part in _tags(s)]):
            place = _Place(place.key, chosen[0], place.field)
        elif sections and part in (fields := _fields(sections[0])):
            info = fields[str(part)]
            place = _Place((*place.key, part), info.annotation, info)
        else:  # a name in a mapping, or a number in a list
            place = _Place((*place.key, part), _item_annotation(place.annotation), place.field)
    return place


def _sections(annotation: Any) -> list[type[Section]]:
    """Return the section classes that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _sections(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [section for member in typing.get_args(annotation) for section in _sections(member)]
    return []


def _fields(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields of a section by their names in a recipe."""
    return {info.alias or name: info for name, info in section.model_fields.items()}


def _item_annotation(annotation: Any) -> Any:
    """Return what a mapping or list holds, None if the annotation is neither."""
    origin = typing.get_origin(annotation)
    if origin is dict:
        return typing.get_args(annotation)[1]
    if origin is tuple:
        return typing.get_args(annotation)[0]
    for member in typing.get_args(annotation):
        if (item := _item_annotation(member)) is not None:
            return item
    return None


def _tags(section: type[Section], name: str | None = None) -> list[str]:
    """Return the texts by which a section is chosen from a union: the literals of its first key."""
    field = section.model_fields[name or next(iter(section.model_fields))]
    return _literals(field.annotation)


def _literals(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return [text for member in typing.get_args(annotation) for text in _literals(member)]


def _all_keys(section: type[Section], place: str) -> Iterator[tuple[str, str]]:
    """Yield every key that a recipe can have and the section it belongs to."""
    for name, field in _fields(section).items():
        yield name, place
        annotation = field.annotation
        path = name if place == "the top level" else f"{place}.{name}"
        if typing.get_origin(annotation) is dict:
            annotation, path = _item_annotation(annotation), f"{path}.NAME"
        sections = _sections(annotation)
        for sub in sections:
            yield from _all_keys(sub, path if len(sections) == 1 else f"{path} ({', '.join(_tags(sub))})")
