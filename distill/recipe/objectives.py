"""Objectives: what the corpora teach."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from distill.recipe.section import Section
from distill.recipe.values import Positive, Share, Texts


class MseObjective(Section):
    """Put a sentence and its translation where the teacher puts the English one (Reimers & Gurevych 2020)."""

    loss: Literal["mse"] = "mse"
    corpora: Texts | None = Field(None, description="Names of the corpora it trains on; all if absent.")
    english_share: Share = Field(
        1.0,
        description="Share of the steps that train the English side too; the other side is trained in all.",
    )
    weight: Positive = Field(1.0, description="Factor of this objective's loss.")
