"""Near-duplicates: the fast search against brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import duplicates
from distill.duplicates import SHORTEST, index_duplicates, near_duplicates, normal_form

THRESHOLDS = (0.5, 0.6, 0.75, 0.8, 0.9, 1.0)


def trigrams(form: str) -> set[str]:
    padded = f" {form} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)} if form else set()


def brute_force(sentences: list[str], texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    found = {}
    sets = [trigrams(sentence) for sentence in sentences]
    for t, text in enumerate(texts):
        own = trigrams(text)
        for s, other in enumerate(sets):
            if len(other) >= SHORTEST and own and len(own & other) / len(own | other) >= threshold:
                found[t, s] = len(own & other) / len(own | other)
    return found


def fast(sentences: list[str], texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    found = near_duplicates(index_duplicates(sentences, threshold), texts)
    pairs = list(zip(found.texts.tolist(), found.sentences.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, found.similarity.tolist(), strict=True))


def edited(rng: random.Random, text: str, alphabet: str) -> str:
    """Return a text with some characters replaced, removed or added."""
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(["", rng.choice(alphabet)]) + text[at + rng.randrange(2) :]
    return text


@pytest.mark.parametrize(
    "alphabet", ["ab ", "abcdefgh ", "абвгґдеєжзиі ", "你好世界我们今天去学校吃饭", "กขคงจฉชซ", "😀😁a \U0010ffff"]
)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_search_finds_what_brute_force_finds(alphabet: str, threshold: float) -> None:
    rng = random.Random(alphabet)
    base = ["".join(rng.choices(alphabet, k=rng.choice([0, 3, 15, 20, 40, 80, 400]))) for _ in range(60)]
    texts = [edited(rng, rng.choice(base), alphabet) for _ in range(200)]
    expected = brute_force(base, texts, threshold)
    assert fast(base, texts, threshold) == pytest.approx(expected)
    assert expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("abc \U0010ffff", max_size=40), max_size=12),
    st.lists(st.text("abc \U0010ffff", max_size=40), max_size=12),
    st.sampled_from(THRESHOLDS),
)
def test_any_texts(sentences: list[str], texts: list[str], threshold: float) -> None:
    assert fast(sentences, texts, threshold) == pytest.approx(brute_force(sentences, texts, threshold))


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    base = ["".join(rng.choices("abc ", k=30)) for _ in range(50)]
    texts = [edited(rng, rng.choice(base), "abc ") for _ in range(300)]
    expected = fast(base, texts, 0.7)
    monkeypatch.setattr(duplicates, "CHARACTERS_PER_BATCH", 100)
    monkeypatch.setattr(duplicates, "MOST_LOOKUPS", 50)
    assert fast(base, texts, 0.7) == expected


def test_within_a_corpus_every_text_finds_itself() -> None:
    texts = [f"sentence number {n} of a corpus of {n * n} sentences" for n in range(100)]
    found = fast(texts, texts, 0.9)
    assert all(found[n, n] == 1.0 for n in range(100))
    assert all((s, t) in found for t, s in found)


def test_a_lone_surrogate_is_a_character_like_others() -> None:
    text = "a broken \ud83d character in a sentence"
    assert fast([text], [text], 0.8) == {(0, 0): 1.0}


def test_a_sentence_of_more_trigrams_than_an_entry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_SIZE_BITS", 5)
    rng = random.Random(0)
    base = ["".join(rng.choices("abcdefgh ", k=k)) for k in (10, 30, 60, 200)]
    texts = [edited(rng, text, "abcdefgh ") for text in base * 10]
    assert fast(base, texts, 0.6) == pytest.approx(brute_force(base, texts, 0.6))


SENTENCE = "In 2014 the council of the city decided to close the old bridge over the river."


@pytest.mark.parametrize(
    "text",
    [
        "In 2015 the council of the city decided to close the old bridge over the river.",
        "In 2014 the council of the town decided to close the old bridge over the river.",
        "In 2014 the council of the city decided to close the old bridge over the riv",
        "In 2014, the council of the city has decided to close the old bridge over the river!",
    ],
    ids=["digits", "one word", "truncated", "one word more"],
)
def test_edits_that_keep_a_sentence_are_found(text: str) -> None:
    assert fast([normal_form(SENTENCE)], [normal_form(text)], 0.8)


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("How are you?", "Who are you?"),
        ("I love you.", "I love you so."),
        ("Thank you very much.", "Thank you so much."),
        ("我今天很高兴。", "我今天很高兴吗？"),
        (SENTENCE, "The council of the town has closed an old bridge over the river in 2014."),
    ],
)
def test_sentences_that_are_only_alike_are_not(sentence: str, text: str) -> None:
    assert not fast([normal_form(sentence)], [normal_form(text)], 0.8)


def test_the_result_does_not_depend_on_the_order_of_the_sentences() -> None:
    rng = random.Random(1)
    base = ["".join(rng.choices("abcd ", k=25)) for _ in range(40)]
    texts = [edited(rng, rng.choice(base), "abcd ") for _ in range(100)]
    order = np.random.default_rng(0).permutation(len(base)).tolist()
    moved = {(t, order[s]): j for (t, s), j in fast([base[i] for i in order], texts, 0.7).items()}
    assert moved == fast(base, texts, 0.7)
