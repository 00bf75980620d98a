"""Reader of TMX 1.4 translation memories, in any encoding that expat reads; damaged units are malformed rows.

Source of the format: https://www.gala-global.org/tmx-14b.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from distill.corpora.readers.columns import listing
from distill.corpora.readers.rows import ROWS_PER_BATCH, BadRow, RowBatch
from distill.corpora.readers.streams import CHUNK_BYTES, Entry, Stream, open_stream
from distill.errors import DataError
from distill.languages import language_of_tag

CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})
"""Inline elements that hold codes of the original format, which are no text; that of others, such as hi, is."""

MOST_PAIRS = 1_000
"""Pairs of one unit with several variants per language; more are no translations."""

MOST_LANGUAGES = 100
"""Language tags kept for a message."""

LONGEST_TEXT = 1 << 22
"""Characters; a longer text or tag is no translation, and expat looks at an unfinished tag again with every chunk."""

UNIT = re.compile(rb"<tu[\s>]")
INVALID_TOKEN = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
PROLOG = b"<tmx><body>"


def read_tmx(entry: Entry, language: str) -> Iterator[RowBatch]:
    """Yield the pairs of a translation memory; a unit with several variants of a language gives each pair.

    A damaged unit is a malformed row; reading goes on at the next one.

    Args:
        entry: the file.
        language: code of the non-English side; variants such as uk_UA count as it.

    Raises:
        DataError: it cannot be read, is no TMX, declares entities, ends in the middle, or lacks a language.
    """
    pairs = 0
    with open_stream(entry) as stream:
        first = stream.read(CHUNK_BYTES)
        if not first:
            raise DataError(str(entry.place), "the file is empty", expected="a TMX file")
        utf_16 = _utf_16(first)
        units = _Units(entry, language, "utf-8" if utf_16 else None)
        for chunk in _utf8_chunks(entry, stream, first, utf_16):
            units.feed(chunk)
            if len(units.lines) + len(units.bad) >= ROWS_PER_BATCH:
                pairs += len(units.lines)
                yield units.take()
        units.close()
    pairs += len(units.lines)
    if not pairs and not units.bad:
        raise DataError(
            str(entry.place),
            f"no pair en-{language} in {units.count:,} translation units",
            expected=f"units with a text in en and one in {language}",
            hint=f"languages there: {listing(sorted(units.languages))}",
        )
    yield units.take()


def _utf_16(start: bytes) -> str:
    """Return the kind of UTF-16 that a file begins with, an empty string if it is another encoding."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(start[:2], "")


def _utf8_chunks(entry: Entry, stream: Stream, chunk: bytes, utf_16: str) -> Iterator[bytes]:
    """Yield the bytes of a file, those of UTF-16 as UTF-8."""
    decoder = codecs.getincrementaldecoder(utf_16 or "utf-8")("surrogatepass")  # the parser finds half a pair
    while chunk:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass") if utf_16 else chunk
        chunk = stream.read(CHUNK_BYTES)
    if utf_16 and decoder.getstate()[0]:
        raise DataError(str(entry.place), "the file ends inside a character of UTF-16", expected="a whole TMX file")


