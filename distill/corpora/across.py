"""Cleaning across corpora: rows that are there already, too many translations, sides that mean different things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill.corpora.held_out import Flags
from distill.store import distinct_keys

if TYPE_CHECKING:
    from distill.corpora.load import Draft


def drop_across(drafts: Sequence[Draft]) -> None:
    """Take out the rows to train on that rules across corpora drop.

    Corpora of the same kind and language are compared in the order of the recipe: a row stays in the first that has
    it. A corpus's own rules say what is dropped from it.
    """
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in drafts:
        groups.setdefault((draft.corpus.kind, draft.corpus.language), []).append(draft)
    for group in groups.values():
        _drop_duplicates(group)


def _drop_duplicates(group: Sequence[Draft]) -> None:
    keys = np.concatenate([draft.forms[draft.corpus.train] for draft in group])
    flags = np.ones(len(keys), bool)
    flags[distinct_keys(keys)] = False
    _drop(group, "duplicates", flags)


def _drop(group: Sequence[Draft], rule: str, flags: Flags) -> None:
    """Take out flagged rows, given for the rows to train on of all corpora of a group, where the rule is on."""
    ends = np.cumsum([len(draft.corpus.train) for draft in group])
    for draft, own in zip(group, np.split(flags, ends[:-1]), strict=True):
        if getattr(draft.cleaning, rule).on:
            rows = np.zeros(len(draft.corpus.rows), bool)
            rows[draft.corpus.train[own]] = True
            draft.drop(rule, rows, rule=True)
