"""Unigram (Kudo 2018): of all ways to cut a word the likeliest, a piece having a logarithmic probability.

The teacher's pieces keep theirs. A new piece's comes from how often it is used in the new languages, where all pieces,
old and new, compete: expectation maximisation on the best cuts alone. (The library's trainer gives another vocabulary
in each process.)
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tokenizers import Regex, models, pre_tokenizers

from distill.trimming import BYTE
from distill.vocabulary.bpe import learn_merges
from distill.vocabulary.model import Model, count_uses, load, vocabulary

SPACE = "▁"

SEEDS = 2.0
"""Pieces to choose from, learnt by BPE, for each piece wanted."""

ROUNDS = 5
"""Rounds of expectation maximisation, in which the seeds become as few as wanted."""


def with_tokens(model: Model, tokens: Iterable[str]) -> Model:
    there = vocabulary(model)
    return _with_scores(model, {token: 0.0 for token in tokens if token not in there})


def bare(model: Model, special: list[str]) -> Model:
    unknown = model["vocab"][model["unk_id"]][0]
    kept = [*special, *([] if unknown in special else [unknown])]
    kept += [piece for piece, _ in model["vocab"] if BYTE.fullmatch(piece)]
    return {**model, "vocab": [(piece, 0.0) for piece in kept], "unk_id": kept.index(unknown)}


def units(words: Mapping[str, int]) -> Mapping[str, int]:
    """Letters are kept apart from digits and punctuation, which the teacher's words may hold."""
    split = pre_tokenizers.Split(Regex(rf"{SPACE}?[\p{{L}}\p{{M}}]+"), "isolated").pre_tokenize_str
    found: Counter[str] = Counter()
    for word, n in words.items():
        for part, _ in split(word):
            found[part] += n
    return found


def learn(model: Model, words: Mapping[str, int], size: int, min_count: int) -> Model:
    old = vocabulary(model)
    letters = sorted({letter for word in words for letter in word} - old.keys())
    merges = learn_merges(units(words), round(SEEDS * size), min_count)
    long = [piece for piece in dict.fromkeys(map("".join, merges)) if piece not in old]
    least = min(score for _, score in model["vocab"]) or -math.inf  # the score of what is unknown hangs on it
    new = dict.fromkeys([*letters, *long], max(least, -math.log(len(letters) + len(long) + 1)))
    for rounds_left in range(ROUNDS, -1, -1):
        found = count_uses(_with_scores(model, new), words)
        total = sum(found.values())
        new = {piece: max(least, math.log((found[piece] + 0.5) / total)) for piece in new}
        if rounds_left:
            useful = sorted((p for p in long if found[p] >= min_count), key=lambda p: (-found[p], p))
            excess = max(0, len(letters) + len(useful) - size)
            long = useful[: len(useful) - excess // rounds_left]
            new = {piece: new[piece] for piece in [*letters, *long]}
    return _with_scores(model, new)


def without(model: Model, pieces: Collection[str]) -> Model:
    return {**model, "vocab": [entry for entry in model["vocab"] if entry[0] not in pieces]}


def uses(model: Model, words: Mapping[str, int]) -> Counter[str]:
    return count_uses(model, words)


def with_words(model: Model, words: Iterable[str], most: int) -> Model:
    scores, cut, unknown = dict(model["vocab"]), load(model).tokenize, model["unk_id"]
    paths = ((word, cut(word)) for word in words)
    known = ((word, path) for word, path in paths if unknown not in (token.id for token in path))
    best = {
        word: sum(scores[token.value] for token in path) + 1  # likelier than the likeliest way to cut it
        for word, path in itertools.islice(known, most)
    }
    return _with_scores(model, best)


def text(model: Model, piece: str) -> str:
    return piece.replace(SPACE, "")


def inner_text(model: Model, piece: str) -> str:
    return "" if piece.startswith(SPACE) or piece != piece.lower() else piece


def inner_model(model: Model) -> tuple[models.Model, int | None]:
    return load(model), model["unk_id"]


def _with_scores(model: Model, new: Mapping[str, float]) -> Model:
    return {**model, "vocab": [*model["vocab"], *new.items()]}
