"""The cache of corpora: a source is read once into an Arrow file; later runs map that file into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from filelock import FileLock

from distill.corpora.readers import BadRow
from distill.corpora.sources import Source
from distill.errors import DataError
from distill.files import disk_errors, file_checksum, sync_file, write_atomically
from distill.store import cache_root, remove_leftovers

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger("distill")

FORMAT_VERSION = 3
SCHEMA = pa.schema([("english", pa.string()), ("non_english", pa.string())])
MAX_EXAMPLES = 3
"""Bad rows whose places are kept, of however many."""


@dataclass(frozen=True)
class CachedRows:
    """The rows of a source, memory-mapped.

    Attributes:
        rows: columns `english` and `non_english`.
        bad: number of rows that were skipped.
        examples: place and fault of the first of them.
    """

    rows: Dataset
    bad: int
    examples: list[str]


def cached_rows(where: str, source: Source, bad_rows: Literal["error", "skip"]) -> CachedRows:
    """Return the rows of a source, read first if they are not in the cache or damaged there.

    Args:
        where: the corpus, `corpora.NAME (en-XX)`, for messages.
        source: where the rows come from.
        bad_rows: whether a row without text on a side is an error or skipped.

    Raises:
        DataError: the source cannot be read, or has a bad row and these are errors.
        StorageError: the cache cannot be written.
    """
    from datasets import Dataset

    identity = source.identity | {"version": FORMAT_VERSION, "bad_rows": bad_rows}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_root() / "corpora" / digest
    locks = cache_root() / "locks"
    with disk_errors(folder):
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / digest):  # another process may be writing the same rows
            manifest = _intact_manifest(folder)
            if manifest is None:
                if folder.exists():
                    log.warning("%s: the cached rows in %s are damaged and are read again", where, folder)
                    shutil.rmtree(folder)
                manifest = _write(where, source, bad_rows, folder, identity)
    rows = Dataset.from_file(str(folder / "rows.arrow"))
    return CachedRows(rows, int(manifest["bad"]), list(manifest["examples"]))


def _intact_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of cached rows, None if they are not there or do not match their checksum."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        return manifest if file_checksum(folder / "rows.arrow") == manifest["checksum"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    where: str, source: Source, bad_rows: Literal["error", "skip"], folder: Path, identity: dict[str, Any]
) -> dict[str, Any]:
    """Read a source into a folder that appears under its name only when it is whole, and return its manifest."""
    temporary = folder.with_name(f"tmp-{uuid.uuid4().hex}")
    if folder.parent.is_dir():
        remove_leftovers(
            folder.parent, keep={path.name for path in folder.parent.iterdir() if not path.name.startswith("tmp-")}
        )
    try:
        temporary.mkdir(parents=True)
        rows, bad, examples = _write_rows(where, source, bad_rows, temporary / "rows.arrow")
        manifest = {
            "identity": identity,
            "bad": bad,
            "examples": examples,
            "checksum": file_checksum(temporary / "rows.arrow"),
            "shards": [{"rows": rows}],
        }
        write_atomically(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
        temporary.rename(folder)
        return manifest
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_rows(
    where: str, source: Source, bad_rows: Literal["error", "skip"], path: Path
) -> tuple[int, int, list[str]]:
    """Write the good rows of a source, and return their number, that of the bad ones, and the first of these."""
    rows, bad, examples = 0, 0, list[str]()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for batch in source.batches():
            sides = batch.columns["english"], batch.columns["non_english"]
            empty = [not english.strip() or not other.strip() for english, other in zip(*sides, strict=True)]
            faults = batch.bad + [
                BadRow(batch.file, line, "a side holds nothing")
                for line, is_empty in zip(batch.lines, empty, strict=True)
                if is_empty
            ]
            faults.sort(key=lambda row: row.line)
            if faults and bad_rows == "error":
                first = faults[0]
                raise DataError(
                    f"{first.file}:{first.line}",
                    first.found,
                    expected="a row with text on both sides, in UTF-8",
                    hint=f"mend the row, or set {where.split()[0]}.bad_rows: skip",
                )
            bad += len(faults) + batch.one_sided
            examples += map(str, faults[: MAX_EXAMPLES - len(examples)])
            good = [[text for text, is_empty in zip(side, empty, strict=True) if not is_empty] for side in sides]
            rows += len(good[0])
            writer.write_batch(pa.record_batch(good, schema=SCHEMA))
    sync_file(path)
    return rows, bad, examples
