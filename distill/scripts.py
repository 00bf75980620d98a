"""Scripts: which one a language is written in, and the kind and script of every character.

Characters are looked up by code point in tables, so that a million are counted in milliseconds.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import langcodes
import numpy as np
import numpy.typing as npt

SCRIPTS = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC",),
    "Hebr": ("HEBREW",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL", "CJK"),
    "Deva": ("DEVANAGARI",),
    "Beng": ("BENGALI",),
    "Armn": ("ARMENIAN",),
    "Geor": ("GEORGIAN",),
    "Thai": ("THAI",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Ethi": ("ETHIOPIC",),
}
"""Beginnings of the Unicode names of a script's letters."""

WITHOUT_BLANKS = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr"})
"""Scripts that put no blanks between words."""

LETTER, LOWER, DIGIT, BLANK = (1 << bit for bit in range(4))

_FAMILIES = list(dict.fromkeys(name for names in SCRIPTS.values() for name in names))
_TABLE_SIZE = 0x20000
_IDEOGRAPHS = 0x20000
"""From this code point on, letters are Chinese characters."""


def script_of(language: str) -> str:
    """Return the script that a language is usually written in, as ISO 15924 names it."""
    return str(langcodes.Language.get(language).maximize().script)


def kinds(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return what each code point is: bits of `LETTER`, `LOWER`, `DIGIT` and `BLANK`."""
    table, _ = _tables()
    return table[np.minimum(points, _TABLE_SIZE)]


def is_of(points: npt.NDArray[np.uint32], script: str) -> npt.NDArray[np.bool_]:
    """Return which code points are letters of a script, one of `SCRIPTS`."""
    _, families = _tables()
    wanted = [_FAMILIES.index(name) + 1 for name in SCRIPTS[script]]
    own = np.zeros(len(_FAMILIES) + 1, bool)
    own[wanted] = True
    return own[families[np.minimum(points, _TABLE_SIZE)]]


@lru_cache(maxsize=1)
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return kind and script of each code point; the last entry stands for all beyond."""
    kind = np.zeros(_TABLE_SIZE + 1, np.uint8)
    family = np.zeros(_TABLE_SIZE + 1, np.uint8)
    beginnings = [name.encode() for name in _FAMILIES]
    for point in range(_TABLE_SIZE):
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] == "L":
            kind[point] = LETTER | (LOWER if category == "Ll" else 0)
            name = unicodedata.name(character, "").encode()
            family[point] = next((n for n, start in enumerate(beginnings, 1) if name.startswith(start)), 0)
        elif category == "Nd":
            kind[point] = DIGIT
        elif character.isspace():
            kind[point] = BLANK
    kind[_IDEOGRAPHS], family[_IDEOGRAPHS] = LETTER, _FAMILIES.index("CJK") + 1
    return kind, family
