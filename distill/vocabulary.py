"""WordPiece vocabularies for more languages: learn pieces, add them to a teacher's, leave English as it was."""

from __future__ import annotations

import itertools
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anyascii import anyascii
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from distill.errors import ModelError

Texts = Callable[[], Iterable[str]]
"""Returns the texts of one side, from the start each time it is called."""

NORMALIZER_OF_STUDENTS = ["NFD", "Replace", "NFC", "BertNormalizer"]
"""What `_normalizer` makes for a teacher that strips accents."""

ACCENT_SHARE = 5e-5
"""An accented letter belongs to a language if at least this share of its letters are that letter."""

PIECES_PER_WORD = 0.69
"""Pieces to add for each distinct word seen twice, where a recipe does not say how many."""

SURPLUS = 1.25
"""Pieces learnt for each piece to add: the steps to longer pieces are hardly used once those are there."""


def extended_tokenizer(
    teacher: Tokenizer, english: Texts, other: Texts, *, size: int | None, min_count: int, known: Texts = tuple
) -> Tokenizer:
    """Return the teacher's tokenizer with pieces learnt from the other languages added at the end.

    Accents that the other languages use are kept (й, å), others are stripped as before. A new piece that
    changes how a word of the English texts is cut is left out, so that English keeps its token ids (except in words
    like "café" where another language keeps that letter). Of the others, the most used are added. The same holds for
    all words that an earlier student knows of the languages that it has.

    Args:
        teacher: a WordPiece tokenizer with BERT's normalizer, or one made here before.
        english: texts whose words must be cut as before.
        other: texts to learn from.
        size: at most this many pieces are added; from the number of words if None.
        min_count: a piece must be made from pairs that occur this often.
        known: texts in the languages that an earlier student has, whose words must be cut as before.

    Raises:
        ModelError: the teacher's tokenizer is of another kind.
    """
    old = _vocabulary(teacher)
    strings = count_strings(other())
    normalizer = _normalizer(teacher, kept_accents(strings))
    words = count_words(strings, normalizer, teacher)
    size = size or _usual_size(words)
    new = [piece for piece in _learn_pieces(teacher, words, round(SURPLUS * size), min_count) if piece not in old]
    kept = [word for word in count_words(count_strings(english()), teacher.normalizer, teacher) if word.isascii()]
    kept += _known_words(count_strings(known()), teacher, normalizer)
    new = _most_used(words, teacher, old, _without_effect_on(kept, teacher, old, new), size)
    return _rebuilt(teacher, {**old, **{piece: len(old) + i for i, piece in enumerate(new)}}, normalizer)


def add_words(tokenizer: Tokenizer, english: Texts, other: Texts, *, most: int, min_count: int) -> Tokenizer:
    """Return a WordPiece tokenizer with the most frequent words of both sides as pieces of their own.

    Args:
        tokenizer: what to add them to, at the end.
        english: texts of one side.
        other: texts of the other side.
        most: largest number of words to add.
        min_count: how often a word must occur.
    """
    pieces = _vocabulary(tokenizer)
    words = count_words(count_strings(english()) + count_strings(other()), tokenizer.normalizer, tokenizer)
    longest = json.loads(tokenizer.to_str())["model"]["max_input_chars_per_word"]
    added = [word for word, n in words.items() if n >= min_count and word not in pieces and len(word) <= longest]
    added = sorted(added, key=lambda word: (-words[word], word))[:most]
    return _rebuilt(tokenizer, {**pieces, **dict(zip(added, itertools.count(len(pieces))))}, tokenizer.normalizer)


def replaced_tokenizer(
    teacher: Tokenizer, english: Texts, other: Texts, *, size: int | None, min_count: int
) -> Tokenizer:
    """Return a tokenizer of the teacher's kind whose pieces are learnt from both sides; special tokens come first.

    Arguments and errors are those of `extended_tokenizer`, but `size` is the number of pieces learnt.
    """
    old = _vocabulary(teacher)
    strings = count_strings(other())
    normalizer = _normalizer(teacher, kept_accents(strings))
    words = count_words(strings + count_strings(english()), normalizer, teacher)
    learnt = _learn_pieces(teacher, words, size or _usual_size(words), min_count)
    special = sorted(_special_tokens(teacher), key=old.__getitem__)
    pieces = special + [piece for piece in learnt if piece not in special]
    return _rebuilt(teacher, {piece: i for i, piece in enumerate(pieces)}, normalizer)


