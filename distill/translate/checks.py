"""Checks of single translations that need no model: each says what it found, in words a reviewer understands."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import Any

import langcodes

from distill.translate.engine import Translation
from distill.translate.names import WORD, lost_names
from distill.translate.negation import NEGATIONS, lost_negation
from distill.translate.numbers import lost_numbers

CHECKS = ("empty", "cut", "copy", "script", "language", "numbers", "negation", "names", "repetition", "explanation")

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

FOREIGN_LETTERS = {"uk": "ыэёъ", "ru": "іїєґў", "bg": "ыэёіїє", "da": "öäß", "nb": "öäß", "sv": "øæß", "de": "åøæ"}
"""Letters that a near language has and this one does not, except in names."""

LENGTH_FACTOR = 2.2
"""A translation that is longer or shorter than usual by this factor has lost or added something."""

LANGUAGE_LETTERS = 10
LANGUAGE_ODDS = 8.0
"""The language of shorter texts is not judged; another must be so much likelier than the wanted one."""

SAME_LANGUAGE = {"no": "nb", "nn": "nb", "bs": "hr", "sr": "hr", "ms": "id"}
"""Codes that the identifier cannot tell apart from another; see `_identify`."""

EXPLANATION = re.compile(
    r"(?i)^(?:sure|certainly|of course|here(?:'s| is)|(?:the )?translation|note|переклад|перевод|übersetzung|"
    r"översättning|oversættelse|oversettelse|traduction|traducción|traduzione|tłumaczenie|překlad|vertaling|käännös)\b[^.]{0,60}:"
    r"|\bas an ai\b|\b(?:I'm sorry|I cannot), "
)


@dataclass(frozen=True)
class Flag:
    """One thing that may be wrong with a translation: the check's name and the reason."""

    check: str
    reason: str


@dataclass(frozen=True)
class Habits:
    """What is usual in a set, to judge its single sentences by.

    Attributes:
        length_ratio: letters of a translation per letter of its source.
        common: words that stand in lower case in the sources.
    """

    length_ratio: float = 1.0
    common: frozenset[str] = frozenset()


def habits(sources: Sequence[str], translations: Sequence[str]) -> Habits:
    """Return what is usual in a set; the length ratio is taken as 1 from few sentences."""
    ratios = [len(two) / len(one) for one, two in zip(sources, translations, strict=True) if one and two]
    common = frozenset(word for source in sources for word in WORD.findall(source) if word.islower())
    return Habits(median(ratios) if len(ratios) >= 20 else 1.0, common)


def unchecked(language: str) -> dict[str, str]:
    """Return the checks that are not made for a language, each with the reason."""
    script, missing = _script(language), {}
    if script not in SCRIPTS:
        missing["script"] = f"the letters of {script} are not listed"
    if SAME_LANGUAGE.get(language, language) not in _identifier().labels and language != "nb":
        missing["language"] = f"the identifier does not know {language}"
    if language not in NEGATIONS:
        missing["negation"] = f"no words of denial are listed for {language}"
    if script not in ("Latn", "Cyrl"):
        missing["names"] = "names are compared in the Latin and Cyrillic alphabets only"
    return missing


def check_translation(source: str, translation: Translation, language: str, usual: Habits = Habits()) -> list[Flag]:
    """Return what may be wrong with the translation of an English sentence.

    Args:
        source: English sentence.
        translation: its translation, as the engine gave it.
        language: language code of the translation.
        usual: see `habits`.
    """
    text, skipped = translation.text.strip(), unchecked(language)
    if not any(character.isalnum() for character in text):
        return [Flag("empty", "nothing was translated")] if any(c.isalnum() for c in source) else []
    found = {
        "cut": _cut(source, translation, usual),
        "copy": _copy(source, text),
        "script": "" if "script" in skipped else _wrong_script(source, text, language),
        "language": "" if "language" in skipped else _wrong_language(text, language),
        "numbers": _numbers(source, text),
        "negation": "" if "negation" in skipped else _negation(source, text, language),
        "names": "" if "names" in skipped else _names(source, text, language, usual.common),
        "repetition": _repetition(source, text),
        "explanation": _explanation(source, translation.text.strip()),
    }
    return [Flag(check, reason) for check, reason in found.items() if reason]


def _cut(source: str, translation: Translation, usual: Habits) -> str:
    text = translation.text.strip()
    if translation.cut:
        return "ended by the engine's length limit"
    ratio = len(text) / (len(source) * usual.length_ratio)
    if len(source) >= 30 and ratio < 1 / LENGTH_FACTOR:
        return f"{len(text)} characters for {len(source)}"
    if len(text) >= 40 and ratio > LENGTH_FACTOR:
        return f"{len(text)} characters for {len(source)}"
    if len(source) >= 30 and source.rstrip()[-1] in ".!?" and (text[-1].isalnum() or text[-1] in ",;:-"):
        return "the mark at the sentence's end is missing"
    return ""


