"""Rules about lengths: empty, too short or long, too different, cut.

Lengths of translations follow those of their sources closely (Gale & Church 1993). The factor that is usual in a
language is known beforehand, so that a row's fate does not depend on the other rows.
"""

from __future__ import annotations

import numpy as np

from distill.cleaning.texts import Flags, Floats, Texts
from distill.recipe.cleaning import LengthRatioRule, LengthRule, TruncatedRule

USUAL = {
    "bg": 1.08, "cs": 0.92, "da": 1.04, "de": 1.16, "el": 1.15, "es": 1.18, "fi": 1.05, "fr": 1.17, "hu": 1.05,
    "it": 1.16, "nb": 1.02, "nl": 1.14, "pl": 1.08, "pt": 1.14, "ro": 1.12, "ru": 1.10, "sv": 1.03, "uk": 1.05,
}  # fmt: skip
"""Characters per English character; bg, el, fi, hu and ro are estimates, the others were measured."""

USUAL_IN_SCRIPT = {"Hans": 0.33, "Hant": 0.33, "Jpan": 0.45, "Kore": 0.52, "Hebr": 0.8, "Arab": 0.88, "Thai": 0.95}
"""Estimates for languages of other scripts."""

SMOOTHING = 8
"""Characters added to both lengths: short texts differ more."""

MARKS = frozenset(".!?…。！？।؟።։")
UNMARKED = frozenset({"Thai", "Laoo", "Khmr", "Mymr"})
"""Scripts whose sentences end without a mark."""

CLOSING = "\"'”’»«“‘)]}*_ 」』）\u00a0"


def empty(texts: Texts) -> Flags:
    """Return which texts have no letter and no digit."""
    return np.asarray(texts.letters + texts.digits == 0)


def length(texts: Texts, rule: LengthRule) -> Flags:
    """Return which texts are too short or too long."""
    short = (texts.lengths < rule.least_characters) | (texts.words < rule.least_words)
    return np.asarray(short | (texts.lengths > rule.most_characters) | (texts.words > rule.most_words))


def length_ratio(english: Texts, other: Texts, rule: LengthRatioRule) -> Flags:
    """Return which rows have a side that is too long for the other."""
    return np.asarray(np.abs(_deviation(english, other)) > np.log(rule.most))


def truncated(english: Texts, other: Texts, rule: TruncatedRule) -> Flags:
    """Return which rows have a side that is too short and ends with a letter, digit or comma."""
    deviation = _deviation(english, other)
    cut = np.zeros(len(english), bool)
    marks = frozenset[str]() if other.script in UNMARKED else MARKS
    for row in np.flatnonzero(np.abs(deviation) > -np.log(max(rule.lost_mark, rule.no_mark))).tolist():
        short, long = english.texts[row], other.texts[row]
        if deviation[row] < 0:
            short, long = long, short
        last, other_last = _last(short), _last(long)
        if last.isalnum() or last in ",-–—":
            least = rule.lost_mark if other_last in marks else rule.no_mark if other_last.isalnum() else 0.0
            cut[row] = np.exp(-abs(deviation[row])) < least
    return cut


def _deviation(english: Texts, other: Texts) -> Floats:
    """Return the logarithm of how many times longer than usual each translation is."""
    usual = USUAL.get(other.language, USUAL_IN_SCRIPT.get(other.script, 1.0))
    ratio: Floats = (other.lengths + SMOOTHING) / (english.lengths * usual + SMOOTHING)
    return np.log(ratio)


def _last(text: str) -> str:
    """Return a text's last character before closing quotes and brackets, a blank if there is none."""
    return text.rstrip(CLOSING)[-1:] or " "
