"""Cleaning one corpus: repaired texts and each rule's verdict are stored, so that a changed rule is applied alone.

The work is spread over processes by `datasets`. No rule here looks beyond its row: any way of cutting gives the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from distill.cleaning import VERSION, RowRule, Texts, applied, flags, repair
from distill.cleaning.repair import REPAIRS
from distill.corpora.cache import CachedRows, cached_rows
from distill.corpora.corpus import MAX_EXAMPLES, Tally
from distill.corpora.held_out import Flags
from distill.corpora.readers import ROWS_PER_BATCH
from distill.files import disk_errors, write_atomically
from distill.recipe.cleaning import CleaningSection, Rule

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_PER_PROCESS = 20_000
"""Fewer rows are not worth starting a process for."""

Batch = Mapping[str, Sequence[str]]
"""Texts by column."""


@dataclass(frozen=True)
class CleanedRows:
    """The rows of a source after the repairs, and what the rules say of them.

    Attributes:
        found: all rows, repaired.
        repaired: repair → rows that it changed, with a text before and after.
        flags: rule → which rows it drops (n,), in the rules' order.
    """

    found: CachedRows
    repaired: dict[str, Tally]
    flags: dict[str, Flags]


def clean_rows(where: str, found: CachedRows, section: CleaningSection, languages: Mapping[str, str]) -> CleanedRows:
    """Return the cleaned rows of a source.

    Args:
        where: the corpus, `corpora.NAME (en-XX)`, for messages.
        found: the rows as they were read.
        section: what is repaired and dropped, every key filled.
        languages: text column → code of its language; parallel rows have the columns `english` and `non_english`.

    Raises:
        StorageError: the cache cannot be written.
    """
    repaired = found
    if repairs := [name for name in REPAIRS if getattr(section, name)]:
        identity = {"rows": found.folder.name, "repairs": repairs, "columns": list(languages), "cleaning": VERSION}
        repaired = cached_rows(where, identity, partial(_write_repaired, found.rows, section, repairs, list(languages)))
    tallies = {
        name: Tally(count, tuple(map(tuple, repaired.facts["examples"][name])))
        for name, count in repaired.facts.get("repaired", {}).items()
    }
    return CleanedRows(repaired, tallies, _stored_flags(repaired, section, languages))


def _write_repaired(
    rows: Dataset, section: CleaningSection, repairs: Sequence[str], columns: Sequence[str], path: Path
) -> dict[str, Any]:
    """Write repaired rows to a file and return how many each repair changed, with examples."""
    counts = dict.fromkeys(repairs, 0)
    examples: dict[str, list[tuple[str, str]]] = {name: [] for name in repairs}
    with TemporaryDirectory(dir=path.parent) as folder:
        mended = _in_processes(rows, partial(_repair_batch, section, repairs, columns), Path(folder), keep=True)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.data.schema) as writer:
            for start in range(0, len(rows), ROWS_PER_BATCH):
                before, after = rows[start : start + ROWS_PER_BATCH], mended[start : start + ROWS_PER_BATCH]
                values = [after[name] for name in rows.column_names]
                writer.write_batch(pa.record_batch(values, schema=rows.data.schema))
                changes = np.array(after["changes"], bool).reshape(-1, len(repairs), len(columns))
                for name, changed in zip(repairs, changes.transpose(1, 0, 2), strict=True):
                    counts[name] += int(changed.any(axis=1).sum())
                    for row, column in np.argwhere(changed)[: MAX_EXAMPLES - len(examples[name])].tolist():
                        examples[name].append((before[columns[column]][row], after[columns[column]][row]))
    return {"rows": len(rows), "repaired": counts, "examples": examples}


def _repair_batch(
    section: CleaningSection, repairs: Sequence[str], columns: Sequence[str], batch: Batch
) -> dict[str, Any]:
    """Return the repaired columns of a batch, and which repairs changed each row in which columns."""
    changes = np.zeros((len(batch[columns[0]]), len(repairs), len(columns)), bool)
    texts: dict[str, Any] = {}
    for place, column in enumerate(columns):
        repaired = repair(batch[column], section)
        texts[column] = repaired.texts
        for number, name in enumerate(repairs):
            changes[repaired.changed[name], number, place] = True
    return {**texts, "changes": list(changes.reshape(len(changes), -1))}


def _stored_flags(found: CachedRows, section: CleaningSection, languages: Mapping[str, str]) -> dict[str, Flags]:
    """Return each rule's verdict on some rows; those that are not stored yet are made and stored beside the rows."""
    rules = applied(section, parallel="non_english" in languages)
    files = {rule.name: found.folder / f"{rule.name}-{_digest(rule, section, languages)}.npy" for rule in rules}
    missing = [rule for rule in rules if not files[rule.name].exists()]
    n = len(found.rows)
    if not n:
        return {rule.name: np.zeros(0, bool) for rule in rules}
    if missing:
        with disk_errors(found.folder), TemporaryDirectory(dir=found.folder) as folder:
            made = _in_processes(
                found.rows, partial(_flag_batch, missing, section, languages), Path(folder), keep=False
            )
            for rule in missing:
                content = BytesIO()
                np.save(content, np.packbits(made.data.column(rule.name).to_numpy()))
                write_atomically(files[rule.name], content.getvalue())
    return {name: np.unpackbits(np.load(file), count=n).astype(bool) for name, file in files.items()}


