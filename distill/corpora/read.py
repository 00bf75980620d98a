"""The rows of a source as they are there, read once; malformed ones are counted, with their places."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from distill.corpora.cache import CachedRows, cached_rows
from distill.corpora.corpus import MAX_EXAMPLES
from distill.corpora.sources import Source
from distill.errors import DataError

ROWS_TO_JUDGE = 10_000
"""A file of which this many rows were read is given up if too many are malformed."""


def source_rows(where: str, source: Source, max_malformed: float) -> CachedRows:
    """Return the rows of a source; its facts say how many were malformed and where the first of these are.

    Args:
        where: the corpus, `corpora.NAME (en-XX)`, for messages.
        source: where the rows come from.
        max_malformed: largest share of a file's rows that may be malformed.

    Raises:
        DataError: the source cannot be read, or too much of a file is malformed.
        StorageError: the cache cannot be written.
    """
    found = cached_rows(where, source.identity, partial(_write_rows, where, source, max_malformed))
    for file, (rows, malformed) in found.facts["files"].items():
        _check(where, file, rows, malformed, found.facts["examples"], max_malformed)
    return found


def _write_rows(where: str, source: Source, max_malformed: float, path: Path) -> dict[str, Any]:
    """Write the good rows of a source to a file and return the facts about all."""
    good, bad, examples, one_sided = Counter[str](), Counter[str](), list[tuple[str, str]](), 0
    schema = pa.schema([(part, pa.float32() if part == "score" else pa.string()) for part in source.parts])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in source.batches():
            name = str(batch.file)
            bad[name] += len(batch.bad)
            good[name] += len(batch.lines)
            one_sided += batch.one_sided
            examples += [(f"{row.file}:{row.line}", row.found) for row in batch.bad[: MAX_EXAMPLES - len(examples)]]
            if good[name] + bad[name] >= ROWS_TO_JUDGE:
                _check(where, name, good[name], bad[name], examples, max_malformed)
            writer.write_batch(pa.record_batch([batch.columns[part] for part in source.parts], schema=schema))
    files = {name: (good[name], bad[name]) for name in good}
    return {"rows": good.total(), "one_sided": one_sided, "files": files, "examples": examples}


def _check(
    where: str, file: str, rows: int, malformed: int, examples: list[tuple[str, str]], max_malformed: float
) -> None:
    """Check that no more than a share of a file is malformed."""
    if malformed <= max_malformed * (rows + malformed):
        return
    place, found = next((example for example in examples if example[0].startswith(file)), (file, "malformed"))
    share = malformed / (rows + malformed)
    raise DataError(
        place,
        f"{found}; {malformed:,} of the first {rows + malformed:,} rows are malformed, {share:.1%}",
        expected=f"at most {max_malformed:.1%} of a file",
        hint=f"mend the file, or set {where.split()[0]}.max_malformed to a larger share",
    )
