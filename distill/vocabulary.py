"""WordPiece vocabularies for more languages: learn pieces, add them to a teacher's, leave English as it was."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer, models, normalizers, trainers

from distill.errors import ModelError

Texts = Callable[[], Iterable[str]]
"""Returns the texts of one side, from the start each time it is called."""

ACCENT_SHARE = 5e-5
"""An accented letter belongs to a language if at least this share of its letters are that letter."""

PIECES_PER_WORD = 0.6
"""Pieces to learn for each distinct word seen twice, where a recipe does not say how many."""


def extended_tokenizer(
    teacher: Tokenizer, english: Texts, other: Texts, *, size: int | None, min_count: int
) -> Tokenizer:
    """Return the teacher's tokenizer with pieces learnt from the other languages added at the end.

    Accents that the other languages use are kept (й, å), others are stripped as before. A new piece that
    changes how a word of the English texts is cut is left out, so that English keeps its token ids.

    Args:
        teacher: a WordPiece tokenizer.
        english: texts whose words must be cut as before.
        other: texts to learn from.
        size: number of pieces to learn, before those the teacher has are left out.
        min_count: a piece must be made from pairs that occur this often.
    """
    normalizer = _normalizer(teacher, kept_accents(other()))
    learnt = _learn_pieces(teacher, normalizer, other, size, min_count)
    old = _vocabulary(teacher)
    new = [piece for piece in learnt if piece not in old]
    words = [word for word in _words(teacher, english()) if word.isascii()]
    new = _without_effect_on(words, teacher, old, new)
    return _rebuilt(teacher, {**old, **{piece: len(old) + i for i, piece in enumerate(new)}}, normalizer)


def replaced_tokenizer(
    teacher: Tokenizer, english: Texts, other: Texts, *, size: int | None, min_count: int
) -> Tokenizer:
    """Return a tokenizer of the teacher's kind whose pieces are learnt from both sides; special tokens come first."""
    normalizer = _normalizer(teacher, kept_accents(other()))

    def both() -> Iterator[str]:
        yield from english()
        yield from other()

    learnt = _learn_pieces(teacher, normalizer, both, size, min_count)
    special = sorted(_special_tokens(teacher), key=lambda token: _vocabulary(teacher)[token])
    pieces = special + [piece for piece in learnt if piece not in special]
    return _rebuilt(teacher, {piece: i for i, piece in enumerate(pieces)}, normalizer)


