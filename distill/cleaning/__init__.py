"""Cleaning: repairs of texts, and rules that drop rows."""

from distill.cleaning.repair import Repaired, repair
from distill.cleaning.rules import RULES, VERSION, RowRule, applied, flags, not_judged
from distill.cleaning.texts import Texts

__all__ = ["RULES", "VERSION", "Repaired", "RowRule", "Texts", "applied", "flags", "not_judged", "repair"]
