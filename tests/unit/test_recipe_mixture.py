"""The mixture section: what is accepted, every mistake with its key, and weights from a data_config.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from distill.errors import RecipeError
from distill.recipe import MixtureSection, load_recipe, recipe_schema

FULL: dict[str, Any] = {
    "name": "small",
    "teacher": {"model": "owner/teacher"},
    "student": {"kind": "transplant", "max_tokens": 64},
    "corpora": {
        "talks": {"bundled": "everyday", "languages": ["uk", "da"]},
        "gooaq_pairs": {"bundled": "everyday", "languages": ["sv"]},
        "stackexchange_title_body": {"bundled": "everyday", "languages": ["nb"]},
    },
    "objectives": {
        "translations": {"loss": "mse", "corpora": ["talks"]},
        "pairs": {"loss": "mse", "corpora": ["gooaq_pairs", "stackexchange_title_body"]},
    },
}
CONFIG = [
    {"name": "stackexchange_title_body/skeptics.stackexchange.com.jsonl.gz", "lines": 10009, "weight": 1},
    {"name": "stackexchange_title_body/math.stackexchange.com.jsonl.gz", "lines": 1338443, "weight": 47},
    {"name": "gooaq_pairs.jsonl.gz", "lines": 3012496, "weight": 47},
    {"name": "talks.tsv.gz", "weight": 50},
    {"name": "reddit/reddit_2015.jsonl.gz", "weight": 0},
]
"""Entries in the format of the flax-sentence-embeddings models: with and without lines, with folders."""


def write(folder: Path, mixture: Any, **sections: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({**FULL, **sections, "mixture": mixture}, indent=1), encoding="utf-8")
    return path


def weights_file(folder: Path, entries: Any) -> dict[str, Any]:
    (folder / "data_config.json").write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return {"sampling": {"kind": "weighted", "weights_file": "data_config.json"}}


def weights_of(mixture: MixtureSection) -> dict[str, float] | None:
    assert mixture.sampling.kind == "weighted"
    return mixture.sampling.weights


MIXTURES: list[Any] = [
    {},
    {"sampling": "round_robin"},
    {"sampling": {"kind": "round_robin", "until": "largest"}, "batches": "single"},
    {"sampling": "equal", "batches": "single", "cluster_by": "domain"},
    {"sampling": {"kind": "temperature", "temperature": 2.5}},
    {"sampling": {"kind": "capped", "cap": 100_000}},
    {"sampling": {"kind": "weighted", "weights": {"talks": 2, "talks en-uk": 3, "pairs": 0}}},
    {"sampling": {"kind": "bridging", "english": "pairs", "parallel": ["talks"], "ratio": "1:2"}},
    {
        "sampling": {
            "kind": "curriculum",
            "phases": [
                {"share": 0.3, "sampling": "equal", "corpora": ["talks", "gooaq_pairs"]},
                {"steps": 5, "sampling": {"kind": "weighted", "weights": {"talks": 1}}, "objectives": "translations"},
                {},
            ],
        }
    },
]


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
def test_mixtures_are_read_and_the_schema_accepts_them(tmp_path: Path, mixture: Any) -> None:
    path = write(tmp_path, mixture)
    assert load_recipe(path).mixture == MixtureSection.model_validate(mixture)
    assert Draft202012Validator(recipe_schema()).is_valid(json.loads(path.read_text()))


def phases(*phases: Any) -> dict[str, Any]:
    return {"sampling": {"kind": "curriculum", "phases": list(phases)}}


@pytest.mark.parametrize(
    ("mixture", "key", "says"),
    [
        ({"sampling": "equl"}, "sampling", "found 'equl' … did you mean \"equal\"?"),
        ({"sampling": {"kind": "temperature"}}, "sampling", '"temperature" is missing'),
        ({"sampling": {"kind": "equal", "cap": 3}}, "sampling.cap", 'unknown key "cap"'),
        ({"sampling": {"kind": "capped", "cap": 0}}, "sampling.cap", "found 0 … a number above 0"),
        ({"sampling": {"kind": "round_robin", "until": "larges"}}, "sampling.until", 'did you mean "largest"?'),
        ({"sampling": {"kind": "weighted"}}, "sampling", "no weights given … weights or weights_file"),
        ({"sampling": {"kind": "weighted", "weights": {"talks": 0}}}, "sampling.weights", "no weight is above 0"),
        (
            {"sampling": {"kind": "weighted", "weights": {"talk": 1, "pairs": 1}}},
            "sampling.weights.talk",
            "no corpus, part of a corpus or objective 'talk' … did you mean \"talks\"?",
        ),
        (
            {"sampling": {"kind": "weighted", "weights": {"talks en-uk": 1, "pairs": 1}}},
            "sampling.weights",
            "no weight for 'talks en-da' … 0 leaves it out",
        ),
        (
            {"sampling": {"kind": "bridging", "english": "pair", "parallel": "talks"}},
            "sampling.english.0",
            "no corpus or objective 'pair' … did you mean \"pairs\"?",
        ),
        (
            {"sampling": {"kind": "bridging", "english": "gooaq_pairs", "parallel": "talks"}},
            "sampling",
            "'stackexchange_title_body' of objective 'pairs' is neither in english nor in parallel",
        ),
        (
            {"sampling": {"kind": "bridging", "english": "pairs", "parallel": ["talks", "gooaq_pairs"]}},
            "sampling",
            "'gooaq_pairs' of objective 'pairs' is both in english and in parallel",
        ),
        (
            {"sampling": {"kind": "bridging", "english": "pairs", "parallel": "talks", "ratio": "0:1"}},
            "sampling.ratio",
            "English to parallel batches, such as 1:2",
        ),
        (phases({"share": 0.5}), "sampling.phases", "found"),
        (phases({}, {}), "sampling.phases.0", "says neither share nor steps"),
        (phases({"share": 0.5}, {"share": 0.5}), "sampling.phases.1.share", "the rest is its"),
        (phases({"share": 0.5, "steps": 5}, {}), "sampling.phases.0.steps", "share and steps given"),
        (phases({"share": 0.5}, {"share": 0.6}, {}), "sampling.phases", "the shares add up to 1.1"),
        (phases({"steps": 5, "corpora": "talk"}, {}), "sampling.phases.0.corpora.0", 'did you mean "talks"?'),
        (phases({"steps": 5, "objectives": "pair"}, {}), "sampling.phases.0.objectives.0", 'did you mean "pairs"?'),
        (phases({"steps": 5, "objectives": "pairs", "corpora": "talks"}, {}), "sampling.phases.0", "none of its"),
        (
            phases({"steps": 5, "sampling": {"kind": "round_robin", "until": "largest"}}, {}),
            "sampling.phases.0.sampling.until",
            "given in a phase",
        ),
        (phases({"steps": 5, "sampling": {"kind": "curriculum"}}, {}), "sampling.phases.0.sampling", "curriculum"),
        ({"sampling": "equal", "cluster_by": "domain"}, "cluster_by", "rows of several domains … batches: single"),
    ],
)
def test_mistakes_are_told_with_their_key(tmp_path: Path, mixture: Any, key: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, mixture))
    place = caught.value.where.split(": ")[1]
    assert place.removesuffix(".kind") == f"mixture.{key}"
    text = " ".join(str(caught.value).split())
    for part in says.split(" … "):
        assert part in text


def test_a_data_config_is_read_as_it_is(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, weights_file(tmp_path, CONFIG)))
    expected = {"stackexchange_title_body": 48, "gooaq_pairs": 47, "talks": 50}
    assert weights_of(recipe.mixture_with_weights()) == expected
    assert recipe.identity()["mixture"]["sampling"] == {"kind": "weighted", "weights": expected, "weights_file": None}


def test_the_fingerprint_is_of_the_weights_not_of_where_their_file_lies(tmp_path: Path) -> None:
    one = load_recipe(write(tmp_path, weights_file(tmp_path, CONFIG)))
    first = one.fingerprint()
    (tmp_path / "elsewhere").mkdir()
    two = load_recipe(write(tmp_path / "elsewhere", weights_file(tmp_path / "elsewhere", CONFIG)))
    assert two.fingerprint() == first
    weights_file(tmp_path, [*CONFIG[:3], {"name": "talks.tsv.gz", "weight": 51}])
    assert one.fingerprint() != first


def test_files_belong_to_the_corpus_of_their_name_folder_or_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("one.tsv", "two.tsv"):
        (tmp_path / "data" / name).write_text("english\tnon_english\na\tb\n")
    corpora = {
        "a/b": {"bundled": "everyday", "languages": ["uk"]},
        "b": {"bundled": "everyday", "languages": ["da"]},
        "own": {"files": "data/*.tsv", "languages": ["sv"]},
    }
    entries = [
        {"name": "a/b.jsonl.gz", "weight": 1},
        {"name": "c/b.jsonl.gz", "weight": 2},
        {"name": "one.tsv", "weight": 3},
        {"name": "data/two.tsv", "weight": 4.5},
    ]
    mixture = weights_file(tmp_path, entries)
    recipe = load_recipe(write(tmp_path, mixture, corpora=corpora, objectives={"all": {"loss": "mse"}}))
    assert weights_of(recipe.mixture_with_weights()) == {"a/b": 1, "b": 2, "own": 7.5}


@pytest.mark.parametrize(
    ("entries", "where", "says"),
    [
        ("[{]", ":1", "no JSON"),
        ({"gooaq_pairs": 1}, "", "is no list"),
        ([], "", "is no list with something in it"),
        ([{"weight": 1}], ": entry 1", "has no name"),
        ([CONFIG[0], {"name": "talks", "weight": "3"}], ": entry 2", "the weight of 'talks' is '3'"),
        ([CONFIG[0], {"name": "talks", "weight": -1}], ": entry 2", "is -1 … a number from 0"),
        ([CONFIG[0], {"name": "talks"}], ": entry 2", "the weight of 'talks' is None"),
        ([{"name": "talks", "weight": 0}], "", "no weight is above 0"),
        ([*CONFIG, CONFIG[2]], ": entry 6", "'gooaq_pairs.jsonl.gz' is entry 3 already"),
        (
            [*CONFIG, {"name": "gooaq_pair.jsonl.gz", "weight": 1}],
            ": entry 6",
            "'gooaq_pair.jsonl.gz' is no corpus of the recipe … did you mean \"gooaq_pairs\"?",
        ),
        (CONFIG[:3], "", "no entry for the corpus 'talks'"),
        (
            [*CONFIG, {"name": "x/talks.jsonl.gz", "weight": 1}],
            ": entry 6",
            "'x/talks.jsonl.gz' and 'talks.tsv.gz' would both be the corpus 'talks' … such as x/talks",
        ),
    ],
)
def test_a_wrong_data_config_is_told(tmp_path: Path, entries: Any, where: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, weights_file(tmp_path, entries)))
    assert caught.value.where == f"{tmp_path / 'data_config.json'}{where}"
    text = " ".join(str(caught.value).split())
    for part in says.split(" … "):
        assert part in text


def test_a_missing_weights_file_is_told_with_the_nearest(tmp_path: Path) -> None:
    mixture = weights_file(tmp_path, CONFIG)
    mixture["sampling"]["weights_file"] = "data_conf.json"
    with pytest.raises(RecipeError, match=re.escape('did you mean "data_config.json"')) as caught:
        load_recipe(write(tmp_path, mixture))
    assert caught.value.where.endswith(": mixture.sampling.weights_file")


def test_weights_files_are_read_in_phases_too(tmp_path: Path) -> None:
    entries = [entry for entry in CONFIG if entry["name"] != "talks.tsv.gz"]
    sampling = weights_file(tmp_path, entries)["sampling"]
    mixture = phases({"share": 0.5, "sampling": sampling, "objectives": "pairs"}, {"sampling": "equal"})
    found = load_recipe(write(tmp_path, mixture)).mixture_with_weights().sampling
    assert found.kind == "curriculum"
    assert found.phases[0].sampling.kind == "weighted"
    assert found.phases[0].sampling.weights == {"stackexchange_title_body": 48, "gooaq_pairs": 47}


@pytest.mark.parametrize(
    ("pad_to", "says"),
    [([128, 64], "rising"), ([32], "at least student.max_tokens, 64"), ([0, 64], "above 0"), ([], "at least 1 item")],
)
def test_lengths_to_pad_to_rise_and_fit_the_student(tmp_path: Path, pad_to: list[int], says: str) -> None:
    assert load_recipe(write(tmp_path, {}, training={"pad_to": [32, 64]})).training.pad_to == (32, 64)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, {}, training={"pad_to": pad_to}))
    assert ": training.pad_to" in caught.value.where
    assert says in str(caught.value)
