"""Names lost: words that a translation keeps, or writes in the other alphabet by their sound."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from difflib import SequenceMatcher

from distill.cleaning.content import WORD

LITERAL = re.compile(r"https?://\S+|[\w.+-]+@[\w-]+\.\w+|(?<!\w)[@#]\w{2,}|\b[A-Za-z]+\d[A-Za-z\d]*\b|\b[a-z]+[A-Z]\w*")
"""What stands the same in every language: addresses, tags, model numbers, iPhone."""

CYRILLIC = str.maketrans("абвгґдеєжзиіїйклмнопрстуфхцчшщюяёыэ", "abvhgdeezziiiiklmnoprstufhccssuaeie", "ьъ")
_SOUNDS = "sch:s tch:c th:t ph:f sh:s ch:c kh:h zh:z ck:k qu:kv x:ks w:v q:k j:z c:k g: h:"
SOUNDS = [spelling.split(":") for spelling in _SOUNDS.split()]
"""Spellings and the sound that each stands for, in this order; g and h are written for each other or left out."""

ALIKE = 0.67
"""How alike two sounds are that may be one name: catches 62 % of wrong Ukrainian ones, and flags 1 % of good ones."""

SHORTEST = 4

_NO_NAMES = """
    monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
    october november december english german french spanish russian ukrainian chinese japanese american british
    dutch greek irish scottish welsh swedish danish norwegian finnish polish italian turkish indian european african
    asian germany france spain russia ukraine china england britain america scotland wales ireland sweden denmark
    norway finland poland italy greece turkey india europe africa asia netherlands austria switzerland hungary
    kingdom states united president minister prime secretary senator judge court supreme house senate white
    parliament party republican democrat democrats republicans labour conservative king queen prince princess lord
    lady captain general north south east west northern southern eastern western street road city university school
    church bank army navy police department ministry office council committee party league world cup union christmas
    easter catholic christian muslim jewish jews islam internet earth moon
"""
NO_NAMES = frozenset(_NO_NAMES.split())
"""Words with a capital in English that other languages translate."""


def lost_names(source: str, translation: str, *, cyrillic: bool, common: Collection[str]) -> list[str]:
    """Return the names of an English sentence if its translation has none of them, and literal words that it lacks.

    One name that is missing is no sign: peoples, offices and many places have names of their own in each language.

    Args:
        source: English sentence.
        translation: its translation.
        cyrillic: whether the translation is in the Cyrillic alphabet, else in the Latin one.
        common: words that also stand in lower case in the set, or are no names.
    """
    lost = [
        literal for found in LITERAL.findall(source) if (literal := found.rstrip(".,;:!?)»”\"'")) not in translation
    ]
    names = _names(source, common)
    if len(names) < 2:
        return lost
    sounds = [_sound(word, cyrillic) for word in WORD.findall(translation)]
    if any(_heard(name, translation, sounds) for name in names):
        return lost
    return lost + names


def _names(source: str, common: Collection[str]) -> list[str]:
    """Return capitalised words that do not begin a sentence; none for a headline in capitals."""
    words = list(WORD.finditer(source))
    long = [word.group() for word in words if len(word.group()) >= SHORTEST]
    if sum(word[0].isupper() for word in long) > 0.6 * len(long):
        return []
    names = []
    for word in words:
        text, before = re.sub(r"['’]s?$", "", word.group()), source[: word.start()].rstrip(" \"'“”‘’«»(–—-")
        if before and before[-1] not in ".!?:…|" and len(text) >= SHORTEST and text[0].isupper() and not text.isupper():
            names.append(text)
    return [name for name in dict.fromkeys(names) if name.lower() not in common and name.lower() not in NO_NAMES]


def _heard(name: str, translation: str, sounds: Collection[str]) -> bool:
    if name in translation:
        return True
    wanted = _sound(name, False)
    return any(
        SequenceMatcher(None, wanted, sound[: len(wanted) + 1]).ratio() >= ALIKE for sound in sounds if len(sound) > 1
    )


def _sound(word: str, cyrillic: bool) -> str:
    """Return a rough spelling of a word's sound, the same in both alphabets: vowels and doubles are dropped."""
    letters = word.lower()
    if cyrillic:
        letters = letters.translate(CYRILLIC)
    letters = "".join(c for c in unicodedata.normalize("NFD", letters) if not unicodedata.combining(c))
    for written, sound in SOUNDS:
        letters = letters.replace(written, sound)
    first, rest = letters[:1], re.sub(r"[aeiouy]", "", letters[1:])
    return re.sub(r"(.)\1", r"\1", ("" if first in "aeiouy" else first) + rest)
