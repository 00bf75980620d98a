"""What a zip archive holds: Moses pairs or TMX as OPUS ships them, a manythings export, or files with columns."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from distill.corpora.readers.moses import Pair, moses_pairs, other_pairs
from distill.corpora.readers.streams import Entry, open_zip
from distill.errors import DataError
from distill.languages import language_of_tag

TABLES = (".parquet", ".tsv", ".csv", ".jsonl", ".txt")
DOCUMENTS = ("readme", "license", "licence", "copying", "notice", "about")
MANYTHINGS_NOTES = "_about.txt"


def zip_tables(path: Path) -> list[Entry]:
    """Return the files with columns in an archive, sorted by name, those that are notes to the reader left out.

    Raises:
        DataError: the archive is damaged, or has none.
    """
    entries = _entries(path)
    tables = [entry for entry in entries if entry.format in TABLES]
    if not tables:
        raise _nothing(path, entries, "files with columns: " + ", ".join(TABLES))
    return tables


def zip_parallel(path: Path, language: str) -> list[Pair] | list[Entry]:
    """Return what holds parallel texts in an archive: its Moses pairs, else its TMX files, else its files with columns.

    Raises:
        DataError: the archive is damaged, or has nothing in the language.
    """
    entries = _entries(path)
    if pairs := moses_pairs(entries, language):
        return pairs
    if memories := [entry for entry in entries if entry.format == ".tmx"]:
        return memories
    if there := other_pairs(entries):
        raise DataError(
            str(path), f"no pair en-{language} in the archive", expected=f"one of the pairs there: {', '.join(there)}"
        )
    tables = [entry for entry in entries if entry.format in TABLES]
    if any(PurePosixPath(name).name == MANYTHINGS_NOTES for name in _names(path)):
        tables = _in_language(path, tables, language)
    if not tables:
        raise _nothing(path, entries, f"NAME.en and NAME.{language}, a TMX file, or one with columns")
    return tables


def _names(path: Path) -> list[str]:
    with open_zip(path) as archive:
        return sorted(info.filename for info in archive.infolist() if not info.is_dir())


def _entries(path: Path) -> list[Entry]:
    return [entry for entry in (Entry(path, name) for name in _names(path)) if not _is_note(entry)]


def _is_note(entry: Entry) -> bool:
    hidden = any(part.startswith((".", "_")) for part in PurePosixPath(entry.member).parts)
    return hidden or entry.stem.lower() in DOCUMENTS


def _in_language(path: Path, tables: list[Entry], language: str) -> list[Entry]:
    """Return the files of a manythings export, which are named by their languages, that are in one."""
    named = {entry.stem: entry for entry in tables if language_of_tag(entry.stem)}
    found = [entry for stem, entry in named.items() if language_of_tag(stem) == language]
    if named and not found:
        raise DataError(str(path), f"holds {', '.join(named)}", expected=f"sentences in {language}")
    return found or tables


def _nothing(path: Path, entries: list[Entry], expected: str) -> DataError:
    there = ", ".join(entry.member for entry in entries[:10]) or "nothing"
    return DataError(str(path), f"no rows to read in the archive, which holds {there}", expected=expected)
