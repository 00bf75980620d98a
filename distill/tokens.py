"""Tokens of the student, stored once per text and tokenizer; nothing is tokenised inside a training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distill.corpora import Corpus
from distill.encode import token_ids
from distill.models import longest_input, tokenizer_digest
from distill.progress import progress
from distill.store import TokenStore
from distill.teacher import missing_texts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def token_store(student: SentenceTransformer) -> TokenStore:
    """Return the store of a student's tokens: the same for all students with this tokenizer and longest input."""
    digest, vocabulary = tokenizer_digest(student.tokenizer), len(student.tokenizer.get_vocab())
    return TokenStore({"tokenizer": digest, "max_tokens": longest_input(student), "vocabulary": vocabulary})


def store_tokens(
    store: TokenStore,
    student: SentenceTransformer,
    corpora: Sequence[Corpus],
    *,
    rank: int = 0,
    world: int = 1,
) -> None:
    """Put the token ids of all texts of all rows into a store, special tokens included, cut to the longest input."""
    jobs = list(missing_texts(store, corpora, lambda corpus: corpus.columns))[rank::world]
    if not jobs:
        return
    with progress("tokens", sum(len(job.keys) for job in jobs), "sentences", show=rank == 0) as update:
        done = 0
        for job in jobs:
            store.append_tokens(job.keys, token_ids(student, job.texts()))
            done += len(job.keys)
            update(done)