def kept_accents(strings: Mapping[str, int]) -> list[str]:
    """Return the letters with a diacritic that are part of a language's alphabet, lower and upper case.

    A mark that Unicode does not join with its letters, such as a vowel sign of Hindi or Thai, is returned alone:
    it is kept on every letter.

    Args:
        strings: how often each string of the language occurs.
    """
    counts: Counter[str] = Counter()
    for string, n in strings.items():
        for char in unicodedata.normalize("NFC", string).lower():
            counts[char] += n
    letters = {char: n for char, n in counts.items() if char.isalpha() or _is_mark(char)}
    least = max(3, sum(letters.values()) * ACCENT_SHARE)
    kept = [char for char, n in letters.items() if n >= least and _is_mark(unicodedata.normalize("NFD", char)[-1])]
    return sorted({*kept, *(char.upper() for char in kept)})


def _is_mark(char: str) -> bool:
    """Return whether a character is a mark that takes no room of its own, which the teacher's tokenizer strips."""
    return unicodedata.category(char) == "Mn"


def _normalizer(teacher: Tokenizer, kept: list[str]) -> normalizers.Normalizer:
    """Return the teacher's normalizer, which strips accents, made to keep those of some letters.

    The text is decomposed, every mark is removed unless it follows a base it is kept on, and composed again. That of an
    earlier student goes on keeping what it keeps.
    """
    state = json.loads(teacher.to_str())["normalizer"] or {}
    of_student = [part["type"] for part in state.get("normalizers", ())] == NORMALIZER_OF_STUDENTS
    if of_student:
        state = {**state["normalizers"][-1], "strip_accents": True}
        kept = kept + _accents_kept_by(teacher.normalizer)
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
    everywhere = {char for char in kept if _is_mark(char)}
    for char in kept:
        decomposed = unicodedata.normalize("NFD", char)
        for base, mark in itertools.pairwise(decomposed):
            if mark not in everywhere:
                bases.setdefault(mark, set()).add(base)
    patterns = [rf"(?<![{re.escape(''.join(sorted(before)))}]){mark}" for mark, before in sorted(bases.items())]
    known = "".join(sorted({*bases, *everywhere}))
    others = rf"[\p{{Mn}}&&[^{known}]]" if known else r"\p{Mn}"
    strip = normalizers.Replace(Regex("|".join([*patterns, others])), "")
    return normalizers.Sequence([normalizers.NFD(), strip, normalizers.NFC(), bert])


def _accents_kept_by(normalizer: normalizers.Normalizer) -> list[str]:
    """Return the letters and marks, in the form of `kept_accents`, that a normalizer leaves their accents."""
    marked = (c for c in map(chr, range(sys.maxunicode + 1)) if _is_mark(unicodedata.normalize("NFD", c)[-1]))
    kept = [c for c in marked if c == c.lower() and normalizer.normalize_str(c) == unicodedata.normalize("NFC", c)]
    return [*kept, *(char.upper() for char in kept)]


def _usual_size(words: Mapping[str, int]) -> int:
    return min(30_000, max(1_000, round(PIECES_PER_WORD * sum(n >= 2 for n in words.values()))))


