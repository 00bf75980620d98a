"""The reader of TMX: languages, inline elements, encodings, damage, and what it refuses."""

from __future__ import annotations

import random
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from distill.corpora.readers import RowBatch, open_rows
from distill.errors import DataError


def document(*units: str, head: str = "") -> str:
    return f'{head}<tmx version="1.4">\n<header srclang="en"/>\n<body>\n' + "\n".join(units) + "\n</body>\n</tmx>\n"


def unit(*texts: tuple[str, str]) -> str:
    return "<tu>" + "".join(f'<tuv xml:lang="{tag}"><seg>{text}</seg></tuv>' for tag, text in texts) + "</tu>"


def pair(english: str, other: str) -> str:
    return unit(("en", english), ("uk", other))


def batches(tmp_path: Path, content: str | bytes, language: str = "uk") -> list[RowBatch]:
    path = tmp_path / "a.tmx"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_rows(path, language=language))


def read(tmp_path: Path, content: str | bytes, language: str = "uk") -> tuple[list[tuple[str, str]], list[str]]:
    """Return the rows, and the bad ones as `line: fault`."""
    found = batches(tmp_path, content, language)
    rows = [row for batch in found for row in zip(*batch.columns.values(), strict=True)]
    return rows, [f"{row.line}: {row.found}" for batch in found for row in batch.bad]


@pytest.mark.parametrize(
    ("english", "other", "language"),
    [
        *[
            ("en", "uk", "uk"),
            ("EN", "UK", "uk"),
            ("en-GB", "uk_UA", "uk"),
            ("eng", "ukr", "uk"),
            ("en-us", "ua", "uk"),
        ],
        *[("en", "no", "nb"), ("en", "nor", "nb"), ("en", "nob", "nb"), ("en", "dk", "da"), ("en", "zh-Hans-CN", "zh")],
    ],
)
def test_languages_are_matched_in_any_spelling(tmp_path: Path, english: str, other: str, language: str) -> None:
    assert read(tmp_path, document(unit((other, "Б"), (english, "A"))), language) == ([("A", "Б")], [])
    plain = document(unit((english, "A"), (other, "Б"))).replace("xml:lang", "lang")
    assert read(tmp_path, plain, language) == ([("A", "Б")], [])


def test_every_pair_of_several_variants_is_a_row(tmp_path: Path) -> None:
    content = document(unit(("en-GB", "colour"), ("en-US", "color"), ("uk", "колір"), ("uk", "барва"), ("da", "farve")))
    assert read(tmp_path, content)[0] == [
        ("colour", "колір"),
        ("colour", "барва"),
        ("color", "колір"),
        ("color", "барва"),
    ]


def test_units_without_a_language_are_counted_and_empty_texts_are_rows(tmp_path: Path) -> None:
    units = [
        pair("A", "Б"),
        unit(("en", "B")),
        unit(("uk", "В")),
        unit(("da", "C"), ("sv", "C")),
        pair("", "Г"),
        "<tu/>",
    ]
    [batch] = batches(tmp_path, document(*units))
    assert batch.columns == {"english": ["A", ""], "non_english": ["Б", "Г"]}
    assert batch.one_sided == 4
    assert list(batch.lines) == [4, 8]
    with pytest.raises(DataError, match="no pair en-nb in 6 translation units") as caught:
        batches(tmp_path, document(*units), "nb")
    assert caught.value.hint == "languages there: da, en, sv, uk"


def test_codes_are_left_out_and_marked_text_is_kept(tmp_path: Path) -> None:
    marked = (
        'Press <bpt i="1">&lt;b></bpt>OK<ept i="1">&lt;/b></ept>, <hi type="x">not <ph>{0}</ph><hi>Cancel</hi></hi>'
        '<it pos="begin">&lt;i></it><ut>{ut}</ut>: <ph>see <sub>the note</sub> there</ph>5 &lt; 6 &amp; &#x41;'
    )
    content = document(f"<tu><prop>x</prop><note>n</note>{pair(marked, '<![CDATA[а < б]]>')[4:]}")
    assert read(tmp_path, content) == ([("Press OK, not Cancel: 5 < 6 & A", "а < б")], [])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1251", "koi8-u"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    name = encoding.replace("-sig", "").replace("-le", "").replace("-be", "")
    units = [pair(f"Sentence {n}.", f"Їжак {n}.") for n in range(3_000)]  # several chunks
    content = document(*units, head=f'<?xml version="1.0" encoding="{name}"?>\n').encode(encoding)
    rows, bad = read(tmp_path, content)
    assert rows == [(f"Sentence {n}.", f"Їжак {n}.") for n in range(3_000)]
    assert bad == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1251"])
def test_damaged_units_are_bad_rows_and_the_others_are_read(tmp_path: Path, encoding: str) -> None:
    units = [pair(f"Sentence {n}.", f"Їжак\n{n}.") for n in range(4_000)]
    faults = {
        1: ("<tu><tuv xml:lang=en><seg>x</seg></tuv></tu>", "not well-formed (invalid token)"),
        10: (pair("a & b", "в"), "not well-formed (invalid token)"),
        700: (pair("a \x0b b", "в"), "not well-formed (invalid token)"),
        1500: ('<tu><tuv xml:lang="en"><seg>x</tuv></tu>', "mismatched tag"),
        2200: (pair("a&nbsp;b", "в"), "undefined entity"),
        2201: ("<tu", "not well-formed (invalid token)"),
        3999: (pair("&#11;", "в"), "reference to invalid character number"),
    }
    for number, (fault, _) in faults.items():
        units[number] = fault
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    content = document(*units, head=head)
    rows, bad = read(tmp_path, content.encode(encoding))
    assert rows == [(f"Sentence {n}.", f"Їжак\n{n}.") for n in range(4_000) if n not in faults]
    lines = content.split("\n")
    assert bad == [
        f"{lines.index(fault) + 1 + (fault == '<tu')}: damaged XML: {message}" for fault, message in faults.values()
    ]


