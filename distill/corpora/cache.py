"""The cache of corpora: rows are made once, as an Arrow file; later runs map that file into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from distill.files import disk_errors, file_checksum, sync_file, write_atomically
from distill.store import cache_root, remove_leftovers

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger("distill")

FORMAT_VERSION = 4


@dataclass(frozen=True)
class CachedRows:
    """Rows in the cache, memory-mapped.

    Attributes:
        rows: a column for each part of a row, such as `english` and `non_english`.
        facts: what else is known of them.
        folder: where they lie; its name is a hash of what they depend on.
    """

    rows: Dataset
    facts: Mapping[str, Any]
    folder: Path


def cached_rows(where: str, identity: Mapping[str, Any], write: Callable[[Path], dict[str, Any]]) -> CachedRows:
    """Return rows, made first if they are not in the cache or damaged there.

    Args:
        where: the corpus, `corpora.NAME (en-XX)`, for messages.
        identity: what the rows depend on.
        write: writes them to the file it is given and returns facts about them, `rows`, their number, among these.

    Raises:
        StorageError: the cache cannot be written.
    """
    from datasets import Dataset

    identity = {**identity, "version": FORMAT_VERSION}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_root() / "corpora" / digest
    locks = cache_root() / "locks"
    with disk_errors(folder):
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / digest):  # another process may be writing the same rows
            facts = _intact_facts(folder)
            if facts is None:
                if folder.exists():
                    log.warning("%s: the cached rows in %s are damaged and are made again", where, folder)
                    shutil.rmtree(folder)
                facts = _write(folder, identity, write)
    return CachedRows(Dataset.from_file(str(folder / "rows.arrow")), facts, folder)


def _intact_facts(folder: Path) -> dict[str, Any] | None:
    """Return the facts of cached rows, None if these are not there or do not match their checksum."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        facts: dict[str, Any] = manifest["facts"]
        return facts if file_checksum(folder / "rows.arrow") == manifest["checksum"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, identity: dict[str, Any], write: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Make rows in a folder that appears under its name only when it is whole, and return their facts."""
    temporary = folder.with_name(f"tmp-{uuid.uuid4().hex}")
    if folder.parent.is_dir():
        remove_leftovers(
            folder.parent, keep={path.name for path in folder.parent.iterdir() if not path.name.startswith("tmp-")}
        )
    try:
        temporary.mkdir(parents=True)
        facts = write(temporary / "rows.arrow")
        sync_file(temporary / "rows.arrow")
        manifest = {
            "identity": identity,
            "facts": facts,
            "checksum": file_checksum(temporary / "rows.arrow"),
            "shards": [{"rows": facts["rows"]}],
        }
        write_atomically(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
        temporary.rename(folder)
        return facts
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
