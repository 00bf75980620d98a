"""Tokens of the student, stored once per text and tokenizer; nothing is tokenised inside a training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distill.corpora import Corpus
from distill.models import tokenizer_digest
from distill.progress import progress
from distill.store import TokenStore
from distill.teacher import missing_texts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def token_store(student: SentenceTransformer) -> TokenStore:
    """Return the store of a student's tokens: the same for all students with this tokenizer and longest input."""
    tokenizer = student.tokenizer
    digest = tokenizer_digest(tokenizer)
    return TokenStore({"tokenizer": digest, "max_tokens": student.max_seq_length, "vocabulary": len(tokenizer)})


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
            encoded = student.tokenizer(
                job.texts(),
                truncation=True,
                max_length=student.max_seq_length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            store.append_tokens(job.keys, encoded["input_ids"])
            done += len(job.keys)
            update(done)