def kept_accents(texts: Iterable[str]) -> list[str]:
    """Return the letters with a diacritic that are part of the texts' alphabet, lower and upper case."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(unicodedata.normalize("NFC", text).lower())
    letters = {char: n for char, n in counts.items() if char.isalpha()}
    least = max(3, sum(letters.values()) * ACCENT_SHARE)
    kept = [char for char, n in letters.items() if n >= least and len(unicodedata.normalize("NFD", char)) > 1]
    return sorted({*kept, *(char.upper() for char in kept)})


def _normalizer(teacher: Tokenizer, kept: list[str]) -> normalizers.Normalizer:
    """Return the teacher's normalizer, which strips accents, made to keep those of some letters.

    The text is decomposed, every mark is removed unless it follows a base it is kept on, and composed again.
    """
    state = json.loads(teacher.to_str())["normalizer"] or {}
    if state.get("type") != "BertNormalizer":
        raise ModelError(
            "teacher",
            f"its tokenizer normalises text with {state.get('type') or 'nothing'}",
            expected="a BERT-style tokenizer (BERT, MiniLM, MPNet, …)",
            hint="use a student of kind: pretrained",
        )
    lowercase = bool(state["lowercase"])
    strips = lowercase if state["strip_accents"] is None else bool(state["strip_accents"])
    bert = normalizers.BertNormalizer(
        clean_text=state["clean_text"],
        handle_chinese_chars=state["handle_chinese_chars"],
        strip_accents=False,
        lowercase=lowercase,
    )
    if not strips:
        return bert
    bases: dict[str, set[str]] = {}
    for char in kept:
        decomposed = unicodedata.normalize("NFD", char)
        for base, mark in itertools.pairwise(decomposed):
            bases.setdefault(mark, set()).add(base)
    patterns = [rf"(?<![{re.escape(''.join(sorted(before)))}]){mark}" for mark, before in sorted(bases.items())]
    others = rf"[\p{{Mn}}&&[^{''.join(sorted(bases))}]]" if bases else r"\p{Mn}"
    from tokenizers import Regex

    strip = normalizers.Replace(Regex("|".join([*patterns, others])), "")
    return normalizers.Sequence([normalizers.NFD(), strip, normalizers.NFC(), bert])


def _learn_pieces(
    teacher: Tokenizer, normalizer: normalizers.Normalizer, texts: Texts, size: int | None, min_count: int
) -> list[str]:
    """Return WordPiece pieces learnt from texts, most useful first, special tokens left out."""
    state = json.loads(teacher.to_str())["model"]
    tokenizer = Tokenizer(models.WordPiece(unk_token=state["unk_token"]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = teacher.pre_tokenizer
    if size is None:
        counts = Counter(_words(tokenizer, texts()))
        size = min(30_000, max(1_000, round(PIECES_PER_WORD * sum(n >= 2 for n in counts.values()))))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        show_progress=False,
        continuing_subword_prefix=state["continuing_subword_prefix"],
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[str]:
    """Yield the words of texts as the model of a tokenizer gets them, distinct words of a text once."""
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            yield word


def _without_effect_on(words: Iterable[str], teacher: Tokenizer, old: dict[str, int], new: list[str]) -> list[str]:
    """Return the new pieces with which every word is still cut into old pieces."""
    affected = set(words)
    while True:
        vocabulary = {**old, **{piece: len(old) + i for i, piece in enumerate(new)}}
        model = _word_piece(teacher, vocabulary)
        harmful: set[str] = set()
        still: set[str] = set()
        for word in affected:
            added = [token.value for token in model.tokenize(word) if token.id >= len(old)]
            if added:
                harmful.update(added)
                still.add(word)
        if not harmful:
            return new
        new = [piece for piece in new if piece not in harmful]
        affected = still  # a word that is cut into old pieces stays so with fewer new ones


def _word_piece(teacher: Tokenizer, vocabulary: dict[str, int]) -> models.WordPiece:
    state = json.loads(teacher.to_str())["model"]
    return models.WordPiece(
        vocabulary,
        unk_token=state["unk_token"],
        max_input_chars_per_word=state["max_input_chars_per_word"],
        continuing_subword_prefix=state["continuing_subword_prefix"],
    )


def _rebuilt(teacher: Tokenizer, vocabulary: dict[str, int], normalizer: normalizers.Normalizer) -> Tokenizer:
    """Return the teacher's tokenizer with another vocabulary and normalizer, ids of special tokens adapted."""
    state: dict[str, Any] = json.loads(teacher.to_str())
    state["model"]["vocab"] = vocabulary
    for token in state["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    processor = state.get("post_processor") or {}
    for name in ("sep", "cls"):
        if name in processor:
            processor[name][1] = vocabulary[processor[name][0]]
    for name, special in (processor.get("special_tokens") or {}).items():
        special["ids"] = [vocabulary[name]]
    state["truncation"] = state["padding"] = None
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.normalizer = normalizer
    return tokenizer


def _vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    """Return piece → id, or raise if the tokenizer is not WordPiece."""
    state = json.loads(tokenizer.to_str())["model"]
    if state["type"] != "WordPiece":
        raise ModelError(
            "teacher",
            f"its tokenizer is {state['type']}",
            expected="WordPiece (BERT, MiniLM, MPNet, …) for a transplant",
            hint="use a student of kind: pretrained",
        )
    return dict(state["vocab"])


def _special_tokens(tokenizer: Tokenizer) -> set[str]:
    return {token["content"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
