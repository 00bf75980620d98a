"""The rules that look at single rows, in the order in which a row is charged to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.cleaning import content, language, lengths
from distill.cleaning.texts import Flags, Texts
from distill.identify import knows
from distill.recipe.cleaning import CleaningSection, Rule
from distill.scripts import SCRIPTS, script_of

VERSION = 2
"""To be raised when a repair or rule does something else than before: what is stored is then made again."""


@dataclass(frozen=True)
class RowRule:
    """A rule whose verdict on a row depends on that row alone.

    Attributes:
        name: its key in the recipe.
        description: why it drops a row, for reports.
        column: its flags of one column of texts and parameters; a row is dropped if any column is flagged.
        sides: its flags of the English and the other side and parameters; for parallel rows only.
    """

    name: str
    description: str
    column: Callable[..., Flags] | None = None
    sides: Callable[..., Flags] | None = None


RULES = (
    RowRule("empty", "a side has no letter or digit", column=lengths.empty),
    RowRule("broken", "characters were lost in an encoding", column=content.broken),
    RowRule("length", "too short or too long", column=lengths.length),
    RowRule("copies", "the translation is the English text, or nearly", sides=content.copies),
    RowRule("swapped", "the sides stand in each other's place", sides=language.swapped),
    RowRule("script", "a side is in another script", column=language.script),
    RowRule("language", "a side is in another language", column=language.language),
    RowRule("repeats", "a side says the same again and again", column=content.repeats),
    RowRule("symbols", "a side is mostly digits and symbols", column=content.symbols),
    RowRule("truncated", "a side ends in the middle", sides=lengths.truncated),
    RowRule("length_ratio", "one side is far too long for the other", sides=lengths.length_ratio),
    RowRule("numbers", "a number differs", sides=content.numbers),
    RowRule("addresses", "a URL or e-mail address differs", sides=content.addresses),
    RowRule("questions", "one side alone is a question", sides=content.questions),
)


def applied(section: CleaningSection, *, parallel: bool) -> list[RowRule]:
    """Return the rules that are on and apply to a kind of rows.

    Args:
        section: with every key filled; see `distill.recipe.cleaning.merged`.
        parallel: rows of an English and another side; else columns of one language.
    """
    return [rule for rule in RULES if _is_on(rule, section) and (parallel or rule.column)]


def not_judged(language_code: str) -> dict[str, str]:
    """Return the rules that say nothing about texts of a language, each with the reason."""
    missing = {}
    if (script := script_of(language_code)) not in SCRIPTS:
        missing["script"] = f"the letters of {script} are not listed"
    if not knows(language_code):
        missing["language"] = missing["swapped"] = f"the identifier does not know {language_code}"
    return missing


def flags(rule: RowRule, columns: Sequence[Texts], section: CleaningSection) -> Flags:
    """Return which rows a rule drops.

    Args:
        rule: one of `RULES`.
        columns: the texts of each column; for a rule about both sides the English and the other.
        section: with every key filled.
    """
    parameters: Any = getattr(section, rule.name)
    given = (parameters,) if isinstance(parameters, Rule) else ()
    if rule.sides:
        english, other = columns
        return rule.sides(english, other, *given)
    assert rule.column
    return np.asarray(np.any([rule.column(texts, *given) for texts in columns], axis=0))


def _is_on(rule: RowRule, section: CleaningSection) -> bool:
    parameters: Any = getattr(section, rule.name)
    return bool(parameters.on if isinstance(parameters, Rule) else parameters)
