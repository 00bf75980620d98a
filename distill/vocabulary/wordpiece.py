"""WordPiece (BERT): each word is cut into the longest pieces there are, from its beginning."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from distill.vocabulary.model import Model, count_uses, numbered, vocabulary


def with_tokens(model: Model, tokens: Iterable[str]) -> Model:
    return {**model, "vocab": numbered([*vocabulary(model), *tokens])}


def bare(model: Model, special: list[str]) -> Model:
    return {**model, "vocab": numbered(special)}


def units(words: Mapping[str, int]) -> Mapping[str, int]:
    return words


def learn(model: Model, words: Mapping[str, int], size: int, min_count: int) -> Model:
    prefix = model["continuing_subword_prefix"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        show_progress=False,
        continuing_subword_prefix=prefix,
        # Ids for the letters inside words, which the trainer would number in the random order of a hash map and
        # then break ties by: another vocabulary in each process (huggingface/tokenizers#1794).
        special_tokens=sorted({prefix + letter for word in words for letter in word[1:]}),
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token=model["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator((" ".join([word] * n) for word, n in words.items()), trainer)
    ids = tokenizer.get_vocab()
    return with_tokens(model, sorted(ids, key=ids.__getitem__))


def without(model: Model, pieces: Collection[str]) -> Model:
    return {**model, "vocab": numbered(piece for piece in vocabulary(model) if piece not in pieces)}


def uses(model: Model, words: Mapping[str, int]) -> Counter[str]:
    return count_uses(model, words)


def with_words(model: Model, words: Iterable[str], most: int) -> Model:
    longest = model["max_input_chars_per_word"]
    return with_tokens(model, itertools.islice((word for word in words if len(word) <= longest), most))


def text(model: Model, piece: str) -> str:
    return piece.removeprefix(model["continuing_subword_prefix"])


def inner_text(model: Model, piece: str) -> str:
    return text(model, piece) if piece.startswith(model["continuing_subword_prefix"]) else ""


def inner_model(model: Model) -> tuple[models.Model, int]:
    # Without a prefix, a piece is cut as if it stood inside a word.
    unknown = len(model["vocab"])
    pieces = {inner_text(model, piece): id_ for piece, id_ in model["vocab"].items() if inner_text(model, piece)}
    pieces[model["unk_token"]] = unknown
    return models.WordPiece(pieces, unk_token=model["unk_token"], continuing_subword_prefix=""), unknown