def _copy(source: str, text: str) -> str:
    """Names and numbers alone may stand as they are: two lower-case words make a sentence."""
    words = WORD.findall(source)
    if sum(word.islower() for word in words) < 2:
        return ""
    there = Counter(word.casefold() for word in WORD.findall(text))
    kept = sum((there & Counter(word.casefold() for word in words)).values())
    if kept == len(words) == sum(there.values()):
        return "the English sentence itself"
    if len(words) >= 5 and kept >= 0.75 * sum(there.values()):
        return f"{kept} of {sum(there.values())} words are the English ones"
    return ""


def _wrong_script(source: str, text: str, language: str) -> str:
    letters = [character for character in text if character.isalpha()]
    own = sum(unicodedata.name(letter, "").startswith(SCRIPTS[_script(language)]) for letter in letters)
    if not letters or own >= 0.5 * len(letters) or sum(word.islower() for word in WORD.findall(source)) < 2:
        return ""
    return f"{own} of {len(letters)} letters are of the script {_script(language)}"


def _wrong_language(text: str, language: str) -> str:
    words = [word for word in WORD.findall(text) if word.islower()]
    foreign = [word for word in words if set(word) & set(FOREIGN_LETTERS.get(language, ""))]
    if len(foreign) >= (1 if _script(language) == "Cyrl" else 2):
        return f"{', '.join(foreign[:3])}: letters that {language} does not have"
    if sum(map(len, words)) < LANGUAGE_LETTERS:
        return ""
    odds = _identify(" ".join(words))
    best = max(odds, key=lambda code: odds[code])
    own = SAME_LANGUAGE.get(language, language)
    return f"looks like {best}" if odds[best] > LANGUAGE_ODDS * odds.get(own, 0.0) else ""


def _numbers(source: str, text: str) -> str:
    lost, new = lost_numbers(source, text)
    return f"{', '.join(lost)} not there" + f", but {', '.join(new)}" * bool(new) if lost else ""


def _negation(source: str, text: str, language: str) -> str:
    word = lost_negation(source, text, language)
    return f'no word for "{word}"' if word else ""


def _names(source: str, text: str, language: str, common: Collection[str]) -> str:
    lost = lost_names(source, text, cyrillic=_script(language) == "Cyrl", common=common)
    return f"{', '.join(lost)} not there" if lost else ""


def _repetition(source: str, text: str) -> str:
    """A phrase three times in a row, or four words that come back twice, which the source does not do."""
    words = [word.casefold() for word in WORD.findall(text)]
    for size in (1, 2, 3, 4):
        for start in range(len(words) - 3 * size + 1):
            phrase = words[start : start + size]
            if words[start + size : start + 3 * size] == phrase * 2 and not _repeats(source):
                return f"{' '.join(phrase)!r} again and again"
    fours = Counter(tuple(words[start : start + 4]) for start in range(len(words) - 3))
    for four, times in fours.most_common(1):
        if times >= 3 and not _repeats(source):
            return f"{' '.join(four)!r} {times} times"
    run = re.search(r"([^\W\d_]{1,3}?)\1{6,}", text)
    return f"{run.group()[:20]!r}" if run and not re.search(r"([^\W\d_]{1,3}?)\1{4,}", source) else ""


def _repeats(source: str) -> bool:
    words = [word.casefold() for word in WORD.findall(source)]
    fours = Counter(tuple(words[start : start + 4]) for start in range(len(words) - 3))
    return any(one == two for one, two in pairwise(words)) or max(fours.values(), default=0) >= 3


def _explanation(source: str, answer: str) -> str:
    if EXPLANATION.search(answer) and not EXPLANATION.search(source):
        return f"begins or speaks like an explanation: {answer[:40]!r}"
    if "\n" in answer and "\n" not in source:
        return f"{len(answer.splitlines())} lines for one sentence"
    quotes = ('"', "“", "«", "„")
    if answer.startswith(quotes) and answer.endswith(('"', "”", "»", "“")) and not any(q in source for q in "\"“”«„‘'"):
        return "stands in quotes that the English sentence does not have"
    return ""


def _script(language: str) -> str:
    return str(langcodes.Language.get(language).maximize().script)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _identify(text: str) -> dict[str, float]:
    """Return the probability of each language, of those that cannot be told apart together."""
    odds: dict[str, float] = {}
    for code, probability in _identifier().rank(text):
        group = SAME_LANGUAGE.get(code, code)
        odds[group] = odds.get(group, 0.0) + probability
    return odds