def _flag_batch(
    rules: Sequence[RowRule], section: CleaningSection, languages: Mapping[str, str], batch: Batch
) -> dict[str, Flags]:
    """Return what each rule says of a batch; a negative that is not there is never at fault."""
    columns = {name: Texts(batch[name], language) for name, language in languages.items()}
    found = {}
    for rule in rules:
        if rule.sides:
            found[rule.name] = flags(rule, list(columns.values()), section)
        else:
            verdicts = [
                flags(rule, [texts], section) & ((texts.lengths > 0) | (not name.startswith("negative")))
                for name, texts in columns.items()
            ]
            found[rule.name] = np.logical_or.reduce(verdicts)
    return found


def _digest(rule: RowRule, section: CleaningSection, languages: Mapping[str, str]) -> str:
    """Return a hash of all that a rule's verdict depends on besides the rows."""
    parameters = getattr(section, rule.name)
    content = parameters.model_dump(mode="json") if isinstance(parameters, Rule) else parameters
    return hashlib.sha256(json.dumps([content, dict(languages), VERSION], sort_keys=True).encode()).hexdigest()[:12]


def _in_processes(rows: Dataset, function: Callable[[Batch], dict[str, Any]], folder: Path, *, keep: bool) -> Dataset:
    """Return what a function makes of batches of rows, in as many processes as pay; `folder` holds the result."""
    processes = min(n_processes(), len(rows) // ROWS_PER_PROCESS)
    with _progress_bar(shown=processes > 1 and sys.stderr.isatty()):
        return rows.map(
            function,
            batched=True,
            batch_size=ROWS_PER_BATCH,
            num_proc=processes if processes > 1 else None,
            remove_columns=None if keep else rows.column_names,
            load_from_cache_file=False,
            cache_file_name=str(folder / "rows.arrow"),
            desc="cleaning",
        )


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[None]:
    """Show the bar of `datasets`, or do not."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    disabled = are_progress_bars_disabled()
    (enable_progress_bars if shown else disable_progress_bars)()
    try:
        yield
    finally:
        (disable_progress_bars if disabled else enable_progress_bars)()


def n_processes() -> int:
    """Return how many processes clean: `$DISTILL_PROCESSES`, or one for each core that this process may use."""
    return int(os.environ.get("DISTILL_PROCESSES") or len(os.sched_getaffinity(0)))
