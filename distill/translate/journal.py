"""The journal of finished translations: a killed run goes on where it was, and nothing is translated twice.

A file of JSON lines that only grows. The first line says whose translations they are and when the first was asked for;
every other line holds those of one request, keyed by the texts' hashes, and is on the disk before the next request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import xxhash
from filelock import FileLock, Timeout

from distill.errors import DataError, RunError
from distill.files import disk_errors, sync_folder
from distill.progress import progress
from distill.translate.engine import Engine, Translation

log = logging.getLogger("distill")


@dataclass
class Journal:
    """Finished translations of one engine into one language.

    Attributes:
        path: its file.
        started: when the first translation was asked for (UTC).
        done: translations by the hash of their source.
    """

    path: Path
    started: str
    done: dict[str, Translation]

    def append(self, texts: Sequence[str], translations: Sequence[Translation]) -> None:
        """Store the translations of one request, durably."""
        keys = [_key(text) for text in texts]
        line = [[key, *astuple(found)] for key, found in zip(keys, translations, strict=True)]
        _append_line(self.path, line)
        self.done.update(zip(keys, translations, strict=True))

    def get(self, text: str) -> Translation | None:
        """Return the translation of a text if it is finished."""
        return self.done.get(_key(text))


def journal_path(folder: Path, identity: dict[str, Any]) -> Path:
    """Return where the journal of an engine is."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return folder / f"{identity['source']}-{identity['target']}.{digest}.jsonl"


def open_journal(folder: Path, identity: dict[str, Any]) -> Journal:
    """Return the journal of an engine in a folder; a last line that a kill cut short is removed from it.

    Raises:
        DataError: another line is damaged.
    """
    path = journal_path(folder, identity)
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        if (whole := content.rfind(b"\n") + 1) < len(content):
            os.truncate(path, whole)
            content = content[:whole]
    if not content:
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        _append_line(path, {"identity": identity, "started": started})
        sync_folder(folder)
        return Journal(path, started, {})
    done: dict[str, Translation] = {}
    started = ""
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            if number == 1:
                started = str(json.loads(line)["started"])
            else:
                done.update({key: Translation(*values) for key, *values in json.loads(line)})
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}:{number}",
                "is no line of a journal of translations",
                hint="remove this line: its sentences are then translated again",
            ) from error
    return Journal(path, started, done)


def translate_all(engine: Engine, texts: Sequence[str], folder: Path, title: str) -> tuple[dict[str, Translation], str]:
    """Return the translation of every text, and when the first of them was asked for.

    Args:
        engine: who translates.
        texts: sentences; each distinct one is translated once, ever.
        folder: where the journal is.
        title: what is being done, for the progress bar.

    Raises:
        RunError: another process is at it.
    """
    distinct = list(dict.fromkeys(texts))
    path = journal_path(folder, engine.identity)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        with disk_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(str(path), "another process is translating into it", hint="wait for its end") from error
    try:
        journal = open_journal(folder, engine.identity)
        batches = [[distinct[row] for row in rows] for rows in engine.batches(distinct)]
        jobs = [missing for batch in batches if (missing := [text for text in batch if not journal.get(text)])]
        done = len(distinct) - sum(map(len, jobs))
        if done:
            log.info("%s: %d of %d sentences were translated before", title, done, len(distinct))
        with progress(title, len(distinct), "sentences", start=done) as update:

            def work(job: list[str]) -> None:
                nonlocal done
                translations = engine.translate(job)
                with writing:
                    journal.append(job, translations)
                    done += len(job)
                    update(done)

            writing = threading.Lock()
            _run(work, jobs, engine.concurrency)
    finally:
        lock.release()
    return {text: journal.done[_key(text)] for text in distinct}, journal.started


def _run(work: Callable[[list[str]], None], jobs: Sequence[list[str]], concurrency: int) -> None:
    """Do all jobs, `concurrency` at once; after the first error none is begun."""
    if concurrency == 1:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _append_line(path: Path, content: Any) -> None:
    with disk_errors(path), path.open("ab") as file:
        file.write(json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _key(text: str) -> str:
    return xxhash.xxh3_128(text.encode("utf-8", "surrogatepass")).hexdigest()
