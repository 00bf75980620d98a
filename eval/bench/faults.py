"""Planted faults that cleaning catches, and good rows that it loses.

Usage: python eval/bench/faults.py [--good 50000] [--faults 2000] [--seed 7] [--preset default] [--json FILE]

Needs ../shared/data. Good rows are drawn from all its corpora and languages; further rows are spoilt, an equal number
of each of 12 kinds. A fault is caught if its row is dropped, or if the repairs give back what the row was (mojibake,
markup). Two kinds that rules about single rows hardly tell (another row's translation, a near-duplicate that lacks a
word) are counted apart. Duplicates are found here by the normal forms of both sides.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from distill.cleaning import Texts, applied, flags, repair
from distill.duplicates import normal_form
from distill.recipe.cleaning import CleaningSection, merged

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "parallel"

Row = tuple[str, str]
Labelled = tuple[str, Row]
Spoil = Callable[[Row, str, random.Random], Row | None]

CYRILLIC = {
    "щ": "shch", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "ю": "iu", "я": "ia", "є": "ie",
    "ь": "", "ъ": "",
    **dict(zip("абвгґдезиіїйклмнопрстуфыэё", "abvhgdezyiiiklmnoprstufyee", strict=True)),
}  # fmt: skip
LATIN = dict(zip("abcdefghijklmnopqrstuvwxyzåäöæøéü", "абкдефгхийклмнопкрстуввксызоеоеоеу", strict=False))
DEBRIS = (
    "<p>{}</p>", "<b>{}</b>", "{}<br />", '<font color="#ffff00">{}</font>', "{}</i>", "&nbsp;{}", "{{\\an8}}{}",
    '<span class="x">{}</span>&#160;', "&lt;i&gt;{}&lt;/i&gt;",
)  # fmt: skip
GARBAGE = ("a", "ha ", "the ", "- so - ", "na na ", "1 2 3 ", "buy now ", "о ")


def mojibake(row: Row, language: str, rng: random.Random) -> Row | None:
    """Read UTF-8 in the encoding of old Windows, Western or Cyrillic."""
    encoding = "cp1251" if language in ("uk", "ru") and rng.random() < 0.5 else "cp1252"
    try:
        text = row[1].encode().decode(encoding)
    except UnicodeDecodeError:
        text = row[1].encode().decode("latin-1")
    return None if text == row[1] else (row[0], text)


def swapped(row: Row, language: str, rng: random.Random) -> Row:
    """Put each side in the other's place."""
    return row[1], row[0]


def copied(row: Row, language: str, rng: random.Random) -> Row | None:
    """Put the English text on both sides, a third of the times with one of its words replaced."""
    words = row[0].split()
    if len(words) < 4:
        return None
    if rng.random() < 1 / 3:
        words[rng.randrange(len(words))] = rng.choice(row[1].split())
    return row[0], " ".join(words)


def truncated(row: Row, language: str, rng: random.Random) -> Row | None:
    """Keep the first 30 to 70 % of one side."""
    if min(map(len, row)) < 20:
        return None
    side = rng.randrange(2)
    text = row[side][: round(rng.uniform(0.3, 0.7) * len(row[side]))].rstrip()
    return (text, row[1]) if side == 0 else (row[0], text)


def numbers(row: Row, language: str, rng: random.Random) -> Row | None:
    """Change one digit of a number that both sides have."""
    numbers = [word for word in row[1].split() if word.isdigit() and word in row[0].split() and int(word) > 1]
    if not numbers:
        return None
    number = rng.choice(numbers)
    place = rng.randrange(len(number))
    digit = rng.choice([d for d in "123456789" if d != number[place]])
    changed = number[:place] + digit + number[place + 1 :]
    return row[0], " ".join(changed if word == number else word for word in row[1].split())


def markup(row: Row, language: str, rng: random.Random) -> Row:
    """Leave markup around one side, or both."""
    side, form = rng.randrange(3), rng.choice(DEBRIS)
    return (form.format(row[0]) if side else row[0], form.format(row[1]) if side != 1 else row[1])


def wrong_script(row: Row, language: str, rng: random.Random) -> Row | None:
    """Write the other side in Latin letters for Cyrillic ones, and the other way round."""
    letters = CYRILLIC if language in ("uk", "ru") else LATIN
    text = "".join(letters.get(c.lower(), c) for c in row[1])
    return (row[0], text) if len(row[1].split()) > 1 and text != row[1].lower() else None


def one_sided(row: Row, language: str, rng: random.Random) -> Row:
    """Leave one side empty, or with punctuation alone."""
    nothing = rng.choice(["", " ", "-", "...", "\u200b", "♪", "***"])
    return (nothing, row[1]) if rng.random() < 0.5 else (row[0], nothing)


def address(row: Row, language: str, rng: random.Random) -> Row:
    """Add an address to one side, or different ones to both."""
    pages = rng.sample(["https://example.org/a", "www.sample.com", "http://news.test.net/x?id=3", "info@mail.org"], 2)
    sides = rng.randrange(3)
    return (f"{row[0]} {pages[0]}" if sides else row[0], f"{row[1]} {pages[1]}" if sides != 1 else row[1])


def repeated(row: Row, language: str, rng: random.Random) -> Row:
    """Add something that repeats, or put it in the place of the text, or repeat the text's end."""
    piece = rng.choice(GARBAGE)
    where = rng.randrange(3)
    if where == 0:
        return row[0], row[1] + " " + " ".join([" ".join(row[1].split()[-3:])] * rng.randint(4, 10))
    return row[0], (row[1] + " " if where == 1 else "") + piece * rng.randint(10, 30)


