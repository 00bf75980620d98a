"""What was forgotten: the arithmetic and the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distill.degrade import Degradation, degradation_markdown, loss_courses, remarks, score_courses
from distill.evaluate import Score


def score(step: int, value: float, pair: str = "en-uk", suite: str = "a", noise: float = 0.0) -> Score:
    """A score whose replicates differ from step to step by `noise` at most; without noise they move together."""
    random = np.random.default_rng(step)
    shared = np.random.default_rng(99).normal(0, 0.05, 1000)
    replicates = (value + shared + random.uniform(-noise, noise, 1000)).astype(np.float32)
    return Score(suite, pair, "Spearman", str(step), value, 50, replicates=replicates)


def test_the_drop_is_from_the_best_step_to_the_last() -> None:
    (course,) = score_courses([score(0, 0.5), score(10, 0.8), score(20, 0.7)])
    assert (course.values, course.best_step, course.end_step) == ({0: 0.5, 10: 0.8, 20: 0.7}, 10, 20)
    assert course.drop.value == pytest.approx(0.1)
    assert course.forgotten  # the intervals of both overlap, but those of their difference is narrow


def test_a_drop_smaller_than_its_noise_may_be_chance() -> None:
    (course,) = score_courses([score(10, 0.71, noise=0.3), score(20, 0.7, noise=0.3)])
    assert course.best_step == 10
    assert not course.forgotten


def test_what_ends_best_has_no_drop_and_of_equal_steps_the_first_is_best() -> None:
    rising, level = score_courses([score(0, 0.1), score(9, 0.3), score(0, 0.2, "en-da"), score(9, 0.2, "en-da")])[:2]
    assert (rising.best_step, rising.drop.value, rising.forgotten) == (9, 0, False)
    assert (level.best_step, level.drop.value, level.forgotten) == (0, 0, False)


def test_means_are_of_each_pair_in_several_suites_and_of_all() -> None:
    sets = [("en-uk", "a"), ("en-uk", "b"), ("en-da", "a")]
    scores = [score(step, 0.1 * n + step / 100, *of) for step in (0, 5) for n, of in enumerate(sets)]
    courses = {course.name: course.values for course in score_courses(scores)}
    assert courses["mean", "", "en-uk"] == pytest.approx({0: 0.05, 5: 0.1})
    assert courses["mean", "", ""] == pytest.approx({0: 0.1, 5: 0.15})
    assert len(courses) == 5


def test_dev_losses_are_best_where_they_are_lowest() -> None:
    events = [
        {"step": 5, "loss": 2.0, "sets": {"mse: x": 1.0, "mse: y": 3.0}},
        {"step": 10, "loss": 1.5, "sets": {"mse: x": 2.0, "mse: y": 1.0}},
    ]
    x, y, mean = loss_courses(events)
    assert [(c.name[0], c.best_step, c.drop.value) for c in (x, y, mean)] == [
        ("mse: x", 5, 1.0),
        ("mse: y", 10, 0.0),
        ("mean", 10, 0.0),
    ]
    assert not x.forgotten  # there is no interval


def test_the_report_says_what_was_forgotten_and_which_checkpoints_are_gone() -> None:
    scores = score_courses([score(0, 0.5), score(20, 0.7), score(30, 0.6)])
    found = Degradation([], scores, (0, 20, 30), (5, 10, 20, 30), weights_from=20)
    text = "\n".join(remarks(found))
    assert "forgotten: a en-uk Spearman, 10.0 since step 20" in text
    assert "the weights of step 20" in text
    assert "not scored: steps 5, 10, whose checkpoints are gone" in text
    assert "training.keep_checkpoints=4" in text
    assert "| Spearman | a | en-uk | 50.0 | 70.0 | 60.0 | 70.0 at 20 | 10.0" in degradation_markdown(found)
    kept = Degradation([], score_courses([score(0, 0.5), score(30, 0.6)]), (0, 30), (30,), None)
    assert "nothing that can be told from chance" in remarks(kept)[0]
    assert not any("gone" in line or "skip" in line for line in remarks(kept))
    assert "without the skip connection" in "\n".join(remarks(replace(kept, skip=True)))
