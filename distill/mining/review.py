"""Review of mined triplets: a table that a person edits, most doubtful first, and training data out of it.

Beside the training data `talks.tsv` stand `talks.review.csv`, in which a person writes `keep`, `drop` or `fix` (and the
corrected texts), and `talks.mined.json`, the record of what was mined and decided. Mining again adds rows and loses no
decision: what differs from what the program filled in is a person's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from distill.errors import DataError, nearest
from distill.files import write_atomically
from distill.mining.tables import write_rows
from distill.mining.triplets import Evidence, Triplet
from distill.spreadsheet import read_sheet, write_sheet

TEXTS = ("anchor", "positive", "negative")
FIXES = tuple(f"fixed_{text}" for text in TEXTS)
FACTS = ("category", "negative_category", "positive_score", "negative_score")
SEARCHES = ("bm25", "dense")
FOUND = tuple(f"{search}_{part}" for search in SEARCHES for part in ("rank", "score"))
COLUMNS = ("decision", *TEXTS, *FIXES, "note", *FACTS, "margin", *FOUND, "why", "id")
DECISIONS = ("keep", "drop", "fix")
REVIEW, RECORD = ".review.csv", ".mined.json"


@dataclass(frozen=True)
class Decision:
    """What stands in the columns that a person fills in.

    Attributes:
        decision: `keep`, `drop`, `fix` or nothing.
        fixes: the corrected anchor, positive and negative, empty where they stay.
        note: anything.
    """

    decision: str = ""
    fixes: tuple[str, ...] = ("", "", "")
    note: str = ""


@dataclass(frozen=True)
class Record:
    """What was mined, and what was decided when it was last read.

    Attributes:
        out: name of the file of training data, beside the review.
        triplets: by id; also those mined before and no longer.
        current: ids of those mined last.
        filled_in: id → the decision the program filled in.
        decisions: id → what a person decided.
    """

    out: str
    triplets: dict[str, Triplet] = field(default_factory=dict)
    current: tuple[str, ...] = ()
    filled_in: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)


def triplet_id(texts: Sequence[str]) -> str:
    """Return the id of a triplet: a hash of its texts, blanks as one.

    It begins with a letter: spreadsheets would round what looks like a number, such as 1234e5.
    """
    return "t" + xxhash.xxh3_64_hexdigest(json.dumps([_one_line(text) for text in texts]).encode())


def margin(triplet: Triplet) -> float:
    """Return by how much the positive scores higher than the negative."""
    return round(triplet.positive_score - triplet.negative_score, 4)


def write_review(out: Path, triplets: Sequence[Triplet], auto_keep: float | None) -> Path:
    """Write the review file of mined triplets and return its path; what a person wrote into an older one stays.

    Args:
        out: the file of training data to be.
        triplets: as mined.
        auto_keep: `keep` is filled in where the margin is at least this, nowhere if None.

    Raises:
        DataError: an older review file is malformed; nothing is changed then.
    """
    before, decisions = _before(out)
    mined = {triplet_id((triplet.anchor, triplet.positive, triplet.negative)): triplet for triplet in triplets}
    shown = list(dict.fromkeys([*mined, *decisions]))
    every = {**before.triplets, **mined}
    clear = [key for key in mined if auto_keep is not None and margin(every[key]) >= auto_keep]
    filled_in = {key: "keep" for key in clear if key not in decisions}
    record = Record(out.name, every, tuple(mined), filled_in, decisions)
    # The record comes first: it knows every row of the old review file and of the new one.
    write_atomically(_beside(out, RECORD), _record_content(record))
    shown.sort(key=lambda key: margin(every[key]))
    rows = [_row(key, every[key], decisions.get(key, Decision(filled_in.get(key, ""))), auto_keep) for key in shown]
    write_sheet(_beside(out, REVIEW), COLUMNS, rows)
    return _beside(out, REVIEW)


def check_review(out: Path) -> None:
    """Check, before the work begins, that a review can be written beside a file of training data.

    Raises:
        DataError: an older review file is malformed, or files of others are in the way.
    """
    _before(out)


def accept(path: Path) -> dict[Path, Counter[str]]:
    """Write the training data of reviews and return how many of its rows have which decision.

    Rows without a decision are left out. Nothing is changed if anything is wrong; accepting twice changes nothing.

    Args:
        path: a review file, or a folder of them.

    Raises:
        DataError: there is no review, a row is malformed, changed, missing or not of this review, or none is kept.
    """
    files = sorted(path.glob(f"*{REVIEW}")) if path.is_dir() else [path]
    if not files or not all(file.is_file() and file.name.endswith(REVIEW) for file in files):
        raise DataError(str(path), "no review", expected=f"a file such as triplets{REVIEW}, or a folder with one")
    accepted = {}
    for file in files:
        record_path = file.with_name(file.name.removesuffix(REVIEW) + RECORD)
        if not record_path.is_file():
            raise DataError(str(file), f"without {record_path.name}, which says what was mined", hint="mine it again")
        record = _read_record(record_path, "")
        rows = _read_review(file, record)
        if missing := [key for key in record.current if key not in rows]:
            first = record.triplets[missing[0]].anchor
            expected = "all rows that were mined, in any order"
            hint = "write drop instead of removing a row; mining again brings them back"
            found = f"{len(missing)} rows are missing, such as {missing[0]} ({first!r})"
            raise DataError(str(file), found, expected=expected, hint=hint)
        columns = _training_data(rows, record)
        if not columns["anchor"]:
            raise DataError(str(file), "no row would be left", expected="at least one keep or fix")
        accepted[file.with_name(record.out)] = (columns, record_path, record, rows)
    counts = {}
    for out, (columns, record_path, record, rows) in accepted.items():
        decisions = {key: row for key, row in rows.items() if _is_own(key, row, record)}
        write_atomically(record_path, _record_content(Record(**{**vars(record), "decisions": decisions})))
        write_rows(out, columns)
        counts[out] = Counter(row.decision for row in rows.values())
    return counts


def _training_data(rows: Mapping[str, Decision], record: Record) -> dict[str, list[object]]:
    """Return the rows that are kept or fixed, by column; fixed ones without the scores of what they were."""
    columns: dict[str, list[object]] = {name: [] for name in (*TEXTS, *FACTS, *FOUND, "decision", "id")}
    for key, row in rows.items():
        if row.decision not in ("keep", "fix"):
            continue
        triplet = record.triplets[key]
        texts = (triplet.anchor, triplet.positive, triplet.negative)
        values: dict[str, object] = {**_facts(triplet), "decision": row.decision, "id": key}
        if row.decision == "fix":
            values |= dict.fromkeys(("positive_score", "negative_score", *FOUND))
        values |= dict(zip(TEXTS, (new or old for new, old in zip(row.fixes, texts, strict=True)), strict=True))
        for name, column in columns.items():
            column.append(values[name])
    return columns


def _row(key: str, triplet: Triplet, decision: Decision, auto_keep: float | None) -> list[str]:
    """Return a row of the review file."""
    difference = margin(triplet)
    why = [f"{name} ranks the negative {found.rank}" for name, found in triplet.found.items() if found.rank]
    if difference <= 0:
        why.insert(0, "doubtful: the negative is as near to the anchor as the positive, or nearer")
    elif auto_keep is not None and difference >= auto_keep:
        why.insert(0, f"clear: the margin is at least {auto_keep:g}")
    values = {
        "decision": decision.decision,
        **{text: _one_line(getattr(triplet, text)) for text in TEXTS},
        **dict(zip(FIXES, decision.fixes, strict=True)),
        "note": decision.note,
        **_facts(triplet),
        "margin": difference,
        "why": "; ".join(why),
        "id": key,
    }
    return ["" if values[name] is None else str(values[name]) for name in COLUMNS]


def _facts(triplet: Triplet) -> dict[str, object]:
    facts: dict[str, object] = {name: getattr(triplet, name) for name in FACTS}
    for search in SEARCHES:
        found = triplet.found.get(search, Evidence(None, None))
        facts |= {f"{search}_rank": found.rank, f"{search}_score": found.score}
    return facts


def _read_review(path: Path, record: Record) -> dict[str, Decision]:
    """Return what stands in a review file, by id.

    Raises:
        DataError: a row is malformed, changed, twice there or not of this review; with file and line.
    """
    rows: dict[str, Decision] = {}
    for line, fields in read_sheet(path, COLUMNS):
        place, key = f"{path}:{line}", fields["id"].strip()
        if key not in record.triplets:
            raise DataError(place, f"id {key!r} is none of this review", expected="the ids as they were")
        if key in rows:
            raise DataError(place, f"a second row with id {key}", expected="one")
        triplet = record.triplets[key]
        for text in TEXTS:
            if _one_line(fields[text]) != _one_line(getattr(triplet, text)):
                raise DataError(
                    place,
                    f"{text} was changed to {fields[text]!r}",
                    expected=getattr(triplet, text),
                    hint=f"write a correction into column fixed_{text}, with the decision fix",
                )
        rows[key] = _read_decision(fields, place)
    return rows


def _read_decision(fields: Mapping[str, str], place: str) -> Decision:
    decision = fields["decision"].strip().lower()
    fixes = tuple(_one_line(fields[name]) for name in FIXES)
    if decision and decision not in DECISIONS:
        expected = f"{', '.join(DECISIONS)} or nothing"
        raise DataError(place, f"decision {fields['decision']!r}", expected=expected, hint=nearest(decision, DECISIONS))
    if decision == "fix" and not any(fixes):
        raise DataError(place, "decision fix, but nothing is corrected", expected=f"a text in {', '.join(FIXES)}")
    if decision != "fix" and any(fixes):
        found = f"a text is corrected, but the decision is {decision or 'empty'}"
        raise DataError(place, found, expected="decision fix, or no correction")
    return Decision(decision, fixes, _one_line(fields["note"]))


def _before(out: Path) -> tuple[Record, dict[str, Decision]]:
    """Return the record of earlier mining and all that a person decided, also on rows that have gone."""
    review, record_path = _beside(out, REVIEW), _beside(out, RECORD)
    if not record_path.is_file():
        if there := next((path for path in (out, review) if path.exists()), None):
            found = f"is there, but not {record_path.name}, which says what was mined"
            raise DataError(str(there), found, expected="no file, or one of earlier mining", hint="name another file")
        return Record(out.name), {}
    record = _read_record(record_path, out.name)
    rows = _read_review(review, record) if review.is_file() else {}
    gone = {key: decision for key, decision in record.decisions.items() if key not in rows}
    return record, gone | {key: row for key, row in rows.items() if _is_own(key, row, record)}


def _is_own(key: str, row: Decision, record: Record) -> bool:
    """Return whether a row says something else than the program filled in."""
    return row != Decision(record.filled_in.get(key, ""))


def _read_record(path: Path, out: str) -> Record:
    """Return the record of a file.

    Raises:
        DataError: it is damaged, or of another file of training data than `out` (if that is given).
    """
    try:
        content = json.loads(path.read_bytes())
        record = Record(
            content["out"],
            {key: _triplet(values) for key, values in content["triplets"].items()},
            tuple(content["current"]),
            content["filled_in"],
            {key: Decision(one, tuple(fixes), note) for key, (one, fixes, note) in content["decisions"].items()},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(str(path), f"is damaged: {error}", hint="restore it, or mine into another file") from error
    if out and record.out != out:
        raise DataError(str(path), f"is of {record.out}", expected=out, hint="name another file")
    return record


def _triplet(values: Mapping[str, Any]) -> Triplet:
    found = {name: Evidence(*evidence) for name, evidence in values["found"].items()}
    return Triplet(**{**values, "found": found})


def _record_content(record: Record) -> bytes:
    def triplet(of: Triplet) -> dict[str, object]:
        found = {name: [evidence.rank, evidence.score] for name, evidence in of.found.items()}
        return {**{name: value for name, value in vars(of).items() if name != "found"}, "found": found}

    content = {
        "out": record.out,
        "current": record.current,
        "filled_in": record.filled_in,
        "decisions": {key: list(asdict(decision).values()) for key, decision in record.decisions.items()},
        "triplets": {key: triplet(of) for key, of in record.triplets.items()},
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.stem + ending)


def _one_line(text: str) -> str:
    return " ".join(text.split())
