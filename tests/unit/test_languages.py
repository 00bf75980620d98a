"""Language codes and pairs."""

from __future__ import annotations

import logging

import pytest

from distill.errors import DistillError
from distill.languages import parse_language, parse_pair, spellings


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("uk", "uk"),
        ("ua", "uk"),
        ("ukr", "uk"),
        ("no", "nb"),
        ("nor", "nb"),
        ("nob", "nb"),
        ("nn", "nn"),
        ("dk", "da"),
        ("cz", "cs"),
        ("UK", "uk"),
        (" sv ", "sv"),
        ("swe", "sv"),
        ("ast", "ast"),  # has no code of two letters
    ],
)
def test_a_code_becomes_iso_639_1(written: str, code: str) -> None:
    assert parse_language(written) == code


def test_only_a_changed_code_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "distill"):
        parse_language("uk")
        parse_language("no", where="corpora.x")
    assert caplog.messages == ["corpora.x: no means nb"]


@pytest.mark.parametrize("written", ["", "x", "zz", "ук", "sh", "ukrainian", "uk,da", "en_US", "pt-BR", "12"])
def test_what_is_no_code_is_refused_with_examples(written: str) -> None:
    with pytest.raises(DistillError, match=r"here: .* is not a language code\n  expected: .*uk, nb, da or sv"):
        parse_language(written, where="here")


@pytest.mark.parametrize(
    ("written", "pair"),
    [("en-uk", ("en", "uk")), ("en-ua", ("en", "uk")), ("uk-uk", ("uk", "uk")), ("EN-NO", ("en", "nb"))]
    + [(text, ("en", "uk")) for text in ("en–uk", "en—uk", "en_uk", " en - uk ")],
)
def test_pairs(written: str, pair: tuple[str, str]) -> None:
    assert parse_pair(written) == pair


@pytest.mark.parametrize("written", ["en", "en-uk-da", "", "en-", "en-zz"])
def test_what_is_no_pair_is_refused(written: str) -> None:
    with pytest.raises(DistillError, match="expected: "):
        parse_pair(written)


@pytest.mark.parametrize(("code", "others"), [("uk", {"ua", "ukr"}), ("nb", {"no", "nor", "nob"}), ("sv", {"swe"})])
def test_spellings_begin_with_the_code(code: str, others: set[str]) -> None:
    first, *rest = spellings(code)
    assert first == code
    assert set(rest) == others
    assert all(parse_language(other) == code for other in rest)
