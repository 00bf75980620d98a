"""Machine-translated test sets on disk: the set itself, its manifest, and what both are made from.

In the set's folder: `en-uk.tsv`, its manifest `en-uk.json`, and for each language a review file (see `review`). Its
folder `.translate` keeps what they are made from: the journals of the engines, the sets as the machine made them
(`en-uk.json`), and the decisions of reviewers (`uk.accepted.json`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError
from distill.files import disk_errors, write_atomically
from distill.languages import parse_pair
from distill.translate.quality import one_line

WORK = ".translate"


@dataclass(frozen=True)
class Side:
    """One column of sentences: the English ones, and what the machine made of them (the same for English)."""

    language: str
    english: tuple[str, ...]
    machine: tuple[str, ...]


@dataclass(frozen=True)
class MachineSet:
    """A test set as the machine made it.

    Attributes:
        pair: such as en-uk.
        gold: scores of an sts set, None for bitext.
        first: sentences of the first language.
        second: sentences of the second language.
        manifest: what its manifest says, but for reviews.
    """

    pair: str
    gold: tuple[float, ...] | None
    first: Side
    second: Side
    manifest: dict[str, Any]

    def sides(self) -> tuple[Side, Side]:
        """Return both columns."""
        return self.first, self.second


@dataclass(frozen=True)
class Decision:
    """What a reviewer says of a translation: `ok`, `fix` (with the corrected one) or `drop`."""

    status: str
    corrected: str = ""


@dataclass(frozen=True)
class Accepted:
    """Decisions on the translations into one language, by English sentence, who made them and when."""

    reviewer: str
    date: str
    decisions: dict[str, Decision]


def store_machine_set(folder: Path, found: MachineSet) -> None:
    """Store a set as the machine made it."""
    _write_json(folder / WORK / f"{found.pair}.json", asdict(found))


def stored_machine_sets(folder: Path, language: str | None = None) -> list[MachineSet]:
    """Return the sets of a folder as the machine made them; those of one language if it is given."""
    sets = []
    for path in sorted((folder / WORK).glob("*-*.json")):
        try:
            content = json.loads(path.read_bytes())
            first, second = (
                Side(side["language"], tuple(side["english"]), tuple(side["machine"]))
                for side in (content["first"], content["second"])
            )
            gold = None if content["gold"] is None else tuple(content["gold"])
            found = MachineSet(content["pair"], gold, first, second, content["manifest"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                str(path), "is damaged", hint="make the set again: finished translations are kept"
            ) from error
        if language is None or language in parse_pair(found.pair):
            sets.append(found)
    return sets


def store_accepted(folder: Path, language: str, accepted: Accepted) -> None:
    """Store the decisions of a reviewer."""
    _write_json(folder / WORK / f"{language}.accepted.json", asdict(accepted))


def stored_accepted(folder: Path, language: str) -> Accepted | None:
    """Return the decisions that were accepted before, None if there are none."""
    path = folder / WORK / f"{language}.accepted.json"
    if not path.exists():
        return None
    content = json.loads(path.read_bytes())
    decisions = {source: Decision(**decision) for source, decision in content["decisions"].items()}
    return Accepted(content["reviewer"], content["date"], decisions)


def set_content(found: MachineSet, accepted: Mapping[str, Accepted]) -> tuple[bytes, int]:
    """Return a set's file with the decisions of reviewers applied, and how many rows it has.

    A row is left out if one of its sentences was dropped, or has no translation.
    """
    columns = []
    for side in found.sides():
        decisions = accepted[side.language].decisions if side.language in accepted else {}
        columns.append(
            [_final(text, decisions.get(english)) for english, text in zip(side.english, side.machine, strict=True)]
        )
    header = ["english", "non_english"] if found.gold is None else ["score", "sentence1", "sentence2"]
    lines = ["\t".join(header)]
    for number, (one, two) in enumerate(zip(*columns, strict=True)):
        if one and two:
            score = [] if found.gold is None else [f"{found.gold[number]:.10g}"]
            lines.append("\t".join([*score, one_line(one), one_line(two)]))
    return ("\n".join(lines) + "\n").encode(), len(lines) - 1


def write_set(folder: Path, found: MachineSet) -> dict[str, Any]:
    """Write a set and, last, its manifest, with the accepted decisions applied; return the manifest."""
    accepted = {
        side.language: decisions for side in found.sides() if (decisions := stored_accepted(folder, side.language))
    }
    content, rows = set_content(found, accepted)
    manifest = {**found.manifest, "rows": rows, "review": _review(found, accepted)}
    manifest["note"] = note(manifest)
    write_atomically(folder / f"{found.pair}.tsv", content)
    _write_json(folder / f"{found.pair}.json", manifest)
    return manifest


def note(manifest: Mapping[str, Any]) -> str:
    """Return what a reader of scores on a set should know of it, in one line."""
    quality, review = manifest["quality"], manifest["review"]
    parts = [f"machine-translated by {manifest['model']}"]
    if "bleu" in quality:
        parts.append(f"back-translation BLEU {quality['bleu']['score']:.1f}, chrF++ {quality['chrf']['score']:.1f}")
    parts.append(f"{quality['flagged_sentences']} of {manifest['sentences']} sentences flagged")
    if review is None:
        return "; ".join([*parts, "not reviewed"])
    counts = ", ".join(f"{review[name]} {name}" for name in ("ok", "fixed", "dropped", "not_reviewed") if review[name])
    return "; ".join([*parts, f"reviewed: {counts.replace('_', ' ')}"])


def _final(machine: str, decision: Decision | None) -> str:
    """Return a translation after review, empty if it is dropped."""
    if decision is None or decision.status == "ok":
        return machine
    return decision.corrected if decision.status == "fix" else ""


def _review(found: MachineSet, accepted: Mapping[str, Accepted]) -> dict[str, Any] | None:
    """Return what a manifest says of the reviews, None if no sentence of the set has a decision."""
    statuses: Counter[str] = Counter()
    for side in found.sides():
        if side.language != "en" and side.language in accepted:
            decisions = accepted[side.language].decisions
            statuses.update(decisions[text].status if text in decisions else "" for text in dict.fromkeys(side.english))
    if not any(statuses[status] for status in ("ok", "fix", "drop")):
        return None
    return {
        "reviewer": ", ".join(dict.fromkeys(decisions.reviewer for decisions in accepted.values())),
        "date": max(decisions.date for decisions in accepted.values()),
        "ok": statuses["ok"],
        "fixed": statuses["fix"],
        "dropped": statuses["drop"],
        "not_reviewed": statuses[""],
    }


def sources_of(sets: Iterable[MachineSet], language: str) -> dict[str, list[str]]:
    """Return where each English sentence is used that was translated into a language, such as `en-uk:3`."""
    places: dict[str, list[str]] = {}
    for found in sets:
        for side in found.sides():
            if side.language == language:
                for row, english in enumerate(side.english, start=1):
                    places.setdefault(english, []).append(f"{found.pair}:{row}")
    return {english: list(dict.fromkeys(rows)) for english, rows in places.items()}


def _write_json(path: Path, content: Any) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace"))
