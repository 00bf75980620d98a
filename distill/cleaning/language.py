"""Rules about the language of a side: script, language, swapped sides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from distill import identify
from distill.cleaning.texts import Flags, Texts
from distill.recipe.cleaning import LanguageRule, ScriptRule
from distill.scripts import SCRIPTS

NEAR = {
    "da": ("nb",), "nb": ("da",), "nn": ("da",), "cs": ("sk",), "sk": ("cs",), "bg": ("mk",), "mk": ("bg",),
    "es": ("gl", "ca"), "ca": ("es",), "gl": ("pt", "es"), "pt": ("gl",), "nl": ("af",), "af": ("nl",),
    "sl": ("hr",), "hr": ("sl",), "et": ("fi",), "az": ("tr",), "ur": ("fa",), "ps": ("fa",), "hi": ("mr", "ne"),
    "mr": ("hi",), "ne": ("hi",),
}  # fmt: skip
"""Languages that a short text cannot be told from; taken for each other without a flag."""

FOREIGN_LETTERS = {"uk": "ыэёъ", "ru": "іїєґў", "bg": "ыэёіїє", "da": "öäß", "nb": "öäß", "sv": "øæß", "de": "åøæ"}
"""Letters that a near language has and this one does not, except in names."""

SHORTEST = 12
"""Letters a text needs for its language or script to be judged."""

SHORT = 200.0
"""Letters times odds that a text needs: a word or two look like another language by chance, or are a name."""

STRANGE = 3
"""Letters of another script, but Latin, that no name or formula explains."""

WITH_FOREIGN_LETTERS = 0.4
"""Factor of the odds that are needed where a text has foreign letters."""

BOTH_SIDES = 6.0
"""The odds that are needed where both sides say that they are swapped, as a logarithm."""


def script(texts: Texts, rule: ScriptRule) -> Flags:
    """Return which texts have too few letters of their language's script.

    Short texts in Latin letters are not judged: they may be names.
    """
    if texts.script not in SCRIPTS:
        return np.zeros(len(texts), bool)
    few = texts.own_letters < rule.share * texts.letters
    named = 0 if texts.script == "Latn" else texts.latin_letters
    return np.asarray(few & ((texts.letters >= SHORTEST) | (texts.letters - texts.own_letters - named >= STRANGE)))


def language(texts: Texts, rule: LanguageRule) -> Flags:
    """Return which texts are in another language than their own, or one near to it."""
    if not identify.knows(texts.language):
        return np.zeros(len(texts), bool)
    odds = texts.log_odds
    others = np.setdiff1d(np.arange(odds.shape[1]), identify.columns(texts.language, *NEAR.get(texts.language, ())))
    lead = odds[:, others].max(axis=1) - _own(texts, texts.language)
    needed = np.maximum(rule.odds, SHORT / np.maximum(texts.letters, 1))
    needed = np.where(_has_foreign_letters(texts), WITH_FOREIGN_LETTERS * needed, needed)
    return np.asarray((lead > needed) & (texts.letters >= SHORTEST))


def swapped(english: Texts, other: Texts) -> Flags:
    """Return which rows have their sides in each other's place."""
    if not identify.knows(other.language):
        return np.zeros(len(english), bool)
    lead_english = _own(english, other.language) - _own(english, "en")
    lead_other = _own(other, "en") - _own(other, other.language)
    certain = (lead_english > 0) & (lead_other > 0) & (lead_english + lead_other > BOTH_SIDES)
    return np.asarray(certain)


def _own(texts: Texts, language: str) -> npt.NDArray[np.float32]:
    """Return how likely texts are of a language or one near to it."""
    columns = list(identify.columns(language, *NEAR.get(language, ())))
    own: npt.NDArray[np.float32] = texts.log_odds[:, columns].max(axis=1)
    return own


def _has_foreign_letters(texts: Texts) -> Flags:
    letters = FOREIGN_LETTERS.get(texts.language, "")
    foreign = np.isin(texts.points, [ord(letter) for letter in letters + letters.upper()])
    return texts.count(foreign) > 0
