"""The bundled corpus: size, split, scripts, scores, and the figures of its data card."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

import distill

EVERYDAY = Path(distill.__file__).parent / "everyday"
LANGUAGES = ("en", "uk", "da", "sv", "nb")
OWN_LETTERS = {"da": "æøå", "sv": "åäö", "nb": "æøå", "uk": "іїєґ"}
FOREIGN_LETTERS = {"da": "äö", "sv": "æø", "nb": "äö", "uk": "ыэёъ"}


def read(name: str) -> list[dict[str, str]]:
    with (EVERYDAY / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


FILES = {name: read(name) for name in ("train.tsv", "test.tsv", "sts.tsv")}


def sentences(name: str, language: str) -> list[str]:
    columns = (language + "1", language + "2") if name == "sts.tsv" else (language,)
    return [row[column] for row in FILES[name] for column in columns]


def words(sentence: str) -> list[str]:
    return re.findall(r"\w+(?:'\w+)*", sentence.casefold())


def normal(sentence: str) -> str:
    return " ".join(words(sentence))


def test_sizes_and_columns() -> None:
    assert len(FILES["train.tsv"]) >= 1_000
    assert len(FILES["test.tsv"]) >= 200
    assert len(FILES["sts.tsv"]) >= 150
    assert list(FILES["train.tsv"][0]) == list(FILES["test.tsv"][0]) == ["topic", *LANGUAGES]
    assert list(FILES["sts.tsv"][0]) == ["score", *(code + n for code in LANGUAGES for n in "12")]


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_filled_and_trimmed(name: str) -> None:
    for row in FILES[name]:
        assert None not in row, f"more fields than columns: {row}"
        for value in row.values():
            assert value, row
            assert value == " ".join(value.split()), row
            assert value == unicodedata.normalize("NFC", value), row


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_occurs_twice(language: str) -> None:
    counts = Counter(normal(sentence) for name in FILES for sentence in sentences(name, language))
    assert [sentence for sentence, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_rows_are_no_near_duplicates_of_held_out_ones(language: str) -> None:
    train = [set(words(sentence)) for sentence in sentences("train.tsv", language)]
    sizes = np.array([len(row) for row in train])
    rows_with = defaultdict(list)
    for number, row in enumerate(train):
        for word in row:
            rows_with[word].append(number)
    for sentence in sentences("test.tsv", language) + sentences("sts.tsv", language):
        held_out = set(words(sentence))
        rows = np.concatenate([rows_with.get(word, []) for word in held_out]).astype(int)
        shared = np.bincount(rows, minlength=len(train))
        overlap = shared / (sizes + len(held_out) - shared)
        closest = int(overlap.argmax())
        assert overlap[closest] < 0.6, f"{sentence} | {sentences('train.tsv', language)[closest]}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_script_and_letters(name: str, language: str) -> None:
    text = "".join(sentences(name, language)).casefold()
    letters = {letter for letter in text if letter.isalpha()}
    cyrillic = {letter for letter in letters if "CYRILLIC" in unicodedata.name(letter)}
    if language == "uk":
        latin = [s for s in sentences(name, language) if re.search("[A-Za-z]", s)]
        assert len(latin) <= 1  # a key's name: "натисніть Enter"
        assert letters - cyrillic <= set("enter")
    else:
        assert not cyrillic
    assert not letters & set(FOREIGN_LETTERS.get(language, ""))
    if name == "train.tsv":
        assert letters >= set(OWN_LETTERS.get(language, ""))


@pytest.mark.parametrize("language", LANGUAGES)
def test_punctuation_is_that_of_the_language(language: str) -> None:
    quotes = "«»" if language in ("uk", "nb") else '"'
    for name in FILES:
        for sentence in sentences(name, language):
            assert re.search(r"[.!?][\"»]?$", sentence), sentence
            assert not set(sentence) & set('"«»“”„’ʼ') - set(quotes), sentence
            assert sentence.count(quotes[0]) == sentence.count(quotes[-1])
            assert sentence.count('"') % 2 == 0, sentence


@pytest.mark.parametrize("name", FILES)
def test_lengths(name: str) -> None:
    averages = {code: mean(len(sentence.split()) for sentence in sentences(name, code)) for code in LANGUAGES}
    for language, average in averages.items():
        counts = [len(sentence.split()) for sentence in sentences(name, language)]
        assert min(counts) >= 3
        assert max(counts) <= 18
        assert 0.7 < average / averages["en"] < 1.1


def test_numbers_agree_between_languages() -> None:
    written_differently = {
        "The concert begins at 20:00, but the doors open an hour earlier.",  # "klokken 20"
        "What should we give Grandpa for his eightieth birthday?",  # Danish "80-års fødselsdag"
    }
    for row in FILES["train.tsv"] + FILES["test.tsv"]:
        ungrouped = {code: re.sub(r"(?<=\d)[ .,:](?=\d)", "", row[code]) for code in LANGUAGES}
        numbers = {tuple(sorted(re.findall(r"\d+", text))) for text in ungrouped.values()}
        assert len(numbers) == 1 or row["en"] in written_differently, row


def test_every_topic_is_held_out() -> None:
    train, test = (Counter(row["topic"] for row in FILES[name]) for name in ("train.tsv", "test.tsv"))
    assert set(train) == set(test)
    assert max(test.values()) <= 1.25 * min(test.values())


def test_scores_are_spread_evenly() -> None:
    scores = [float(row["score"]) for row in FILES["sts.tsv"]]
    assert all(0 <= score <= 5 for score in scores)
    bands = Counter(min(int(score), 4) for score in scores)  # [0, 1), [1, 2), [2, 3), [3, 4), [4, 5]
    for band in range(5):
        assert bands[band] == pytest.approx(len(scores) / 5, rel=0.25), band


def test_data_card_states_the_figures_of_the_files() -> None:
    card = (EVERYDAY / "README.md").read_text(encoding="utf-8")
    for name, rows in FILES.items():
        assert f"| `{name}` | {len(rows):,} |" in card
        averages = [mean(len(sentence.split()) for sentence in sentences(name, code)) for code in LANGUAGES]
        assert f"| `{name}` | " + " | ".join(f"{average:.1f}" for average in averages) + " |" in card
    topics = {name: Counter(row["topic"] for row in FILES[name]) for name in ("train.tsv", "test.tsv")}
    for topic, count in topics["train.tsv"].items():
        assert re.search(rf"^\| {topic} \| [^|]+ \| {count} \| {topics['test.tsv'][topic]} \|$", card, re.MULTILINE)
    bands = Counter(min(int(float(row["score"])), 4) for row in FILES["sts.tsv"])
    assert "| pairs | " + " | ".join(str(bands[band]) for band in range(5)) + " |" in card
