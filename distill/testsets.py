"""Test sets: bundled suites and local files, read and checked."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import xxhash

from distill.errors import DataError, nearest
from distill.languages import parse_pair
from distill.recipe.sections import BUNDLED, SUITES

log = logging.getLogger("distill")

STS_COLUMNS = ("score", "sentence1", "sentence2")
BITEXT_COLUMNS = ("english", "non_english")
EVERYDAY_LANGUAGES = ("en", *BUNDLED["everyday"])
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

    def digest(self) -> str:
        """Return a hash of the sentences and scores."""
        return xxhash.xxh3_128(repr((self.first, self.second, self.gold)).encode("utf-8", "surrogatepass")).hexdigest()

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
    for label, count in Counter(found.label for found in sets).items():
        if count > 1:
            raise DataError("evaluation.suites", f"{count} test sets are called {label}", expected="each name once")
    if pairs is not None:
        missing = [pair for pair in pairs if all(found.pair != pair for found in sets)]
        if missing and sets:
            there = ", ".join(dict.fromkeys(found.pair for found in sets))
            raise DataError("evaluation.pairs", f"no test set for {', '.join(missing)}", expected=f"one of {there}")
        return [found for found in sets if found.pair in pairs]
    if languages is None:
        return sets
    chosen = [found for found in sets if set(found.pair.split("-")) <= {"en", *languages}]
    for suite in dict.fromkeys(found.suite for found in sets):
        if all(found.suite != suite for found in chosen):
            log.warning("evaluation.suites: %s has no test set for %s", suite, ", ".join(languages))
    return chosen


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
    (_, header), *rows = _read_rows(path) or [(1, [])]
    kind: Literal["sts", "bitext"]
    if set(STS_COLUMNS) <= set(header):
        kind, columns = "sts", STS_COLUMNS[1:]
    elif set(BITEXT_COLUMNS) <= set(header):
        kind, columns = "bitext", BITEXT_COLUMNS
    else:
        raise DataError(
            f"{path}:1",
            f"columns {', '.join(header) or 'none'}",
            expected=f"{', '.join(STS_COLUMNS)}; or {', '.join(BITEXT_COLUMNS)}; between tabs",
        )
    if not rows:
        raise DataError(str(path), "no rows below the header", expected="at least one")
    first, second, gold = [], [], []
    for line, fields in rows:
        if len(fields) != len(header):
            raise DataError(f"{path}:{line}", f"{len(fields)} fields", expected=f"{len(header)} as in the header")
        row = dict(zip(header, fields, strict=True))
        for column in columns:
            if not row[column].strip():
                raise DataError(f"{path}:{line}", f"column {column} is empty", expected="a sentence")
        first.append(row[columns[0]])
        second.append(row[columns[1]])
        if kind == "sts":
            gold.append(_score(row["score"], path, line))
    return TestSet(path.resolve().parent.name, pair, kind, tuple(first), tuple(second), tuple(gold))


def _score(text: str, path: Path, line: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0.0 <= score <= HIGHEST_STS_SCORE:
        raise DataError(f"{path}:{line}", f"score {text!r}", expected=f"a number from 0 to {HIGHEST_STS_SCORE:g}")
    return score


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return line number and fields of every line that is not empty."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}", f"not UTF-8: byte 0x{raw[error.start]:02x}", expected="a UTF-8 file"
        ) from error
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if line]


def _everyday() -> list[TestSet]:
    """Return the bundled suite: held-out rows of the everyday corpus as bitext, and its scored pairs as sts."""
    column = _read_columns("test.tsv")
    sets = [
        TestSet("everyday", f"en-{code}", "bitext", tuple(column["en"]), tuple(column[code]))
        for code in EVERYDAY_LANGUAGES[1:]
    ]
    column = _read_columns("sts.tsv")
    gold = tuple(float(score) for score in column["score"])
    pairs = [("en", code) for code in EVERYDAY_LANGUAGES] + [(code, code) for code in EVERYDAY_LANGUAGES[1:]]
    for one, two in pairs:
        sets.append(
            TestSet("everyday", f"{one}-{two}", "sts", tuple(column[f"{one}1"]), tuple(column[f"{two}2"]), gold)
        )
    return sets


def _read_columns(name: str) -> dict[str, list[str]]:
    """Return a file of the bundled suite by column."""
    (_, header), *rows = _read_rows(Path(str(resources.files("distill"))) / "everyday" / name)
    return {column: [fields[place] for _, fields in rows] for place, column in enumerate(header)}