def _learn_pieces(teacher: Tokenizer, words: Mapping[str, int], size: int, min_count: int) -> list[str]:
    """Return WordPiece pieces learnt from words and their counts, letters first, then the most useful ones."""
    state = json.loads(teacher.to_str())["model"]
    prefix = state["continuing_subword_prefix"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        show_progress=False,
        continuing_subword_prefix=prefix,
        # Ids for the letters inside words, which the trainer would number in the random order of a hash map and
        # then break ties by: another vocabulary in each process (huggingface/tokenizers#1794).
        special_tokens=sorted({prefix + letter for word in words for letter in word[1:]}),
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token=state["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator((" ".join([word] * n) for word, n in words.items()), trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def count_strings(texts: Iterable[str]) -> Counter[str]:
    """Return how often each string between spaces occurs in texts.

    A text collection has far fewer distinct ones than words, and what becomes of a string (accents, case, where it
    is cut) does not depend on what stands beyond a space.
    """
    return Counter(itertools.chain.from_iterable(text.split(" ") for text in texts))


def count_words(strings: Mapping[str, int], normalizer: normalizers.Normalizer, teacher: Tokenizer) -> Counter[str]:
    """Return how often each word occurs, as the tokenizer's model gets it, given how often strings do."""
    normalize, cut = normalizer.normalize_str, teacher.pre_tokenizer.pre_tokenize_str
    words: Counter[str] = Counter()
    for string, n in strings.items():
        for word, _ in cut(normalize(string)):
            words[word] += n
    return words


def _known_words(strings: Mapping[str, int], tokenizer: Tokenizer, normalizer: normalizers.Normalizer) -> list[str]:
    """Return the words that a tokenizer knows, of those strings that another normalizer leaves as its own does."""
    own, model = tokenizer.normalizer.normalize_str, _word_piece(tokenizer, _vocabulary(tokenizer))
    same = {string: n for string, n in strings.items() if normalizer.normalize_str(string) == own(string)}
    words = count_words(same, tokenizer.normalizer, tokenizer)
    return [word for word in words if model.tokenize(word)[0].value != model.unk_token]


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


def _most_used(
    words: Mapping[str, int], teacher: Tokenizer, old: dict[str, int], new: list[str], size: int
) -> list[str]:
    """Return at most `size` of the new pieces, or all letters if these are more; the least used are left out.

    They are left out in several rounds, because without a piece others are used more.
    """
    prefix = json.loads(teacher.to_str())["model"]["continuing_subword_prefix"]
    while len(new) > size and (long := [piece for piece in new if len(piece.removeprefix(prefix)) > 1]):
        model = _word_piece(teacher, {**old, **{piece: len(old) + i for i, piece in enumerate(new)}})
        uses: Counter[str] = Counter()
        for word, n in words.items():
            for token in model.tokenize(word):
                uses[token.value] += n
        excess = len(new) - size
        least = set(sorted(long, key=uses.__getitem__)[: excess if excess < size // 50 else -(-excess // 2)])
        new = [piece for piece in new if piece not in least]
    return new


def spellings(teacher: Tokenizer, pieces: Iterable[str]) -> dict[str, list[int]]:
    """Return the ids of the teacher's pieces that spell a piece in Latin letters, where it needs that and has them.

    Those are pieces of two letters or more that stand inside words ("##пет": "##pet"): what a name is cut into.

    Args:
        teacher: a WordPiece tokenizer.
        pieces: pieces of a vocabulary made for it.
    """
    state = json.loads(teacher.to_str())["model"]
    prefix, unknown = state["continuing_subword_prefix"], state["unk_token"]
    inner = {piece.removeprefix(prefix): i for piece, i in _vocabulary(teacher).items() if piece.startswith(prefix)}
    # Without a prefix, a piece is cut as if it stood inside a word.
    inner[unknown] = teacher.get_vocab_size()
    model = models.WordPiece(inner, unk_token=unknown, continuing_subword_prefix="")
    found = {}
    for piece in pieces:
        body = piece.removeprefix(prefix)
        if piece.startswith(prefix) and len(body) > 1 and not body.isascii():
            latin = "".join(filter(str.isalnum, teacher.normalizer.normalize_str(anyascii(body))))
            tokens = model.tokenize(latin) if latin else []
            if tokens and tokens[0].value != unknown:
                found[piece] = [token.id for token in tokens]
    return found


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
    """Return piece → id, tokens added later included, or raise if the tokenizer is not WordPiece."""
    if not isinstance(tokenizer.model, models.WordPiece):
        raise ModelError(
            "teacher",
            f"its tokenizer is {type(tokenizer.model).__name__}",
            expected="WordPiece (BERT, MiniLM, MPNet, …) for a transplant",
            hint="use a student of kind: pretrained",
        )
    return dict(tokenizer.get_vocab(with_added_tokens=True))


def _special_tokens(tokenizer: Tokenizer) -> set[str]:
    return {token["content"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
