"""Machine-translated test sets: engines, quality checks, review."""

from distill.translate.make import make_sets
from distill.translate.review import accept

__all__ = ["accept", "make_sets"]
