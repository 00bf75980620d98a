"""The catalogue of known corpora: each entry can be used, and what it says is well formed."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.corpora.catalogue import Entry, catalogue, rounded
from distill.corpora.sources import bundled_file
from distill.languages import parse_language
from distill.recipe.corpora import BUNDLED, CorpusSection
from distill.recipe.document import read_document
from distill.recipe.load import load_recipe

FAMILY = (
    *("talks", "wikimatrix", "tatoeba", "europarl", "global-voices", "jw300", "news-commentary", "opensubtitles"),
    *("ccmatrix", "wikititles", "muse"),
)


@pytest.mark.parametrize("name", catalogue())
def test_every_language_of_an_entry_makes_a_corpus(name: str) -> None:
    entry = catalogue()[name]
    for language in entry.languages or ["uk"]:
        section = entry.section(language)
        assert section.languages == (language,)
        assert section.rows == (entry.rows or "parallel")
        assert (section.cleaning is not None and section.cleaning.preset == "strict") is entry.mined


@pytest.mark.parametrize("name", catalogue())
def test_the_line_of_an_entry_stands_in_a_recipe(name: str, tmp_path: Path) -> None:
    entry = catalogue()[name]
    language = next(iter(entry.languages), "uk")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"corpora:\n  {entry.usage(name, language)}\n")
    section = read_document(recipe).data["corpora"][name]
    assert type(entry.section(language)).model_validate(section) == entry.section(language)


@pytest.mark.parametrize("name", catalogue())
def test_an_entry_is_consistent(name: str) -> None:
    entry = catalogue()[name]
    assert all(parse_language(code) == code for code in entry.languages)
    assert entry.languages or not entry.complete
    assert entry.description.endswith(".")
    assert all(source.startswith("https://") or source == "distill/everyday/README.md" for source in entry.sources)
    assert not entry.licence or entry.sources  # a licence is never without where it is stated


def test_the_family_of_parallel_sentences_is_there() -> None:
    known = catalogue()
    assert {name: known[name].corpus["hub"] for name in FAMILY} == {
        name: f"sentence-transformers/parallel-sentences-{name}" for name in FAMILY
    }
    assert {name for name, entry in known.items() if entry.mined} == {"wikimatrix", "ccmatrix"}


def test_the_bundled_corpus_is_as_large_as_the_catalogue_says() -> None:
    entry = catalogue()["everyday"]
    rows = len(bundled_file("everyday", "train").read_text(encoding="utf-8").splitlines()) - 1
    assert entry.languages == dict.fromkeys(BUNDLED["everyday"], rows)
    assert entry.size == str(rows)


def test_a_language_has_its_own_size_where_it_is_known() -> None:
    talks, tatoeba = catalogue()["talks"], catalogue()["tatoeba"]
    assert (talks.size_of("uk"), talks.size_of(None)) == ("203k", "9.8M")
    assert (tatoeba.size_of("uk"), tatoeba.size_of(None)) == ("(1M-10M in all)", "1M-10M")


@pytest.mark.parametrize(("rows", "shown"), [(7, "7"), (3612, "3.61k"), (51_400, "51.4k"), (25_139_999, "25.1M")])
def test_rows_are_rounded(rows: int, shown: str) -> None:
    assert rounded(rows) == shown


def test_an_entry_lists_languages_or_their_rows() -> None:
    given = {"corpus": {}, "rows": None, "description": "", "domain": "", "size": "", "licence": "", "sources": []}
    assert Entry.model_validate({**given, "languages": ["ua", "da"]}).languages == {"uk": None, "da": None}
    assert Entry.model_validate({**given, "languages": {"no": 5}}).languages == {"nb": 5}


def test_recipes_take_known_corpora_as_the_catalogue_advises() -> None:
    recipes = Path(__file__).resolve().parents[2] / "recipes"
    hubs = {entry.corpus.get("hub"): entry for entry in catalogue().values()}
    for name in ("ua", "scandinavian"):
        for section in load_recipe(recipes / f"{name}.yaml").corpora.values():
            if section.hub:
                entry = hubs[section.hub]
                assert set(section.languages) <= set(entry.languages)
                assert (section.cleaning is not None) is entry.mined


def test_the_recipe_of_many_sets_takes_them_as_the_catalogue_does() -> None:
    recipe = load_recipe(Path(__file__).resolve().parents[2] / "recipes" / "scandinavian-multi.yaml")
    known = [entry for entry in catalogue().values() if "hub" in entry.corpus]
    found = set()
    for section in recipe.corpora.values():
        for language in section.languages:
            for entry in known:
                if entry.corpus["hub"] == section.hub and language in entry.languages:
                    listed = entry.section(language)
                    assert (listed.rows, listed.where) == (section.rows, section.where)
                    assert _sources(listed) == _sources(section)
                    found.add(section.hub)
    assert found == {section.hub for section in recipe.corpora.values()} - {
        "alexandrainst/scandi-qa",  # a script, which the catalogue takes from files
        "NbAiLab/norwegian-paws-x",
    }


def _sources(section: CorpusSection) -> dict[str, str | int]:
    """Return the column of each part of a row."""
    return {part: section.columns.names().get(part, part) for part in (*section.texts, *section.values)}
