"""Suites: named groups of test sets."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distill.errors import DataError, nearest
from distill.recipe.sections import SUITES
from distill.testsets.files import everyday, read_test_file
from distill.testsets.sets import TestSet, label

log = logging.getLogger("distill")


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
    for name, count in Counter(map(label, sets)).items():
        if count > 1:
            raise DataError("evaluation.suites", f"{count} test sets are called {name}", expected="each name once")
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


def _load_suite(name: str) -> list[TestSet]:
    if name in SUITES:
        return everyday()
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
