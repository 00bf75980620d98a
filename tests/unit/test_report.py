"""Tables people read: they fit a terminal, and say what is certain."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from distill.evaluate import Score
from distill.report import dev_markdown, dev_table, score_markdown, score_table, size_facts
from distill.uncertainty import interval

MODELS = ("teacher", "untrained", "student")


def score(suite: str, pair: str, metric: str, model: str, value: float, spread: float, shift: float = 0.0) -> Score:
    """Return a score whose replicates are spread evenly, a little off those of others if shifted."""
    steps = np.linspace(-1, 1, 1_000)
    replicates = value + spread * steps + shift * steps[::-1]
    low, high = interval(replicates)
    return Score(suite, pair, metric, model, value, 240, low, high, "", replicates.astype(np.float32))


SCORES = [
    score("everyday", pair, metric, model, value, 0.02)
    for pair in ("en-uk", "en-da")
    for metric, values in (("accuracy_forward", (0.017, 0.779, 0.967)), ("accuracy_backward", (0.004, 0.85, 0.975)))
    for model, value in zip(MODELS, values, strict=True)
]
SCORES += [
    score("everyday", "uk-uk", "spearman", "teacher", -0.11, 0.05),
    score("everyday", "uk-uk", "spearman", "untrained", 0.645, 0.05, shift=0.02),
    score("everyday", "uk-uk", "spearman", "student", 0.652, 0.05),
    score("everyday", "en-uk", "mse", "untrained", 0.684, 0.02),
    score("everyday", "en-uk", "mse", "student", 0.484, 0.02),
    score("everyday", "en-uk", "f1_forward", "student", 0.961, 0.01),
]


def shown(scores: list[Score], models: tuple[str, ...] = MODELS, width: int = 80, all_metrics: bool = False) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(score_table(scores, models, all_metrics=all_metrics))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 120])
def test_the_score_table_fits_and_shows_every_value(width: int) -> None:
    text = shown(SCORES, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for value in ("1.7/0.4 ±1.9 ", "77.9/85.0 ±1.9 ", "96.7/97.5 ±1.9*", "-11.0 ±4.8 ", "0.484 ±0.019*", "en-uk"):
        assert value in text


def test_the_best_model_and_those_not_distinguishable_from_it_are_marked() -> None:
    lines = shown(SCORES).splitlines()
    spearman = next(line for line in lines if "uk-uk" in line)
    assert spearman.split() == ["Spearman", "everyday", "uk-uk", "-11.0", "±4.8", "64.5", "±2.8=", "65.2", "±4.8*"]
    assert any("= not distinguishable" in line for line in lines)
    markdown = score_markdown(SCORES, MODELS)
    assert "| Spearman | everyday | uk-uk | -11.0 ±4.8 | 64.5 ±2.8 = | **65.2** ±4.8 |" in markdown
    assert "=: not distinguishable" in markdown


def test_a_suite_with_several_pairs_has_a_mean() -> None:
    lines = [line.split() for line in shown(SCORES).splitlines() if " mean  " in line]
    assert lines == [["everyday", "mean", "1.1", "±1.9", "81.5", "±1.9", "97.1", "±1.9*"]]


def test_one_model_has_no_marks_and_scores_without_replicates_have_no_interval() -> None:
    text = shown(SCORES, ("student",))
    assert "96.7/97.5 ±1.9\n" in text.replace(" \n", "\n")
    assert "best model" not in text
    bare = [replace(found, low=None, high=None, replicates=None) for found in SCORES]
    text = shown(bare)
    assert "96.7/97.5" in text
    assert "±" not in text
    assert "best model" not in text


def test_further_metrics_are_shown_on_request() -> None:
    assert "F1 %" not in shown(SCORES)
    assert "96.1 ±1.0" not in shown(SCORES)
    text = shown(SCORES, all_metrics=True)
    assert "F1 %" in text
    assert "96.1/–" in text


def test_notes_on_sets_stand_below_the_table_once() -> None:
    note = "translated by a machine; BLEU of the back-translation 61.2"
    scores = [replace(found, note=note) if found.pair == "en-uk" else found for found in SCORES]
    for text in (shown(scores, width=120), score_markdown(scores, MODELS)):
        assert text.count(f"everyday en-uk: {note}") == 1


def test_long_names_of_models_are_broken() -> None:
    name = "paraphrase-multilingual-MiniLM-L12-v2"
    scores = [replace(found, model=name) if found.model == "teacher" else found for found in SCORES]
    text = shown(scores, (name, "untrained", "student"))
    assert "paraphrase-" in text
    assert "96.7/97.5 ±1.9*" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_markdown_table_has_a_column_for_each_model_and_a_dash_for_what_is_missing() -> None:
    lines = [line for line in score_markdown(SCORES, MODELS).splitlines() if line.startswith("|")]
    assert all(line.count("|") == 7 for line in lines)
    assert "| distance² | everyday | en-uk | – | 0.684 ±0.019 | **0.484** ±0.019 |" in lines


def test_dev_losses_of_each_set_at_some_steps() -> None:
    dev = {str(step): {"a: x": step / 10, "mean": step / 20} for step in range(1, 11)}
    lines = dev_markdown(dev, 7).splitlines()
    assert lines[0] == "| set | step 1 | step 3 | step 5 | step 7* | step 8 | step 10 |"
    assert lines[2] == "| a: x | 0.1000 | 0.3000 | 0.5000 | 0.7000 | 0.8000 | 1.0000 |"
    assert lines[3].startswith("| mean | 0.0500 |")
    assert dev_markdown({}, 0) == "There are no dev rows."
    assert dev_table(dev, 7).row_count == 2
    assert dev_markdown({"4": {"a: x": 1.0}}, 4).splitlines()[0] == "| set | step 4* |"


def test_sizes_stand_after_those_before_where_they_differ() -> None:
    sizes = {"vocabulary": 61_000, "layers": 12, "parameters": 132_500_000, "embedding_parameters": 46_848_000}
    before = {"vocabulary": 250_002, "layers": 12, "parameters": 278_043_648}
    assert size_facts({**sizes, "before": before}) == {
        "vocabulary": "250,002 → 61,000 pieces",
        "layers": "12",
        "parameters": "278,043,648 → 132,500,000 (46,848,000 of them token embeddings)",
        "size": "1,112 → 530 MB",
    }
    static = size_facts({**sizes, "layers": None, "before": None})
    assert static["vocabulary"] == "61,000 pieces"
    assert "layers" not in static
