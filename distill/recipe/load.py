"""From a YAML file and `--set` overrides to a `Recipe`, every mistake with its key and line."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from distill.errors import RecipeError, nearest
from distill.recipe.sections import SUITES, Recipe

PATH_KEYS = {"runs", "data_root", "folder", "files"}
Key = tuple[str | int, ...]


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML file with `key.sub=value` overrides applied.

    Relative paths in the file are relative to the file's folder (`runs` to the current one); those in an
    override are relative to the current folder.

    Raises:
        RecipeError: the file is missing or malformed, or a key or value is wrong.
    """
    path = Path(path)
    document = _read_yaml(path)
    _absolute_paths(document, path.resolve().parent)
    overridden: dict[Key, str] = {}
    for override in overrides:
        key = _apply_override(document, override)
        overridden[key] = override
    try:
        recipe = Recipe.model_validate(_plain(document))
    except ValidationError as error:
        raise _explain(error.errors(include_url=False)[0], document, path, overridden) from None
    recipe = _under_data_root(recipe)
    _check_paths(recipe, lambda *key: _where(key, document, path, overridden))
    return recipe


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipes, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def _read_yaml(path: Path) -> CommentedMap:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")]) if path.parent.is_dir() else ""
        raise RecipeError(str(path), "no such file", expected="a recipe in YAML", hint=near) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), f"cannot be read: {error}", expected="a YAML file in UTF-8") from None
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        problem = (error.problem or error.context or "malformed YAML").split("\n")[0]
        raise RecipeError(
            f"{path}:{line}", f"malformed YAML: {problem}", hint=f"look at line {line} and the one before"
        ) from None
    except YAMLError as error:
        raise RecipeError(str(path), f"malformed YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, CommentedMap):
        raise RecipeError(str(path), "no keys found", expected="a recipe: name, teacher, student, corpora, …")
    return document


def _absolute_paths(node: Any, folder: Path, key: str = "") -> None:
    """Make every path in the document absolute, except those relative to `data_root`."""
    if not isinstance(node, Mapping):
        return
    has_root = key == "" and node.get("data_root") is not None
    for name, value in node.items():
        if isinstance(value, str) and name in PATH_KEYS:
            base = Path.cwd() if name == "runs" else folder
            node[name] = str(base / Path(value).expanduser())  # type: ignore[index]
        elif name in ("teacher", "student") and isinstance(value, Mapping) and _is_path(value.get("model")):
            value["model"] = str(folder / Path(value["model"]).expanduser())  # type: ignore[index]
        elif name == "corpora" and isinstance(value, Mapping):
            for corpus in value.values():
                if not has_root:
                    _absolute_paths(corpus, folder, key=str(name))
        elif name == "evaluation" and isinstance(value, Mapping) and isinstance(value.get("suites"), list):
            value["suites"][:] = [str(folder / s) if _is_path(s) else s for s in value["suites"]]


def _is_path(value: Any) -> bool:
    """Return whether a model or suite is written as a path: it begins with `.`, `~` or `/`."""
    return isinstance(value, str) and value.startswith((".", "~", "/"))


def _under_data_root(recipe: Recipe) -> Recipe:
    """Return the recipe with `folder` and `files` below `data_root`."""
    if recipe.data_root is None:
        return recipe
    corpora = {
        name: corpus.model_copy(
            update={key: recipe.data_root / value for key in ("folder", "files") if (value := getattr(corpus, key))}
        )
        for name, corpus in recipe.corpora.items()
    }
    return recipe.model_copy(update={"corpora": corpora})


def _check_paths(recipe: Recipe, where: Callable[..., str]) -> None:
    """Check that the local files and folders a recipe names are there."""
    for section, model in (
        ("teacher", recipe.teacher.model),
        ("student", getattr(recipe.student, "model", "")),
    ):
        if _is_path(model) and not Path(model).is_dir():
            raise RecipeError(where(section, "model"), f"no folder {model}", expected="a model's folder or a Hub id")
    for name, corpus in recipe.corpora.items():
        if corpus.folder:
            for language in corpus.languages:
                if not corpus.split_file(language):
                    there = sorted(p.name for p in corpus.folder.glob("en-*")) if corpus.folder.is_dir() else []
                    raise RecipeError(
                        where("corpora", name, "folder"),
                        f"no {corpus.folder / f'en-{language}'}/train.parquet (.tsv, .csv, .jsonl)",
                        expected=f"one of {', '.join(there)}" if there else "a folder with en-XX folders inside",
                    )
        elif corpus.files and not corpus.matching_files():
            raise RecipeError(where("corpora", name, "files"), f"no file {corpus.files}", expected="a file that exists")
    for index, suite in enumerate(recipe.evaluation.suites):
        if suite not in SUITES and not Path(suite).exists():
            raise RecipeError(
                where("evaluation", "suites", index),
                f"no suite or file {suite!r}",
                expected=f"one of {', '.join(SUITES)}, or a path",
                hint=nearest(suite, SUITES),
            )


def _apply_override(document: CommentedMap, override: str) -> Key:
    """Set one `key.sub=value` in the document and return its key."""
    name, equals, text = override.partition("=")
    where = f"--set {override}"
    if not equals or not name.strip():
        raise RecipeError(where, "no value", expected="key.sub=value, such as training.epochs=2")
    key: Key = tuple(int(part) if part.isdigit() else part for part in name.strip().split("."))
    try:
        value = YAML(typ="safe").load(text)
    except YAMLError:
        raise RecipeError(where, f"{text!r} is not a YAML value") from None
    if isinstance(value, str) and (key[-1] in PATH_KEYS or (key[-1] == "model" and _is_path(value))):
        value = str(Path.cwd() / Path(value).expanduser())
    if key == ("evaluation", "suites") and isinstance(value, list):
        value = [str(Path.cwd() / v) if _is_path(v) else v for v in value]
    node: Any = document
    for part in key[:-1]:
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif isinstance(node, dict):
            node = node.setdefault(part, CommentedMap()) if node.get(part) is not None else _new_map(node, part)
        else:
            raise RecipeError(where, f"{part!r} is not a section", expected="a key of the recipe")
    if isinstance(node, list) and not (isinstance(key[-1], int) and key[-1] < len(node)):
        raise RecipeError(where, f"no item {key[-1]!r}", expected=f"a number below {len(node)}")
    if not isinstance(node, list | dict):
        raise RecipeError(where, f"{'.'.join(map(str, key[:-1]))} holds {node!r}, not keys")
    node[key[-1]] = value  # type: ignore[index]
    return key


def _new_map(node: dict[Any, Any], part: str | int) -> CommentedMap:
    node[part] = CommentedMap()
    return node[part]  # type: ignore[no-any-return]


def _plain(node: Any) -> Any:
    """Return the document as plain dicts and lists."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return node


def _explain(error: ErrorDetails, document: CommentedMap, path: Path, overridden: Mapping[Key, str]) -> RecipeError:
    """Return pydantic's error as ours, with the key path and the line in the file."""
    key, missing = _document_key(error["loc"], document)
    where = _where(key, document, path, overridden)
    kind, found = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _known_keys(key[:-1], document)
        return RecipeError(
            where,
            f'unknown key "{key[-1]}"',
            expected="one of " + ", ".join(known),
            hint=nearest(str(key[-1]), known),
        )
    if kind == "missing":
        return RecipeError(where, f'"{missing}" is missing', hint=f'add "{missing}:" here')
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tags = error["ctx"]["expected_tags"].replace("'", '"')
        given = found.get("kind") if isinstance(found, dict) else found
        return RecipeError(
            where,
            f"kind is {given!r}",
            expected=f"kind: one of {tags}",
            hint=nearest(str(given), re.findall(r'"(\w+)"', tags)),
        )
    if kind == "value_error":
        cause = error.get("ctx", {}).get("error")
        return RecipeError(where, getattr(cause, "found", "") or str(cause), expected=getattr(cause, "expected", ""))
    expected = re.sub(r"^(Input|Value) should (be )?(a )?(valid )?", "", error["msg"])
    options = re.findall(r"'([^']+)'", expected) if kind == "literal_error" else []
    if kind == "string_pattern_mismatch":
        expected = f"text matching {error['ctx']['pattern']}"
    return RecipeError(where, f"found {found!r}", expected=expected, hint=nearest(str(found), options))


def _where(key: Key, document: Any, path: Path, overridden: Mapping[Key, str]) -> str:
    """Return the place of a key: the override that set it, else file, line and key path."""
    for other, override in overridden.items():
        if key and (key[: len(other)] == other or other[: len(key)] == key):
            return f"--set {override}"
    return f"{path}:{_line(document, key)}: {'.'.join(map(str, key)) or 'recipe'}"


def _document_key(loc: Sequence[str | int], document: Any) -> tuple[Key, str]:
    """Return the part of pydantic's location that exists in the document, and the first key that does not."""
    key: list[str | int] = []
    node, rest = document, ""
    for part in loc:
        if part in (node if isinstance(node, Mapping) else range(len(node)) if isinstance(node, list) else ()):
            node = node[part]
            key.append(part)
        else:
            rest = str(part)  # a discriminator's tag, or a missing key (the last part)
    return tuple(key), rest


def _line(document: Any, key: Key) -> int:
    """Return the line of a key, or of the nearest section above that has one."""
    line, node = 1, document
    for part in key:
        try:
            line = node.lc.key(part)[0] + 1 if isinstance(node, CommentedMap) else node.lc.item(part)[0] + 1
        except (AttributeError, KeyError, TypeError):
            return line
        node = node[part]
    return line


def _known_keys(key: Key, document: Any) -> list[str]:
    """Return the keys that the section at `key` may have."""
    section: Any = Recipe
    node = document
    for part in key:
        node = node[part]
        annotation = section.model_fields[part].annotation if _is_section(section) else typing.get_args(section)[-1]
        section = _section_type(annotation, node)
    return sorted(section.model_fields) if _is_section(section) else []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _section_type(annotation: Any, node: Any) -> Any:
    """Return the section class of an annotation; of a union, the one whose `kind` the document names."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(annotation) if _is_section(a)]
        tagged = (
            [
                m
                for m in members
                if isinstance(node, Mapping) and node.get("kind") in typing.get_args(m.model_fields["kind"].annotation)
            ]
            if len(members) > 1
            else members
        )
        return (tagged or members or [annotation])[0]
    return annotation
