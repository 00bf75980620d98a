"""Repairs of texts: what they mend, what they leave alone, and that they do nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cleaning import repair
from distill.recipe.cleaning import PRESETS, CleaningSection, merged

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DEFAULT = PRESETS["default"]


def repaired(text: str) -> str:
    return repair([text], DEFAULT).texts[0]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("mojibake", "SmÃ¶rgÃ¥sbord Ã¤r gott.", "Smörgåsbord är gott."),
        ("mojibake", "He saidâ€”and donâ€™t forget itâ€”no.", "He said—and don’t forget it—no."),
        ("mojibake", "Ð”Ð¾Ð±Ñ€Ð¸Ð¹ Ð´ÐµÐ½ÑŒ", "Добрий день"),
        ("mojibake", "Добрий день, друзі".encode().decode("cp1251", "replace"), "Добрий день, друзі"),
        ("mojibake", "Å¾luÅ¥ouÄ\x8dkÃ½ kÅ¯Å\x88", "žluťoučký kůň"),
        ("markup", "<p>A <b>dog</b> runs.</p>", "A dog runs."),
        ("markup", "Line one<br/>line two", "Line one line two"),
        ("markup", '<a href="https://example.org/">Read more</a>', "Read more"),
        ("markup", "Tom &amp;amp; Jerry &lt;i&gt;run&lt;/i&gt;", "Tom & Jerry run"),
        ("markup", "{\\an8}What?\\NNothing.", "What? Nothing."),
        ("unicode", "Cafe\u0301", "Café"),
        ("unicode", "co\u00adoper\u200bate\ufeff", "cooperate"),
        ("blanks", "  a\u00a0b \t\n c ", "a b c"),
        ("blanks", "bell\x07 rings", "bell rings"),
    ],
)
def test_faults_are_mended(name: str, text: str, wanted: str) -> None:
    found = repair([text], DEFAULT)
    assert found.texts == [wanted]
    assert found.changed[name] == [0]


@pytest.mark.parametrize(
    "text",
    [
        "Відео з Рівного: Січень і Різдво — «Світло».",
        "Гість спитав: „Що це?“ – і пішов…",
        "Ärligt talat: Åsa äter “smörgås” på Östermalm – ÅÄÖ.",
        "Æblegrød på Ærø, Øresund & Ångström",
        "L’été à Évian : « C’est là ! »",
        "Straße, Spaß“, Größe – ÜÖÄ",
        "MAÇÃ, CORAÇÃO, Âncora",
        "Use the <b> element and List<String> if a < b && c > d.",
        "AT&T and R&D; §5 &c.",
        "می‌خواهم 👩‍👩‍👧",
        "日本語のテキスト。",
        "Ελληνικά: Γειά σου",
        "100 °C ± 5 µm, ½ × 2²",
    ],
)
def test_good_texts_stay(text: str) -> None:
    assert repaired(text) == text


def test_changes_are_told_by_row_and_repair() -> None:
    found = repair(["good", "<b>x</b> ", "good", "Ã¥ skÃ¥l"], DEFAULT)
    assert found.texts == ["good", "x", "good", "å skål"]
    assert found.changed == {"mojibake": [3], "markup": [1], "unicode": [], "blanks": [1]}


def test_a_repair_that_is_off_is_not_made() -> None:
    section = merged(CleaningSection(preset="off", blanks=True), None)
    found = repair(["<b>x</b>  y"], section)
    assert found.texts == ["<b>x</b> y"]
    assert set(found.changed) == {"blanks"}


_WORDS = r"<b> </b> <br> &amp; lt; & #38; &Atilde;&copy; Ã © Â â€ ™ {\an8} e x Р џ \N ♪ < > å і"
PIECES = st.sampled_from([*_WORDS.split(), " ", "\t", "\u00a0", "\u0301", "\u200b", "\x07"])


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30))
def test_repairing_again_changes_nothing(text: str) -> None:
    once = repair([text], DEFAULT).texts
    again = repair(once, DEFAULT)
    assert again.texts == once
    assert not any(again.changed.values())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=6), st.integers(0, 6))
def test_a_text_does_not_depend_on_its_batch(texts: list[str], cut: int) -> None:
    apart = repair(texts[:cut], DEFAULT).texts + repair(texts[cut:], DEFAULT).texts
    assert repair(texts, DEFAULT).texts == apart


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("pair", ["en-uk", "en-sv", "en-nb", "en-da", "en-cs", "en-fr"])
def test_real_text_is_mended_where_it_is_wrong_and_nowhere_else(pair: str) -> None:
    import pyarrow.parquet as pq

    for path in sorted(DATA.glob(f"parallel/*/{pair}/dev.parquet")):
        table = pq.read_table(path)
        for column in ("english", "non_english"):
            texts = table[column].to_pylist()
            found = repair(texts, DEFAULT)
            for row in found.changed["mojibake"]:
                assert any(mark in texts[row] for mark in "ÃÂâÅÄ"), texts[row]
                assert len(found.texts[row]) < len(texts[row])
            assert len(found.changed["mojibake"]) <= 0.002 * len(texts)
            assert not found.changed["unicode"]
