"""The two sides of corpora, their English texts and the others, as vocabularies and embeddings are learnt from them."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from distill.corpora import Corpus, english_columns
from distill.spread import spread

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_ROWS = 500_000
"""Most rows of a corpus that a vocabulary is learnt from."""


def texts_of(corpora: Sequence[Corpus], *, english: bool, most: int = MAX_ROWS) -> Callable[[], Iterator[str]]:
    """Return a function that iterates over the English texts, or the others, of the corpora's training rows.

    Of each corpus it reads at most so many rows.
    """

    def iterate() -> Iterator[str]:
        for corpus in corpora:
            chosen = [(column in english_columns(corpus)) == english for column in corpus.columns]
            for batch in corpus.batches(spread(corpus.train, most)):
                for texts in itertools.compress(batch, chosen):
                    yield from texts

    return iterate


def texts_by_language(corpora: Sequence[Corpus]) -> list[Callable[[], Iterator[str]]]:
    """Return for each language a function that iterates over its texts in the corpora's training rows."""
    languages = dict.fromkeys(corpus.language for corpus in corpora)
    return [texts_of([c for c in corpora if c.language == language], english=False) for language in languages]


def piece_ids(tokenizer: Tokenizer, texts: list[str]) -> Iterator[array[int]]:
    """Yield the piece ids of texts; as arrays, for lists take four times the memory."""
    return (array("i", encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
