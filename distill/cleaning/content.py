"""Rules about what the two sides say: copies, numbers, addresses, and texts that say nothing."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from distill.cleaning.numbers import lost_numbers
from distill.cleaning.texts import Flags, Texts
from distill.recipe.cleaning import CopyRule, SymbolsRule
from distill.scripts import LETTER

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
DIGITS = re.compile(r"\d+")
ADDRESS = re.compile(
    r"(?:https?://|ftp://|www\.)([^\s/?#:\"'<>)\]»”,]+)[^\s\"'<>»”]*|[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", re.IGNORECASE
)
RARE = re.compile("[\x80-\xbf\ufffd\ue000-\uf8ffÃ‚„…†‡ˆ‰‹•˜™›€œžŸѓљњќћџђ]")
LOST = re.compile(
    "[\x80-\x9f\ufffd\ue000-\uf8ff]|ï¿½|[a-zà-öø-ÿ]Ã|[ÂÃÅÐÑ][\x80-\xbf]|[ÃÄÅ][„…†‡ˆ‰‹•˜™›œžŸ]"
    "|(?:[РС][\xa0-\xbf‚ѓ…†‡€‰љњќћџђ]){2}"
)
"""Replacement characters, and UTF-8 read in another encoding that no repair could read back; `RARE` is in all of it."""

QUESTION_MARK = re.compile(r"[^\W\d_]\?+[a-zа-яåäöæøü]")
"""A question mark in the place of a letter."""

LONG_RUN = 8
"""A letter so often in a row is noise."""


def copies(english: Texts, other: Texts, rule: CopyRule) -> Flags:
    """Return which rows have the English text on both sides, or nearly.

    Names and terms alone may stand as they are: four words, or two in lower case, make a sentence.
    """
    found = np.zeros(len(english), bool)
    for row, (source, text) in enumerate(zip(english.texts, other.texts, strict=True)):
        shared = set(source.casefold().split()).intersection(text.casefold().split())
        if shared and 3 * len(shared) > text.count(" ") + 1:
            found[row] = copied(source, text, rule.share)
    return found


def copied(source: str, text: str, share: float) -> bool:
    """Return whether a text is the English sentence, or at least some share of its words are the English ones."""
    english = WORD.findall(source)
    if source == text and len(english) >= 4:
        return True
    if sum(word.islower() for word in english) < 2:
        return False
    kept, words, there = shared_words(source, text)
    return kept == words == there or (words >= 5 and kept >= share * there)


def shared_words(source: str, text: str) -> tuple[int, int, int]:
    """Return how many words two texts have in common, and how many each has; letter case does not count."""
    words, there = (Counter(word.casefold() for word in WORD.findall(side)) for side in (source, text))
    return (words & there).total(), words.total(), there.total()


def numbers(english: Texts, other: Texts) -> Flags:
    """Return which rows have a number on one side that the other lacks."""
    found = np.zeros(len(english), bool)
    for row in np.flatnonzero(english.digits + other.digits).tolist():
        source, text = english.texts[row], other.texts[row]
        if sorted(DIGITS.findall(source)) != sorted(DIGITS.findall(text)):
            found[row] = bool(lost_numbers(source, text)[0])
    return found


def addresses(english: Texts, other: Texts) -> Flags:
    """Return which rows have URLs or e-mail addresses of other hosts on the two sides, or on one side only."""
    found = np.zeros(len(english), bool)
    for row, (source, text) in enumerate(zip(english.texts, other.texts, strict=True)):
        if "//" in source or "//" in text or "@" in source or "@" in text or "www." in source or "www." in text:
            found[row] = bool(_hosts(source) ^ _hosts(text))
    return found


def _hosts(text: str) -> set[str]:
    """Return the hosts named in a text, their last two labels only: the first may be a language."""
    hosts = ((url or mail).casefold().rstrip(".:;!?…").split(".") for url, mail in ADDRESS.findall(text))
    return {".".join(host[-2:]) for host in hosts}


def broken(texts: Texts) -> Flags:
    """Return which texts have characters that an encoding lost."""
    found = np.zeros(len(texts), bool)
    for row, text in enumerate(texts.texts):
        lost = not text.isascii() and RARE.search(text) and LOST.search(text)
        if lost or ("?" in text and QUESTION_MARK.search(ADDRESS.sub(" ", text))):
            found[row] = True
    return found


def repeats(texts: Texts) -> Flags:
    """Return which texts say the same again and again."""
    found = np.zeros(len(texts), bool)
    for row in np.flatnonzero(texts.words >= 6).tolist():
        words = texts.texts[row].casefold().split()
        if len(set(words)) <= 0.7 * len(words):
            words = WORD.findall(texts.texts[row].casefold())
            found[row] = len(set(words)) <= 0.35 * len(words) or bool(again_and_again(words))
    return found | _has_runs(texts)


def again_and_again(words: list[str], times: int = 4) -> str:
    """Return a phrase of one to four words that stands at least so many times in a row, an empty text if none does."""
    for size in (1, 2, 3, 4):
        for start in range(len(words) - times * size + 1):
            phrase = words[start : start + size]
            if words[start + size : start + times * size] == phrase * (times - 1):
                return " ".join(phrase)
    return ""


def _has_runs(texts: Texts) -> Flags:
    """Return which texts have a letter many times in a row."""
    points, begins = texts.points, (texts.kinds & LETTER) > 0
    for distance in range(1, LONG_RUN):
        begins[:-distance] &= points[:-distance] == points[distance:]
        begins[texts.starts[1:][texts.lengths >= distance] - distance] = False  # a run ends with its text
    return texts.count(begins) > 0


def symbols(texts: Texts, rule: SymbolsRule) -> Flags:
    """Return which texts have too few letters for their characters."""
    return np.asarray(texts.letters < rule.letters * (texts.lengths - texts.blanks))


def questions(english: Texts, other: Texts) -> Flags:
    """Return which rows have a question mark at the end of one side only."""
    marks = {"el": ";"}.get(other.language, "") + "?？؟"
    pairs = zip(english.texts, other.texts, strict=True)
    return np.fromiter((_asks(source, "?") != _asks(text, marks) for source, text in pairs), bool, len(english))


def _asks(text: str, marks: str) -> bool:
    return text.rstrip("\"'”’»«“‘)]!. ")[-1:] in set(marks)
