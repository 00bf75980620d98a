"""Similar names: across spellings, word orders and scripts; candidates without comparing all with all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from anyascii import anyascii
from hypothesis import given
from hypothesis import strategies as st
from jellyfish import metaphone
from rapidfuzz.distance import Indel
from sklearn.feature_extraction.text import TfidfVectorizer

from distill.duplicates import normal_form
from distill.mining.names import LEAST_COSINE, SimilarNames, name_columns, similar_names

BRANDS = [
    "Coca-Cola", "Кока-Кола", "Koka Kola", "Samsung", "Самсунг", "Nestlé", "NESTLE", "Нестле", "McDonald's",
    "Макдоналдс",
    "Procter & Gamble", "Procter and Gamble", "Gamble & Procter", "Ferrero Rocher", "Ферреро Роше", "Philips", "Филипс",
    "General Electric", "Nike", "Honda", "American Airlines", "Ørsted", "Orsted", "Київстар", "Kyivstar",
]  # fmt: skip
SAME = [
    ("Coca-Cola", "Кока-Кола"), ("Coca-Cola", "Koka Kola"), ("Кока-Кола", "Koka Kola"), ("Samsung", "Самсунг"),
    ("Nestlé", "NESTLE"), ("Nestlé", "Нестле"), ("NESTLE", "Нестле"), ("McDonald's", "Макдоналдс"),
    ("Procter & Gamble", "Procter and Gamble"), ("Procter & Gamble", "Gamble & Procter"),
    ("Procter and Gamble", "Gamble & Procter"), ("Ferrero Rocher", "Ферреро Роше"), ("Philips", "Филипс"),
    ("Ørsted", "Orsted"), ("Київстар", "Kyivstar"),
]  # fmt: skip


def pairs(names: Sequence[str], found: SimilarNames) -> list[tuple[str, str]]:
    return [(names[i], names[j]) for i, j in zip(found.first, found.second, strict=True)]


def test_the_same_brands_come_first() -> None:
    found = similar_names(BRANDS)
    assert set(pairs(BRANDS, found)[: len(SAME)]) == set(SAME)
    assert (np.diff(found.score) <= 0).all()


def test_scores_are_those_of_the_libraries() -> None:
    found = similar_names(BRANDS, least=0)
    at = pairs(BRANDS, found).index(("Procter & Gamble", "Gamble & Procter"))
    one, two = "procter gamble", "gamble procter"
    forms = [normal_form(anyascii(name)) for name in BRANDS]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)).fit_transform(forms).toarray()
    ngrams = float(vectors[BRANDS.index("Procter & Gamble")] @ vectors[BRANDS.index("Gamble & Procter")])
    sound = Indel.normalized_similarity(metaphone(one), metaphone(two))
    assert found.scores["ngrams"][at] == pytest.approx(ngrams, abs=1e-6)
    assert found.scores["edit"][at] == pytest.approx(Indel.normalized_similarity(one, two))
    assert found.scores["tokens"][at] == 1
    assert found.scores["sound"][at] == pytest.approx(sound)
    assert found.score[at] == pytest.approx((ngrams + 1 + sound) / 3)


def test_columns_hold_pairs_scores_and_ranks() -> None:
    found = similar_names(["Philips", "Nike", "Филипс"], least=0.3)
    columns = name_columns(["Philips", "Nike", "Филипс"], found)
    assert (columns["name_1"], columns["name_2"], columns["rank"]) == (["Philips"], ["Филипс"], [1])
    assert list(columns) == ["name_1", "name_2", "score", "rank", "ngrams", "edit", "tokens", "sound"]


def test_names_without_a_sound_are_compared_by_spelling() -> None:
    found = similar_names(["1234", "1235", "!!!", "9"], least=0)
    assert pairs(["1234", "1235"], found) == [("1234", "1235")]
    assert found.scores["sound"][0] == found.scores["edit"][0] == 0.75


def test_a_bi_encoder_finds_what_is_spelled_otherwise() -> None:
    names = ["Moscow Times", "Coca-Cola", "Газета Столиця"]
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)

    def encode(texts: Sequence[str]) -> np.ndarray:
        return vectors[[names.index(text) for text in texts]]

    assert not len(similar_names(names, least=0.3).score)
    found = similar_names(names, least=0.3, encode_texts=encode)
    assert pairs(names, found)[0] == ("Moscow Times", "Газета Столиця")
    assert found.scores["dense"][0] == pytest.approx(0.8)


@given(st.lists(st.text("абвkoe3 -'", min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_with_enough_candidates_all_alike_pairs_are_found(names: list[str]) -> None:
    found = similar_names(names, top=len(names), least=0)
    forms = [normal_form(anyascii(name)) for name in names]
    expected = set()
    for views in (forms, [metaphone(form).strip() for form in forms]):
        try:
            vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)).fit_transform(views).toarray()
        except ValueError:  # no n-gram at all
            continue
        near = vectors @ vectors.T > LEAST_COSINE + 1e-6
        expected |= {(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True) if i < j}
    got = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert expected <= got
    assert all(values.min(initial=0) >= 0 and values.max(initial=0) <= 1 + 1e-6 for values in found.scores.values())


def test_planted_variants_are_found_among_many() -> None:
    random = np.random.default_rng(0)
    parts = ["ka", "lo", "mi", "ter", "san", "ver", "dix", "on", "gra", "pho", "tel", "com", "bar", "sto", "ric", "ova"]
    names = list(dict.fromkeys("".join(random.choice(parts, 4)).title() for _ in range(3_000)))
    variants = [name[:2] + name[3:] for name in names[:50]]  # a letter is missing
    everything = list(dict.fromkeys([*names, *variants]))
    found = set(pairs(everything, similar_names(everything, least=0.6)))
    there = [(a, b) in found or (b, a) in found for a, b in zip(names, variants, strict=False)]
    assert np.mean(there) >= 0.9
