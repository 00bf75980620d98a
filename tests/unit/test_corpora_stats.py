"""Statistics of corpora, counted again by hand, and the page that shows them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.corpora_page import FATES, statistics_page
from distill.corpora_stats import (
    QUANTILES,
    WORD_BINS,
    Statistics,
    corpus_statistics,
    first_epoch,
    ratio_edges,
    recipe_statistics,
    shared_texts,
)
from distill.pictures import DARK, LIGHT
from distill.recipe import Recipe, load_recipe

SCRIPT = (
    "<script>alert('x & y')</script> is a row of this corpus.",
    "<script>alert('x & y')</script> – це рядок корпусу.",
)


def load(
    folder: Path, files: dict[str, list[tuple[str, ...]]], keys: dict[str, Any] | None = None, **options: Any
) -> tuple[Recipe, list[Corpus]]:
    """Return a recipe and its corpora, from files with the columns english and non_english.

    `keys` are those of single corpora, `options` those of the recipe.
    """
    corpora = {}
    for name, rows in files.items():
        own = {"files": f"{name}.tsv", "languages": ["uk"], "dev_rows": 0, **(keys or {}).get(name, {})}
        parts = own.pop("head", ("english", "non_english"))
        lines = ["\t".join(row) for row in [parts, *rows]]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        corpora[name] = own
    document = {"name": "mine", "teacher": {"model": "a/b"}, "student": {"kind": "transplant"}, "corpora": corpora}
    (folder / "recipe.yaml").write_text(json.dumps({**document, **options}))
    recipe = load_recipe(folder / "recipe.yaml")
    return recipe, load_corpora(recipe, SentenceFilter({"suite": ["Held out."]}))


def pairs(everyday_rows: list[dict[str, str]], start: int, stop: int, language: str = "uk") -> list[tuple[str, ...]]:
    return [(row["en"], row[language]) for row in everyday_rows[start:stop]]


def test_lengths_are_those_that_python_counts(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    rows = pairs(everyday_rows, 0, 150)
    _, [corpus] = load(tmp_path, {"a": rows}, cleaning="off")
    found = corpus_statistics(corpus)
    for texts, own in zip(found.texts, zip(*rows, strict=True), strict=True):
        words, characters = [len(text.split()) for text in own], [len(text) for text in own]
        assert (texts.texts, texts.distinct) == (150, len(set(own)))
        assert (texts.words, texts.characters) == (sum(words), sum(characters))
        for quantiles, values in ((texts.word_quantiles, words), (texts.character_quantiles, characters)):
            assert quantiles == tuple(np.quantile(values, QUANTILES, method="inverted_cdf").tolist())
        assert texts.word_histogram == tuple(np.histogram(words, [*WORD_BINS, np.inf])[0].tolist())
    ratios = [len(other) / len(english) for english, other in rows]
    assert np.allclose(found.ratio_quantiles, np.quantile(ratios, QUANTILES), atol=0.02)
    assert found.ratio_histogram == tuple(np.histogram(np.log2(ratios), ratio_edges())[0].tolist())


def test_only_rows_to_train_on_count(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    rows = pairs(everyday_rows, 0, 100)
    _, [corpus] = load(tmp_path, {"a": [*rows, ("Copy of a text.", "Copy of a text.")]}, {"a": {"dev_rows": 20}})
    found = corpus_statistics(corpus)
    assert found.texts[0].texts == found.counts["train"] == 80
    assert found.counts["cleaned out"] == 1


def test_a_negative_that_is_not_there_is_no_text(tmp_path: Path) -> None:
    rows = [("A dog barks.", "An animal is loud.", "A cat sleeps."), ("It rains.", "Water falls.", "")]
    head = {"rows": "triplets", "languages": ["en"], "head": ("anchor", "positive", "negative")}
    _, found = load(tmp_path, {"a": rows}, {"a": head}, cleaning="off", objectives={"c": {"loss": "contrastive"}})
    triplets, rest = map(corpus_statistics, found)
    assert [texts.texts for texts in triplets.texts] == [1, 1, 1]
    assert [texts.column for texts in rest.texts] == ["anchor", "positive"]
    assert shared_texts(found).labels == ("a en",)


def test_the_identifier_sees_what_the_texts_are(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    german = [("The house stands at the end of the road.", "Das Haus steht schon lange am Ende der Straße.")] * 3
    mixed = [*pairs(everyday_rows, 0, 60), *german]
    _, [corpus] = load(tmp_path, {"a": mixed}, cleaning="off")
    english, other = corpus_statistics(corpus).texts
    assert set(english.identified) == {"en"}
    assert next(iter(other.identified)) == "uk"
    assert other.identified["de"] == 3


def test_shared_texts_are_counted_before_cleaning(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    first, second = pairs(everyday_rows, 0, 30), pairs(everyday_rows, 20, 60)
    again = [(english, f"{other[:-1]} знову.") for english, other in first[:5]]
    _, corpora = load(tmp_path, {"a": first, "b": [*second, *again]})
    found = shared_texts(corpora)
    assert found.labels == ("a en-uk", "b en-uk")
    assert found.first == ((30, 15), (15, 45))
    assert found.rows == ((30, 10), (10, 45))
    assert corpora[1].cleaning.dropped["duplicates"].count == 10


def test_a_proportional_epoch_has_each_row_once(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    files = {"a": pairs(everyday_rows, 0, 90), "b": pairs(everyday_rows, 100, 130)}
    recipe, corpora = load(tmp_path, files, training={"batch_size": 16})
    assert first_epoch(recipe, corpora) == ({"a en-uk": 90, "b en-uk": 30}, 8)


def test_equal_sampling_takes_as_much_of_each(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> None:
    files = {"a": pairs(everyday_rows, 0, 90), "b": pairs(everyday_rows, 100, 130)}
    recipe, corpora = load(tmp_path, files, training={"batch_size": 8}, mixture={"sampling": "equal"})
    taken, steps = first_epoch(recipe, corpora)
    assert taken["a en-uk"] == taken["b en-uk"]
    assert sum(taken.values()) == 8 * steps


class Page(HTMLParser):
    """The texts and tags of a page; a tag that is not closed in its place is an error."""

    VOID = frozenset({"meta", "br", "line"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def statistics(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> Statistics:
    broken = ("Bro<b>ken</b> \u0007 row.", "Bro<b>ken</b> \u0007 row.")
    held_out = ("Held out.", "Відкладено.")
    a = [*pairs(everyday_rows, 0, 60), SCRIPT, SCRIPT, held_out]
    b = [*pairs(everyday_rows, 50, 90), broken]
    off = {"cleaning": {"preset": "off", "duplicates": True}}
    return recipe_statistics(*load(tmp_path, {"a": a, "b-<i>": b}, {"a": off, "b-<i>": {"max_rows": 30}}))


def test_the_page_shows_the_counts(statistics: Statistics) -> None:
    page = Page(statistics_page(statistics))
    first, second = statistics.corpora
    assert first.counts == {
        "read": 63, "malformed": 0, "cleaned out": 1, "in a test set": 1, "near a test set": 0, "over max_rows": 0,
        "dev rows not used": 0, "shared with dev": 0, "train": 61, "dev": 0,
    }  # fmt: skip
    assert set(first.counts) - {"read"} <= set(FATES)
    assert len(FATES) <= len(LIGHT) == len(DARK)
    assert "104rows read" in page.text
    for corpus in (first, second):
        assert f"{corpus.label}{corpus.counts['train']} of {corpus.counts['read']}" in page.text
        assert f"{corpus.label}{corpus.counts['train']} (1 × its rows)" in page.text
    assert "the row is there already: 11 dropped" in page.text
    assert re.search(r"a en-uksuite10", page.text)  # corpus, suite, the same, nearly the same
    assert f"{sum(corpus.words for corpus in statistics.corpora):,}words to train on" in page.text


def test_the_page_needs_nothing_else_and_texts_are_escaped(statistics: Statistics) -> None:
    source = statistics_page(statistics)
    page = Page(source)
    assert SCRIPT[0] in page.text
    assert "b-<i> en-uk" in page.text
    assert not {"script", "link", "img"} & set(page.tags)
    assert page.tags.count("b") == 5  # the main figures
    assert all(link.startswith("#") for link in page.links)
    assert "http" not in source
    assert page.tags.count("svg") == 4


def test_what_cannot_be_seen_is_made_visible(statistics: Statistics) -> None:
    assert "\\x07" in Page(statistics_page(statistics)).text


def test_json_has_the_same_numbers(statistics: Statistics) -> None:
    found = json.loads(json.dumps(statistics.as_dict()))
    assert [corpus["counts"] for corpus in found["corpora"]] == [corpus.counts for corpus in statistics.corpora]
    assert len(found["ratio_bins"]) == len(found["corpora"][0]["ratio_histogram"]) + 1
    assert len(found["word_bins"]) == len(found["corpora"][0]["texts"][0]["word_histogram"])
    assert found["shared"]["first"][0][1] == 10
