"""Cleaning across corpora: rows that are there already, too many translations, sides that mean different things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.cleaning.across import first_rows, row_forms, too_many, unlike
from distill.cleaning.minhash import join_sketches, near_duplicates
from distill.corpora.held_out import Flags
from distill.store import Keys, Rows
from distill.vectors import vectors_of

if TYPE_CHECKING:
    from distill.corpora.load import Draft


def drop_across(drafts: Sequence[Draft]) -> None:
    """Take out the rows to train on that rules across corpora drop.

    Corpora of the same kind and language are compared in the order of the recipe, those with `max_rows` last: a row
    stays in the first that has it, and that should not be one that will not use it. Each corpus's own rules say what
    is dropped from it.
    """
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in sorted(drafts, key=lambda draft: draft.section.max_rows is not None):
        groups.setdefault((draft.corpus.kind, draft.corpus.language), []).append(draft)
    for (kind, _), group in groups.items():
        _apply(group, "duplicates", _duplicates)
        if kind == "parallel":
            _apply(group, "translations", _surplus_translations)
        _apply(group, "near_duplicates", _near_duplicates)
        if kind == "parallel":
            for draft in group:
                _drop_unlike(draft)


def _apply(group: Sequence[Draft], rule: str, find: Callable[[Sequence[Draft], Any], Flags]) -> None:
    """Drop what a rule finds among the rows of a group; corpora may have different settings of it, or none."""
    settings = [getattr(draft.cleaning, rule) for draft in group]
    for setting in dict.fromkeys(setting for setting in settings if setting.on):
        flags = find(group, setting)
        ends = np.cumsum([len(draft.corpus.train) for draft in group])
        for draft, own, other in zip(group, np.split(flags, ends[:-1]), settings, strict=True):
            if other == setting:
                _drop(draft, rule, own)


def _duplicates(group: Sequence[Draft], setting: Any) -> Flags:
    keys = _joined(group, lambda draft: draft.forms if setting.form == "normal" else _exact(draft))
    return np.not_equal(first_rows(keys), np.arange(len(keys)))


def _exact(draft: Draft) -> Keys:
    """Return a key of each row's texts as they are (n, 2): those of its columns, mixed."""
    keys = np.zeros((len(draft.corpus.rows), 2), np.uint64)
    for column in draft.corpus.columns:
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + draft.corpus.keys[column]
    return keys


def _surplus_translations(group: Sequence[Draft], setting: Any) -> Flags:
    return too_many(_joined(group, lambda draft: draft.english_forms), setting.most)


def _near_duplicates(group: Sequence[Draft], setting: Any) -> Flags:
    sketches = join_sketches([draft.sketches().take(draft.corpus.train) for draft in group])
    ends = np.cumsum([len(draft.corpus.train) for draft in group])

    def forms(rows: Rows) -> list[str]:
        found = [""] * len(rows)
        owner = np.searchsorted(ends, rows, side="right")
        for number, draft in enumerate(group):
            places = np.flatnonzero(owner == number)
            own = draft.corpus.train[rows[places] - (ends[number] - len(draft.corpus.train))]
            batch = draft.corpus.rows[own]
            for place, form in zip(places, row_forms([batch[column] for column in draft.corpus.columns]), strict=True):
                found[place] = form
        return found

    return np.not_equal(near_duplicates(sketches, forms, setting.threshold), np.arange(int(ends[-1])))


def _joined(group: Sequence[Draft], keys: Callable[[Draft], Keys]) -> Keys:
    """Return the keys of the rows to train on of all corpora of a group."""
    return np.concatenate([keys(draft)[draft.corpus.train] for draft in group])


def _drop_unlike(draft: Draft) -> None:
    """Drop the rows whose sides are far apart for a model that the recipe names."""
    rule, corpus = draft.cleaning.similarity, draft.corpus
    if not (rule and rule.on and rule.model and rule.least is not None and len(corpus.train)):
        return
    from accelerate import PartialState

    encode = vectors_of(f"{draft.where.split()[0]}.cleaning.similarity.model", rule.model, PartialState().device)
    left, right = (encode(corpus.texts(column, corpus.train)) for column in corpus.columns)
    _drop(draft, "similarity", unlike(left, right, rule.least))


def _drop(draft: Draft, rule: str, flags: Flags) -> None:
    """Take out flagged ones of the rows to train on."""
    rows = np.zeros(len(draft.corpus.rows), bool)
    rows[draft.corpus.train[flags]] = True
    draft.drop_by(rule, rows)
