"""Cleaning corpora: what is repaired, dropped, counted and stored; rows of other kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.corpora import Corpus, SentenceFilter, clean, load_corpora
from distill.corpora_report import cleaning_dict, cleaning_markdown
from distill.errors import DataError
from distill.recipe import load_recipe

GOOD = [
    (f"The {thing} stands in the {place} of our old house.", f"{translated} стоїть у {where} нашого старого будинку.")
    for thing, translated in (("table", "Стіл"), ("chair", "Стілець"), ("cupboard", "Шафа"), ("mirror", "Дзеркало"))
    for place, where in (("kitchen", "кухні"), ("hall", "залі"), ("garden", "саду"), ("bedroom", "спальні"))
]


def load(folder: Path, files: dict[str, list[tuple[str, ...]]], **options: Any) -> list[Corpus]:
    """Return the corpora of files with the columns english and non_english; `options` are keys of the recipe."""
    corpora = {}
    for name, rows in files.items():
        lines = ["english\tnon_english", *("\t".join(row) for row in rows)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        corpora[name] = {"files": f"{name}.tsv", "languages": ["uk"], "dev_rows": 0, **options.pop(name, {})}
    return load_sections(folder, corpora, **options)


OBJECTIVES = {"pairs": "contrastive", "triplets": "contrastive", "scored": "scored", "labelled": "classification"}


def load_sections(folder: Path, corpora: dict[str, Any], **options: Any) -> list[Corpus]:
    document = {"name": "x", "teacher": {"model": "a/b"}, "student": {"kind": "transplant"}, "corpora": corpora}
    kinds = {section.get("rows") for section in corpora.values()} & OBJECTIVES.keys()
    if kinds:
        document["objectives"] = {OBJECTIVES[kind]: {"loss": OBJECTIVES[kind]} for kind in kinds}
    (folder / "recipe.yaml").write_text(json.dumps({**document, **options}))
    return load_corpora(load_recipe(folder / "recipe.yaml"), SentenceFilter())


def rows_of(corpus: Corpus) -> list[tuple[str, ...]]:
    return [row for batch in corpus.batches(corpus.train) for row in zip(*batch, strict=True)]


def dropped(corpus: Corpus) -> dict[str, int]:
    return {rule: tally.count for rule, tally in corpus.cleaning.dropped.items()}


def test_good_rows_stay_as_they_are(tmp_path: Path) -> None:
    (corpus,) = load(tmp_path, {"a": GOOD})
    assert rows_of(corpus) == GOOD
    assert dropped(corpus) == {}
    assert cleaning_markdown([corpus], examples=True) == "Cleaning changed nothing."


def test_texts_are_repaired_and_the_change_is_shown(tmp_path: Path) -> None:
    english, other = GOOD[0]
    (corpus,) = load(tmp_path, {"a": [*GOOD[1:], (f"<b>{english}</b>", other.encode().decode("latin-1"))]})
    assert rows_of(corpus)[-1] == GOOD[0]
    changed = {name: tally.count for name, tally in corpus.cleaning.repaired.items() if tally.count}
    assert changed == {"mojibake": 1, "markup": 1}
    assert corpus.cleaning.repaired["mojibake"].examples == ((other.encode().decode("latin-1"), other),)


def test_a_dropped_row_counts_for_one_rule_and_is_shown(tmp_path: Path) -> None:
    copy = ("There was nothing at all in the letter.", "There was nothing at all in the letter.")
    (corpus,) = load(tmp_path, {"a": [*GOOD, copy, ("Where is he?", ""), GOOD[3]]})
    assert rows_of(corpus) == GOOD
    assert dropped(corpus) == {"empty": 1, "copies": 1, "duplicates": 1}
    assert corpus.cleaning.dropped["copies"].examples == (copy,)
    assert corpus.counts["cleaned out"] == 3
    assert sum(corpus.counts.values()) == 2 * corpus.counts["read"]
    line = "| a | en-uk | dropped | copies | 1 | the translation is the English text, or nearly |"
    assert line in cleaning_markdown([corpus], examples=False).splitlines()
    assert copy[0] in cleaning_markdown([corpus], examples=True)
    assert cleaning_dict([corpus])["a en-uk"]["dropped"]["empty"] == {"count": 1, "examples": (("Where is he?", ""),)}


def test_a_row_stays_in_the_first_corpus_that_has_it(tmp_path: Path) -> None:
    again = (GOOD[0][0].upper(), GOOD[0][1].rstrip("."))
    first, second = load(tmp_path, {"a": GOOD[:8], "b": [again, *GOOD[8:]]})
    assert rows_of(first) == GOOD[:8]
    assert rows_of(second) == GOOD[8:]
    assert (dropped(first), dropped(second)) == ({}, {"duplicates": 1})


def test_another_translation_is_no_duplicate(tmp_path: Path) -> None:
    (corpus,) = load(tmp_path, {"a": [*GOOD, (GOOD[0][0], "Стіл у нас стоїть на кухні старого будинку.")]})
    assert len(corpus.train) == len(GOOD) + 1


def test_near_duplicates_are_dropped_where_the_rule_is_on(tmp_path: Path) -> None:
    english, other = (f"{one} {two}" for one, two in zip(GOOD[0], ("We all saw it.", "Ми це бачили."), strict=True))
    nearly = (english.replace("saw", "see"), other)
    _, kept = load(tmp_path, {"a": [(english, other)], "b": [nearly, GOOD[15]]})
    assert rows_of(kept) == [nearly, GOOD[15]]
    _, corpus = load(tmp_path, {"a": [(english, other)], "b": [nearly, GOOD[15]]}, cleaning={"near_duplicates": True})
    assert rows_of(corpus) == [GOOD[15]]
    assert dropped(corpus) == {"near_duplicates": 1}


def test_only_so_many_translations_of_a_text_are_kept(tmp_path: Path) -> None:
    rows = [
        ("What a beautiful day!", f"Який {word} день сьогодні!") for word in ("гарний", "чудовий", "славний", "дивний")
    ]
    first, second = load(tmp_path, {"a": rows[:2], "b": rows[2:]}, cleaning={"translations": {"most": 3}})
    assert (rows_of(first), rows_of(second)) == (rows[:2], rows[2:3])
    assert dropped(second) == {"translations": 1}


def test_unlike_sides_are_dropped_by_the_vectors_of_a_model(tmp_path: Path, tiny_teacher: Path) -> None:
    same = [(f"Number {n} is it.", f"Number {n} is it.") for n in range(5)]
    other = [("Number 7 is it.", "Well, perhaps there was never anything else in the box at all.")]
    rules = {"preset": "off", "similarity": {"model": str(tiny_teacher), "least": 0.9999}}
    (corpus,) = load(tmp_path, {"a": [*same, *other]}, cleaning=rules)
    assert rows_of(corpus) == same
    assert dropped(corpus) == {"similarity": 1}


def test_a_corpus_has_rules_of_its_own(tmp_path: Path) -> None:
    rows = [*GOOD, ("Where is he?", "???")]
    first, second = load(tmp_path, {"a": rows, "b": rows}, b={"cleaning": "off"})
    assert (dropped(first), dropped(second)) == ({"empty": 1}, {})


def test_only_a_changed_rule_is_applied_again(tmp_path: Path, private_cache: Path) -> None:
    load(tmp_path, {"a": GOOD})
    stored = {path: path.stat().st_mtime_ns for path in (private_cache / "corpora").rglob("*") if path.is_file()}
    load(tmp_path, {"a": GOOD}, cleaning={"length": {"least_words": 3}})
    now = {path: path.stat().st_mtime_ns for path in (private_cache / "corpora").rglob("*") if path.is_file()}
    assert stored.items() <= now.items()
    assert [path.name.partition("-")[0] for path in now.keys() - stored.keys()] == ["length"]


def test_processes_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [(f"{english} {n}", f"{other} {n + n % 3 // 2}") for n in range(60) for english, other in GOOD]
    (one,) = load(tmp_path, {"a": rows})
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("DISTILL_PROCESSES", "3")
    monkeypatch.setattr(clean, "ROWS_PER_PROCESS", 100)
    (three,) = load(tmp_path, {"a": rows})
    assert dropped(one)["numbers"] > 0
    assert (dropped(one), rows_of(one)) == (dropped(three), rows_of(three))


def test_nothing_left_names_the_rule_and_a_row(tmp_path: Path) -> None:
    rows = [(f"The {word} is here today.", f"The {word} is here today.") for word in ("dog", "cat", "man", "bird")]
    with pytest.raises(DataError, match=r"4 cleaned out \(most by copies, such as 'The dog is here today\."):
        load(tmp_path, {"a": rows})


# rows of other kinds


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("cleaning", ["off", {"empty": False}])
def test_a_row_without_a_text_is_never_used(tmp_path: Path, cleaning: Any) -> None:
    rows = [("", "Пес спить."), *GOOD, ("A dog sleeps.", "")]
    corpora = {"a": {"files": "a.jsonl", "languages": ["uk"], "dev_rows": 0}}
    lines = (json.dumps({"english": english, "non_english": other}) for english, other in rows)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (corpus,) = load_sections(tmp_path, corpora, cleaning=cleaning)
    assert rows_of(corpus) == GOOD
    assert corpus.counts["read"] - corpus.counts["train"] == 2
    assert cleaning != "off" or dropped(corpus) == {"empty": 2}


def test_triplets_without_a_negative_become_pairs(tmp_path: Path) -> None:
    rows = [
        {"a": f"Spørsmål nummer {n}?", "p": f"Svar nummer {n}.", "n": f"Annet {n}." if n % 3 else None}
        for n in range(30)
    ]
    write_json_lines(tmp_path / "nli.jsonl", rows)
    columns = {"anchor": "a", "positive": "p", "negative": "n"}
    section = {"files": "nli.jsonl", "rows": "triplets", "languages": ["nb"], "columns": columns, "dev_rows": 0}
    triplets, pairs = load_sections(tmp_path, {"nli": section}, cleaning="off")
    assert (triplets.kind, triplets.columns, len(triplets.train)) == (
        "triplets",
        ("anchor", "positive", "negative"),
        20,
    )
    assert (pairs.kind, pairs.columns, len(pairs.train)) == ("pairs", ("anchor", "positive"), 10)
    assert triplets.counts["without a negative"] == pairs.counts["read"] == 10
    assert triplets.label == "nli nb"
    assert len({triplets.label, pairs.label}) == 2
    assert rows_of(pairs)[0] == ("Spørsmål nummer 0?", "Svar nummer 0.")


def test_triplets_of_which_none_has_a_negative_are_counted_once(tmp_path: Path) -> None:
    rows = [{"anchor": f"Spørsmål nummer {n}?", "positive": f"Svar nummer {n}.", "negative": ""} for n in range(30)]
    write_json_lines(tmp_path / "nli.jsonl", rows)
    section = {"files": "nli.jsonl", "rows": "triplets", "languages": ["nb"], "dev_rows": 5, "max_rows": 20}
    (pairs,) = load_sections(tmp_path, {"nli": section}, cleaning="off")
    assert {reason: count for reason, count in pairs.counts.items() if count} == {
        "read": 30,
        "over max_rows": 10,
        "train": 15,
        "dev": 5,
    }


def test_the_report_says_which_rules_cannot_judge_a_language(tmp_path: Path) -> None:
    rows = [{"english": f"House {n} is old.", "non_english": f"S Huus {n} isch alt."} for n in range(9)]
    write_json_lines(tmp_path / "a.jsonl", rows)
    section = {"files": "a.jsonl", "languages": ["gsw"], "dev_rows": 0}
    (corpus,) = load_sections(tmp_path, {"a": section}, cleaning={"swapped": False})
    assert "| a | en-gsw | not judged | language | 9 | the identifier does not know gsw |" in cleaning_markdown(
        [corpus], examples=True
    )
    assert cleaning_dict([corpus])["a en-gsw"]["not_judged"] == {"language": "the identifier does not know gsw"}


def test_a_row_is_not_given_to_a_corpus_that_takes_only_some(tmp_path: Path) -> None:
    some, own = load(tmp_path, {"a": GOOD, "b": GOOD[:10]}, a={"max_rows": 3})
    assert rows_of(own) == GOOD[:10]
    assert (dropped(some), len(some.train)) == ({"duplicates": 10}, 3)


def test_dev_rows_beyond_those_that_are_used_are_counted(tmp_path: Path) -> None:
    for split, first, count in (("train", 0, 20), ("dev", 20, 12)):
        (tmp_path / "en-uk").mkdir(exist_ok=True)
        rows = [{"english": f"Row {n}.", "non_english": f"Рядок {n}."} for n in range(first, first + count)]
        write_json_lines(tmp_path / "en-uk" / f"{split}.jsonl", rows)
    section = {"folder": str(tmp_path), "languages": ["uk"], "dev_rows": 4, "max_rows": 15}
    (corpus,) = load_sections(tmp_path, {"a": section}, cleaning="off")
    assert {reason: count for reason, count in corpus.counts.items() if count} == {
        "read": 32,
        "over max_rows": 5,
        "dev rows not used": 8,
        "train": 15,
        "dev": 4,
    }


def test_scores_labels_and_domains_are_read(tmp_path: Path) -> None:
    write_json_lines(
        tmp_path / "sts.jsonl",
        [
            {"sentence1": f"En setning {n}.", "sentence2": f"En annen {n}.", "score": n / 2, "kind": "x"}
            for n in range(9)
        ],
    )
    write_json_lines(tmp_path / "topics.jsonl", [{"text": f"Dette er sak {n}.", "label": n % 2} for n in range(9)])
    sts, topics = load_sections(
        tmp_path,
        {
            "sts": {
                "files": "sts.jsonl",
                "rows": "scored",
                "languages": "nb",
                "columns": {"domain": "kind"},
                "dev_rows": 0,
            },
            "topics": {"files": "topics.jsonl", "rows": "labelled", "languages": "nb", "dev_rows": 0},
        },
        cleaning="off",
    )
    np.testing.assert_allclose(sts.values("score"), np.arange(9) / 2)
    assert sts.values("domain") == ["x"] * 9
    assert topics.values("label") == [str(n % 2) for n in range(9)]


def test_texts_of_one_language_are_cleaned_by_the_rules_for_one(tmp_path: Path) -> None:
    texts = [
        "Dette er en ganske vanlig norsk setning.",
        "Her står det noe helt annet om været.",
        "",
        "Это русское предложение.",
    ]
    write_json_lines(tmp_path / "topics.jsonl", [{"text": text, "label": "x"} for text in texts])
    section = {"files": "topics.jsonl", "rows": "labelled", "languages": "nb", "dev_rows": 0}
    (corpus,) = load_sections(tmp_path, {"topics": section})
    assert rows_of(corpus) == [(text,) for text in texts[:2]]
    assert dropped(corpus) == {"empty": 1, "script": 1}


KINDS = {
    "pairs": ("anchor", "positive"),
    "triplets": ("anchor", "positive", "negative"),
    "scored": ("sentence1", "sentence2"),
    "labelled": ("text",),
}


@pytest.mark.parametrize(("kind", "parts"), KINDS.items())
def test_dev_rows_of_any_kind_share_no_text_with_training(tmp_path: Path, kind: str, parts: tuple[str, ...]) -> None:
    """Each text stands in two rows, in different columns where there are several; negatives may be shared."""
    rows = [
        {part: f"Setning nummer {(n + place * 7) % 40}." for place, part in enumerate(parts)} for n in range(40)
    ] + [
        {part: f"Setning nummer {(n + place * 11) % 40}." for place, part in enumerate(parts)} for n in range(0, 40, 2)
    ]
    write_json_lines(tmp_path / "a.jsonl", [{**row, "score": n, "label": n % 3} for n, row in enumerate(rows)])
    section = {"files": "a.jsonl", "rows": kind, "languages": "nb", "dev_rows": 4, "max_rows": 50}
    corpora = load_sections(tmp_path, {"a": section, "b": {**section, "max_rows": 30}}, cleaning="off")

    def texts(split: str) -> set[str]:
        compared = [column for column in parts if column != "negative"]
        return {text for c in corpora for column in compared for text in c.texts(column, getattr(c, split))}

    assert not texts("dev") & texts("train")
    for corpus, most in zip(corpora, (50, 30), strict=True):
        assert len(corpus.dev) == 4
        assert corpus.counts["shared with dev"] + len(corpus.train) + len(corpus.dev) <= most
        assert sum(corpus.counts.values()) == 2 * corpus.counts["read"]


@pytest.mark.parametrize("kind", KINDS)
def test_max_rows_are_spread_over_rows_of_any_kind(tmp_path: Path, kind: str) -> None:
    rows = [{part: f"Setning {part} nummer {n}." for part in KINDS[kind]} for n in range(100)]
    write_json_lines(tmp_path / "a.jsonl", [{**row, "score": n, "label": "x"} for n, row in enumerate(rows)])
    section = {"files": "a.jsonl", "rows": kind, "languages": "nb", "dev_rows": 0, "max_rows": 4}
    (corpus,) = load_sections(tmp_path, {"a": section}, cleaning="off")
    assert corpus.train.tolist() == [0, 33, 66, 99]
    assert corpus.counts["over max_rows"] == 96
