"""What the corpora teach: rows as numbers into the stores, and the losses on the vectors of a batch."""

from distill.objectives.batch import Compared, TextBatch, compared, text_batch
from distill.objectives.compute import ENGLISH, compared_columns, couples_rows, row_losses, scale_at
from distill.objectives.heads import Head, Heads, bound_scales, copy_heads, load_head, make_heads, save_heads
from distill.objectives.rows import ObjectiveRows, columns_to_embed, corpora_of, objective_rows, teacher_columns

__all__ = [
    "ENGLISH",
    "Compared",
    "Head",
    "Heads",
    "ObjectiveRows",
    "TextBatch",
    "bound_scales",
    "columns_to_embed",
    "compared",
    "compared_columns",
    "copy_heads",
    "corpora_of",
    "couples_rows",
    "load_head",
    "make_heads",
    "objective_rows",
    "row_losses",
    "save_heads",
    "scale_at",
    "teacher_columns",
    "text_batch",
]
