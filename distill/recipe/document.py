"""A recipe as written: plain keys and values, and the line or override that each key came from."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

from distill.errors import RecipeError, nearest

Key = tuple[str | int, ...]
MERGE_TAG = "tag:yaml.org,2002:merge"
CONTENT = {"recipe": "a recipe: name, teacher, student, corpora, …", "suite": "a suite: description, sets"}


@dataclass
class Document:
    """The keys and values of a recipe, not yet checked.

    Attributes:
        path: the file.
        data: keys and values, plain Python.
        lines: line of each key and list item in the file.
        overrides: what `--set` changed.
        what: what it is as a whole, for messages.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[Key, int]
    overrides: dict[Key, str] = field(default_factory=dict)
    what: str = "recipe"

    def where(self, key: Key) -> str:
        """Return the place of a key: the override that set it, else file, line and key path."""
        within = ""
        for other, override in reversed(self.overrides.items()):
            if key[: len(other)] == other:
                return f"--set {override}"
            if key and other[: len(key)] == key:
                if key not in self.lines:
                    return f"--set {override}"
                within = f" (with --set {override})"
        line = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 1)
        return f"{self.path}:{line}: {'.'.join(map(str, key)) or self.what}{within}"

    def overridden(self, key: Key) -> bool:
        """Return whether an override set the value of a key."""
        return any(key[: len(other)] == other for other in self.overrides)

    def folder(self, key: Key) -> Path:
        """Return what a relative path is relative to: the file's folder, or the current one for an override."""
        return Path.cwd() if self.overridden(key) else self.path.resolve().parent

    def texts(self) -> Iterator[tuple[Key, str]]:
        """Yield the key and value of every text."""
        yield from _texts(self.data, ())

    def override(self, text: str) -> None:
        """Set one `key.sub=value`.

        Raises:
            RecipeError: it names no place where a key can be, or its value is not YAML.
        """
        where = f"--set {text}"
        name, equals, value = text.partition("=")
        parts = [part.strip() for part in name.split(".")]
        if not equals or not all(parts):
            raise RecipeError(where, "not a key and a value", expected="key.sub=value, such as training.epochs=2")
        try:
            parsed, _ = _parse(value)
        except (YAMLError, RecursionError):
            raise RecipeError(
                where, f"{value!r} is not a YAML value", hint="put a text with special characters in quotes"
            ) from None
        key: Key = ()
        node: Any = self.data
        for part in parts[:-1]:
            key = (*key, _own_key(node, part, where, key))
            node = _child(node, key[-1])
        key = (*key, _own_key(node, parts[-1], where, key))
        node[key[-1]] = parsed
        self.overrides.pop(key, None)  # the last one of a key is named in messages
        self.overrides[key] = text

    def put(self, key: Key, value: Any) -> None:
        """Replace a value that is there."""
        node: Any = self.data
        for part in key[:-1]:
            node = node[part]
        node[key[-1]] = value


def read_document(path: Path, overrides: Sequence[str] = (), *, what: str = "recipe") -> Document:
    """Return the keys and values of a YAML file, a recipe or a suite, with overrides applied.

    Raises:
        RecipeError: the file is missing, is no YAML, or has a key twice; with the line.
    """
    text = _read_text(path)
    try:
        data, lines = _parse(text)
    except MarkedYAMLError as error:
        raise _yaml_error(path, error) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RecipeError(
            f"{path}:{line}", f"malformed YAML: character U+{error.character:04X}", expected="printable text"
        ) from None
    except RecursionError:
        raise RecipeError(str(path), "malformed YAML: keys nested too deeply, or in themselves") from None
    if not isinstance(data, dict):
        found = "the file is empty" if data is None else f"a {'list' if isinstance(data, list) else 'text'}, no keys"
        raise RecipeError(str(path), found, expected=CONTENT[what])
    document = Document(path, data, lines, what=what)
    for override in overrides:
        document.override(override)
    return document


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        there = [p.name for p in path.parent.glob("*.y*ml")]
        raise RecipeError(
            str(path), "no such file", expected="a recipe in YAML", hint=nearest(path.name, there)
        ) from None
    except IsADirectoryError:
        there = sorted(p.name for p in path.glob("*.y*ml"))
        raise RecipeError(
            str(path), "is a folder", expected="a recipe in YAML", hint=f"in it: {', '.join(there)}" if there else ""
        ) from None
    except OSError as error:
        raise RecipeError(str(path), f"cannot be read: {error.strerror}", expected="a recipe in YAML") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}:{line}",
            f"not UTF-8: byte 0x{raw[error.start]:02x}",
            expected="a YAML file in UTF-8",
            hint="save the file as UTF-8",
        ) from None


