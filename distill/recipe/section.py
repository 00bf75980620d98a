"""What all sections of a recipe share.

Sections are frozen pydantic models. Every field has a description: `distill schema` hands them to editors. Paths are
absolute once a recipe is loaded (`distill.recipe.load`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
