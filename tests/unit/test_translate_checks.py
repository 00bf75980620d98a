"""Checks of translations: what they catch, by hand, and how often they flag good translations of real sets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from distill.cleaning.numbers import lost_numbers
from distill.testsets import BitextSet, load_suites
from distill.translate.checks import CHECKS, Habits, check_translation, habits, unchecked
from distill.translate.engine import Translation
from distill.translate.negation import NEGATIONS
from distill.translate.quality import corpus_scores, judge, summary

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def flags(source: str, translation: str, language: str, *, cut: bool = False) -> set[str]:
    return {flag.check for flag in check_translation(source, Translation(translation, cut), language)}


@pytest.mark.parametrize(
    ("source", "translation", "language"),
    [
        ("He didn't sell 1,500 cars in 2019.", "У 2019 році він не продав 1 500 автомобілів.", "uk"),
        ("The meeting begins at 3:30 pm, without her.", "Зустріч починається о 15:30, без неї.", "uk"),
        ("Mr Johnson met Angela Merkel in Berlin.", "Джонсон зустрівся з Ангелою Меркель у Берліні.", "uk"),
        ("No one in the 21st century believes that.", "У XXI столітті в це ніхто не вірить.", "uk"),
        ("It grew by 2.5% to $1,234.56.", "Det steg med 2,5 % til 1.234,56 dollars.", "da"),
        ("She has never been to Sweden.", "Hun har aldrig været i Sverige.", "da"),
        ("It is impossible to say no to that.", "Det är omöjligt att säga nej till det.", "sv"),
        ("He cannot read the three letters.", "Er kann die drei Briefe nicht lesen.", "de"),
        ("Not only the dog sleeps.", "Auch der Hund schläft.", "de"),
        ("You are coming too, aren't you?", "Du kommst auch, oder?", "de"),
        ("Paris", "Paris", "de"),
        ("A man, a man and a man.", "En man, en man och en man.", "sv"),
        ("NASA, BBC, CNN", "NASA, BBC, CNN", "uk"),
        ('He said: "Go."', "«Йди», — сказав він.", "uk"),
    ],
)
def test_good_translations_are_not_flagged(source: str, translation: str, language: str) -> None:
    assert flags(source, translation, language) == set()


@pytest.mark.parametrize(
    ("check", "source", "translation", "language"),
    [
        ("empty", "A dog runs.", "", "uk"),
        ("empty", "A dog runs.", "...", "uk"),
        ("cut", "A dog runs through the park and barks at the birds.", "Собака", "uk"),
        ("cut", "A dog runs through the park and barks.", "En hund løber gennem parken og gør ad", "da"),
        ("copy", "A dog runs in the park.", "A dog runs in the park.", "da"),
        ("copy", "A dog runs in the old park.", "A dog løber in the old park.", "da"),
        ("script", "A dog runs in the park.", "Sobaka bizhyt u parku.", "uk"),
        ("script", "A dog runs in the park.", "Собака біжить у парку.", "sv"),
        ("language", "A dog runs in the park.", "Собака быстро бежит в парке за мячом.", "uk"),
        ("language", "The dog ran quickly.", "Hunden springer snabbt genom parken och skäller på fåglarna.", "da"),
        ("language", "The dog ran quickly.", "De hond rent snel door het park en blaft naar de vogels.", "de"),
        ("numbers", "It cost 1,500 euros in 2019.", "У 2019 році це коштувало 15000 євро.", "uk"),
        ("numbers", "It rose by 2.5%.", "Det steg med 25 %.", "da"),
        ("numbers", "He is 45.", "Han är gammal.", "sv"),
        ("numbers", "It has 3 rooms.", "Es hat 4 Zimmer.", "de"),
        ("negation", "He did not come.", "Він прийшов.", "uk"),
        ("negation", "He can't read.", "Er kann lesen.", "de"),
        ("negation", "Without water it dies.", "Med vatten dör den.", "sv"),
        ("negation", "I have never seen it.", "Jeg har set det.", "da"),
        ("names", "He says that Johnson met Merkel there.", "Він каже, що Обама зустрів там Цукерберга.", "uk"),
        ("names", "He says that Johnson met Merkel there.", "Han siger, at Obama mødte Zuckerberg der.", "da"),
        ("names", "See https://example.org/a for more.", "Докладніше дивіться https://example.com/b.", "uk"),
        ("repetition", "The dog runs away.", "Собака біжить біжить біжить геть.", "uk"),
        ("repetition", "The dog runs away.", "Hunden løber hahahahahahahaha væk.", "da"),
        ("explanation", "The dog runs.", "Here is the translation: Hunden løber.", "da"),
        ("explanation", "The dog runs.", "Hunden løber.\n\nJeg har brugt nutid.", "da"),
        ("explanation", "The dog runs.", '"Hunden løber."', "da"),
    ],
)
def test_each_check_catches_its_mistake(check: str, source: str, translation: str, language: str) -> None:
    assert check in flags(source, translation, language)


def test_what_the_engine_cut_is_flagged() -> None:
    assert flags("A dog runs.", "En hund løber.", "da", cut=True) == {"cut"}


def test_a_flag_gives_its_reason() -> None:
    (flag,) = check_translation("It has 3 rooms.", Translation("Es hat 4 Zimmer."), "de")
    assert (flag.check, flag.reason) == ("numbers", "3 not there, but 4")


@pytest.mark.parametrize(
    ("source", "translation", "lost"),
    [
        ("1,234,567 people", "1 234 567 Menschen", []),
        ("1,234,567 people", "1.234.567 Menschen", []),
        ("3.14", "3,14", []),
        ("3.14", "314", ["3.14"]),
        ("at 12:30 am", "um 0:30", []),
        ("at 7.55am", "о 7:55", []),
        ("007 and 42", "7 und 42", []),
        ("7 dogs", "sieben Hunde", []),
        ("77 dogs", "siebenundsiebzig Hunde", ["77"]),
        ("World War 2", "II світова війна", []),
    ],
)
def test_numbers_are_compared_by_value(source: str, translation: str, lost: list[str]) -> None:
    assert lost_numbers(source, translation)[0] == lost


def test_long_texts_for_the_set_are_flagged_and_names_are_not_words_of_the_set() -> None:
    source = "The Parliament met with the Committee there."
    assert check_translation(source, Translation("Rigsdagen mødtes der med udvalget."), "da") == []
    usual = habits(["a parliament"] * 20, ["ab" * 12] * 20)
    assert usual == Habits(2.0, frozenset({"a", "parliament"}))
    doubled = Translation("Der var et møde. " * 5)
    assert "cut" in {flag.check for flag in check_translation(source, doubled, "da", Habits(0.8))}
    assert "cut" not in {flag.check for flag in check_translation(source, doubled, "da", usual)}


def test_languages_say_what_is_not_checked_for_them() -> None:
    assert unchecked("uk") == {}
    assert set(unchecked("ja")) == {"negation", "names"}
    assert check_translation("He did not come.", Translation("彼は来ました。"), "ja") == []
    figures = summary(judge({"He did not come.": Translation("彼は来ました。")}, "ja"), "ja")
    assert "negation" not in figures["flagged"]
    assert "ja" in figures["unchecked"]["negation"]


@pytest.mark.parametrize(
    "language", ["uk", "ru", "de", "da", "sv", "nb", "fr", "es", "pl", "nl", "it", "cs", "pt", "fi"]
)
def test_each_language_has_words_of_denial(language: str) -> None:
    denial = {
        "uk": "Він не прийшов.", "ru": "Он не пришёл.", "de": "Er kam nicht.", "da": "Han kom ikke.",
        "sv": "Han kom inte.",
        "nb": "Han kom ikke.", "fr": "Il n'est pas venu.", "es": "No vino.", "pl": "Nie przyszedł.",
        "nl": "Hij kwam niet.",
        "it": "Non è venuto.", "cs": "Nepřišel.", "pt": "Ele não veio.", "fi": "Hän ei tullut.",
    }[language]  # fmt: skip
    assert NEGATIONS[language].search(denial)
    assert "negation" not in flags("He did not come.", denial, language)


def test_scores_of_back_translations_are_those_of_sacrebleu() -> None:
    import sacrebleu

    back, english = ["The dog runs in a park.", "It rain today."], ["The dog runs in the park.", "It rains today."]
    scores = corpus_scores(back, english)
    assert scores["bleu"]["score"] == round(sacrebleu.corpus_bleu(back, [english]).score, 2)
    assert scores["chrf"]["score"] == round(sacrebleu.corpus_chrf(back, [english], word_order=2).score, 2)
    judged = judge(
        {text: Translation(text.upper()) for text in english},
        "de",
        {text.upper(): Translation(text) for text in english},
    )
    assert [found.chrf for found in judged] == [100.0, 100.0]


@pytest.mark.parametrize(
    ("suite", "english", "language"),
    [
        ("bitext/ntrex", None, "uk"),
        ("bitext/ntrex", None, "de"),
        ("bitext/tatoeba", None, "da"),
        ("sts/sts17", "en-en", "de"),
        ("sts/stsb-dev", "en-en", "sv"),
        ("sts/stsb-dev", "en-en", "ru"),
    ],
)
def test_good_translations_of_real_sets_are_rarely_flagged(suite: str, english: str | None, language: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"no {DATA}")
    (found,) = load_suites([str(DATA / suite)], None, [f"en-{language}"])
    sources = (
        found.first if isinstance(found, BitextSet) else load_suites([str(DATA / suite)], None, [english])[0].second
    )
    usual = habits(sources, found.second)
    counts = Counter(
        flag.check
        for source, text in zip(sources, found.second, strict=True)
        for flag in check_translation(source, Translation(text), language, usual)
    )
    assert {check for check in CHECKS if counts[check] > 0.02 * len(sources)} == set()


def test_lost_negations_of_real_sentences_are_caught() -> None:
    if not DATA.is_dir():
        pytest.skip(f"no {DATA}")
    (found,) = load_suites([str(DATA / "bitext/ntrex")], None, ["en-uk"])
    caught = total = 0
    for source, text in zip(found.first, found.second, strict=True):
        without = re.sub(r"\b(?:не|ні|немає|без|ніколи|ніхто|нічого|жод\w+) ?", "", text, flags=re.IGNORECASE)
        if re.search(r"\b(?:not|never|without)\b|n't\b", source) and without != text:
            total += 1
            caught += "negation" in flags(source, without, "uk")
    assert total > 200
    assert caught > 0.7 * total
