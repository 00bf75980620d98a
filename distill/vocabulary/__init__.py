"""Vocabularies for more languages: learn pieces, add them to a teacher's, leave English as it was."""

from distill.vocabulary.accents import kept_accents
from distill.vocabulary.build import add_words, extended_tokenizer, replaced_tokenizer, spellings, unknown_share
from distill.vocabulary.words import Texts, count_strings, count_words

__all__ = [
    "Texts",
    "add_words",
    "count_strings",
    "count_words",
    "extended_tokenizer",
    "kept_accents",
    "replaced_tokenizer",
    "spellings",
    "unknown_share",
]
