"""Planted faults that cleaning catches, and good rows that it loses.

Usage: python eval/bench/faults.py [--good 50000] [--faults 2000] [--seed 7] [--preset default] [--show KIND] [--json FILE]

Needs ../shared/data. Good rows are drawn from all its corpora and languages; further rows are spoilt, an equal number of
each of 12 kinds. A fault is caught if its row is dropped, or if the repairs give back what the row was (mojibake, markup).
Two kinds that single rows hardly tell (another row's translation, a near-duplicate with a word changed) are counted
apart. Duplicates are found here by the normal forms of both sides.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from distill.cleaning import Texts, applied, flags, repair
from distill.duplicates import normal_form
from distill.recipe.cleaning import CleaningSection, merged

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "parallel"

Row = tuple[str, str]
Spoil = Callable[[Row, str, random.Random], Row | None]

CYRILLIC = dict(
    zip("абвгґдеєжзиіїйклмнопрстуфхцчшщьюяыэёъ", "a b v h g d e ie zh z y i i i k l m n o p r s t u f kh ts ch sh shch".split()
    + ["", "iu", "ia", "y", "e", "io", ""], strict=True)
)  # fmt: skip
LATIN = dict(zip("abcdefghijklmnopqrstuvwxyzåäöæøéü", "абкдефгхийклмнопкрстуввксызоэоэоеу"[:33], strict=True))
DEBRIS = ("<p>{}</p>", "<b>{}</b>", "{}<br />", "<font color=\"#ffff00\">{}</font>", "{}</i>", "&nbsp;{}", "{{\\an8}}{}",
          "<span class=\"x\">{}</span>&#160;", "&lt;i&gt;{}&lt;/i&gt;")  # fmt: skip
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


def rows(rng: random.Random) -> list[tuple[str, Row]]:
    """Return language and texts of all rows, in random order, each normal form once."""
    found = {}
    for path in sorted(DATA.glob("*/*/train.parquet")):
        language, table = path.parent.name.removeprefix("en-"), pq.read_table(path)
        for row in zip(table["english"].to_pylist(), table["non_english"].to_pylist(), strict=True):
            found.setdefault((language, *map(normal_form, row)), (language, row))
    ordered = list(found.values())
    rng.shuffle(ordered)
    return ordered


def plant(good: list[tuple[str, Row]], spare: list[tuple[str, Row]], each: int, rng: random.Random):
    """Return the faults: language, row, kind and the row before it was spoilt."""
    planted = []
    for kind, spoil in SPOILT.items():
        count = 0
        for language, row in good[:: max(1, len(good) // (40 * each))] if kind in ("duplicates", "word changed") else iter(spare.pop, None):
            if spoil:
                fault = spoil(row, language, rng)
            else:
                wanted = [(l, other) for l, other in rng.sample(spare, 400) if (l == language) == (kind == "misaligned")]
                (_, other), side = rng.choice(wanted), rng.randrange(4)
                fault = (other[1], row[1]) if side == 0 and kind == "wrong language" else (row[0], other[1])
            if fault:
                planted.append((language, fault, kind, row))
                count += 1
            if count == each:
                break
    return planted


def main() -> None:
    """Plant, clean, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("good", 50_000), ("faults", 2_000), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--show", default="", help="print what is missed of this kind, or the good rows a rule drops")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    section = merged(CleaningSection(preset=options.preset), None)
    everything = rows(rng)
    good, spare = everything[: options.good], everything[options.good :]
    kinds = len(SPOILT) - len(APART)
    planted = plant(good, spare, -(-options.faults // kinds), rng)

    batches = defaultdict(list)
    for language, row in good:
        batches[language].append((row, "", row))
    for language, row, kind, before in planted:
        batches[language].append((row, kind, before))
    caught, total, lost, by = Counter(), Counter(), Counter(), defaultdict(Counter)
    for language, batch in sorted(batches.items()):
        sides = [repair([row[side] for row, _, _ in batch], section).texts for side in (0, 1)]
        wanted = [repair([before[side] for _, _, before in batch], section).texts for side in (0, 1)]
        columns = [Texts(sides[0], "en"), Texts(sides[1], language)]
        dropped = {rule.name: flags(rule, columns, section) for rule in applied(section, parallel=True)}
        seen: set[Row] = set()
        dropped["duplicates"] = np.zeros(len(batch), bool)
        for place, texts in enumerate(zip(*sides, strict=True)):
            forms = (normal_form(texts[0]), normal_form(texts[1]))
            dropped["duplicates"][place] = forms in seen
            seen.add(forms)
        for place, (row, kind, _) in enumerate(batch):
            reasons = [name for name, rows_ in dropped.items() if rows_[place]]
            mended = kind in REPAIRED and all(s[place] == w[place] for s, w in zip(sides, wanted, strict=True))
            total[kind] += 1
            caught[kind] += bool(reasons) or mended
            by[kind].update(reasons[:1] or ["repaired"] * mended)
            lost.update(reasons if not kind else [])
            if options.show and (options.show == kind and not reasons and not mended or not kind and options.show in reasons):
                print(language, row, [s[place] for s in sides] if mended else "")
    counted = [kind for kind in SPOILT if kind not in APART]
    figures = {
        "good rows": total[""],
        "good rows lost %": round(100 * caught[""] / total[""], 2),
        "lost by rule %": {name: round(100 * n / total[""], 3) for name, n in lost.most_common()},
        "faults": sum(total[kind] for kind in counted),
        "caught %": round(100 * sum(caught[kind] for kind in counted) / sum(total[kind] for kind in counted), 1),
        "caught by kind %": {kind: round(100 * caught[kind] / total[kind], 1) for kind in counted},
        "apart %": {kind: round(100 * caught[kind] / total[kind], 1) for kind in APART},
        "by": {kind: dict(by[kind].most_common()) for kind in SPOILT},
    }
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
