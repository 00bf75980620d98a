"""Corpora: named, typed, memory-mapped rows of parallel sentences."""

from distill.corpora.load import Corpus, SentenceFilter, load_corpora, normal_form

__all__ = ["Corpus", "SentenceFilter", "load_corpora", "normal_form"]
