"""The rules across rows, against loops over them."""

from __future__ import annotations

import numpy as np
import pytest
from across import drop_across
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cleaning.across import AcrossRules, first_rows, similar, too_many, unlike
from distill.store import Keys

BRIDGE = "The council of the city decided in 2014 to close the old bridge over the river."
MOST = "Рада міста вирішила закрити старий міст через річку у 2014 році."
OTHER = "Міськрада ухвалила, що стара переправа більше не працюватиме."

few_keys = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30).map(
    lambda keys: np.array(keys, np.uint64).reshape(-1, 2)
)


@settings(deadline=None)
@given(few_keys)
def test_the_first_row_of_a_key(keys: Keys) -> None:
    rows = keys.tolist()
    assert first_rows(keys).tolist() == [rows.index(key) for key in rows]


@settings(deadline=None)
@given(few_keys, st.integers(0, 3))
def test_rows_beyond_the_most_of_a_key(keys: Keys, most: int) -> None:
    rows = keys.tolist()
    assert too_many(keys, most).tolist() == [rows[:n].count(key) >= most for n, key in enumerate(rows)]


def across(pairs: list[tuple[str, str]], rules: AcrossRules) -> tuple[dict[str, list[int]], list[int]]:
    english, other = map(list, zip(*pairs, strict=True))
    dropped, like = drop_across(english, other, rules)
    return {rule: np.flatnonzero(flags).tolist() for rule, flags in dropped.items()}, like.tolist()


PAIRS = [
    ("Thank you.", "Дякую."),
    (BRIDGE, MOST),
    ("thank you!", "ДЯКУЮ"),
    (BRIDGE, OTHER),
    ("Thank you.", "Спасибі."),
    (BRIDGE.replace("2014", "2015"), MOST.replace("2014", "2015")),
    ("Thank you.", "Вельми вдячний."),
    (BRIDGE, MOST),
]


def test_each_rule_looks_at_what_the_others_left() -> None:
    dropped, like = across(PAIRS, AcrossRules(translations=2, near_duplicates=0.8))
    assert dropped == {"duplicates": [2, 7], "translations": [6], "near_duplicates": [5]}
    assert like == [0, 1, 0, 3, 4, 1, 6, 1]


def test_rules_can_be_off() -> None:
    assert across(PAIRS, AcrossRules(duplicates=False)) == ({}, list(range(8)))
    assert across(PAIRS, AcrossRules(duplicates=False, near_duplicates=0.8))[0] == {"near_duplicates": [2, 5, 7]}


def test_cosines() -> None:
    left = np.array([[1, 0], [2, 2], [0, 0]], np.float16)
    right = np.array([[0, 3], [1, 1], [1, 0]], np.float32)
    assert similar(left, right) == pytest.approx([0, 1, 0])
    assert unlike(left, right, 0.5).tolist() == [True, False, True]
