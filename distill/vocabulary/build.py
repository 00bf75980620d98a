"""A teacher's tokenizer with a vocabulary for more languages: extended by pieces learnt from them, or learnt anew."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from anyascii import anyascii
from tokenizers import Tokenizer

from distill.errors import ModelError
from distill.trimming import renumber, unknown_token
from distill.vocabulary import bpe, unigram, wordpiece
from distill.vocabulary.accents import keeping_accents, kept_accents
from distill.vocabulary.model import Kind, Model, load, vocabulary
from distill.vocabulary.words import Texts, count_strings, count_words, normalize

KINDS: dict[str, Kind] = {"WordPiece": wordpiece, "BPE": bpe, "Unigram": unigram}

PIECES_PER_WORD = 0.69
"""Pieces to add for each distinct word seen twice, where a recipe does not say how many."""

LETTERS_PER_WORD = 50
"""Letters for each distinct word seen twice, in small corpora of languages with spaces: 30 to 70."""

LONG_WORD = 30
"""No language with spaces has words of more letters than this, but for a few."""

LONG_WORDS_SHARE = 0.01
"""There is text without spaces if at least this share of all letters are in words longer than `LONG_WORD`."""

LONGEST_WORD = 1_000
"""Letters of the longest word that WordPiece cuts, where a language has longer ones than the teacher knows."""

LONGEST_WORDS_SHARE = 1e-3
"""A language has such words if at least this share of its letters are in them: others are rubbish."""

SURPLUS = 1.25
"""Pieces learnt for each piece to add: the steps to longer pieces are hardly used once those are there."""

LongStrings = list[tuple[dict[str, int], int]]
"""For each language how often each of its long strings occurs, and how many letters all its strings have."""

ENGLISH = re.compile(r"[\x00-\x7f\u2010-\u2027]*")
"""Text without letters of other languages: ASCII, and the dashes and quotes of books."""


def extended_tokenizer(
    teacher: Tokenizer,
    english: Texts,
    others: Sequence[Texts],
    *,
    size: int | None,
    min_count: int,
    known: Texts = tuple,
) -> Tokenizer:
    """Return the teacher's tokenizer with pieces learnt from the other languages added at the end.

    Accents that the other languages use are kept (й, å) where the teacher strips them, others are stripped as before.
    A new piece that changes how a word of the English texts is cut is left out, so that English keeps its token ids
    (except in words like "café" where another language keeps that letter). Of the others, the most used are added.
    The same holds for all words that an earlier student knows of the languages that it has. WordPiece knows no words of
    more than 100 letters: where a language without spaces has these, all of up to 1,000 are cut, English ones too.

    Args:
        teacher: a WordPiece, BPE or Unigram tokenizer, or one made here before.
        english: texts whose words must be cut as before.
        others: texts to learn from, by language: a letter is part of a language's alphabet or not.
        size: at most this many pieces are added; from the number of words, or of letters without spaces, if None.
        min_count: a piece must be made from pairs that occur this often.
        known: texts in the languages that an earlier student has, whose words must be cut as before.

    Raises:
        ModelError: the teacher's tokenizer is of another kind.
    """
    kind, old = _model(teacher)
    longest = _longest_word(old)
    strings, accents, long = _strings(others, longest)
    tokenizer = _rebuilt(teacher, old, accents)
    words = count_words(strings, tokenizer)
    size = size or _usual_size(kind, old, words)
    model = kind.learn(_with_long_words(old, long, tokenizer), words, round(SURPLUS * size), min_count)
    kept = [
        word
        for word in count_words(count_strings(english()), teacher)
        if len(word) <= longest and ENGLISH.fullmatch(kind.text(old, word))
    ]
    kept += _known_words(count_strings(known()), teacher, old, tokenizer)
    model = _without_effect_on(kept, kind, old, model)
    return _rebuilt(tokenizer, _most_used(words, kind, len(old["vocab"]), model, size))


def replaced_tokenizer(
    teacher: Tokenizer, english: Texts, others: Sequence[Texts], *, size: int | None, min_count: int
) -> Tokenizer:
    """Return a tokenizer of the teacher's kind whose pieces are learnt from both sides; special tokens come first.

    Arguments and errors are those of `extended_tokenizer`, but `size` is the number of pieces learnt.
    """
    kind, old = _model(teacher)
    strings, accents, long = _strings(others, _longest_word(old))
    tokenizer = _rebuilt(teacher, old, accents)
    words = count_words(strings + count_strings(english()), tokenizer)
    special = sorted(_special_tokens(teacher), key=vocabulary(old).__getitem__)
    bare = kind.bare(_with_long_words(old, long, tokenizer), special)
    return _rebuilt(tokenizer, kind.learn(bare, words, size or _usual_size(kind, old, words), min_count))


def add_words(tokenizer: Tokenizer, english: Texts, others: Sequence[Texts], *, most: int, min_count: int) -> Tokenizer:
    """Return a tokenizer with the most frequent words of both sides as pieces of their own.

    Args:
        tokenizer: what to add them to, at the end.
        english: texts of one side.
        others: texts of the other side, by language.
        most: largest number of words to add.
        min_count: how often a word must occur.
    """
    kind, model = _model(tokenizer)
    pieces = vocabulary(model)
    strings = count_strings(chain.from_iterable(texts() for texts in (english, *others)))
    words = count_words(strings, tokenizer)
    frequent = (word for word, n in words.items() if n >= min_count and word not in pieces)
    return _rebuilt(tokenizer, kind.with_words(model, sorted(frequent, key=lambda word: (-words[word], word)), most))


def spellings(teacher: Tokenizer, pieces: Iterable[str]) -> dict[str, list[int]]:
    """Return the ids of the teacher's pieces that spell a piece in Latin letters, where it needs that and has them.

    Those are pieces of two letters or more that stand inside words ("##пет": "##pet"): what a name is cut into.

    Args:
        teacher: a tokenizer.
        pieces: pieces of a vocabulary made for it.
    """
    kind, model = _model(teacher)
    cutter, unknown = kind.inner_model(model)
    normal = normalize(teacher)
    found = {}
    for piece in pieces:
        body = kind.inner_text(model, piece)
        if len(body) > 1 and not body.isascii():
            ids = [token.id for token in cutter.tokenize("".join(filter(str.isalnum, normal(anyascii(body)))))]
            if ids and unknown not in ids:
                found[piece] = ids
    return found


def unknown_share(tokenizer: Tokenizer, texts: Texts) -> float:
    """Return the share of the words of some texts that a tokenizer does not know, wholly or in part.

    Only words with a letter count. Bytes are always known.
    """
    kind, model = _model(tokenizer)
    if unknown_token(model) is None:
        return 0.0
    knows = _knows(model)
    words = count_words(count_strings(texts()), tokenizer)
    words = Counter({word: n for word, n in words.items() if any(map(str.isalpha, kind.text(model, word)))})
    lost = sum(n for word, n in words.items() if not knows(word))
    return lost / max(1, words.total())


def _strings(languages: Sequence[Texts], longest: int) -> tuple[Counter[str], list[str], LongStrings]:
    """Return how often each string occurs in texts of some languages, and the accented letters of their alphabets.

    The third are the strings of more than `longest` letters.
    """
    strings: Counter[str] = Counter()
    accents: set[str] = set()
    long = []
    for texts in languages:
        own = count_strings(texts())
        accents.update(kept_accents(own))
        strings.update(own)
        long.append(({string: n for string, n in own.items() if len(string) > longest}, _letters(own)))
    return strings, sorted(accents), long


def _letters(words: Mapping[str, int]) -> int:
    return sum(len(word) * n for word, n in words.items())


def _longest_word(model: Model) -> int:
    """Return the number of letters of the longest word that a model cuts: WordPiece knows no longer ones."""
    return int(model.get("max_input_chars_per_word", sys.maxsize))


def _with_long_words(model: Model, languages: LongStrings, tokenizer: Tokenizer) -> Model:
    """Return a model that cuts long words if one of the languages has them: whole phrases, where there are no spaces.

    Args:
        model: the model.
        languages: strings that are longer than the longest word that the model cuts.
        tokenizer: what makes words of them.
    """
    longest = _longest_word(model)
    for strings, letters in languages:
        words = count_words(strings, tokenizer)
        if strings and _letters({w: n for w, n in words.items() if len(w) > longest}) >= LONGEST_WORDS_SHARE * letters:
            return {**model, "max_input_chars_per_word": max(longest, LONGEST_WORD)}
    return model


def _usual_size(kind: Kind, model: Model, words: Mapping[str, int]) -> int:
    """Return how many pieces to add where a recipe does not say: so many for each distinct word seen twice.

    Where there are no spaces, words are whole phrases, which hardly occur twice: their letters count instead.
    """
    units = kind.units(words)
    long = {unit: kind.text(model, unit) for unit in units if len(unit) > LONG_WORD}
    long = {unit: text for unit, text in long.items() if len(text) > LONG_WORD}
    seen_twice = float(sum(n >= 2 for n in units.values()))
    if _letters({unit: units[unit] for unit in long}) >= LONG_WORDS_SHARE * _letters(units):
        seen_twice += sum(len(text) * units[unit] for unit, text in long.items()) / LETTERS_PER_WORD
    return min(30_000, max(1_000, round(PIECES_PER_WORD * seen_twice)))


def _known_words(strings: Mapping[str, int], teacher: Tokenizer, old: Model, tokenizer: Tokenizer) -> list[str]:
    """Return the words that a model knows, of those strings that a new tokenizer normalises as the old one does."""
    own, new = normalize(teacher), normalize(tokenizer)
    words = count_words({string: n for string, n in strings.items() if own(string) == new(string)}, teacher)
    return list(filter(_knows(old), words))


def _knows(model: Model) -> Callable[[str], bool]:
    """Return a function that says whether a model cuts a word without its unknown token."""
    cut, unknown = load(model).tokenize, unknown_token(model)
    return lambda word: unknown not in [token.value for token in cut(word)]


def _without_effect_on(words: Iterable[str], kind: Kind, old: Model, model: Model) -> Model:
    """Return a model with the new pieces with which every word is still cut into old pieces."""
    size = len(old["vocab"])
    affected = set(words)
    while True:
        cut = load(model).tokenize
        harmful: set[str] = set()
        still: set[str] = set()
        for word in affected:
            added = [token.value for token in cut(word) if token.id >= size]
            if added:
                harmful.update(added)
                still.add(word)
        if not harmful:
            return model
        model = kind.without(model, harmful)
        affected = still  # a word that is cut into old pieces stays so with fewer new ones


def _most_used(words: Mapping[str, int], kind: Kind, old: int, model: Model, size: int) -> Model:
    """Return a model with at most `size` pieces after the old ones, or all letters if these are more.

    The least used are left out, in several rounds, because without a piece others are used more.
    """
    while (excess := len(model["vocab"]) - old - size) > 0:
        long = [piece for piece in list(vocabulary(model))[old:] if len(kind.text(model, piece)) > 1]
        if not long:
            break
        uses = kind.uses(model, words)
        least = sorted(long, key=uses.__getitem__)[: excess if excess < size // 50 else -(-excess // 2)]
        model = kind.without(model, set(least))
    return model


def _model(tokenizer: Tokenizer) -> tuple[Kind, Model]:
    """Return a tokenizer's model, tokens added later included, and its kind; or raise if it is of no known kind."""
    name = type(tokenizer.model).__name__
    if name not in KINDS or tokenizer.pre_tokenizer is None:
        raise ModelError(
            "teacher",
            f"its tokenizer is {name}" if name not in KINDS else "its tokenizer does not cut texts into words",
            expected="WordPiece, BPE or Unigram with a pre-tokenizer for a transplant or a static student",
            hint="use a student of kind: pretrained",
        )
    state = json.loads(tokenizer.to_str())
    added = sorted(state["added_tokens"], key=lambda token: token["id"])
    return KINDS[name], KINDS[name].with_tokens(state["model"], [token["content"] for token in added])


def _rebuilt(teacher: Tokenizer, model: Model, kept: list[str] | None = None) -> Tokenizer:
    """Return the teacher's tokenizer with another model, ids of special tokens adapted.

    Args:
        teacher: the tokenizer.
        model: its new model.
        kept: letters whose accents it must no longer strip, None to leave its normalizer as it is.
    """
    state: dict[str, Any] = json.loads(teacher.to_str())
    ids = vocabulary(model)
    state["model"] = model
    for token in state["added_tokens"]:
        token["id"] = ids[token["content"]]
    state["added_tokens"].sort(key=lambda token: token["id"])
    renumber(state["post_processor"], ids)
    if kept is not None:
        state["normalizer"] = keeping_accents(state["normalizer"], kept)
    state["truncation"] = state["padding"] = None
    return Tokenizer.from_str(json.dumps(state))


def _special_tokens(tokenizer: Tokenizer) -> set[str]:
    return {token["content"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
