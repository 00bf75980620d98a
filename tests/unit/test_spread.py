"""Rows are chosen evenly, and as many as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from distill.spread import spread, spread_over


@pytest.mark.parametrize(("rows", "most"), [(0, 5), (1, 5), (5, 5), (100, 7), (8, 7), (200_001, 200_000)])
def test_rows_are_spread_over_all(rows: int, most: int) -> None:
    found = spread(np.arange(rows), most)
    assert len(found) == min(rows, most)
    assert sorted(set(found.tolist())) == found.tolist()
    if rows:
        assert (found[0], found[-1]) == (0, rows - 1)


@pytest.mark.parametrize(("parts", "most"), [((3, 5), 8), ((3, 5), 9), ((150_000, 50_001), 200_000), ((7, 1, 1), 3)])
def test_parts_give_rows_in_proportion(parts: tuple[int, ...], most: int) -> None:
    taken = [len(rows) for rows in spread_over([np.arange(part) for part in parts], most)]
    if sum(parts) <= most:
        assert taken == list(parts)
    else:
        assert most <= sum(taken) < most + len(parts)
        assert all(abs(n - part * most / sum(parts)) < 1 for n, part in zip(taken, parts, strict=True))
