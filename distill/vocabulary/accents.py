"""Accents that are part of a language's alphabet: which they are, and a normalizer that keeps them and no others."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tokenizers import Regex, normalizers

ACCENT_SHARE = 5e-5
"""An accented letter belongs to a language if at least this share of its letters are that letter."""

MARK = r"\p{Mn}"

Step = dict[str, Any]
"""A normalizer as tokenizers writes it."""


def kept_accents(strings: Mapping[str, int]) -> list[str]:
    """Return the letters with a diacritic that are part of a language's alphabet, lower and upper case.

    A mark that Unicode does not join with its letters, such as a vowel sign of Hindi or Thai, is returned alone:
    it is kept on every letter.

    Args:
        strings: how often each string of the language occurs.
    """
    counts: Counter[str] = Counter()
    for string, n in strings.items():
        for char in unicodedata.normalize("NFC", string).lower():
            counts[char] += n
    letters = {char: n for char, n in counts.items() if char.isalpha() or _is_mark(char)}
    least = max(3, sum(letters.values()) * ACCENT_SHARE)
    kept = [char for char, n in letters.items() if n >= least and _is_mark(unicodedata.normalize("NFD", char)[-1])]
    return sorted({*kept, *(char.upper() for char in kept)})


def keeping_accents(normalizer: Step | None, kept: list[str]) -> Step | None:
    """Return a normalizer that keeps the accents of some letters, where it strips them.

    One made here before goes on keeping what it keeps.
    """
    if normalizer and normalizer["type"] == "Sequence":
        return {**normalizer, "normalizers": [keeping_accents(step, kept) for step in normalizer["normalizers"]]}
    if normalizer and normalizer["type"] == "StripAccents":
        return _sequence(_strip(kept), {"type": "NFC"})
    if normalizer and normalizer["type"] == "BertNormalizer":
        strips = normalizer["lowercase"] if normalizer["strip_accents"] is None else normalizer["strip_accents"]
        bert = {**normalizer, "strip_accents": False}
        return _sequence({"type": "NFD"}, _strip(kept), {"type": "NFC"}, bert) if strips else bert
    if normalizer and normalizer["type"] == "Replace" and MARK in normalizer["pattern"].get("Regex", ""):
        return _strip([*kept, *_kept_by(normalizer["pattern"]["Regex"])])
    return normalizer


def _kept_by(pattern: str) -> list[str]:
    """Return the letters and marks whose accents a pattern made here does not match."""
    strip = normalizers.Replace(Regex(pattern), "").normalize_str
    decomposed = ((char, unicodedata.normalize("NFD", char)) for char in map(chr, range(sys.maxunicode + 1)))
    return [char for char, parts in decomposed if _is_mark(parts[-1]) and strip(parts) == parts]


def _sequence(*steps: Step) -> Step:
    return {"type": "Sequence", "normalizers": list(steps)}


def _strip(kept: list[str]) -> Step:
    """Return what removes every mark from decomposed text unless it follows a base it is kept on."""
    bases: dict[str, set[str]] = {}
    everywhere = {char for char in kept if _is_mark(char)}
    for char in kept:
        decomposed = unicodedata.normalize("NFD", char)
        for base, mark in itertools.pairwise(decomposed):
            if mark not in everywhere:
                bases.setdefault(mark, set()).add(base)
    patterns = [rf"(?<![{re.escape(''.join(sorted(before)))}]){mark}" for mark, before in sorted(bases.items())]
    known = "".join(sorted({*bases, *everywhere}))
    others = f"[{MARK}&&[^{known}]]" if known else MARK
    return {"type": "Replace", "pattern": {"Regex": "|".join([*patterns, others])}, "content": ""}


def _is_mark(char: str) -> bool:
    """Return whether a character is a mark that takes no room of its own, which some tokenizers strip."""
    return unicodedata.category(char) == "Mn"
