"""Test sets: bundled suites and local files, read and checked."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from distill.errors import DataError, nearest
from distill.languages import parse_pair
from distill.recipe.sections import SUITES

STS_COLUMNS = ("score", "sentence1", "sentence2")
BITEXT_COLUMNS = ("english", "non_english")
EVERYDAY_LANGUAGES = ("en", "uk", "da", "sv", "nb")
HIGHEST_STS_SCORE = 5.0


@dataclass(frozen=True)
class TestSet:
    """One scored set for one language pair.

    Attributes:
        suite: name of the group it belongs to.
        pair: its languages, such as `en-uk`.
        kind: sts: scored pairs; bitext: row i of `first` and of `second` translate each other.
        first: sentences of the first language.
        second: sentences of the second language.
        gold: scores of an sts set, 0 to 5.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    suite: str
    pair: str
    kind: Literal["sts", "bitext"]
    first: tuple[str, ...]
    second: tuple[str, ...]
    gold: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """Suite, kind and pair, for messages."""
        return f"{self.suite} {self.kind} {self.pair}"

    def gold_scores(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the gold scores (n,)."""
        return np.array(self.gold, np.float64)


def load_suites(
    names: Sequence[str], languages: Sequence[str] | None, pairs: Sequence[str] | None = None
) -> list[TestSet]:
    """Return the test sets of suites for a student's languages.

    Args:
        names: bundled suites by name, or files or folders of `en-uk.tsv` files.
        languages: non-English languages of the student; sets of other languages are left out. All sets if None.
        pairs: pairs to take, all of the languages if None.

    Raises:
        DataError: a suite does not exist or a file is malformed.
    """
    sets = [found for name in names for found in _load_suite(name)]
    if pairs is not None:
        missing = [pair for pair in pairs if all(found.pair != pair for found in sets)]
        if missing and sets:
            there = ", ".join(dict.fromkeys(found.pair for found in sets))
            raise DataError("evaluation.pairs", f"no test set for {', '.join(missing)}", expected=f"one of {there}")
        return [found for found in sets if found.pair in pairs]
    if languages is None:
        return sets
    return [found for found in sets if set(found.pair.split("-")) <= {"en", *languages}]


def sentences(sets: Iterable[TestSet]) -> list[str]:
    """Return every sentence of some test sets, each once."""
    return list(dict.fromkeys(text for found in sets for text in (*found.first, *found.second)))


def _load_suite(name: str) -> list[TestSet]:
    if name in SUITES:
        return _everyday()
    path = Path(name)
    if path.is_dir():
        files = sorted(path.glob("*.tsv"))
        if not files:
            raise DataError(str(path), "no .tsv files", expected="files named by their pair, such as en-uk.tsv")
        return [read_test_file(file) for file in files]
    if path.is_file():
        return [read_test_file(path)]
    raise DataError(
        "evaluation.suites",
        f"no suite or file {name!r}",
        expected=f"one of {', '.join(SUITES)}, or a path",
        hint=nearest(name, SUITES),
    )


def read_test_file(path: Path) -> TestSet:
    """Return the test set of a tab-separated file named by its pair, such as `ntrex/en-uk.tsv`.

    The header says what it is: score, sentence1, sentence2 or english, non_english.

    Raises:
        DataError: the name is no pair, or a row is malformed; with file and line.
    """
    pair = "-".join(parse_pair(path.stem, where=str(path)))
    rows = _read_rows(path)
    header = rows[0] if rows else []
    kind: Literal["sts", "bitext"]
    if set(STS_COLUMNS) <= set(header):
        kind, columns = "sts", STS_COLUMNS
    elif set(BITEXT_COLUMNS) <= set(header):
        kind, columns = "bitext", ("", *BITEXT_COLUMNS)
    else:
        raise DataError(
            f"{path}:1",
            f"columns {', '.join(header) or 'none'}",
            expected=f"{', '.join(STS_COLUMNS)}; or {', '.join(BITEXT_COLUMNS)}",
        )
    if len(rows) < 2:
        raise DataError(str(path), "no rows below the header", expected="at least one")
    place = [header.index(column) if column else -1 for column in columns]
    first, second, gold = [], [], []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}:{line}", f"{len(row)} fields", expected=f"{len(header)} as in the header")
        for index in place[1:]:
            if not row[index].strip():
                raise DataError(f"{path}:{line}", f"column {header[index]} is empty", expected="a sentence")
        first.append(row[place[1]])
        second.append(row[place[2]])
        if kind == "sts":
            gold.append(_score(row[place[0]], path, line))
    return TestSet(path.parent.name, pair, kind, tuple(first), tuple(second), tuple(gold))


def _score(text: str, path: Path, line: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0.0 <= score <= HIGHEST_STS_SCORE:
        raise DataError(f"{path}:{line}", f"score {text!r}", expected=f"a number from 0 to {HIGHEST_STS_SCORE:g}")
    return score


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except UnicodeDecodeError as error:
        raise DataError(str(path), f"not UTF-8: byte at {error.start}", expected="a UTF-8 file") from error
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror}") from error


def _everyday() -> list[TestSet]:
    """Return the bundled suite: held-out rows of the everyday corpus as bitext, and its scored pairs as sts."""
    folder = Path(str(resources.files("distill"))) / "everyday"
    header, *rows = _read_rows(folder / "test.tsv")
    column = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    sets = [
        TestSet("everyday", f"en-{code}", "bitext", tuple(column["en"]), tuple(column[code]))
        for code in EVERYDAY_LANGUAGES[1:]
    ]
    header, *rows = _read_rows(folder / "sts.tsv")
    column = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    gold = tuple(float(score) for score in column["score"])
    pairs = [("en", code) for code in EVERYDAY_LANGUAGES] + [(code, code) for code in EVERYDAY_LANGUAGES[1:]]
    for one, two in pairs:
        sets.append(
            TestSet("everyday", f"{one}-{two}", "sts", tuple(column[f"{one}1"]), tuple(column[f"{two}2"]), gold)
        )
    return sets
