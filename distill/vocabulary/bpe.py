"""BPE (Sennrich et al. 2016): pairs of pieces are merged, the pair learnt first before all others.

New merges come after all of the teacher's. They go on from how the teacher cuts the words of the new languages, so no
piece of the teacher's is made in another way. Where pieces are made of bytes (GPT-2, RoBERTa), those of one letter are
merged first, and then whole letters only.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from distill.trimming import BYTE, first_symbols, join_pieces
from distill.vocabulary.model import Model, count_uses, load, numbered, vocabulary

Merge = tuple[str, str]

BYTES = frozenset(pre_tokenizers.ByteLevel.alphabet())

CONTINUATION = frozenset([*map(chr, range(0x122, 0x144)), *(chr(byte) for byte in range(0xA1, 0xC0) if byte != 0xAD)])
"""Bytes 0x80 to 0xBF, with which no letter begins, as byte-level BPE writes them."""

FIRST_CODE = 0x10000
"""Beyond the characters that the trainer takes for spaces."""


def with_tokens(model: Model, tokens: Iterable[str]) -> Model:
    return {**model, "vocab": numbered([*vocabulary(model), *tokens])}


def bare(model: Model, special: list[str]) -> Model:
    single = [piece for piece in vocabulary(model) if (piece in BYTES if _of_bytes(model) else BYTE.fullmatch(piece))]
    return {**model, "vocab": numbered([*special, *single]), "merges": []}


def units(words: Mapping[str, int]) -> Mapping[str, int]:
    return words


def learn(model: Model, words: Mapping[str, int], size: int, min_count: int) -> Model:
    old = len(model["vocab"])
    end = model["end_of_word_suffix"] or ""
    symbols = {symbol for word in words for symbol in first_symbols(model, word + end)}
    model = with_tokens(model, sorted(symbols - model["vocab"].keys()))
    if _of_bytes(model):
        model = _with_merges(model, _letter_merges(model, words, min_count))
    codes: dict[str, str] = {}
    spelled: Counter[str] = Counter()
    cut = load(model).tokenize
    for word, n in words.items():
        pieces = [token.value for token in cut(word)]
        whole = (piece if "\ufffd" not in text(model, piece) else None for piece in pieces)
        coded = "".join(codes.setdefault(p, chr(FIRST_CODE + len(codes))) if p else " " for p in whole)
        for part in coded.split():
            spelled[part] += n
    names, join = {code: piece for piece, code in codes.items()}, join_pieces(model)
    merges = []
    for left, right in learn_merges(spelled, len(codes) + size - (len(model["vocab"]) - old), min_count):
        names[left + right] = join(names[left], names[right])
        merges.append((names[left], names[right]))
    return _with_merges(model, merges)


def learn_merges(words: Mapping[str, int], size: int, min_count: int) -> list[Merge]:
    """Return the merges of a BPE of `size` pieces, letters included, learnt from words and their counts."""
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=min_count, show_progress=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator((" ".join([word] * n) for word, n in words.items()), trainer)
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def without(model: Model, pieces: Collection[str]) -> Model:
    join = join_pieces(model)
    merges = [(left, right, join(left, right)) for left, right in model["merges"]]
    never_merged = model["vocab"].keys() - {made for *_, made in merges}
    kept = model["vocab"].keys() - set(pieces)
    while True:
        merges = [merge for merge in merges if kept.issuperset(merge)]
        still = kept & (never_merged | {made for *_, made in merges})
        if len(still) == len(kept):
            break
        kept = still
    vocab = numbered(piece for piece in vocabulary(model) if piece in kept)
    return {**model, "vocab": vocab, "merges": [(left, right) for left, right, _ in merges]}


def uses(model: Model, words: Mapping[str, int]) -> Counter[str]:
    """A piece is needed for those merged from it too."""
    found, join = count_uses(model, words), join_pieces(model)
    for left, right in reversed(model["merges"]):
        for part in (left, right):
            found[part] += found[join(left, right)] + 1
    return found


def with_words(model: Model, words: Iterable[str], most: int) -> Model:
    cut = load(model).tokenize
    chains = (_chain(model, [token.value for token in cut(word)]) for word in words)
    return _with_merges(model, itertools.chain.from_iterable(itertools.islice(chains, most)))


def text(model: Model, piece: str) -> str:
    body = piece.removesuffix(model["end_of_word_suffix"] or "")
    if _of_bytes(model):
        return str(decoders.ByteLevel().decode([body])).strip()
    return body.removeprefix(model["continuing_subword_prefix"] or "").replace("▁", "")


def inner_text(model: Model, piece: str) -> str:
    found = text(model, piece)
    # A word without a space before it begins a text, mostly with a capital.
    return "" if piece[0] in "Ġ▁" or "\ufffd" in found or found != found.lower() else found


def inner_model(model: Model) -> tuple[models.Model, int | None]:
    return load(model), model["vocab"].get(model["unk_token"])


def _of_bytes(model: Model) -> bool:
    """Return whether the symbols are bytes."""
    return not model["byte_fallback"] and model["vocab"].keys() >= BYTES


def _letter_merges(model: Model, words: Mapping[str, int], min_count: int) -> Iterator[Merge]:
    """Yield merges that make the letters of words whole, those of frequent letters first.

    What is merged begins with the first byte of a letter, and what it is merged with does not: no two of these merges
    ever compete.
    """
    groups: Counter[tuple[str, ...]] = Counter()
    cut = load(model).tokenize
    for word, n in words.items():
        group: list[str] = []
        for token in cut(word):
            if token.value[0] not in CONTINUATION:
                groups[tuple(group)] += n
                group = []
            group.append(token.value)
        groups[tuple(group)] += n
    for pieces, n in sorted(groups.items(), key=lambda entry: (-entry[1], entry[0])):
        if n >= min_count and "\ufffd" not in text(model, "".join(pieces)):
            yield from _chain(model, pieces)


def _chain(model: Model, pieces: Sequence[str]) -> Iterator[Merge]:
    """Yield the merges that make one piece of several, from the left."""
    join = join_pieces(model)
    made = pieces[0] if pieces else ""
    for piece in pieces[1:]:
        yield made, piece
        made = join(made, piece)


def _with_merges(model: Model, merges: Iterable[Merge]) -> Model:
    """Return the model with merges added; those that make an older piece in another way are left out."""
    join, old = join_pieces(model), model["vocab"]
    new = [merge for merge in dict.fromkeys(merges) if join(*merge) not in old]
    return {**with_tokens(model, (join(*merge) for merge in new)), "merges": [*model["merges"], *new]}
