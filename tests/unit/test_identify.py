"""The identifier of languages: the same as py3langid, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.identify import BYTES, SAME, columns, knows, labels, log_odds

TEXTS = {
    "en": "The cat sleeps on the old chair in the kitchen.",
    "uk": "Кішка спить на старому стільці в кухні.",
    "ru": "Кошка быстро бежит по улице за мячом.",
    "sv": "Katten sover på den gamla stolen i köket.",
    "da": "Katten sover på den gamle stol i køkkenet og drømmer.",
    "de": "Die Katze schläft auf dem alten Stuhl in der Küche.",
    "fr": "Le chat dort sur la vieille chaise dans la cuisine.",
    "cs": "Kočka spí na staré židli v kuchyni.",
    "zh": "猫睡在厨房的旧椅子上。",
    "el": "Η γάτα κοιμάται στην παλιά καρέκλα.",
}


def test_sentences_are_recognised() -> None:
    best = [labels()[column] for column in log_odds(list(TEXTS.values())).argmax(axis=1)]
    assert [SAME.get(code, code) for code in best] == list(TEXTS)


def test_the_odds_are_those_of_py3langid() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    texts = [*TEXTS.values(), "ok ok ok ok ok", "Ääkkösiä!", "ALLT ÄR STORT."]
    found = log_odds(texts)
    for text, odds in zip(texts, found, strict=True):
        theirs = dict(model.rank(text))
        there = [n for n, code in enumerate(labels()) if code != "nb" and labels().count(code) == 1]
        wanted = np.array([theirs[labels()[n]] for n in there])
        np.testing.assert_allclose(odds[there], wanted, rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize("text", ["", " ", "\x00"])
def test_texts_without_features_are_of_no_language(text: str) -> None:
    assert not np.ptp(log_odds([text, "The cat sleeps."])[0])


def test_a_long_text_is_known_by_its_beginning() -> None:
    text = TEXTS["sv"] * 20
    assert (log_odds([text]) == log_odds([text[:BYTES] + TEXTS["de"]])).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(TEXTS.values())) | st.text(max_size=40), min_size=1, max_size=8))
def test_a_text_does_not_depend_on_its_batch(texts: list[str]) -> None:
    alone = np.concatenate([log_odds([text]) for text in texts])
    assert (log_odds(texts) == alone).all()


def test_languages_that_cannot_be_told_apart_share_columns() -> None:
    assert columns("nn") == columns("nb")
    assert len(columns("nb")) == 2
    assert knows("nb")
    assert not knows("gsw")
