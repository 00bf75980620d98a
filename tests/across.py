"""The rules across rows as one function of all of them: what streams and shards must agree with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distill.cleaning.across import AcrossRules, Flags, first_rows, row_forms, too_many
from distill.cleaning.minhash import near_duplicates, sketch
from distill.duplicates import Numbers, normal_form
from distill.store import text_keys


def drop_across(english: Sequence[str], other: Sequence[str], rules: AcrossRules) -> tuple[dict[str, Flags], Numbers]:
    """Return by rule the rows it drops (n,), and the earlier row each is like, else its own number (n,).

    Each rule looks only at what those before it left.
    """
    forms = row_forms([english, other])
    everything = np.arange(len(forms))
    like, left = everything.copy(), everything
    dropped: dict[str, Flags] = {}
    if rules.duplicates:
        like = first_rows(text_keys(forms))
        dropped["duplicates"] = like != everything
        left = np.flatnonzero(~dropped["duplicates"])
    if rules.translations is not None:
        keys = text_keys([normal_form(english[row]) for row in left])
        dropped["translations"] = np.zeros(len(forms), bool)
        dropped["translations"][left] = too_many(keys, rules.translations)
        left = left[~dropped["translations"][left]]
    if rules.near_duplicates is not None:
        of_left = [forms[row] for row in left]
        near = near_duplicates(sketch(of_left), lambda rows: [of_left[row] for row in rows], rules.near_duplicates)
        like[left] = left[near]
        dropped["near_duplicates"] = np.zeros(len(forms), bool)
        dropped["near_duplicates"][left] = like[left] != left
    return dropped, like
