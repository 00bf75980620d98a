"""Corpora: named, typed, memory-mapped rows of parallel sentences."""

from distill.corpora.held_out import Matches, SentenceFilter
from distill.corpora.load import SIDES, Corpus, Side, load_corpora

__all__ = ["SIDES", "Corpus", "Matches", "SentenceFilter", "Side", "load_corpora"]
