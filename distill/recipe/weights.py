"""Weights of data sets from a data_config.json, the format of the flax-sentence-embeddings models."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from distill.errors import RecipeError, nearest
from distill.recipe.corpora import CorpusSection

SUFFIXES = re.compile(r"(\.(jsonl|json|tsv|csv|txt|parquet))?(\.gz)?$")


@dataclass(frozen=True)
class WeightedFile:
    """One entry of a data_config.json.

    Attributes:
        place: its number in the file, from 1.
        name: path of the file it is about, such as `reddit/reddit_2015.jsonl.gz`.
        weight: how often it is chosen, beside the others.
    """

    place: int
    name: str
    weight: float


def weights_of_corpora(path: Path, corpora: Mapping[str, CorpusSection], needed: Collection[str]) -> dict[str, float]:
    """Return the weight of each corpus: the sum of its files' weights.

    An entry belongs to the corpus called as it is (with or without suffixes such as .jsonl.gz), else as its file
    without folders, else as the nearest of its folders, else to the one whose `files` it is among. Entries of weight 0,
    which the models' own training skips, need no corpus.

    Raises:
        RecipeError: the file is not of the format, an entry belongs to no corpus, or a corpus of `needed` has no entry.
    """
    entries = read_weights(path)
    files = {
        name: [found.as_posix() for language in corpus.languages for found in corpus.matching_files(language)]
        for name, corpus in corpora.items()
    }
    weights: dict[str, float] = {}
    by_base: dict[str, str] = {}
    for entry in entries:
        name = _corpus_of(entry.name, files)
        if name is None:
            if entry.weight == 0:
                continue
            raise RecipeError(
                f"{path}: entry {entry.place}",
                f"{entry.name!r} is no corpus of the recipe",
                expected=f"one of {', '.join(corpora)}",
                hint=nearest(_stem(entry.name), corpora)
                or "name the corpus as the file, without .jsonl.gz, or its folder",
            )
        base = PurePosixPath(_stem(entry.name)).name
        if name == base and by_base.setdefault(name, entry.name) != entry.name:
            raise RecipeError(
                f"{path}: entry {entry.place}",
                f"{entry.name!r} and {by_base[name]!r} would both be the corpus {name!r}",
                hint="name the corpus after file and folder, such as " + _stem(entry.name),
            )
        weights[name] = weights.get(name, 0.0) + entry.weight
    for name in needed:
        if name not in weights:
            names = [_stem(entry.name) for entry in entries]
            raise RecipeError(
                str(path), f"no entry for the corpus {name!r}", expected="one or more", hint=nearest(name, names)
            )
    return weights


def read_weights(path: Path) -> list[WeightedFile]:
    """Return the entries of a data_config.json.

    Raises:
        RecipeError: it cannot be read, or is not of the format.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(str(path), f"cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise RecipeError(f"{path}:{error.lineno}", f"no JSON: {error.msg}") from None
    expected = 'a list of objects such as {"name": "AllNLI.jsonl.gz", "weight": 13}'
    if not isinstance(entries, list) or not entries:
        raise RecipeError(str(path), "is no list with something in it", expected=expected)
    found = [_entry(path, place, entry, expected) for place, entry in enumerate(entries, 1)]
    names: dict[str, int] = {}
    for entry in found:
        if (first := names.setdefault(entry.name, entry.place)) != entry.place:
            raise RecipeError(f"{path}: entry {entry.place}", f"{entry.name!r} is entry {first} already")
    if not any(entry.weight for entry in found):
        raise RecipeError(str(path), "no weight is above 0", expected="at least one")
    return found


def _entry(path: Path, place: int, entry: Any, expected: str) -> WeightedFile:
    where = f"{path}: entry {place}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise RecipeError(where, "has no name", expected=expected)
    weight = entry.get("weight")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise RecipeError(where, f"the weight of {entry['name']!r} is {weight!r}", expected="a number from 0")
    return WeightedFile(place, entry["name"], float(weight))


def _corpus_of(name: str, files: Mapping[str, list[str]]) -> str | None:
    """Return the corpus that a file of a data_config.json belongs to."""
    stem = PurePosixPath(_stem(name))
    for candidate in (name, str(stem), stem.name, *(parent.name for parent in stem.parents)):
        if candidate in files:
            return candidate
    return next((corpus for corpus, paths in files.items() if any(p.endswith(f"/{name}") for p in paths)), None)


def _stem(name: str) -> str:
    """Return a file's name without the suffixes of its format."""
    return SUFFIXES.sub("", name)
