"""Cleaning: which repairs and rules corpora go through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from distill.recipe.section import Section
from distill.recipe.values import MisfitError, ModelName, Positive, PositiveInt, Share

Preset = Literal["default", "strict", "off"]
Factor = Annotated[float, Field(gt=1, strict=True)]


class Rule(Section):
    """A rule that has parameters. `false` in its place switches it off, `true` on."""

    on: bool = Field(True, description="Whether rows are dropped by this rule.")


class LengthRule(Rule):
    """How short and how long a text may be."""

    least_characters: PositiveInt = Field(1, description="Characters of the shortest text.")
    most_characters: PositiveInt = Field(2000, description="Characters of the longest text.")
    least_words: PositiveInt = Field(
        1, description="Words of the shortest text; two letters count as a word where no blanks stand between words."
    )
    most_words: PositiveInt = Field(300, description="Words of the longest text.")

    @model_validator(mode="after")
    def _possible(self) -> LengthRule:
        for least, most in (("least_characters", "most_characters"), ("least_words", "most_words")):
            if getattr(self, least) > getattr(self, most):
                raise MisfitError((least,), f"found {getattr(self, least)}", expected=f"at most {most}")
        return self


class LengthRatioRule(Rule):
    """How far the lengths of the two sides may differ."""

    most: Factor = Field(
        2.2, description="How many times longer or shorter than usual in its language a translation may be."
    )


class TruncatedRule(Rule):
    """One side ends in the middle: it is too short, and no mark says that it has ended."""

    lost_mark: Share = Field(
        0.72, description="Share of the usual length below which a side is cut that lacks the other's last mark."
    )
    no_mark: Share = Field(
        0.56, description="Share of the usual length below which a side is cut where neither ends with a mark."
    )


class CopyRule(Rule):
    """The translation is the English text, or nearly."""

    share: Share = Field(0.75, description="Share of the words that are the English ones.")


class ScriptRule(Rule):
    """A side is not written in its language's script."""

    share: Share = Field(0.5, description="Least share of the letters that are of the script.")


class LanguageRule(Rule):
    """A side is in another language."""

    odds: Positive = Field(
        12.0,
        description="How many times likelier another language must be, as a natural logarithm; smaller drops more.",
    )


class SymbolsRule(Rule):
    """A side is mostly digits, punctuation and symbols."""

    letters: Share = Field(0.5, description="Least share of letters among all characters but blanks.")


class DuplicatesRule(Rule):
    """The same row again, in any corpus of the language."""

    form: Literal["normal", "exact"] = Field(
        "normal", description="normal: letter case and punctuation do not count; exact: they do."
    )


class NearDuplicatesRule(Rule):
    """Nearly the same row again."""

    threshold: Share = Field(0.9, description="Least similarity (Jaccard) of near-duplicates.")


class TranslationsRule(Rule):
    """Too many translations of one English text."""

    most: PositiveInt = Field(16, description="Translations of one English text that are kept.")


class SimilarityRule(Rule):
    """The two sides mean different things, as a multilingual model sees it."""

    model: ModelName | None = Field(None, description="Multilingual model: a Hub id or a folder.")
    least: Share | None = Field(None, description="Least cosine of the two sides; it depends on the model.")

    @model_validator(mode="after")
    def _complete(self) -> SimilarityRule:
        for key in ("model", "least"):
            if self.on and getattr(self, key) is None:
                raise MisfitError((key,), f'"{key}" is missing', expected="similarity: {model: NAME, least: 0.5}")
        return self


def _switch(value: Any) -> Any:
    """Return `false` and `true` as the mapping they stand for."""
    return {"on": value} if isinstance(value, bool) else value


def _preset(value: Any) -> Any:
    """Return a lone word as the preset it names; YAML reads `off` as a word."""
    return {"preset": value} if isinstance(value, str) else {"preset": "off"} if value is False else value


def _or_switch(rule: type[Rule]) -> BeforeValidator:
    return BeforeValidator(_switch, json_schema_input_type=bool | rule)


