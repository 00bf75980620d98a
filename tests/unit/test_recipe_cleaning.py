"""The cleaning section of recipes: presets, switches, and the corpus's keys over the recipe's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distill.errors import RecipeError
from distill.recipe.cleaning import PRESETS, Cleaning, CleaningSection, ScriptRule, SymbolsRule, merged
from distill.recipe.document import read_document
from distill.recipe.explain import explain
from distill.recipe.section import Section
from distill.recipe.values import MisfitError


class Root(Section):
    cleaning: Cleaning = CleaningSection()


def section(value: Any) -> CleaningSection:
    """Return a section as a recipe would give it."""
    return Root.model_validate({"cleaning": value}).cleaning


def misfit(error: ValidationError) -> MisfitError:
    cause = error.errors()[0]["ctx"]["error"]
    assert isinstance(cause, MisfitError)
    return cause


def test_every_key_of_every_preset_is_filled() -> None:
    for name, preset in PRESETS.items():
        assert all(getattr(preset, key) is not None for key in CleaningSection.model_fields), name
        assert merged(section(name), None) == preset


def test_nothing_given_is_the_default_preset() -> None:
    assert merged(CleaningSection(), None) == PRESETS["default"]


def test_off_is_off_also_as_yaml_reads_it_in_old_versions() -> None:
    assert merged(section(False), None) == PRESETS["off"]


def test_single_parameters_go_over_the_presets() -> None:
    found = merged(section({"preset": "strict", "length": {"most_words": 20}}), None)
    assert found.length is not None
    assert found.length.most_words == 20
    assert found.length.least_words == PRESETS["strict"].length.least_words  # type: ignore[union-attr]
    assert found.language == PRESETS["strict"].language


def test_a_rule_is_switched_off_and_on() -> None:
    found = merged(section({"script": False, "numbers": False, "symbols": True}), None)
    assert found.script == ScriptRule(on=False)
    assert found.numbers is False
    assert found.symbols == SymbolsRule()


def test_parameters_switch_on_a_rule_that_the_preset_has_off() -> None:
    found = merged(section({"preset": "off", "near_duplicates": {"threshold": 0.8}}), None)
    assert found.near_duplicates is not None
    assert (found.near_duplicates.on, found.near_duplicates.threshold) == (True, 0.8)


def test_a_corpus_wins_key_by_key() -> None:
    found = merged(section({"preset": "strict", "numbers": False}), section({"copies": False}))
    assert found.numbers is False
    assert found.copies == PRESETS["strict"].copies.model_copy(update={"on": False})  # type: ignore[union-attr]
    assert found.length == PRESETS["strict"].length


def test_a_corpus_preset_replaces_all_of_the_recipe() -> None:
    found = merged(section({"numbers": False, "length": {"most_words": 5}}), section("strict"))
    assert found == PRESETS["strict"]


def test_a_filled_section_stays_as_it_is() -> None:
    found = merged(section({"language": {"odds": 3}}), None)
    assert merged(found, None) == found


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"length": {"least_words": 10, "most_words": 5}}, ("least_words",)),
        ({"similarity": {"model": "a/b"}}, ("least",)),
        ({"similarity": True}, ("model",)),
    ],
)
def test_what_does_not_go_together_is_refused(value: dict[str, Any], key: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        section(value)
    assert misfit(caught.value).key == key


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("cleaning: strickt", 'did you mean "strict"?'),
        ("cleaning:\n  lenght: false", 'did you mean "length"?'),
        ("cleaning:\n  length: 5", "recipe.yaml:2: cleaning.length: found 5"),
        ("cleaning:\n  length_ratio: {most: 0.9}", "a number above 1 (How many times longer"),
        ("cleaning:\n  similarity:\n    model: a/b", '"least" is missing'),
        ("cleaning:\n  numbers: 3", "true or false"),
    ],
)
def test_mistakes_are_told_with_place_and_nearest_match(tmp_path: Path, written: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(written + "\n", encoding="utf-8")
    document = read_document(path)
    with pytest.raises(ValidationError) as caught:
        Root.model_validate(document.data)
    error = explain(caught.value.errors(include_url=False), document, Root)
    assert isinstance(error, RecipeError)
    assert message in str(error)


def test_editors_know_words_switches_and_parameters() -> None:
    schema = Root.model_json_schema()
    word, whole = schema["properties"]["cleaning"]["anyOf"]
    assert word["enum"] == ["default", "strict", "off"]
    assert whole == {"$ref": "#/$defs/CleaningSection"}
    assert "least_words" in schema["$defs"]["LengthRule"]["properties"]


def test_every_field_is_described() -> None:
    for name, field in CleaningSection.model_fields.items():
        assert field.description, name
