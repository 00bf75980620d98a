"""Corpora: named, typed, memory-mapped rows."""

from distill.corpora.corpus import Cleaning, Corpus, Tally, english_columns
from distill.corpora.held_out import Matches, SentenceFilter
from distill.corpora.load import load_corpora

__all__ = ["Cleaning", "Corpus", "Matches", "SentenceFilter", "Tally", "english_columns", "load_corpora"]
