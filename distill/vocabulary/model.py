"""Tokenizer models as plain data: what is the same for WordPiece, BPE and Unigram."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from tokenizers import Tokenizer, models

Model = dict[str, Any]
"""A tokenizer's model as tokenizers writes it: type, vocab, merges …"""


class Kind(Protocol):
    """What there is for each kind of model; the modules `wordpiece`, `bpe` and `unigram` are such."""

    def with_tokens(self, model: Model, tokens: Iterable[str]) -> Model:
        """Return the model with more pieces that text is never cut into, at the end."""

    def bare(self, model: Model, special: list[str]) -> Model:
        """Return the model without what it has learnt: special tokens, and bytes where text is made of bytes."""

    def units(self, words: Mapping[str, int]) -> Mapping[str, int]:
        """Return how often that occurs which pieces are parts of."""

    def learn(self, model: Model, words: Mapping[str, int], size: int, min_count: int) -> Model:
        """Return the model with all new letters of some words and the most useful pieces at the end, in all `size`."""

    def without(self, model: Model, pieces: Collection[str]) -> Model:
        """Return the model without some learnt pieces, and without those that cannot be made without them."""

    def uses(self, model: Model, words: Mapping[str, int]) -> Counter[str]:
        """Return how often each piece is needed to cut words."""

    def with_words(self, model: Model, words: Iterable[str], most: int) -> Model:
        """Return the model with the first `most` of some words, that are no pieces yet, as pieces of their own."""

    def text(self, model: Model, piece: str) -> str:
        """Return what a piece says, without marks of where it stands."""

    def inner_text(self, model: Model, piece: str) -> str:
        """Return what a piece says that stands inside words, an empty string for others."""

    def inner_model(self, model: Model) -> tuple[models.Model, int | None]:
        """Return what cuts a string as if it stood inside a word, and the id it gives what it does not know."""


def load(model: Model) -> models.Model:
    """Return what cuts words."""
    loaded: models.Model = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model})).model
    return loaded


def numbered(pieces: Iterable[str]) -> dict[str, int]:
    """Return pieces with their numbers, each once."""
    return {piece: id_ for id_, piece in enumerate(dict.fromkeys(pieces))}


def vocabulary(model: Model) -> dict[str, int]:
    """Return the id of each piece, in order."""
    if model["type"] == "Unigram":
        return {piece: id_ for id_, (piece, _) in enumerate(model["vocab"])}
    return dict(sorted(model["vocab"].items(), key=lambda entry: entry[1]))


def count_uses(model: Model, words: Mapping[str, int]) -> Counter[str]:
    """Return how often each piece occurs in words as the model cuts them."""
    cut, uses = load(model).tokenize, Counter[str]()
    for word, n in words.items():
        for token in cut(word):
            uses[token.value] += n
    return uses