def test_lines_are_those_of_the_units_after_damage_too(tmp_path: Path) -> None:
    generator = random.Random(5)
    units = [
        pair(f"S{n}" + "\n" * generator.randrange(3), "у" * generator.randrange(200))
        if generator.random() > 0.02
        else pair(f"S{n} &", "у\n\n" * generator.randrange(90))
        for n in range(3_000)
    ]
    content = document(*units)
    where = {
        line.split("<seg>")[1].split("<")[0]: n for n, line in enumerate(content.split("\n"), 1) if "<seg>" in line
    }
    found = batches(tmp_path, content)
    for batch in found:
        for line, english in zip(batch.lines, batch.columns["english"], strict=True):
            assert line == where[english.strip()]
    bad = [row.line for batch in found for row in batch.bad]
    assert bad == [line for text, line in where.items() if "&" in text]
    assert sum(len(batch.lines) for batch in found) + len(bad) == 3_000


def test_a_text_without_language_and_an_unknown_entity_are_bad_rows(tmp_path: Path) -> None:
    units = ["<tu><tuv><seg>x</seg></tuv></tu>", pair("a&nbsp;b", "в"), pair("A", "Б")]
    doctype = '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
    rows, bad = read(tmp_path, document(*units, head=doctype))
    assert rows == [("A", "Б")]
    assert bad == ["6: a text without a language: <tuv> has no xml:lang", "7: unknown entity &nbsp;"]


def test_thousands_of_variants_of_one_unit_are_a_bad_row(tmp_path: Path) -> None:
    content = document(unit(*[("en", "x")] * 100, *[("uk", "y")] * 100))
    assert read(tmp_path, content) == ([], ["4: 100 English and 100 other texts in one unit"])


BOMB = '<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (document(pair("&b;", "x"), head=BOMB), "1: the file declares an entity, a"),
        (document(pair("&a;", "x"), head=EXTERNAL), "1: the file declares an entity, a"),
        ("", "the file is empty"),
        ("A dog.\tСобака.\n", "1: not XML: syntax error"),
        ("<html><body/></html>", "1: <html>\n  expected: a TMX file"),
        ('<?xml version="1.0" encoding="nonsense"?><tmx/>', "not XML: unknown encoding"),
        (document(pair("A", "Б"))[:-8], "after 1 translation units: no element found"),
        (document(pair("A", "Б"), pair("A & B", "Б"))[:-8], "after 1 translation units: no </tmx>"),
        (document(pair("A", "Б"))[:90], "4: the file ends in the middle, after 0 translation units"),
        (document(pair("A", "Б")).encode("utf-16")[:-1], "ends inside a character of UTF-16"),
        (document(pair("A" * (5_000_000), "Б")), "a text or tag of more than 4,194,304 characters"),
        (document("<tu x='" + "A" * (5_000_000) + "'/>"), "a text or tag of more than 4,194,304 characters"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        batches(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/a.tmx")
    assert says in str(caught.value)


def test_it_agrees_with_elementtree_on_random_documents(tmp_path: Path) -> None:
    generator = random.Random(3)
    inline = ['<ph x="1">{}</ph>', "<hi>{}</hi>", "<bpt>{}</bpt>", "{}", "{}<ph/>", "<hi>a{}</hi>b"]

    def text(depth: int = 0) -> str:
        parts = [generator.choice(["Кіт", " ", "&amp;", "x", "", "\n"]) for _ in range(4)]
        if depth < 3:
            parts.append(generator.choice(inline).format(text(depth + 1)))
        generator.shuffle(parts)
        return "".join(parts)

    def plain(element: ET.Element) -> str:
        inner = "".join(plain(child) + (child.tail or "") for child in element)
        return "" if element.tag in ("ph", "bpt") else (element.text or "") + inner

    units = [
        unit(*((tag, text()) for tag in generator.choices(["en", "en-GB", "uk", "da"], k=3))) for _ in range(1_000)
    ]
    content = document(*units)
    expected = []
    for found in ET.fromstring(content).iter("tu"):
        sides: dict[str, list[str]] = {"en": [], "uk": [], "da": []}
        for variant in found.iter("tuv"):
            tag = variant.attrib["{http://www.w3.org/XML/1998/namespace}lang"]
            segment = variant.find("seg")
            assert segment is not None
            sides[tag[:2]].append(plain(segment))
        expected += [(english, other) for english in sides["en"] for other in sides["uk"]]
    assert read(tmp_path, content) == (expected, [])


def test_memory_does_not_depend_on_the_size_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tmx"
    path.write_text(
        document(*[pair("A sentence of some length.", "Речення якоїсь довжини.")] * 40_000), encoding="utf-8"
    )
    tracemalloc.start()
    rows = sum(len(batch.lines) for batch in open_rows(path, language="uk"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 40_000
    assert peak < 12e6
