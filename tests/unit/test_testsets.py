"""Test sets: bundled suites and files of users."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from distill.errors import DataError
from distill.testsets import label, load_suites, read_test_file, sentences

STS = "score\tsentence1\tsentence2\n5\tA dog.\tСобака.\n0.5\tA cat.\tБудинок.\n"
BITEXT = "english\tnon_english\nA dog.\tСобака.\nA cat.\tКіт.\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_is_named_by_its_pair_and_its_header_says_what_it_is(tmp_path: Path) -> None:
    sts = read_test_file(write(tmp_path / "mine", "en-uk.tsv", STS))
    assert (sts.suite, sts.pair, sts.kind) == ("mine", "en-uk", "sts")
    assert sts.first == ("A dog.", "A cat.")
    assert sts.gold_scores().tolist() == [5.0, 0.5]
    bitext = read_test_file(write(tmp_path / "mine", "en-ua.tsv", BITEXT))
    assert (bitext.pair, bitext.kind, bitext.second) == ("en-uk", "bitext", ("Собака.", "Кіт."))


@pytest.mark.parametrize(
    "content",
    [
        BITEXT.replace("\n", "\r\n").encode(),
        BITEXT.encode("utf-8-sig"),
        (BITEXT + "\n\n").encode(),
        BITEXT.rstrip("\n").encode(),
    ],
    ids=["windows-lines", "byte-order-mark", "empty-lines-at-the-end", "no-last-line-end"],
)
def test_harmless_variants_read_the_same(tmp_path: Path, content: bytes) -> None:
    assert read_test_file(write(tmp_path, "en-uk.tsv", content)).second == ("Собака.", "Кіт.")


def test_columns_may_stand_in_any_order_and_quotes_are_text(tmp_path: Path) -> None:
    found = read_test_file(write(tmp_path, "en-uk.tsv", 'id\tnon_english\tenglish\n1\t"Кіт\tA "cat\n'))
    assert found.first == ('A "cat',)
    assert found.second == ('"Кіт',)


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ("", None, "the file is empty"),
        ("a\tb\n1\t2\n", 1, "columns a, b"),
        ("english\tnon_english\n", None, "no rows"),
        (BITEXT + "only one\n", 4, "1 fields"),
        (BITEXT + "A bird.\t \n", 4, "column non_english is empty"),
        (BITEXT.replace("\n", "\n\n", 1) + "\tх\n", 5, "column english is empty"),
        (STS + "high\tA\tB\n", 4, "score 'high'"),
        (STS + "5.5\tA\tB\n", 4, "score '5.5'"),
        (STS + "nan\tA\tB\n", 4, "score 'nan'"),
        (STS + "\tA\tB\n", 4, "no score"),
        (BITEXT.encode() + b"A bird.\t\xff\n", 4, "not UTF-8: byte 0xff"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, line: int | None, found: str
) -> None:
    path = write(tmp_path, "en-uk.tsv", content)
    with pytest.raises(DataError) as caught:
        read_test_file(path)
    assert caught.value.where == (f"{path}:{line}" if line else str(path))
    assert found in caught.value.found
    assert caught.value.expected


def test_a_file_whose_name_is_no_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError.__base__, match="'README' is not a language pair"):
        load_suites([str(write(tmp_path, "README.tsv", BITEXT).parent)], ["uk"])


def test_a_folder_without_test_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test sets"):
        load_suites([str(tmp_path)], ["uk"])


def test_an_unknown_suite_offers_the_nearest() -> None:
    with pytest.raises(DataError, match=r'no suite or file(.|\n)*did you mean "everyday"'):
        load_suites(["everydays"], ["uk"])


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "en-uk.tsv", BITEXT)
    write(tmp_path / "a", "en-ua.tsv", BITEXT)
    with pytest.raises(DataError, match="2 test sets are called a bitext en-uk"):
        load_suites([str(tmp_path / "a")], ["uk"])


def test_sets_of_other_languages_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "mine", "en-de.tsv", BITEXT)
    with caplog.at_level(logging.WARNING, "distill"):
        found = load_suites(["everyday", str(tmp_path / "mine")], ["uk"])
    assert {each.pair for each in found} == {"en-en", "en-uk", "uk-uk"}
    assert caplog.messages == ["evaluation.suites: mine has no test set for uk"]


def test_pairs_choose_sets_and_a_missing_pair_is_refused() -> None:
    assert {label(each) for each in load_suites(["everyday"], ["uk"], ["en-da"])} == {
        "everyday bitext en-da",
        "everyday sts en-da",
    }
    with pytest.raises(DataError, match=r"no test set for en-fr\n  expected: one of en-uk"):
        load_suites(["everyday"], ["uk"], ["en-fr"])


def test_the_bundled_suite_has_bitext_and_scored_pairs_of_all_languages() -> None:
    found = load_suites(["everyday"], None)
    assert {each.pair for each in found if each.kind == "bitext"} == {"en-uk", "en-da", "en-sv", "en-nb"}
    assert {each.pair for each in found if each.kind == "sts"} >= {"en-en", "en-uk", "uk-uk", "nb-nb"}
    assert all(len(each.first) == len(each.second) for each in found)
    assert all(len(each.gold) == len(each.first) for each in found if each.kind == "sts")


def test_sentences_are_listed_once(tmp_path: Path) -> None:
    sets = [read_test_file(write(tmp_path / "a", "en-uk.tsv", text)) for text in (BITEXT, STS)]
    assert sentences(sets) == ["A dog.", "A cat.", "Собака.", "Кіт.", "Будинок."]
