"""Test sets in files, read and checked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from distill.errors import DataError
from distill.languages import parse_pair
from distill.recipe.sections import BUNDLED
from distill.testsets.sets import BitextSet, StsSet, TestSet

STS_COLUMNS = ("score", "sentence1", "sentence2")
BITEXT_COLUMNS = ("english", "non_english")
EVERYDAY_LANGUAGES = ("en", *BUNDLED["everyday"])
HIGHEST_STS_SCORE = 5.0


def read_test_file(path: Path) -> StsSet | BitextSet:
    """Return the test set of a tab-separated file named by its pair, such as `ntrex/en-uk.tsv`.

    The header says what it is: score, sentence1, sentence2 or english, non_english.

    Raises:
        DataError: the name is no pair, or a row is malformed; with file and line.
    """
    pair = "-".join(parse_pair(path.stem, where=str(path)))
    (_, header), *rows = _read_rows(path) or [(1, [])]
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
    suite = path.resolve().parent.name
    if kind == "sts":
        return StsSet(suite, pair, tuple(first), tuple(second), tuple(gold))
    return BitextSet(suite, pair, tuple(first), tuple(second))


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


def everyday() -> list[TestSet]:
    """Return the bundled suite: held-out rows of the everyday corpus as bitext, and its scored pairs as sts."""
    column = _read_columns("test.tsv")
    sets: list[TestSet] = [
        BitextSet("everyday", f"en-{code}", tuple(column["en"]), tuple(column[code])) for code in EVERYDAY_LANGUAGES[1:]
    ]
    column = _read_columns("sts.tsv")
    gold = tuple(float(score) for score in column["score"])
    pairs = [("en", code) for code in EVERYDAY_LANGUAGES] + [(code, code) for code in EVERYDAY_LANGUAGES[1:]]
    for one, two in pairs:
        sets.append(StsSet("everyday", f"{one}-{two}", tuple(column[f"{one}1"]), tuple(column[f"{two}2"]), gold))
    return sets


def _read_columns(name: str) -> dict[str, list[str]]:
    """Return a file of the bundled suite by column."""
    (_, header), *rows = _read_rows(Path(str(resources.files("distill"))) / "everyday" / name)
    return {column: [fields[place] for _, fields in rows] for place, column in enumerate(header)}