class _Units:
    """The translation units of a file, as its bytes come.

    Attributes:
        lines: line on which the unit of each row begins, of the rows not yet taken.
        bad: malformed rows not yet taken.
        count: units so far.
        languages: the first language tags, and which side of a pair each is.
    """

    def __init__(self, entry: Entry, language: str, encoding: str | None) -> None:
        self.place = entry.place
        self.count = 0
        self.languages: dict[str, int | None] = {}
        self._sides = {"en": 0, language: 1}
        self._encoding = encoding
        self._is_tmx = False
        self._newlines = 0  # before the bytes that are parsed next
        self._end = b""
        self._lost = b""
        self._parser: Any = None
        self._fault = ""
        self._clear()
        self._start(b"")

    def _clear(self) -> None:
        self.lines: list[int] = []
        self.bad: list[BadRow] = []
        self._english: list[str] = []
        self._other: list[str] = []
        self._one_sided = 0

    def take(self) -> RowBatch:
        """Return the rows so far, and forget them."""
        columns = {"english": self._english, "non_english": self._other}
        batch = RowBatch(self.place, columns, self.lines, self.bad, self._one_sided)
        self._clear()
        return batch

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the file.

        Raises:
            DataError: the file is no TMX, or declares entities.
        """
        self._end = (self._end + chunk)[-200:]
        data = chunk if self._parser else self._restart(chunk)
        while data:
            data = self._parse(data)
            if self._parser is None:
                data = self._restart(data)

    def close(self) -> None:
        """Check that the file is complete.

        Raises:
            DataError: it ends in the middle.
        """
        found = "no </tmx>" if b"</tmx" not in self._end else ""
        if self._parser:
            try:
                self._parser.Parse(b"", True)
            except expat.ExpatError as error:
                found = expat.ErrorString(error.code)
        if found:
            raise DataError(
                f"{self.place}:{self._newlines + 1}",
                f"the file ends in the middle, after {self.count:,} translation units: {found}",
                expected="a whole TMX file, with </tmx> at its end",
                hint="get the file again",
            )

    def _start(self, prolog: bytes) -> None:
        """Parse what follows with a new parser, after some elements that it should be in."""
        self._parser = expat.ParserCreate(self._encoding)
        self._parser.buffer_text = True
        self._parser.Parse(prolog, False)
        self._parser.StartElementHandler = self._open_element
        self._parser.EndElementHandler = self._close_element
        self._parser.XmlDeclHandler = self._declare
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._skip_entity
        self._fed, self._base = len(prolog), self._newlines
        self._open_unit()

    def _parse(self, data: bytes) -> bytes:
        """Parse bytes, and return what stands behind damage in them; then there is no parser."""
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            message = expat.ErrorString(error.code)
            line = self._base + error.lineno
            if not self._is_tmx:
                raise DataError(f"{self.place}:{line}", f"not XML: {message}", expected="a TMX file") from error
            self.bad.append(BadRow(self.place, line, f"damaged XML: {message}"))
            # An invalid token is reported at its end, where the next unit may begin; other damage at its start.
            past = max(self._parser.ErrorByteIndex - self._fed, 0) + (error.code != INVALID_TOKEN)
            self._parser = None
        except (LookupError, ValueError) as error:  # of an encoding that Python lacks, or of more than a byte
            raise DataError(f"{self.place}:1", f"not XML: {error}", expected="a TMX file, best in UTF-8") from error
        else:
            past = len(data)
            self._fed += past
            if self._fed - self._parser.CurrentByteIndex + sum(map(len, self._parts)) > LONGEST_TEXT:
                raise DataError(
                    f"{self.place}:{self._parser.CurrentLineNumber + self._base}",
                    f"a text or tag of more than {LONGEST_TEXT:,} characters",
                    expected="a TMX file of sentences",
                )
        self._newlines += data.count(b"\n", 0, past)
        return data[past:]

    def _restart(self, data: bytes) -> bytes:
        """Find the next unit behind damage, and return the bytes from there on, if they have come."""
        data, self._lost = self._lost + data, b""
        found = UNIT.search(data)
        start = found.start() if found else max(len(data) - 3, 0)
        self._newlines += data.count(b"\n", 0, start)
        if found:
            self._start(PROLOG)
            return data[start:]
        self._lost = data[start:]
        return b""

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        self._encoding = self._encoding or encoding

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise DataError(
            f"{self.place}:{self._parser.CurrentLineNumber}",
            f"the file declares an entity, {name}",
            expected="TMX without declarations of entities, which can expand without end or name other files",
        )

    def _skip_entity(self, name: str, is_parameter: bool) -> None:
        self._fault = self._fault or f"unknown entity &{name};"

    def _open_unit(self) -> None:
        self._line = 0
        self._fault = ""
        self._texts: tuple[list[str], list[str]] = ([], [])
        self._side: int | None = None
        self._parts: list[str] = []
        self._in_text = False
        self._codes = 0

    def _open_element(self, name: str, attributes: dict[str, str]) -> None:
        if self._in_text:
            if name in CODES:
                self._codes += 1
                self._parser.CharacterDataHandler = None
        elif name == "seg":
            self._in_text = True
            if self._side is not None:
                self._parser.CharacterDataHandler = self._parts.append
        elif name == "tuv":
            tag = attributes.get("xml:lang") or attributes.get("lang")
            if tag is None:
                self._fault = self._fault or "a text without a language: <tuv> has no xml:lang"
                return
            if tag in self.languages:
                self._side = self.languages[tag]
                return
            self._side = self._sides.get(language_of_tag(tag) or "")
            if len(self.languages) < MOST_LANGUAGES:
                self.languages[tag] = self._side
        elif name == "tu":
            self._open_unit()
            self._line = self._base + self._parser.CurrentLineNumber
        elif name == "tmx":
            self._is_tmx = True
        elif not self._is_tmx:
            raise DataError(f"{self.place}:{self._parser.CurrentLineNumber}", f"<{name}>", expected="a TMX file, <tmx>")

    def _close_element(self, name: str) -> None:
        if self._in_text:
            if name in CODES:
                self._codes -= 1
                if not self._codes and self._side is not None:
                    self._parser.CharacterDataHandler = self._parts.append
            elif name == "seg":
                self._in_text = False
                self._parser.CharacterDataHandler = None
                if self._side is not None:
                    self._texts[self._side].append("".join(self._parts))
                    self._parts.clear()
        elif name == "tuv":
            self._side = None
        elif name == "tu":
            self._close_unit()

    def _close_unit(self) -> None:
        self.count += 1
        english, other = self._texts
        if len(english) * len(other) > MOST_PAIRS:
            self._fault = f"{len(english)} English and {len(other)} other texts in one unit"
        if self._fault:
            self.bad.append(BadRow(self.place, self._line, self._fault))
        elif not english or not other:
            self._one_sided += 1
        else:
            for left in english:
                for right in other:
                    self._english.append(left)
                    self._other.append(right)
                    self.lines.append(self._line)
