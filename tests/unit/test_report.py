"""Tables people read: they fit a terminal, and no value is lost."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from distill.evaluate import Score
from distill.report import mean_retrieval, score_markdown, score_table

MODELS = ("teacher", "untrained", "student")
SCORES = [
    *(
        Score("everyday", "en-uk", "accuracy_forward", m, v, 240)
        for m, v in zip(MODELS, (0.017, 0.779, 0.967), strict=True)
    ),
    *(
        Score("everyday", "en-uk", "accuracy_backward", m, v, 240)
        for m, v in zip(MODELS, (0.004, 0.85, 0.975), strict=True)
    ),
    *(Score("everyday", "uk-uk", "spearman", m, v, 200) for m, v in zip(MODELS, (-0.11, 0.51, 0.652), strict=True)),
    Score("everyday", "en-uk", "mse", "student", 0.484, 240),
]


@pytest.mark.parametrize("width", [80, 120])
def test_the_score_table_fits_and_shows_every_value(width: int) -> None:
    console = Console(file=StringIO(), width=width)
    console.print(score_table(SCORES, MODELS))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    for value in ("1.7 / 0.4", "77.9 / 85.0", "96.7 / 97.5", "-11.0", "65.2", "0.484", "en-uk", "everyday"):
        assert value in text


def test_the_mean_of_retrieval_is_over_both_directions() -> None:
    assert mean_retrieval(SCORES, "student", "everyday") == pytest.approx((0.967 + 0.975) / 2)
    assert mean_retrieval(SCORES, "student", "other") is None


def test_the_markdown_table_has_a_column_for_each_model_and_a_dash_for_what_is_missing() -> None:
    lines = score_markdown(SCORES, MODELS).splitlines()
    assert all(line.count("|") == 7 for line in lines)
    assert "| squared distance to the teacher's English vector | everyday | en-uk | – | – | 0.484 |" in lines
