"""Near-duplicates by MinHash: against brute force and the exact search."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cleaning import minhash
from distill.cleaning.across import row_forms
from distill.cleaning.minhash import Sketches, join_sketches, near_duplicates, sketch
from distill.duplicates import SHORTEST, index_duplicates
from distill.duplicates import near_duplicates as exact_pairs

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "parallel"


def trigrams(form: str) -> set[str]:
    padded = f" {form} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)} if form else set()


def brute_force(forms: list[str], threshold: float) -> list[int]:
    """Return for each text the first kept one it is near, else its own number."""
    sets = [trigrams(form) for form in forms]
    near = list(range(len(forms)))
    for row, own in enumerate(sets):
        for other in range(row):
            both = min(len(own), len(sets[other])) >= SHORTEST and near[other] == other
            if both and len(own & sets[other]) / len(own | sets[other]) >= threshold:
                near[row] = other
                break
    return near


def fast(forms: list[str], threshold: float = 0.8) -> list[int]:
    return near_duplicates(sketch(forms), lambda rows: [forms[row] for row in rows.tolist()], threshold).tolist()


def edited(rng: random.Random, text: str, most: int) -> str:
    for _ in range(rng.randrange(most)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(["", *"абвгdefgh "]) + text[at + rng.randrange(2) :]
    return text


def planted(seed: int, *, sources: int, rows: int, most: int = 6) -> list[str]:
    rng = random.Random(seed)
    base = [
        "".join(rng.choices("абвгґдеєжзиіabcdefghijklmno ", k=rng.choice([10, 20, 40, 80, 300])))
        for _ in range(sources)
    ]
    return [edited(rng, rng.choice(base), most) for _ in range(rows)]


@pytest.mark.parametrize("seed", range(3))
def test_planted_near_duplicates_are_those_of_brute_force(seed: int) -> None:
    forms = planted(seed, sources=60, rows=400)
    expected = brute_force(forms, 0.9)  # no pair of 0.9 is missed: 1 - (1 - 0.9^6)^20 = 0.9999997
    assert fast(forms, 0.9) == expected
    assert 50 < sum(near != row for row, near in enumerate(expected)) < 350


def test_at_the_usual_threshold_hardly_a_row_differs_from_brute_force() -> None:
    forms = planted(7, sources=150, rows=800)
    expected, found = brute_force(forms, 0.8), fast(forms)
    assert sum(a != b for a, b in zip(expected, found, strict=True)) <= 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abc \U0010ffff", max_size=60), max_size=12))
def test_a_row_is_dropped_for_a_kept_earlier_row_that_is_near(forms: list[str]) -> None:
    for row, other in enumerate(fast(forms, 0.6)):
        if row != other:
            own, kept = trigrams(forms[row]), trigrams(forms[other])
            assert other < row
            assert fast(forms, 0.6)[other] == other
            assert len(own & kept) / len(own | kept) >= 0.6


def test_a_chain_of_small_changes_is_not_one_group() -> None:
    rng = random.Random(0)
    chain = ["".join(rng.choices("abcdefghij ", k=200))]
    for _ in range(30):
        chain.append(chain[-1][8:] + "".join(rng.choices("abcdefghij ", k=8)))
    assert fast(chain, 0.9) == brute_force(chain, 0.9)
    assert len(set(fast(chain, 0.9))) > 10


@pytest.mark.parametrize(("name", "value"), [("BLOCK", 3), ("MOST_PAIRS", 10), ("PAIRS_PER_BATCH", 2)])
def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    forms = planted(1, sources=40, rows=300)
    expected = fast(forms)
    monkeypatch.setattr(minhash, name, value)
    assert fast(forms) == expected


def test_blocks_do_not_matter_where_buckets_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    base = "".join(rng.choices("абвгґдеєжзиіabcdefghijklmno ", k=300))
    forms = [edited(rng, base, 60) for _ in range(300)]
    complete = fast(forms, 0.5)
    monkeypatch.setattr(minhash, "MOST_LEADERS", 1)
    expected = fast(forms, 0.5)
    assert expected != complete
    monkeypatch.setattr(minhash, "BLOCK", 7)
    assert fast(forms, 0.5) == expected


def test_sketches_of_parts_are_those_of_the_whole() -> None:
    forms = [*planted(3, sources=20, rows=50), "", "?"]
    parts = join_sketches([sketch(forms[:7]), sketch([]), sketch(forms[7:])])
    for name in Sketches.__dataclass_fields__:
        assert (getattr(parts, name) == getattr(sketch(forms), name)).all()


def test_equal_texts_and_one_template_take_no_time() -> None:
    sentence = "the council of the city decided to close the old bridge over the river"
    forms = [sentence] * 20_000 + [f"{sentence} in {year}" for year in range(20_000)]
    found = fast(forms)
    assert set(found) == {0}


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_recall_on_real_rows() -> None:
    table = pq.read_table(DATA / "software" / "en-uk" / "train.parquet").slice(0, 10_000)
    forms = list(dict.fromkeys(row_forms([table["english"].to_pylist(), table["non_english"].to_pylist()])))
    pairs = exact_pairs(index_duplicates(forms), forms)
    wanted = pairs.texts > pairs.sentences
    bands = sketch(forms).bands
    shared = (bands[pairs.texts[wanted]] == bands[pairs.sentences[wanted]]).any(axis=1)
    assert wanted.sum() > 100
    assert shared.mean() > 0.99


def test_the_share_of_pairs_found_is_that_of_theory() -> None:
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    found, expected = [], []
    for _ in range(300):
        text = "".join(rng.choice(letters, 120))
        other = "".join(rng.choice(letters, 22)) + text[22:]
        own, changed = trigrams(text), trigrams(other)
        expected.append(1 - (1 - (len(own & changed) / len(own | changed)) ** minhash.ROWS) ** minhash.BANDS)
        bands = sketch([text, other]).bands
        found.append((bands[0] == bands[1]).any())
    assert 0.8 < np.mean(expected) < 0.99
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.05)
