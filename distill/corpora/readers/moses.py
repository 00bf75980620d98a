"""Reader of Moses pairs: two plain-text files, NAME.en and NAME.uk, of which line n translates line n."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from distill.corpora.readers.rows import BadRow, RowBatch
from distill.corpora.readers.streams import Entry, LineBlock, line_blocks, open_stream
from distill.errors import DataError
from distill.languages import language_of_tag, spellings

Pair = tuple[Entry, Entry]
"""The English and the other file."""


def language_of_entry(entry: Entry) -> str | None:
    """Return the language that the end of a file's name says, None if it says none."""
    return language_of_tag(entry.format[1:])


def moses_pairs(entries: Iterable[Entry], language: str) -> list[Pair]:
    """Return the pairs among some files, sorted by name; of two spellings or packings of a file, the first."""
    sides: dict[str, dict[str, Entry]] = {}
    for entry in sorted(entries, key=lambda found: _preference(found, language)):
        code = language_of_entry(entry)
        if code in ("en", language):
            sides.setdefault(_name(entry), {}).setdefault(str(code), entry)
    return [(found["en"], found[language]) for _, found in sorted(sides.items()) if len(found) == 2]


def _name(entry: Entry) -> str:
    return str(entry.place.with_name(entry.stem))


def _preference(entry: Entry, language: str) -> tuple[bool, int, str]:
    usual = [*spellings("en"), *spellings(language)]
    tag = entry.format[1:]
    return bool(entry.compression), usual.index(tag) if tag in usual else len(usual), str(entry.place)


def moses_partner(path: Path, language: str) -> Pair:
    """Return the pair that a file on disk belongs to.

    Raises:
        DataError: the other file is not there.
    """
    given = Entry(path)
    beside = [found for found in map(Entry, path.parent.iterdir()) if found.stem == given.stem and found != given]
    packed_alike = [found for found in beside if found.compression == given.compression]
    for entries in (packed_alike, beside):
        if pairs := moses_pairs([given, *entries], language):
            return pairs[0]
    end = language if language_of_entry(given) == "en" else "en"
    there = sorted(found.path.name for found in beside if language_of_entry(found))
    raise DataError(
        str(path),
        f"no partner {given.stem}.{end} beside it",
        expected="two files of as many lines, NAME.en and NAME." + language,
        hint=f"there are {', '.join(there[:10])}" if there else "",
    )


def other_pairs(entries: Iterable[Entry]) -> list[str]:
    """Return the pairs with English among some files, such as en-da, for messages."""
    sides: dict[str, set[str]] = {}
    for entry in entries:
        # XML files and lists of sentence numbers lie beside the texts in OPUS; ids and xml look like languages.
        if entry.format not in (".ids", ".xml", ".txt") and (code := language_of_entry(entry)):
            sides.setdefault(_name(entry), set()).add(code)
    return sorted({f"en-{code}" for found in sides.values() if "en" in found for code in found - {"en"}})


def read_moses(pair: Pair) -> Iterator[RowBatch]:
    """Yield the rows of a Moses pair; empty lines are rows with an empty text.

    Raises:
        DataError: a file cannot be read, or one has more lines than the other.
    """
    with open_stream(pair[0]) as english, open_stream(pair[1]) as other:
        sides = [line_blocks(english), line_blocks(other)]
        held = [LineBlock(1, []), LineBlock(1, [])]
        while True:
            for side, block in enumerate(held):
                if not block.lines:
                    held[side] = next(sides[side], LineBlock(block.first, []))
            count = min(len(block.lines) for block in held)
            if not count:
                break
            yield _rows(pair, held, count)
            held = [block.drop(count) for block in held]
        counts = [
            block.first - 1 + len(block.lines) + sum(len(rest.lines) for rest in blocks)
            for block, blocks in zip(held, sides, strict=True)
        ]
    if counts[0] != counts[1]:
        raise DataError(
            str(pair[0].place),
            f"{counts[0]:,} lines, but {pair[1].place} has {counts[1]:,}",
            expected="as many lines in both: line n of one translates line n of the other",
            hint="get both files again; they must come from the same archive",
        )
    if not counts[0]:
        raise DataError(str(pair[0].place), "the file is empty", expected="one sentence per line")


def _rows(pair: Pair, held: list[LineBlock], count: int) -> RowBatch:
    numbers = range(held[0].first, held[0].first + count)
    bad = {
        line: BadRow(entry.place, line, found)
        for entry, block in zip(pair, held, strict=True)
        for line, found in block.broken.items()
        if line in numbers
    }
    english, other = (block.lines[:count] for block in held)
    batch = RowBatch(pair[0].place, {"english": english, "non_english": other}, numbers, [bad[n] for n in sorted(bad)])
    if bad:
        kept = [row for row, line in enumerate(numbers) if line not in bad]
        batch.columns = {name: [texts[row] for row in kept] for name, texts in batch.columns.items()}
        batch.lines = [numbers[row] for row in kept]
    return batch
