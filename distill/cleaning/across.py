"""Rules that compare rows with each other or by their vectors: duplicates, many translations, unlike sides.

Rows are those of all corpora of one language, in the corpora's order: of several alike, the first is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distill.duplicates import Numbers, normal_form
from distill.store import Keys

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AcrossRules:
    """Which rules apply; None or False turns one off.

    Attributes:
        duplicates: drop rows equal to an earlier one in the normal form of all their texts.
        exact: compare the texts themselves, not their normal forms, for duplicates.
        translations: most rows of one English sentence, not counting equal ones.
        near_duplicates: least Jaccard similarity at which a row is dropped; see `distill.cleaning.minhash`.
    """

    duplicates: bool = True
    exact: bool = False
    translations: int | None = None
    near_duplicates: float | None = None


def row_forms(columns: Sequence[Sequence[str]]) -> list[str]:
    """Return the normal forms of each row's texts in one text; another translation of a sentence is another row."""
    return ["\n".join(forms) for forms in zip(*(map(normal_form, column) for column in columns), strict=True)]


def first_rows(keys: Keys) -> Numbers:
    """Return for each row the first one with the same key (n,)."""
    order, starts = _grouped(keys)
    first = np.empty(len(keys), np.int64)
    first[order] = order[starts]
    return first


def too_many(keys: Keys, most: int) -> Flags:
    """Return which rows have at least `most` earlier ones with the same key (n,)."""
    order, starts = _grouped(keys)
    flags = np.empty(len(keys), bool)
    flags[order] = np.arange(len(keys)) - starts >= most
    return flags


def _grouped(keys: Keys) -> tuple[Numbers, Numbers]:
    """Return the rows sorted by key, equal ones in their order, and for each the place at which its key starts."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.maximum.accumulate(np.where(new, np.arange(len(keys)), 0))


def similar(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the cosine of each pair of vectors (n,), of (n, d) each; 0 where one is all zeros."""
    a, b = left.astype(np.float32), right.astype(np.float32)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: npt.NDArray[np.float32] = np.einsum("nd,nd->n", a, b) / np.where(norms > 0, norms, 1)
    return cosines


def unlike(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating], least: float) -> Flags:
    """Return which pairs of vectors have a cosine below `least` (n,)."""
    return np.less(similar(left, right), least)
