"""Corpora: named, typed, memory-mapped rows."""

from distill.corpora.held_out import Matches, SentenceFilter
from distill.corpora.load import Corpus, load_corpora

__all__ = ["Corpus", "Matches", "SentenceFilter", "load_corpora"]
