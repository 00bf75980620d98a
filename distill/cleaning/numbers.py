"""Numbers lost or changed: digits compared as the two languages write them."""

from __future__ import annotations

import re

NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*")
HALF_DAY = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))? ?([ap])\.? ?m\b", re.IGNORECASE)
CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)\b")
DECADE = re.compile(r"\b\d\d(\d0)['’]?s\b")
CENTURY = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)[ -](?:century|centuries)", re.IGNORECASE)
ROMAN = re.compile(r"\b[IVXІХ]+\b")
ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "І": 1, "Х": 10}
"""With the Cyrillic letters that people type for them."""

SMALL = 20
"""Numbers up to this one are often written out in a translation, and hours change between 12 and 24."""


def lost_numbers(source: str, translation: str) -> tuple[list[str], list[str]]:
    """Return the numbers of an English sentence that its translation lacks, and those that it has instead.

    Small numbers and times of day count as lost only where another number stands in the translation that the source
    does not have.
    """
    allowed = _allowed(source)
    clock = {part for time in CLOCK.findall(source) for part in time}
    source = HALF_DAY.sub(lambda time: time.group().replace(".", ":"), source)
    wanted = [match.group() for match in NUMBER.finditer(source)]
    there = [match.group() for match in NUMBER.finditer(translation)]
    readings = {str(value) for value in _romans(translation)}.union(*map(_readings, there))
    lost = [number for number in wanted if not (_readings(number) | allowed.get(number, set())) & readings]
    known = set[str]().union(*map(_readings, wanted), *allowed.values())
    new = [number for number in there if not _readings(number) & known]
    return [number for number in lost if new or not (_is_small(number) or number in clock)], new


def _readings(number: str) -> set[str]:
    """Return the values that digits with separators may stand for: `1,500` is 1500 in English and 1.5 in German."""
    plain = re.sub(r"['’\u00a0\u202f ]", "", number)
    values = {re.sub(r"[.,]", "", plain)} if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", plain) else set()
    if len(parts := re.split(r"[.,]", plain)) == 1:
        values.add(plain)
    elif len(parts) == 2:
        values.add(f"{parts[0]}.{parts[1]}".rstrip("0").rstrip("."))
    else:
        values |= {"".join(parts), "".join(parts[:-1]) + "." + parts[-1]}
    return {value.lstrip("0") or "0" for value in values}


def _allowed(source: str) -> dict[str, set[str]]:
    """Return what a number of the source may become: 3:30 pm is 15.30, the 1990s the 90s, the 9th century the 800s."""
    values: dict[str, set[str]] = {}
    times = [*HALF_DAY.findall(source), *((hour, minute, "") for hour, minute in CLOCK.findall(source))]
    for hour, minute, half in times:
        early = int(hour) % 12
        hours = {"a": {early}, "p": {early + 12}}.get(half.lower(), {early, early + 12}) | {int(hour)}
        whole = {f"{hour}.{minute}".rstrip("0").rstrip(".") for hour in hours}
        values.setdefault(hour, set()).update(map(str, hours), whole)
        values.setdefault(minute, set()).update(whole)
    for decade in DECADE.finditer(source):
        values.setdefault(decade.group()[:4], set()).add(decade.group(1))
    for century in CENTURY.findall(source):
        values.setdefault(century, set()).add(f"{int(century) - 1}00")
    return values


def _romans(text: str) -> set[int]:
    values = set()
    for numeral in ROMAN.findall(text):
        digits = [ROMAN_VALUES[letter] for letter in numeral]
        pairs = zip(digits, [*digits[1:], 0], strict=True)
        values.add(sum(-value if value < after else value for value, after in pairs))
    return values


def _is_small(number: str) -> bool:
    return number.isdigit() and int(number) <= SMALL
