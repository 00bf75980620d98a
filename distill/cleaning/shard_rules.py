"""A cleaning section as the rules of a job on shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from distill.cleaning.across import AcrossRules, Flags
from distill.cleaning.repair import repair
from distill.cleaning.rules import VERSION, applied, flags
from distill.cleaning.stages import RowRules
from distill.cleaning.texts import Texts
from distill.recipe.cleaning import CleaningSection


def row_rules(section: CleaningSection, language: str) -> RowRules:
    """Return what a section says of single rows.

    Args:
        section: with every key filled; see `distill.recipe.cleaning.merged`.
        language: code of the non-English side.
    """
    identity = {"language": language, "section": section.model_dump(mode="json"), "version": VERSION}
    return RowRules(partial(_repaired, section), partial(_dropped, section, language), identity)


def across_rules(section: CleaningSection) -> AcrossRules:
    """Return what a section says of rows beside each other."""
    duplicates, translations, near = section.duplicates, section.translations, section.near_duplicates
    return AcrossRules(
        duplicates=bool(duplicates and duplicates.on),
        exact=bool(duplicates and duplicates.form == "exact"),
        translations=translations.most if translations and translations.on else None,
        near_duplicates=near.threshold if near and near.on else None,
    )


def _repaired(
    section: CleaningSection, english: Sequence[str], other: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    return repair(english, section).texts, repair(other, section).texts


def _dropped(section: CleaningSection, language: str, english: Sequence[str], other: Sequence[str]) -> dict[str, Flags]:
    columns = [Texts(english, "en"), Texts(other, language)]
    return {rule.name: flags(rule, columns, section) for rule in applied(section, parallel=True)}