class CleaningSection(Section):
    """What corpora go through before anything else. What is not given comes from the preset.

    A repair changes a text; a rule drops the row. The corpus's own keys win over the recipe's.
    """

    preset: Preset | None = Field(
        None, description="default: for curated corpora; strict: for mined ones such as wikimatrix and ccmatrix; off."
    )
    unicode: bool | None = Field(None, description="Repair: Unicode's NFC form, without invisible characters.")
    mojibake: bool | None = Field(None, description="Repair: text that was read in a wrong encoding.")
    markup: bool | None = Field(None, description="Repair: HTML entities, tags and subtitle codes.")
    blanks: bool | None = Field(None, description="Repair: control characters and runs of blanks.")
    empty: bool | None = Field(
        None, description="Drop rows with a side that has no letter or digit; without any text they always are."
    )
    broken: bool | None = Field(None, description="Drop rows with characters that were lost in an encoding.")
    length: Annotated[LengthRule, _or_switch(LengthRule)] | None = Field(
        None, description="Drop rows that are too short or too long."
    )
    length_ratio: Annotated[LengthRatioRule, _or_switch(LengthRatioRule)] | None = Field(
        None, description="Drop rows with a side that is far too long for the other."
    )
    truncated: Annotated[TruncatedRule, _or_switch(TruncatedRule)] | None = Field(
        None, description="Drop rows with a side that ends in the middle."
    )
    copies: Annotated[CopyRule, _or_switch(CopyRule)] | None = Field(
        None, description="Drop rows whose sides are the same, or nearly; names alone may be."
    )
    script: Annotated[ScriptRule, _or_switch(ScriptRule)] | None = Field(
        None, description="Drop rows with a side in another script than its language's."
    )
    swapped: bool | None = Field(None, description="Drop rows whose sides stand in each other's place.")
    language: Annotated[LanguageRule, _or_switch(LanguageRule)] | None = Field(
        None, description="Drop rows with a side in another language."
    )
    numbers: bool | None = Field(None, description="Drop rows with a number on one side that the other lacks.")
    addresses: bool | None = Field(None, description="Drop rows whose URLs or e-mail addresses differ.")
    repeats: bool | None = Field(None, description="Drop rows with a side that says the same again and again.")
    symbols: Annotated[SymbolsRule, _or_switch(SymbolsRule)] | None = Field(
        None, description="Drop rows with a side that is mostly digits, punctuation and symbols."
    )
    questions: bool | None = Field(None, description="Drop rows of which one side alone is a question.")
    duplicates: Annotated[DuplicatesRule, _or_switch(DuplicatesRule)] | None = Field(
        None, description="Drop rows that are there already, in any corpus of the language."
    )
    near_duplicates: Annotated[NearDuplicatesRule, _or_switch(NearDuplicatesRule)] | None = Field(
        None, description="Drop rows that are nearly there already."
    )
    translations: Annotated[TranslationsRule, _or_switch(TranslationsRule)] | None = Field(
        None, description="Drop further translations of an English text that has many."
    )
    similarity: Annotated[SimilarityRule, _or_switch(SimilarityRule)] | None = Field(
        None, description="Drop rows whose sides mean different things to a multilingual model."
    )


Cleaning = Annotated[CleaningSection, BeforeValidator(_preset, json_schema_input_type=Preset | CleaningSection)]
"""The section, which may be written as the name of its preset."""


def merged(recipe: CleaningSection, corpus: CleaningSection | None) -> CleaningSection:
    """Return what one corpus goes through, every key filled.

    Args:
        recipe: the recipe's section.
        corpus: the corpus's own. Its preset, if given, replaces the whole of the recipe's section; else its keys win.
    """
    if corpus is None:
        return _filled(recipe)
    return _filled(corpus if corpus.preset else recipe.model_copy(update=_given(corpus)))


def _given(section: Section) -> dict[str, Any]:
    return {key: value for key in type(section).model_fields if (value := getattr(section, key)) is not None}


def _filled(section: CleaningSection) -> CleaningSection:
    """Return a section with what is not given from its preset, down to a rule's single parameters."""
    preset = PRESETS[section.preset or "default"]
    filled = {}
    for key, value in _given(section).items():
        if isinstance(value, Rule):
            written = {name: getattr(value, name) for name in value.model_fields_set}
            filled[key] = getattr(preset, key).model_copy(update={**written, "on": value.on})
        else:
            filled[key] = value
    return preset.model_copy(update=filled)


_OFF = CleaningSection(
    preset="off",
    unicode=False,
    mojibake=False,
    markup=False,
    blanks=False,
    empty=False,
    broken=False,
    length=LengthRule(on=False),
    length_ratio=LengthRatioRule(on=False),
    truncated=TruncatedRule(on=False),
    copies=CopyRule(on=False),
    script=ScriptRule(on=False),
    swapped=False,
    language=LanguageRule(on=False),
    numbers=False,
    addresses=False,
    repeats=False,
    symbols=SymbolsRule(on=False),
    questions=False,
    duplicates=DuplicatesRule(on=False),
    near_duplicates=NearDuplicatesRule(on=False),
    translations=TranslationsRule(on=False),
    similarity=SimilarityRule(on=False),
)
_DEFAULT = _OFF.model_copy(
    update={
        "preset": "default",
        **dict.fromkeys(("unicode", "mojibake", "markup", "blanks", "empty", "broken", "swapped"), True),
        **dict.fromkeys(("numbers", "addresses", "repeats"), True),
        "length": LengthRule(),
        "length_ratio": LengthRatioRule(),
        "truncated": TruncatedRule(),
        "copies": CopyRule(),
        "script": ScriptRule(),
        "language": LanguageRule(),
        "duplicates": DuplicatesRule(),
        "translations": TranslationsRule(),
    }
)
_STRICT = _DEFAULT.model_copy(
    update={
        "preset": "strict",
        "questions": True,
        "length": LengthRule(least_characters=8, least_words=2, most_characters=1000, most_words=150),
        "length_ratio": LengthRatioRule(most=1.8),
        "truncated": TruncatedRule(lost_mark=0.8, no_mark=0.62),
        "copies": CopyRule(share=0.6),
        "script": ScriptRule(share=0.7),
        "language": LanguageRule(odds=6.0),
        "symbols": SymbolsRule(),
        "near_duplicates": NearDuplicatesRule(),
        "translations": TranslationsRule(most=4),
    }
)
PRESETS = {"default": _DEFAULT, "strict": _STRICT, "off": _OFF}
