"""Rules about lengths: empty, too short or long, too different, cut.

Lengths of translations follow those of their sources closely (Gale & Church 1993). The factor that is usual in a language
is known beforehand, so that a row's fate does not depend on the other rows.
"""

from __future__ import annotations

import numpy as np

from distill.cleaning.texts import Flags, Floats, Texts
from distill.recipe.cleaning import LengthRatioRule, LengthRule, TruncatedRule

USUAL = {
    "bg": 1.08, "cs": 0.92, "da": 1.04, "de": 1.16, "el": 1.15, "es": 1.18, "fi": 1.05, "fr": 1.17, "hu": 1.05,
    "it": 1.16, "nb": 1.02, "nl": 1.12, "pl": 1.06, "pt": 1.12, "ro": 1.12, "ru": 1.08, "sv": 1.03, "uk": 1.05,
}  # fmt: skip
"""Characters per English character: measured where there was data, else from Europarl's averages."""

USUAL_IN_SCRIPT = {"Hans": 0.33, "Hant": 0.33, "Jpan": 0.45, "Kore": 0.52, "Hebr": 0.8, "Arab": 0.88, "Thai": 0.95}
"""The same for languages of other scripts."""

SMOOTHING = 8
"""Characters added to both lengths: short texts differ more."""

MARKS = frozenset(".!?…。！？।؟።։")
CLOSING = "\"'”’»«“‘)]}*_ 」』）\u00a0"
BRACKETS = {"(": ")", "[": "]", "«": "»", "„": "“”"}


def empty(texts: Texts) -> Flags:
    """Return which texts have no letter and no digit."""
    return texts.letters + texts.digits == 0


def length(texts: Texts, rule: LengthRule) -> Flags:
    """Return which texts are too short or too long."""
    few = (texts.lengths < rule.least_characters) | (texts.words < rule.least_words)
    return np.asarray(few | (texts.lengths > rule.most_characters) | (texts.words > rule.most_words))


def length_ratio(english: Texts, other: Texts, rule: LengthRatioRule) -> Flags:
    """Return which rows have a side that is too long for the other."""
    return np.abs(_deviation(english, other)) > np.log(rule.most)


def truncated(english: Texts, other: Texts, rule: TruncatedRule) -> Flags:
    """Return which rows have a side that lacks the other's end and is too short for it."""
    deviation = _deviation(english, other)
    cut = np.zeros(len(english), bool)
    for row in np.flatnonzero(np.abs(deviation) > -np.log(rule.shorter)).tolist():
        short, long = english.texts[row], other.texts[row]
        if deviation[row] < 0:
            short, long = long, short
        cut[row] = _ends(long) and not _ends(short)
    return cut


def _deviation(english: Texts, other: Texts) -> Floats:
    """Return the logarithm of how many times longer than usual each translation is."""
    usual = USUAL.get(other.language, USUAL_IN_SCRIPT.get(other.script, 1.0))
    ratio: Floats = (other.lengths + SMOOTHING) / (english.lengths * usual + SMOOTHING)
    return np.log(ratio)


def _ends(text: str) -> bool:
    """Return whether a text ends with a sentence's mark."""
    text = text.rstrip(CLOSING)
    return text[-1:] in MARKS