def _parse(text: str) -> tuple[Any, dict[Key, int]]:
    """Return a YAML text as plain Python and the line of each key.

    Raises:
        YAMLError: it is malformed.
    """
    yaml = YAML(typ="safe", pure=True)
    root = yaml.compose(text)
    if root is None:
        return None, {}
    builder = _Builder(yaml.constructor)
    return builder.value(root, ()), builder.lines


class _Builder:
    """Turns YAML nodes into plain Python; keys are texts as written."""

    def __init__(self, constructor: Any) -> None:
        self._constructor = constructor
        self.lines: dict[Key, int] = {}

    def value(self, node: Node, key: Key) -> Any:
        if isinstance(node, SequenceNode):
            return [self._item(item, (*key, place), item) for place, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return self._mapping(node, key)
        value = self._constructor.construct_object(node)
        return str(value) if isinstance(value, datetime.date) else value

    def _mapping(self, node: MappingNode, key: Key) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE_TAG:
                merged |= self._merged(value_node, key)
                continue
            name = key_node.value
            if not isinstance(name, str):
                raise MarkedYAMLError(None, None, "a list or mapping as a key", key_node.start_mark)
            if name in own:
                problem = f"key {name!r} a second time, first in line {self.lines[(*key, name)]}"
                raise MarkedYAMLError(None, None, problem, key_node.start_mark)
            own[name] = self._item(value_node, (*key, name), key_node)
        return merged | own

    def _item(self, node: Node, key: Key, marked: Node) -> Any:
        self.lines[key] = marked.start_mark.line + 1
        return self.value(node, key)

    def _merged(self, node: Node, key: Key) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                raise MarkedYAMLError(None, None, "`<<` takes keys and values", source.start_mark)
            merged = self._mapping(source, (*key, "<<")) | merged
        return merged


def _yaml_error(path: Path, error: MarkedYAMLError) -> RecipeError:
    """Return a YAML error with its line, and what such errors usually come from."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1
    problem = " ".join(str(error.problem or error.context or "malformed").split("\n")[0].split())
    if error.context and error.context_mark and error.context_mark.line != mark.line:
        problem = f"{error.context} from line {error.context_mark.line + 1}: {problem}"
    hint = f"look at line {line} and the one before"
    if "\\t" in problem:
        hint = "indent with blanks, not with tabs"
    elif "second time" in problem:
        hint = "keep one of them"
    elif "another document" in problem:
        hint = "a recipe is one document: remove the line `---`"
    return RecipeError(f"{path}:{line}", f"malformed YAML: {problem}", hint=hint)


def _texts(node: Any, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list):
        for part, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _texts(value, (*key, part))


def _own_key(node: Any, part: str, where: str, parent: Key) -> str | int:
    """Return one part of an override's key as the section or list it lies in wants it."""
    place = ".".join(map(str, parent))
    if isinstance(node, dict):
        return part
    if isinstance(node, list):
        if part.isdecimal() and int(part) < len(node):
            return int(part)
        raise RecipeError(
            where,
            f"{place} has no item {part!r}",
            expected=f"a number below {len(node)}",
            hint=f"or set all: {place}=[…]",
        )
    raise RecipeError(
        where, f"{place} is {node!r}, not keys and values", hint=f"replace all of it: --set '{place}={{{part}: …}}'"
    )


def _child(node: Any, part: str | int) -> Any:
    """Return what an override goes down into; a section that is absent or empty is made."""
    if isinstance(node, dict) and node.get(str(part)) is None:
        node[str(part)] = {}
    return node[part]
