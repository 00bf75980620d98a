"""Rules about what the two sides say: copies, numbers, addresses, and texts that say nothing."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from distill.cleaning.numbers import lost_numbers
from distill.cleaning.texts import Flags, Texts
from distill.recipe.cleaning import CopyRule, SymbolsRule

WORD = re.compile(r"[^\W\d_]+(?:['’ʼ-][^\W\d_]+)*")
DIGITS = re.compile(r"\d+")
ADDRESS = re.compile(r"(?:https?://|ftp://|www\.)([^\s/\"'<>)\]»”,]+)|[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", re.IGNORECASE)
BROKEN = re.compile("[\ufffd\x80-\x9f\ue000-\uf8ff]|ï¿½|[^\\W\\d_]\\?+[^\\W\\d_\\s]*[a-zа-яåäöæøü]")
LONG_RUN = 8
"""A letter so often in a row is noise."""


def copies(english: Texts, other: Texts, rule: CopyRule) -> Flags:
    """Return which rows have the English text on both sides, or nearly.

    Names and terms alone may stand as they are: two lower-case English words make a sentence.
    """
    found = np.zeros(len(english), bool)
    for row, (source, text) in enumerate(zip(english.texts, other.texts, strict=True)):
        shared = set(source.casefold().split()).intersection(text.casefold().split())
        if shared and 3 * len(shared) > text.count(" ") + 1:
            found[row] = copied(source, text, rule.share)
    return found


def copied(source: str, text: str, share: float) -> bool:
    """Return whether a text is the English sentence, or at least some share of its words are the English ones."""
    words = WORD.findall(source)
    if sum(word.islower() for word in words) < 2:
        return False
    there = Counter(word.casefold() for word in WORD.findall(text))
    kept = sum((there & Counter(word.casefold() for word in words)).values())
    return kept == len(words) == there.total() or (len(words) >= 5 and kept >= share * there.total())


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
    """Return the hosts named in a text, without the first label of long ones: it may be a language."""
    hosts = ((url or mail).casefold().rstrip(".:;!?…").split(".") for url, mail in ADDRESS.findall(text))
    return {".".join(host[-2:]) for host in hosts}


def broken(texts: Texts) -> Flags:
    """Return which texts have characters that an encoding lost."""
    return np.fromiter((bool(BROKEN.search(text)) for text in texts.texts), bool, len(texts))


def repeats(texts: Texts) -> Flags:
    """Return which texts say the same again and again."""
    found = np.zeros(len(texts), bool)
    for row in np.flatnonzero(texts.words >= 6).tolist():
        words = texts.texts[row].casefold().split()
        if len(set(words)) <= 0.7 * len(words):
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
    points, same = texts.points, (texts.kinds & 1) > 0
    for distance in range(1, LONG_RUN):
        same[:-distance] &= points[:-distance] == points[distance:]
    same[-LONG_RUN:] = False
    return texts.count(same) > 0


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
