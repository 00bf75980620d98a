"""Review of machine translations: a table beside the set, worst first, and a person's decisions applied to the set.

`uk.review.csv` holds every sentence that was translated into Ukrainian, once for all pairs of the folder. A person
writes into two columns: `status` (`ok`, `fix` or `drop`) and, to fix, `corrected`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from distill.errors import DataError, nearest
from distill.spreadsheet import read_sheet, write_sheet
from distill.translate.quality import Judged, one_line
from distill.translate.sets import (
    Accepted,
    Decision,
    MachineSet,
    set_content,
    sources_of,
    store_accepted,
    stored_accepted,
    stored_machine_sets,
    write_set,
)

log = logging.getLogger("distill")

COLUMNS = ("status", "row", "source", "translation", "corrected", "flags", "chrf", "back_translation")
STATUSES = ("ok", "fix", "drop")
ENDING = ".review.csv"


def review_path(folder: Path, language: str) -> Path:
    """Return where the review file of a language is."""
    return folder / f"{language}{ENDING}"


def write_review(folder: Path, language: str, judged: Sequence[Judged], decisions: Mapping[str, Decision]) -> Path:
    """Write the review file of a language, worst first, with what a person wrote into it before.

    Args:
        folder: of the set.
        language: language code of the translations.
        judged: the translations.
        decisions: by English sentence.
    """
    places = sources_of(stored_machine_sets(folder), language)
    rows = []
    for found in sorted(judged, key=Judged.severity):
        decision = decisions.get(found.source, Decision(""))
        flags = "; ".join(f"{flag.check}: {one_line(flag.reason)}" for flag in found.flags)
        chrf = "" if found.chrf is None else f"{found.chrf:.1f}"
        texts = [found.source, found.translation, decision.corrected]
        rows.append([decision.status, " ".join(places[found.source]), *texts, flags, chrf, found.back])
    path = review_path(folder, language)
    write_sheet(path, COLUMNS, rows)
    return path


@dataclass(frozen=True)
class ReviewRow:
    """A row of a review file: its line, the translation, and the decision (its status is empty where there is none)."""

    line: int
    translation: str
    decision: Decision


def read_review(path: Path) -> dict[str, ReviewRow]:
    """Return the rows of a review file by English sentence.

    Raises:
        DataError: a row is malformed; with file and line.
    """
    found: dict[str, ReviewRow] = {}
    for line, fields in read_sheet(path, COLUMNS):
        row = _read_row(fields, f"{path}:{line}", line)
        if fields["source"] in found:
            raise DataError(f"{path}:{line}", f"a second row for {fields['source']!r}", expected="one")
        found[fields["source"]] = row
    return found


def _read_row(row: Mapping[str, str], place: str, line: int) -> ReviewRow:
    status, corrected = row["status"].strip().lower(), one_line(row["corrected"])
    if status and status not in STATUSES:
        expected = f"{', '.join(STATUSES)} or nothing"
        raise DataError(place, f"status {row['status']!r}", expected=expected, hint=nearest(status, STATUSES))
    if status == "fix" and not corrected:
        raise DataError(place, "status fix, but column corrected is empty", expected="the corrected translation")
    if status != "fix" and corrected:
        raise DataError(
            place,
            f"column corrected is filled, but the status is {status or 'empty'}",
            expected="status fix, or no correction",
        )
    return ReviewRow(line, row["translation"], Decision(status, corrected))


def accept(path: Path, reviewer: str) -> dict[str, Counter[str]]:
    """Apply reviews to their sets and return how many sentences of each language have which status.

    The sets are made anew from what the machine gave and the decisions, so that accepting twice changes nothing.
    Nothing is changed if anything is wrong.

    Args:
        path: a review file, or a folder of them.
        reviewer: who reviewed, for the manifests.

    Raises:
        DataError: there is no review, a row is malformed or not of this set, or no row would be left.
    """
    files = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
    folder = path if path.is_dir() else path.parent
    if not files or not all(file.is_file() and file.name.endswith(ENDING) for file in files):
        raise DataError(str(path), "no review", expected=f"a file such as uk{ENDING}, or a folder with one")
    accepted: dict[str, Accepted] = {}
    for file in files:
        language = file.name.removesuffix(ENDING)
        decisions = _check(file, stored_machine_sets(folder, language), language)
        before = stored_accepted(folder, language)
        if before and before.decisions == decisions:
            accepted[language] = before
        else:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            accepted[language] = Accepted(reviewer, now, decisions)
    sets = {found.pair: found for language in accepted for found in stored_machine_sets(folder, language)}
    for found in sets.values():
        others = {side.language: stored_accepted(folder, side.language) for side in found.sides()}
        everyone = {language: known for language, known in {**others, **accepted}.items() if known}
        if not set_content(found, everyone)[1]:
            raise DataError(str(path), f"no row of {found.pair} would be left", expected="at least one")
    for language, known in accepted.items():
        store_accepted(folder, language, known)
    for found in sets.values():
        write_set(folder, found)
    return {
        language: Counter(
            known.decisions[source].status if source in known.decisions else ""
            for source in sources_of(sets.values(), language)
        )
        for language, known in accepted.items()
    }


def _check(file: Path, sets: Sequence[MachineSet], language: str) -> dict[str, Decision]:
    """Return the decisions of a review file, which must be of these sets."""
    if not sets:
        raise DataError(str(file), f"its folder has no machine-translated set for {language}")
    machine = {
        english: one_line(text)
        for found in sets
        for side in found.sides()
        if side.language == language
        for english, text in zip(side.english, side.machine, strict=True)
    }
    decisions = {}
    for source, row in read_review(file).items():
        place = f"{file}:{row.line}"
        if source not in machine:
            raise DataError(place, f"{source!r} is no sentence of this set", expected="the sources as they were")
        if row.translation != machine[source]:
            raise DataError(
                place,
                f"the translation of {source!r} was changed",
                expected=machine[source],
                hint="write a correction into column corrected, with the status fix",
            )
        if row.decision.status:
            decisions[source] = row.decision
    return decisions
