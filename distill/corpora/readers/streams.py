"""The bytes and lines of a file: plain, compressed, or inside a zip archive; whatever its size, in constant memory."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from distill.corpora.readers.rows import ROWS_PER_BATCH
from distill.errors import DataError
from distill.recipe.corpora import COMPRESSIONS

CHUNK_BYTES = 1 << 16
HELD_BYTES = 1 << 23
LONGEST_LINE = 1 << 24
"""Bytes; a longer one means that a file is not what its name says."""


@dataclass(frozen=True)
class Entry:
    """A file, or a file inside a zip archive.

    Attributes:
        path: the file on disk.
        member: its name in the archive, empty for a file that is no archive.
    """

    path: Path
    member: str = ""

    @property
    def place(self) -> Path:
        """Where it is, for messages."""
        return self.path / self.member

    @property
    def compression(self) -> str:
        """The end of its name that says how it is compressed, or an empty string."""
        suffix = self.place.suffix.lower()
        return suffix if suffix in COMPRESSIONS else ""

    @property
    def name(self) -> str:
        """Its name, without folders and without `.gz`, `.zst` or `.xz`."""
        return self.place.name[: len(self.place.name) - len(self.compression)]

    @property
    def format(self) -> str:
        """The end of its name that says what it holds, in lower case, such as `.tsv` or `.en`."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """Its name without the end that says what it holds."""
        return PurePosixPath(self.name).stem


class Stream:
    """The unpacked bytes of an entry; an error says how far it got."""

    def __init__(self, entry: Entry, packed: str, file: IO[bytes]) -> None:
        self.place, self._packed, self._file = entry.place, packed, file
        self.lines = self._bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, none at the end.

        Raises:
            DataError: they cannot be read or unpacked.
        """
        try:
            data = self._file.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            if not self._packed or getattr(error, "errno", None) is not None:
                raise
            raise DataError(
                f"{self.place}:{self.lines + 1}",
                f"the {self._packed} data are damaged or cut off after {self._bytes:,} unpacked bytes: {error}",
                expected=f"a whole {self._packed} file",
                hint="get the file again",
            ) from error
        self._bytes += len(data)
        self.lines += data.count(b"\n")
        return data


@contextmanager
def open_stream(entry: Entry) -> Iterator[Stream]:
    """Open an entry and yield its unpacked bytes.

    Raises:
        DataError: it is not there or cannot be read.
    """
    if not entry.path.is_file():
        raise DataError(str(entry.path), "no such file")
    with ExitStack() as stack:
        try:
            file: Any = stack.enter_context(_open_member(entry) if entry.member else entry.path.open("rb"))
            if entry.compression == ".gz":
                file = stack.enter_context(gzip.GzipFile(fileobj=file))
            elif entry.compression == ".xz":
                file = stack.enter_context(lzma.LZMAFile(file))
            elif entry.compression == ".zst":
                import pyarrow as pa

                file = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
            packed = entry.compression.removeprefix(".") or ("zip" if entry.member else "")
            yield Stream(entry, packed, file)
        except OSError as error:
            raise DataError(str(entry.place), f"cannot be read: {error.strerror or error}") from error


@contextmanager
def _open_member(entry: Entry) -> Iterator[IO[bytes]]:
    with open_zip(entry.path) as archive:
        try:
            member = archive.open(entry.member)
        except (RuntimeError, NotImplementedError) as error:  # a password; a kind of compression
            raise DataError(
                str(entry.place), f"cannot be unpacked: {error}", hint="unpack the archive and name the files in it"
            ) from error
        except zipfile.BadZipFile as error:
            raise _bad_zip(entry.path, error) from error
        with member:
            yield member


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive.

    Raises:
        DataError: it is no whole archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DataError(str(path), "no such file") from None
    except zipfile.BadZipFile as error:
        raise _bad_zip(path, error) from error
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error
    with archive:
        yield archive


def _bad_zip(path: Path, error: Exception) -> DataError:
    return DataError(
        str(path), f"not a whole zip archive: {error}", expected="a zip archive", hint="get the file again"
    )


@dataclass
class LineBlock:
    """Some lines of a file, without their ends.

    Attributes:
        first: number of the first one.
        lines: the lines; one that is not UTF-8 is empty here.
        broken: number and fault of those that are not UTF-8.
    """

    first: int
    lines: list[str]
    broken: dict[int, str] = field(default_factory=dict)

    def numbers(self) -> range:
        """Return the numbers of the lines."""
        return range(self.first, self.first + len(self.lines))

    def drop(self, count: int) -> LineBlock:
        """Return the block without its first lines."""
        return LineBlock(self.first + count, self.lines[count:], self.broken)


def line_blocks(stream: Stream, *, keep_returns: bool = False) -> Iterator[LineBlock]:
    r"""Yield the lines of a file in blocks of at most `ROWS_PER_BATCH`; only `\n` ends a line.

    Args:
        stream: the bytes; a byte order mark is no part of the first line.
        keep_returns: leave `\r` at the ends of lines.

    Raises:
        DataError: a line is longer than `LONGEST_LINE`.
    """
    held, size = LineBlock(1, []), 0
    for chunk in _whole_lines(stream):
        block = _decoded(chunk, held.first + len(held.lines))
        if not keep_returns and b"\r" in chunk:
            block.lines = [line.rstrip("\r") for line in block.lines]
        held.lines += block.lines
        held.broken |= block.broken
        size += len(chunk)
        while len(held.lines) >= ROWS_PER_BATCH or size >= HELD_BYTES:
            yield _split(held)
            held, size = held.drop(ROWS_PER_BATCH), 0
            held.broken = {line: found for line, found in held.broken.items() if line >= held.first}
    if held.lines:
        yield held


def _split(held: LineBlock) -> LineBlock:
    end = held.first + ROWS_PER_BATCH
    broken = {line: found for line, found in held.broken.items() if line < end}
    return LineBlock(held.first, held.lines[:ROWS_PER_BATCH], broken)


def _whole_lines(stream: Stream) -> Iterator[bytes]:
    rest = [stream.read(CHUNK_BYTES).removeprefix(b"\xef\xbb\xbf")]
    while chunk := stream.read(CHUNK_BYTES):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join((*rest, chunk[:cut]))
            rest = []
        rest.append(chunk[cut:])
        if len(rest) * CHUNK_BYTES > LONGEST_LINE:
            raise DataError(
                f"{stream.place}:{stream.lines + 1}",
                f"a line of more than {LONGEST_LINE:,} bytes",
                expected="a text file with one row per line",
            )
    if last := b"".join(rest):
        yield last


def _decoded(chunk: bytes, first: int) -> LineBlock:
    chunk = chunk.removesuffix(b"\n")
    try:
        return LineBlock(first, chunk.decode("utf-8").split("\n"))
    except UnicodeDecodeError:
        block = LineBlock(first, [])
    for number, raw in enumerate(chunk.split(b"\n"), start=first):
        try:
            block.lines.append(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            block.lines.append("")
            block.broken[number] = f"not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"
    return block
