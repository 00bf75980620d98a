"""Leakage: planted test sentences are found on both sides, told, and removed from what is trained on."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from distill.cli import main
from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.corpora_report import overlap_markdown
from distill.errors import DataError
from distill.leakage import LeakageReport, leakage, recipe_leakage
from distill.recipe import Recipe, load_recipe
from distill.testsets import BitextSet, StsSet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

ENGLISH = 'In 2014 the council of the city said it would "never" close the old bridge.'
UKRAINIAN = "У 2014 році міська рада сказала, що «ніколи» не закриє старий міст."

EXACT = {
    "case": ('IN 2014 THE COUNCIL of the city said it would "never" close the old bridge.', UKRAINIAN.upper()),
    "punctuation": ('In 2014, the council of the city said: it would "never" close the old bridge!', UKRAINIAN + ".."),
    "blanks": ("  " + ENGLISH.replace(" ", "  "), UKRAINIAN.replace(" ", "\u00a0")),
    "quotes": (ENGLISH.replace('"', "”"), UKRAINIAN.replace("«", "„").replace("»", "“")),
}
NEAR = {
    "one word": (ENGLISH.replace("old", "new"), UKRAINIAN.replace("старий", "новий")),
    "truncated": (ENGLISH[:-8], UKRAINIAN[:-6]),
    "digits": (ENGLISH.replace("2014", "2015"), UKRAINIAN.replace("2014", "2019")),
}
NOISE = [
    (f"Row {w} about {w * 7} other {chr(97 + w % 26) * 4} things", f"Рядок {w * 3} про щось {w}") for w in range(40)
]
SETS = [
    BitextSet("news", "en-uk", (ENGLISH, "How are you?"), (UKRAINIAN, "Як справи?")),
    StsSet("sts", "en-en", (ENGLISH, "A dog."), ("It is a bridge.", "A cat sleeps on the warm roof."), (1.0, 2.0)),
]


def make_recipe(folder: Path, pairs: list[tuple[str, str]], **evaluation: Any) -> Recipe:
    (folder / "a.tsv").write_text("english\tnon_english\n" + "".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    document = {
        "name": "x",
        "teacher": {"model": "a/b"},
        "student": {"kind": "transplant"},
        "cleaning": "off",
        "corpora": {"mine": {"files": "a.tsv", "languages": ["uk"], "dev_rows": 0}},
        "evaluation": evaluation,
    }
    (folder / "recipe.yaml").write_text(json.dumps(document))
    return load_recipe(folder / "recipe.yaml")


def load(folder: Path, pairs: list[tuple[str, str]], **evaluation: Any) -> Corpus:
    held_out = SentenceFilter({found.suite: found.texts() for found in SETS})
    (corpus,) = load_corpora(make_recipe(folder, pairs, **evaluation), held_out)
    assert sum(corpus.counts.values()) == 2 * corpus.counts["read"]
    return corpus


def report_on(folder: Path, pairs: list[tuple[str, str]]) -> LeakageReport:
    recipe = make_recipe(folder, pairs)
    return leakage(recipe, load_corpora(recipe, SentenceFilter()), SETS)


PLANTED = [
    (name, side, kind) for kind, edits in (("exact", EXACT), ("near", NEAR)) for name in edits for side in (0, 1)
]


@pytest.mark.parametrize(("name", "side", "kind"), PLANTED, ids=[f"{n}-{'uk' if s else 'en'}" for n, s, _ in PLANTED])
def test_a_planted_sentence_is_removed_and_counted(tmp_path: Path, name: str, side: int, kind: str) -> None:
    row = ["Something else that nobody has ever tested", "Щось зовсім інше і нове"]
    row[side] = {**EXACT, **NEAR}[name][side]
    corpus = load(tmp_path, [*NOISE, (row[0], row[1])])
    assert corpus.train.tolist() == list(range(len(NOISE)))
    assert (corpus.counts["in a test set"], corpus.counts["near a test set"]) == ((1, 0) if kind == "exact" else (0, 1))
    suites = ("news",) if side else ("news", "sts")
    assert corpus.overlap == dict.fromkeys(suites, (1, 0) if kind == "exact" else (0, 1))


def test_rows_that_are_both_count_once_and_as_exact(tmp_path: Path) -> None:
    corpus = load(tmp_path, [*NOISE, (ENGLISH, NEAR["digits"][1]), (NEAR["digits"][0], UKRAINIAN)])
    assert (corpus.counts["in a test set"], corpus.counts["near a test set"]) == (2, 0)
    assert corpus.overlap == {"news": (2, 0), "sts": (1, 1)}


def test_near_duplicates_can_be_kept_and_are_still_told(tmp_path: Path) -> None:
    planted = [(ENGLISH, "Інше"), (NEAR["digits"][0], "Ще інше")]
    corpus = load(tmp_path, [*NOISE, *planted], near_duplicates="keep")
    assert len(NOISE) + 1 in corpus.train
    assert (corpus.counts["in a test set"], corpus.counts["near a test set"]) == (1, 0)
    assert corpus.overlap["news"] == (1, 1)
    assert "| mine | en-uk | news | 1 | 1 |" in overlap_markdown([corpus]).splitlines()


def test_short_common_sentences_go_only_if_they_are_the_same(tmp_path: Path) -> None:
    kept = [("Who are you?", "Як справа?"), ("How are they?", "Як ваші справи?"), ("A dogs.", "Пес."), ("How", "Як")]
    corpus = load(tmp_path, [*kept, ("how are you", "Як ся маєш?")])
    assert corpus.train.tolist() == [0, 1, 2, 3]
    assert (corpus.counts["in a test set"], corpus.counts["near a test set"]) == (1, 0)


def test_without_overlap_the_report_says_so(tmp_path: Path) -> None:
    corpus = load(tmp_path, NOISE)
    assert corpus.overlap == {}
    assert overlap_markdown([corpus]) == "No row has a sentence of a test set, or nearly one."


def test_a_corpus_that_is_the_test_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no rows left to train on from .*: 3 read, 2 in a test set, 1 near a test set"
    ):
        load(tmp_path, [(ENGLISH, UKRAINIAN), ("How are you?", "Як справи?"), NEAR["digits"]])


def test_the_report_names_side_suite_pair_and_the_worst_rows(tmp_path: Path) -> None:
    near = [(text, f"Переклад {n}") for n, (text, _) in enumerate(NEAR.values())]
    report = report_on(tmp_path, [*NOISE, *near, (EXACT["case"][0], "Інше"), ("Else", EXACT["quotes"][1])])
    assert report.rows == {"mine en-uk": len(NOISE) + 5}
    assert report.suites == ("news", "sts")
    found = {(o.side, o.suite): (o.exact, o.near, dict(o.pairs)) for o in report.overlaps}
    assert found == {
        ("english", "news"): (1, 3, {"en-uk": 4}),
        ("english", "sts"): (1, 3, {"en-en": 4}),
        ("non_english", "news"): (1, 0, {"en-uk": 1}),
    }
    worst, *others = report.overlaps[0].examples
    assert (worst.row, worst.text, worst.sentence) == (len(NOISE) + 3, EXACT["case"][0], ENGLISH)
    assert (worst.exact, worst.pairs) == (True, ("en-uk",))
    similarity = [example.similarity for example in others]
    assert similarity == sorted(similarity, reverse=True)
    assert 0.8 <= similarity[-1] <= similarity[0] < 1.0


def test_the_counts_of_report_and_run_agree(tmp_path: Path) -> None:
    rng = random.Random(0)
    sentences = [*EXACT.values(), *NEAR.values(), *NOISE]
    pairs = [(rng.choice(sentences)[0], rng.choice(sentences)[1]) for _ in range(100)]
    corpus, report = load(tmp_path, pairs), report_on(tmp_path, pairs)
    for suite in ("news", "sts"):
        per_side = [(o.exact, o.near) for o in report.overlaps if o.suite == suite]
        exact, near = corpus.overlap[suite]
        assert max(e for e, _ in per_side) <= exact <= sum(e for e, _ in per_side)
        assert exact + near <= sum(e + n for e, n in per_side)


def test_the_command_reports_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "en-uk.tsv").write_text(f"english\tnon_english\n{ENGLISH}\t{UKRAINIAN}\n", encoding="utf-8")
    make_recipe(tmp_path, [*NOISE, NEAR["digits"], (EXACT["case"][0], "а | б")], suites=["./suite"])
    arguments = ["eval", "--leakage", "recipe.yaml", "--json", "o.json", "--markdown", "o.md"]
    result = CliRunner().invoke(main, [str(tmp_path / a) if "." in a else a for a in arguments])
    assert result.exit_code == 0, result.output
    assert NEAR["digits"][0] in result.output
    assert "Compared were 42 rows of mine en-uk, both sides, with the sentences of suite." in result.output
    stored = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert [(o["side"], o["exact"], o["near"]) for o in stored["overlaps"]] == [
        ("english", 1, 1),
        ("non_english", 0, 1),
    ]
    assert "| mine en-uk | english | suite | en-uk 2 | 1 | 1 | 42 |" in (tmp_path / "o.md").read_text(encoding="utf-8")


def test_the_command_takes_other_suites(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "en-uk.tsv").write_text("english\tnon_english\n{}\t{}\n".format(*NOISE[0]), encoding="utf-8")
    make_recipe(tmp_path, NOISE, suites=["./suite"])
    wanted = ["eval", "--leakage", str(tmp_path / "recipe.yaml"), "--suite", "everyday"]
    result = CliRunner().invoke(main, wanted)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("No overlap: compared were 40 rows of mine en-uk")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data in ../shared/data")
def test_real_corpora_without_shared_sentences_have_few_near_duplicates(tmp_path: Path) -> None:
    document = {
        "name": "x",
        "teacher": {"model": "a/b"},
        "student": {"kind": "transplant"},
        "cleaning": "off",
        "corpora": {"tatoeba": {"folder": str(DATA / "parallel" / "tatoeba"), "languages": ["uk"]}},
        "evaluation": {"suites": [str(DATA / "bitext" / "tatoeba")]},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(document))
    report = recipe_leakage(load_recipe(tmp_path / "recipe.yaml"))
    assert {(o.side, o.exact, o.near) for o in report.overlaps} == {("english", 0, 4), ("non_english", 0, 3)}
