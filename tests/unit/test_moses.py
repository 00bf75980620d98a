"""Moses pairs: two files of as many lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from distill.corpora.readers import ROWS_PER_BATCH, RowBatch, corpus_files, open_rows
from distill.errors import DataError


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def read(path: Path, language: str = "uk") -> tuple[list[tuple[str, str]], list[str]]:
    batches: list[RowBatch] = list(open_rows(path, language=language))
    rows = [pair for batch in batches for pair in zip(*batch.columns.values(), strict=True)]
    return rows, [str(row) for batch in batches for row in batch.bad]


@pytest.mark.parametrize(
    ("english", "other", "language"),
    [
        ("news.en-uk.en", "news.en-uk.uk", "uk"),
        ("news.en", "news.ua", "uk"),
        ("news.eng", "news.ukr", "uk"),
        ("news.en_GB", "news.uk_UA", "uk"),
        ("news.EN", "news.UK", "uk"),
        ("news.en", "news.no", "nb"),
        ("news.en.gz", "news.uk.gz", "uk"),
        ("news.en.gz", "news.uk", "uk"),
    ],
)
def test_the_partner_is_found_however_it_is_spelt(tmp_path: Path, english: str, other: str, language: str) -> None:
    write(tmp_path, {english: "One.\nTwo.\n", other: "Раз.\nДва.\n", "news.da": "En.\n", "other.uk": "Ні.\n"})
    for given in (english, other):
        assert read(tmp_path / given, language) == ([("One.", "Раз."), ("Two.", "Два.")], [])
        assert corpus_files(tmp_path / given, language) == (tmp_path / english, tmp_path / other)


def test_files_packed_alike_go_together(tmp_path: Path) -> None:
    write(tmp_path, {"a.en": "x\n", "a.uk": "у\n", "a.en.gz": "xx\n", "a.uk.gz": "уу\n"})
    assert read(tmp_path / "a.en")[0] == [("x", "у")]
    assert read(tmp_path / "a.uk.gz")[0] == [("xx", "уу")]


def test_line_ends_byte_order_marks_and_empty_lines(tmp_path: Path) -> None:
    write(tmp_path, {"a.en": "\ufeffOne.\r\n\r\nThree.\u2028Still.\n", "a.uk": "Раз.\nДва.\n\n"})
    assert read(tmp_path / "a.en") == ([("One.", "Раз."), ("", "Два."), ("Three.\u2028Still.", "")], [])


def test_a_line_that_is_not_utf_8_is_bad_on_either_side(tmp_path: Path) -> None:
    write(tmp_path, {"a.en": b"One.\n\xff\nThree.\nFour.\n", "a.uk": "Раз.\nДва.\n".encode() + b"\xd0\n4\n"})
    rows, bad = read(tmp_path / "a.en")
    assert rows == [("One.", "Раз."), ("Four.", "4")]
    assert bad == [
        f"{tmp_path}/a.en:2: not UTF-8: byte 0xff at column 1",
        f"{tmp_path}/a.uk:3: not UTF-8: byte 0xd0 at column 1",
    ]
    [batch] = open_rows(tmp_path / "a.en", language="uk")
    assert list(batch.lines) == [1, 4]


@pytest.mark.parametrize("shorter", [0, 1, ROWS_PER_BATCH, 3 * ROWS_PER_BATCH + 5])
def test_different_line_counts_are_an_error_with_both(tmp_path: Path, shorter: int) -> None:
    longer = 4 * ROWS_PER_BATCH
    write(tmp_path, {"a.en": "A sentence of some length.\n" * longer, "a.uk": "Р.\n" * shorter})
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.en")
    assert str(caught.value).startswith(
        f"{tmp_path}/a.en: {longer:,} lines, but {tmp_path}/a.uk has {shorter:,}\n  expected: as many lines in both"
    )


def test_long_files_of_different_line_lengths_stay_aligned(tmp_path: Path) -> None:
    count = 50_000
    write(tmp_path, {"a.en": "".join(f"{n}\n" for n in range(count))})
    write(tmp_path, {"a.uk": "".join(f"{n}{'.' * (n % 97)}\n" for n in range(count))})
    seen = 0
    for batch in open_rows(tmp_path / "a.uk", language="uk"):
        assert len(batch.lines) <= ROWS_PER_BATCH
        for line, english, other in zip(batch.lines, *batch.columns.values(), strict=True):
            assert int(english) == int(other.rstrip(".")) == line - 1 == seen
            seen += 1
    assert seen == count


def test_a_missing_partner_and_empty_files_are_errors(tmp_path: Path) -> None:
    write(tmp_path, {"a.en": "One.\n", "a.da": "En.\n", "a.sv": "Ett.\n", "b.en": "", "b.uk": ""})
    with pytest.raises(DataError, match=r"no partner a.uk beside it") as caught:
        read(tmp_path / "a.en")
    assert caught.value.hint == "there are a.da, a.sv"
    with pytest.raises(DataError, match=r"unknown format '\.da'"):
        read(tmp_path / "a.da")
    with pytest.raises(DataError, match="the file is empty"):
        read(tmp_path / "b.en")
    write(tmp_path, {"a.uk": "Раз.\n"})
    with pytest.raises(DataError, match="pairs of texts without columns"):
        list(open_rows(tmp_path / "a.en", {"english": 1, "non_english": 2}, language="uk"))
    with pytest.raises(DataError, match="pairs of texts without columns"):
        list(open_rows(tmp_path / "a.en", language="uk", kind="pairs"))
