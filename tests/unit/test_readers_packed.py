"""Readers of compressed files and zip archives, and what they say of damaged ones."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.corpora.readers import open_rows, read_batches
from distill.errors import DataError

PAIRS = [("A dog.", "Собака."), ("Æ 'ø' å", "Їжак"), ("one, two", "раз, два")]


def zipped(name: str) -> Callable[[bytes], bytes]:
    return lambda data: archive({name: data, "README": b"Corpus.\n", "LICENSE": b"CC0\n"})


def archive(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd}


def write_tsv(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{a}\t{b}\n" for a, b in [("english", "non_english"), *pairs]).encode()


def write_csv(pairs: list[tuple[str, str]]) -> bytes:
    quoted = ('"' + text.replace('"', '""') + '"' for pair in [("english", "non_english"), *pairs] for text in pair)
    return "".join(f"{a},{b}\r\n" for a, b in zip(quoted, quoted, strict=True)).encode()


def write_jsonl(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"english": a, "non_english": b}) + "\n" for a, b in pairs).encode()


def write_parquet(pairs: list[tuple[str, str]]) -> bytes:
    sink = pa.BufferOutputStream()
    columns = {"english": [a for a, _ in pairs], "non_english": [b for _, b in pairs]}
    schema = pa.schema([("english", pa.string()), ("non_english", pa.string())])
    pq.write_table(pa.table(columns, schema=schema), sink)
    return bytes(sink.getvalue())


def write_tmx(pairs: list[tuple[str, str]]) -> bytes:
    from xml.sax.saxutils import escape

    units = (
        f'<tu><tuv xml:lang="en"><seg>{escape(a)}</seg></tuv><tuv xml:lang="uk"><seg>{escape(b)}</seg></tuv></tu>\n'
        for a, b in pairs
    )
    return f'<tmx version="1.4"><body>\n{"".join(units)}</body></tmx>'.encode()


def write_text(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{a}\t{b}\tCC-BY 2.0\n" for a, b in pairs).encode()


WRITERS: dict[str, Callable[[list[tuple[str, str]]], bytes]] = {
    ".tsv": write_tsv,
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
    ".tmx": write_tmx,
    ".txt": write_text,
}


def read(path: Path, language: str = "uk") -> list[tuple[str, str]]:
    batches = list(open_rows(path, language=language))
    assert not any(batch.bad for batch in batches)
    return [pair for batch in batches for pair in zip(*batch.columns.values(), strict=True)]


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("packed", [*PACKERS, ".zip", ".gz in .zip"])
def test_every_format_is_read_however_it_is_packed(tmp_path: Path, form: str, packed: str) -> None:
    data, path = WRITERS[form](PAIRS), tmp_path / f"a{form}{packed}"
    if packed == ".gz in .zip":
        path, data = tmp_path / "a.zip", zipped(f"folder/a{form}.gz")(gzip.compress(data))
    elif packed == ".zip":
        data = zipped(f"a{form}")(data)
    else:
        data = PACKERS[packed](data)
    path.write_bytes(data)
    assert read(path) == PAIRS


# XML has no control characters but tab and line ends, and takes a carriage return for a line end.
XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
# CSV, JSON and parquet hold any text (csv no NUL before Python 3.11), formats without quoting no tab and no line end.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LINE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"))
TEXTS = {".tmx": XML_TEXT, ".tsv": LINE_TEXT, ".txt": LINE_TEXT}


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_survives(tmp_path: Path, form: str, data: st.DataObject) -> None:
    text = TEXTS.get(form, ANY_TEXT)
    pairs = data.draw(st.lists(st.tuples(text, text), min_size=1))
    path = tmp_path / f"a{form}.gz"
    path.write_bytes(gzip.compress(WRITERS[form](pairs), 1))
    # A byte order mark at the start is none of the text; only header-less files begin with text.
    if form == ".txt":
        pairs[0] = (pairs[0][0].removeprefix("\ufeff"), pairs[0][1])
    assert read(path) == pairs


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(LINE_TEXT, LINE_TEXT), min_size=1))
def test_any_line_survives_in_moses_files(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    for code, texts in zip(("en", "uk"), zip(*pairs, strict=True), strict=True):
        (tmp_path / f"a.{code}").write_bytes("".join(text + "\n" for text in ("", *texts)).encode())
    assert read(tmp_path / "a.en") == [("", ""), *pairs]


MANY = [(f"Sentence number {n}.", f"Речення номер {n * 7919 % 1000}.") for n in range(20_000)]


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("form", [".tsv", ".jsonl", ".tmx"])
def test_a_cut_off_file_is_an_error_that_says_how_far_it_got(tmp_path: Path, packed: str, form: str) -> None:
    data = PACKERS[packed](WRITERS[form](MANY))
    path = tmp_path / f"a{form}{packed}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"damaged or cut off after [1-9][0-9,]* unpacked bytes") as caught:
        read(path)
    line = int(caught.value.where.removeprefix(f"{path}:"))
    assert 1_000 < line < 19_000


def test_damaged_data_are_an_error(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(write_tsv(MANY)))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match="the gz data are damaged"):
        read(path)
    for name in ("a.tsv.gz", "a.tsv.xz", "a.tsv.zst"):
        (tmp_path / name).write_bytes(write_tsv(MANY))
        with pytest.raises(DataError, match="damaged or cut off after 0 unpacked bytes"):
            read(tmp_path / name)
    for name, content in (("a.tsv.gz", b""), ("a.tsv.xz", b""), ("a.tsv.zst", b""), ("b.tsv.gz", gzip.compress(b""))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"the file is empty|damaged or cut off"):
            read(tmp_path / name)


def test_damaged_and_encrypted_archives_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    whole = zipped("a.tsv")(write_tsv(MANY))
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a whole zip archive"):
            read(path)
    path.write_bytes(whole[:3000] + bytes(100) + whole[3100:])
    with pytest.raises(DataError, match="the zip data are damaged") as caught:
        read(path)
    assert caught.value.where.startswith(f"{path}/a.tsv:")
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as file:
        file.writestr("a.tsv", write_tsv(MANY))
    path.write_bytes(stored.getvalue().replace(b"number 19999", b"number 1999X"))
    with pytest.raises(DataError, match="Bad CRC-32"):
        read(path)
    encrypted = bytearray(stored.getvalue())
    encrypted[6] |= 1  # the flag in the member's header, and in the archive's index
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(DataError, match=r"a.tsv: cannot be unpacked: .*password"):
        read(path)


def lines(*texts: str) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


OPUS = {
    "README": b"Corpus Name: News\n",
    "LICENSE": b"CC0\n",
    "News.en-uk.ids": lines("a b 1 1", "a b 2 2"),
    "News.en-uk.xml": b"<cesAlign/>",
    "News.en-uk.en": lines("One.", "Two."),
    "News.en-uk.uk": lines("Раз.", "Два."),
}


def test_zips_of_opus_are_read_as_they_ship(tmp_path: Path) -> None:
    path = tmp_path / "en-uk.txt.zip"
    path.write_bytes(archive(OPUS))
    assert read(path) == [("One.", "Раз."), ("Two.", "Два.")]
    with pytest.raises(DataError, match="no pair en-da in the archive\n  expected: one of the pairs there: en-uk"):
        read(path, "da")
    path.write_bytes(archive({"en-uk.tmx": write_tmx(PAIRS), "README": b""}))
    assert read(path) == PAIRS
    with pytest.raises(DataError, match="no pair en-da in 3 translation units") as caught:
        read(path, "da")
    assert "languages there: en, uk" in caught.value.hint


def test_a_manythings_zip_is_read_as_it_ships(tmp_path: Path) -> None:
    path = tmp_path / "ukr-eng.zip"
    text = "Hi.\tПривіт.\tCC-BY 2.0 (France) Attribution: tatoeba.org #538123 (CM)\nGo.\tЙди.\tCC-BY 2.0 (France)\n"
    path.write_bytes(archive({"ukr.txt": text.encode(), "_about.txt": b"** Info **\n\nabout\tthis\n"}))
    assert read(path) == [("Hi.", "Привіт."), ("Go.", "Йди.")]
    with pytest.raises(DataError, match=r"holds ukr\n  expected: sentences in da"):
        read(path, "da")
    [batch] = open_rows(path, {"english": 2, "non_english": 3}, language="uk")
    assert batch.columns["english"] == ["Привіт.", "Йди."]


def test_a_zip_without_rows_is_an_error_that_lists_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"README": b"", "__MACOSX/._a.tsv": b"", "picture.png": b""}))
    with pytest.raises(DataError, match=r"the archive, which holds picture.png"):
        read(path)
    with pytest.raises(DataError, match=r"the archive, which holds picture.png"):
        list(read_batches(path, ("text",)))


def test_places_inside_an_archive_name_the_member(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"b.tsv": write_tsv(PAIRS), "c.tsv": write_tsv(PAIRS) + b"bad\n"}))
    batches = list(read_batches(path, ("english", "non_english")))
    assert [str(row).removeprefix(str(tmp_path)) for batch in batches for row in batch.bad] == [
        "/a.zip/c.tsv:5: 1 fields, expected 2 as in the first line"
    ]
    assert sum(len(batch.lines) for batch in batches) == 6