def same(row: Row, language: str, rng: random.Random) -> Row:
    """Repeat the row, perhaps in other case and punctuation."""
    change = rng.choice([str, str.upper, lambda text: text.rstrip(".!?") + " !", lambda text: f"- {text}"])
    return change(row[0]), change(row[1])


def word_changed(row: Row, language: str, rng: random.Random) -> Row | None:
    """Repeat the row without one word of each side."""
    sides = [text.split() for text in row]
    if min(map(len, sides)) < 8:
        return None
    for words in sides:
        words.pop(rng.randrange(len(words)))
    return " ".join(sides[0]), " ".join(sides[1])


SPOILT: dict[str, Spoil | None] = {
    "mojibake": mojibake,
    "swapped": swapped,
    "wrong language": None,
    "copies": copied,
    "truncated": truncated,
    "numbers": numbers,
    "duplicates": same,
    "markup": markup,
    "wrong script": wrong_script,
    "one-sided": one_sided,
    "addresses": address,
    "repeats": repeated,
    "word changed": word_changed,
    "misaligned": None,
}
"""The kinds of faults; those without a function need another row."""

APART = ("word changed", "misaligned")
REPAIRED = ("mojibake", "markup")


def rows(rng: random.Random) -> list[Labelled]:
    """Return language and texts of all rows, in random order, each normal form once."""
    found = {}
    for path in sorted(DATA.glob("*/*/train.parquet")):
        language, table = path.parent.name.removeprefix("en-"), pq.read_table(path)
        for row in zip(table["english"].to_pylist(), table["non_english"].to_pylist(), strict=True):
            found.setdefault((language, *map(normal_form, row)), (language, row))
    ordered = list(found.values())
    rng.shuffle(ordered)
    return ordered


def plant(
    good: list[Labelled], spare: list[Labelled], each: int, rng: random.Random
) -> Iterator[tuple[str, Row, str, Row]]:
    """Yield the faults: language, row, kind and the row before it was spoilt."""
    for kind, spoil in SPOILT.items():
        again = kind in ("duplicates", "word changed")  # of good rows; the others are made of rows of their own
        planted = 0
        while planted < each:
            language, row = rng.choice(good) if again else spare.pop()
            fault = spoil(row, language, rng) if spoil else another(row, language, kind, spare, rng)
            if fault:
                planted += 1
                yield language, fault, kind, row


def another(row: Row, language: str, kind: str, spare: list[Labelled], rng: random.Random) -> Row | None:
    """Put a side of another row in a side's place: of another language, or of the same."""
    other_language, (_, other) = rng.choice(spare)
    if (other_language == language) != (kind == "misaligned"):
        return None
    return (other, row[1]) if kind == "wrong language" and rng.random() < 0.25 else (row[0], other)


@dataclass
class Batch:
    """Rows of one language: what they hold, the kind of fault, and what they held before it (good rows: no kind)."""

    rows: list[Row] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    before: list[Row] = field(default_factory=list)

    def add(self, row: Row, kind: str, before: Row) -> None:
        """Add a row."""
        self.rows.append(row)
        self.kinds.append(kind)
        self.before.append(before)


def verdicts(batch: Batch, language: str, section: CleaningSection) -> list[list[str]]:
    """Return for each row the names of the rules that drop it, or `repaired`."""
    repaired = [repair(texts, section).texts for texts in zip(*batch.rows, strict=True)]
    before = [repair(texts, section).texts for texts in zip(*batch.before, strict=True)]
    columns = [Texts(repaired[0], "en"), Texts(repaired[1], language)]
    dropped = {rule.name: flags(rule, columns, section) for rule in applied(section, parallel=True)}
    seen: set[tuple[str, str]] = set()
    reasons = []
    for place, (row, wanted) in enumerate(zip(zip(*repaired, strict=True), zip(*before, strict=True), strict=True)):
        form = (normal_form(row[0]), normal_form(row[1]))
        found = ["duplicates"] if form in seen else []
        seen.add(form)
        found += [name for name, rows in dropped.items() if rows[place]]
        reasons.append(found or ["repaired"] * (batch.kinds[place] in REPAIRED and row == wanted))
    return reasons


def main() -> None:
    """Plant, clean, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("good", 50_000), ("faults", 2_000), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--show", help="print what is missed of this kind of fault")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    section = merged(CleaningSection(preset=options.preset), None)
    everything = rows(rng)
    good, spare = everything[: options.good], everything[options.good :]
    batches: dict[str, Batch] = defaultdict(Batch)
    for language, row in good:
        batches[language].add(row, "", row)
    for language, row, kind, before in plant(good, spare, -(-options.faults // (len(SPOILT) - len(APART))), rng):
        batches[language].add(row, kind, before)

    total, caught = Counter[str](), Counter[str]()
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for language, batch in sorted(batches.items()):
        for row, kind, reasons in zip(batch.rows, batch.kinds, verdicts(batch, language, section), strict=True):
            total[kind] += 1
            caught[kind] += bool(reasons)
            by[kind].update(reasons if not kind else reasons[:1])
            if kind == options.show and not reasons:
                print(language, row)
    counted = [kind for kind in SPOILT if kind not in APART]
    figures = {
        "preset": options.preset,
        "good rows": total[""],
        "good rows lost %": round(100 * caught[""] / total[""], 2),
        "good rows lost by rule %": {name: round(100 * n / total[""], 3) for name, n in by[""].most_common()},
        "faults": sum(total[kind] for kind in counted),
        "caught %": round(100 * sum(caught[kind] for kind in counted) / sum(total[kind] for kind in counted), 1),
        "caught by kind %": {kind: round(100 * caught[kind] / total[kind], 1) for kind in counted},
        "apart %": {kind: round(100 * caught[kind] / total[kind], 1) for kind in APART},
        "caught first by": {kind: dict(by[kind].most_common()) for kind in SPOILT},
    }
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
