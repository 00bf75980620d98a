"""Test sets in local files: scored pairs and translations by their columns, retrieval and classification in folders."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from distill.corpora.readers import column_types
from distill.errors import DataError, DistillError, nearest
from distill.languages import parse_pair
from distill.recipe.corpora import FILE_SUFFIXES
from distill.testsets.build import build_bitext, build_classification, build_retrieval, build_sts
from distill.testsets.sets import BitextSet, ClassificationSet, RetrievalSet, StsSet
from distill.testsets.tables import file_table

log = logging.getLogger("distill")

STS_COLUMNS = ("sentence1", "sentence2", "score")
BITEXT_COLUMNS = ("english", "non_english")
LABELLED_COLUMNS = ("text", "label")
QRELS_COLUMNS = ("query-id", "corpus-id", "score")
STS_SCORES = (0.0, 5.0)
RETRIEVAL_PARTS = ("queries", "corpus", "qrels")
LABELLED_PARTS = ("train", "test")


def read_test_file(path: Path, pair: str | None = None) -> StsSet | BitextSet:
    """Return the test set of a TSV, CSV, parquet or JSONL file named by its pair, such as `ntrex/en-uk.tsv`.

    Its columns say what it is: score, sentence1, sentence2 or english, non_english.

    Args:
        path: the file.
        pair: its pair, if its name has been read already.

    Raises:
        DataError: the name is no pair, or a row is malformed; with file and line.
    """
    pair, suite, note = pair or file_pair(path), path.resolve().parent.name, translation_note(path)
    columns = column_types(path)
    if set(STS_COLUMNS) <= set(columns):
        table = file_table(path, STS_COLUMNS)
        return build_sts(suite, pair, (table, table), STS_COLUMNS, STS_SCORES, note)
    if set(BITEXT_COLUMNS) <= set(columns):
        table = file_table(path, BITEXT_COLUMNS)
        return build_bitext(suite, pair, (table, table), BITEXT_COLUMNS, note)
    known = (*STS_COLUMNS, *BITEXT_COLUMNS)
    raise DataError(
        f"{path}:1",
        f"columns {', '.join(columns) or 'none'}",
        expected="score, sentence1, sentence2; or english, non_english" + "; between tabs" * (path.suffix == ".tsv"),
        hint=next(filter(None, (nearest(column, known) for column in columns if column not in known)), ""),
    )


def read_test_folder(folder: Path, suite: str, pair: str) -> RetrievalSet | ClassificationSet:
    """Return the retrieval set (queries, corpus, qrels) or classification set (train, test) in a folder.

    Raises:
        DataError: a part is missing, or a row is malformed; with file and line.
    """
    note = translation_note(folder)
    if not any(_part(folder, part) for part in RETRIEVAL_PARTS):
        train, test = (file_table(_needed(folder, part, LABELLED_PARTS), LABELLED_COLUMNS) for part in LABELLED_PARTS)
        return build_classification(suite, pair, train, test, LABELLED_COLUMNS, note)
    queries, corpus, qrels = (_needed(folder, part, RETRIEVAL_PARTS) for part in RETRIEVAL_PARTS)
    titled = ("_id", "text", "title") if "title" in column_types(corpus) else ("_id", "text")
    return build_retrieval(
        suite,
        pair,
        file_table(queries, ("_id", "text")),
        file_table(corpus, titled),
        file_table(qrels, QRELS_COLUMNS),
        note,
    )


def find_test_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold test sets, and its folders that do, sorted.

    Hidden ones and reviews of translations, such as uk.review.csv, are none.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and not path.name.endswith(".review.csv")
        and ((path.is_file() and path.suffix.lower() in FILE_SUFFIXES) or (path.is_dir() and holds_parts(path)))
    )


def holds_parts(folder: Path) -> bool:
    """Return whether a folder holds a retrieval or classification set."""
    return any(_part(folder, part) for part in (*RETRIEVAL_PARTS, "test"))


def file_pair(path: Path) -> str:
    """Return the pair that a file or folder is named by.

    Raises:
        DataError: its name is no pair; with the file, of a folder its first.
    """
    if path.is_dir():
        name, expected = path.resolve().name, "a folder named by its pair, such as en-uk"
        parts = [found for part in (*RETRIEVAL_PARTS, *LABELLED_PARTS) if (found := _part(path, part))]
    else:
        name, expected, parts = path.stem, f"a file named by its pair, such as en-uk{path.suffix}", []
    where = str(parts[0] if parts else path)
    try:
        return "-".join(parse_pair(name, where=where))
    except DistillError as error:
        raise DataError(where, error.found, expected=expected) from None


def translation_note(path: Path) -> str:
    """Return who translated a test set and how well, from the manifest `en-uk.json` beside `en-uk.tsv`.

    An empty string if there is no manifest, or it has no note.

    Raises:
        DataError: the manifest is no JSON object.
    """
    manifest = path.with_name(f"{path.name if path.is_dir() else path.stem}.json")
    try:
        content = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise DataError(str(manifest), f"cannot be read: {error}", expected="the manifest of a translation") from error
    if not isinstance(content, dict):
        raise DataError(str(manifest), f"a JSON {type(content).__name__}", expected="a JSON object")
    return str(content.get("note") or "")


def _part(folder: Path, part: str) -> Path | None:
    return next((path for suffix in FILE_SUFFIXES if (path := folder / f"{part}{suffix}").is_file()), None)


def _needed(folder: Path, part: str, parts: tuple[str, ...]) -> Path:
    found = _part(folder, part)
    if found is None:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:10])
        raise DataError(
            str(folder),
            f"no {part} file among {there}",
            expected=f"{', '.join(parts)}, each as {' or '.join(FILE_SUFFIXES)}",
        )
    return found
