"""Checks of single translations that need no model: each says what it found, in words a reviewer understands."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from distill import identify
from distill.cleaning.content import WORD, again_and_again, shared_words
from distill.cleaning.language import FOREIGN_LETTERS
from distill.cleaning.numbers import lost_numbers
from distill.scripts import SCRIPTS, script_of
from distill.translate.engine import Translation
from distill.translate.names import lost_names
from distill.translate.negation import NEGATIONS, lost_negation

CHECKS = ("empty", "cut", "copy", "script", "language", "numbers", "negation", "names", "repetition", "explanation")

LENGTH_FACTOR = 2.2
"""A translation that is longer or shorter than usual by this factor has lost or added something."""

LANGUAGE_LETTERS = 10
LANGUAGE_ODDS = 2.1
"""The language of shorter texts is not judged; another must be so much likelier than the wanted one, as a natural
logarithm over the root of the text's bytes, by which py3langid calibrates its probabilities."""

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
    script, missing = script_of(language), {}
    if script not in SCRIPTS:
        missing["script"] = f"the letters of {script} are not listed"
    if not identify.knows(language):
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
    if sum(word.islower() for word in WORD.findall(source)) < 2:
        return ""
    kept, words, there = shared_words(source, text)
    if kept == words == there:
        return "the English sentence itself"
    return f"{kept} of {there} words are the English ones" if words >= 5 and kept >= 0.75 * there else ""


def _wrong_script(source: str, text: str, language: str) -> str:
    letters = [character for character in text if character.isalpha()]
    own = sum(unicodedata.name(letter, "").startswith(SCRIPTS[script_of(language)]) for letter in letters)
    if not letters or own >= 0.5 * len(letters) or sum(word.islower() for word in WORD.findall(source)) < 2:
        return ""
    return f"{own} of {len(letters)} letters are of the script {script_of(language)}"


def _wrong_language(text: str, language: str) -> str:
    words = [word for word in WORD.findall(text) if word.islower()]
    foreign = [word for word in words if set(word) & set(FOREIGN_LETTERS.get(language, ""))]
    if len(foreign) >= (1 if script_of(language) == "Cyrl" else 2):
        return f"{', '.join(foreign[:3])}: letters that {language} does not have"
    if sum(map(len, words)) < LANGUAGE_LETTERS:
        return ""
    judged = " ".join(words)
    odds = identify.log_odds([judged])[0]
    lead = float(odds.max() - odds[list(identify.columns(language))].max())
    best = identify.labels()[int(odds.argmax())]
    return f"looks like {best}" if lead > LANGUAGE_ODDS * len(judged.encode()) ** 0.5 else ""


def _numbers(source: str, text: str) -> str:
    lost, new = lost_numbers(source, text)
    return f"{', '.join(lost)} not there" + f", but {', '.join(new)}" * bool(new) if lost else ""


def _negation(source: str, text: str, language: str) -> str:
    word = lost_negation(source, text, language)
    return f'no word for "{word}"' if word else ""


def _names(source: str, text: str, language: str, common: Collection[str]) -> str:
    lost = lost_names(source, text, cyrillic=script_of(language) == "Cyrl", common=common)
    return f"{', '.join(lost)} not there" if lost else ""


def _repetition(source: str, text: str) -> str:
    """A phrase three times in a row, or four words that come back twice, which the source does not do."""
    words = [word.casefold() for word in WORD.findall(text)]
    if (phrase := again_and_again(words, 3)) and not _repeats(source):
        return f"{phrase!r} again and again"
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
