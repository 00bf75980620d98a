"""What is to be known of the texts of rows: their hashes, and which are in a test set; computed once and stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from distill.cleaning.across import row_forms
from distill.cleaning.minhash import Sketches, join_sketches, sketch
from distill.corpora.cache import CachedRows
from distill.corpora.held_out import Flags, SentenceFilter
from distill.corpora.readers import ROWS_PER_BATCH
from distill.files import disk_errors, write_atomically
from distill.store import Keys, text_keys

VERSION = 1
"""To be raised when what is stored would be another: it is then computed again."""


@dataclass(frozen=True)
class KnownTexts:
    """What is known of the texts of n rows.

    Attributes:
        keys: per text column, the hashes of the texts (n, 2).
        forms: hashes of the normal forms of each row's texts together (n, 2).
        first_forms: those of its first text alone (n, 2).
        exact: which rows have a text of which source of held-out sentences (n, sources).
        near: which rows have a near-duplicate only (n, sources).
    """

    keys: dict[str, Keys]
    forms: Keys
    first_forms: Keys
    exact: Flags
    near: Flags


def known_texts(found: CachedRows, columns: Sequence[str], held_out: SentenceFilter) -> KnownTexts:
    """Return what is known of the texts of some rows; it is stored beside them."""
    digest = _digest(columns)
    keys = _stored(found, f"keys-{digest}", lambda: _keys(found, columns))
    held = _stored(found, f"held-out-{digest}-{held_out.digest()}", lambda: _held_out(found, columns, held_out))
    return KnownTexts(
        {column: keys[column] for column in columns}, keys["row form"], keys["first form"], held["exact"], held["near"]
    )


def stored_sketches(found: CachedRows, columns: Sequence[str]) -> Sketches:
    """Return what near-duplicates of rows are found by; it is stored beside them."""
    made = _stored(found, f"sketches-{_digest(columns)}", lambda: vars(_sketches(found, columns)))
    return Sketches(**made)


def _digest(columns: Sequence[str]) -> str:
    return hashlib.sha256(f"{VERSION} {' '.join(columns)}".encode()).hexdigest()[:12]


def _sketches(found: CachedRows, columns: Sequence[str]) -> Sketches:
    return join_sketches([sketch(row_forms(texts)) for texts in _batches(found, columns)])


def _stored(found: CachedRows, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return arrays from a file beside the rows, made first if it is not there."""
    path = found.folder / f"{name}.npz"
    if not path.exists():
        content = BytesIO()
        np.savez(content, **make())
        with disk_errors(path):
            write_atomically(path, content.getvalue())
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _keys(found: CachedRows, columns: Sequence[str]) -> dict[str, Keys]:
    """Return the hashes of each column's texts, of the rows' normal forms and of the first column's."""
    parts: dict[str, list[Keys]] = {
        name: [np.empty((0, 2), np.uint64)] for name in ("row form", "first form", *columns)
    }
    for texts in _batches(found, columns):
        for column, own in zip(columns, texts, strict=True):
            parts[column].append(text_keys(own))
        forms = row_forms(texts)
        parts["row form"].append(text_keys(forms))
        parts["first form"].append(text_keys([form.partition("\n")[0] for form in forms]))
    return {name: np.concatenate(keys) for name, keys in parts.items()}


def _held_out(found: CachedRows, columns: Sequence[str], held_out: SentenceFilter) -> dict[str, Flags]:
    """Return which rows have a held-out sentence of which source, exactly and nearly only (rows, sources)."""
    parts = [np.zeros((2, 0, len(held_out.sources)), bool)]
    for texts in _batches(found, columns):
        parts.append(np.stack(held_out.sources_of(map(held_out.find, texts), len(texts[0]))))
    exact, near = np.concatenate(parts, axis=1)
    return {"exact": exact, "near": near}


def _batches(found: CachedRows, columns: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield the texts of some rows in batches, a list for each column."""
    for start in range(0, len(found.rows), ROWS_PER_BATCH):
        batch = found.rows[start : start + ROWS_PER_BATCH]
        yield [list(batch[column]) for column in columns]
