"""Trimmed vocabularies: what some languages need of a large tokenizer, and the rows of the model that go with it.

A text whose pieces are all kept is cut as before, exactly:

- Unigram (Kudo 2018): the best path stays the best of fewer paths. The piece with the lowest score stays too, because
  the score of unknown characters hangs on it.
- BPE: all pieces that a kept piece is merged from are kept, and all merges between kept pieces, in their order. A merge
  that is left out was never the first to apply in such a text.
- WordPiece: the longest match stays the longest.

After Abdaoui et al. 2020, "Load What You Need: Smaller Versions of Multilingual BERT" (arXiv 2010.05609).
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from distill.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

log = logging.getLogger("distill")

Texts = Callable[[], Iterable[str]]
"""Returns texts, from the start each time it is called."""

TEXTS_PER_BATCH = 10_000

PIECES_PER_LANGUAGE = 25_000
"""Most pieces to keep for each language where nobody says how many: XLM-R has 124M parameters for two languages."""

LARGE_SCRIPT = 1_000
"""Scripts with more letters than this in a vocabulary (Han, Hangul) are kept only where the texts use them."""

SCRIPT_SHARE = 1e-3
"""Texts use a script if at least this share of their letters are of it."""

BYTE = re.compile(r"<0x[0-9A-F]{2}>")

POSITIONS_FROM_PADDING = {"roberta", "xlm-roberta", "camembert", "mpnet"}
"""Model types whose position numbers start at the padding id + 1, so that this id must stay."""


@dataclass(frozen=True)
class Counts:
    """What texts hold of a vocabulary.

    Attributes:
        used: how often a piece is part of a text as the tokenizer cuts it, by id (ids,).
        held: how often a piece stands in a word of the texts, however the word is cut, by id (ids,).
        letters: how often each letter occurs.
    """

    used: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]
    letters: Mapping[str, int]


def trim_vocabulary(
    model: SentenceTransformer,
    texts: Texts,
    *,
    languages: int,
    min_count: int = 1,
    size: int | None = None,
    where: str = "vocabulary.size",
) -> float:
    """Take out of a model the pieces that texts do not need, and their embeddings.

    Vectors of the texts stay the same, unless `min_count` or `size` leave out pieces that they are cut into.

    Args:
        model: a sentence-transformers model with a transformers encoder; changed in place.
        texts: what it is to be used for.
        languages: how many languages these are in.
        min_count: a piece that occurs in the texts less often is left out.
        size: keep at most this many pieces; `PIECES_PER_LANGUAGE` for each language if None.
        where: where the user gives `size`, for messages.

    Returns:
        The share of the pieces in the texts that are left out: 0 to 1.

    Raises:
        ModelError: the tokenizer is of a kind that cannot be trimmed, or `size` is too small.
    """
    transformer = model[0]
    if not getattr(getattr(transformer, "tokenizer", None), "is_fast", False):
        raise ModelError("vocabulary", "the model has no fast tokenizer", hint="leave out `vocabulary`")
    encoder, backend = transformer.model, plain_tokenizer(transformer.tokenizer.backend_tokenizer)
    pieces, parameters = len(encoder.get_input_embeddings().weight), _size(model)
    counts = count_pieces(backend, lambda: itertools.chain(model.prompts.values(), texts()))
    most = size or PIECES_PER_LANGUAGE * languages
    kept = pieces_to_keep(backend, counts, min_count=min_count, size=most, where=where)
    there = set(backend.get_vocab(with_added_tokens=True).values())
    tokenizer, rows = trimmed_tokenizer(backend, kept | _named_ids(encoder) & there)
    if rows.max() >= pieces:
        raise ModelError("vocabulary", f"the tokenizer has {rows.max() + 1:,} pieces, the model {pieces:,}")
    keep_rows(encoder, rows)
    transformer.processor = with_backend(transformer.tokenizer, tokenizer)
    lost = float((counts.used.sum() - counts.used[rows].sum()) / max(1, counts.used.sum()))
    log.info(
        "vocabulary: %s of %s pieces kept, %.1fM of %.1fM parameters; %.3f %% of the pieces in the texts are lost",
        f"{len(rows):,}", f"{pieces:,}", _size(model) / 1e6, parameters / 1e6, 100 * lost,
    )  # fmt: skip
    return lost


def count_pieces(tokenizer: Tokenizer, texts: Texts) -> Counts:
    """Return what texts hold of a tokenizer's vocabulary."""
    plain, model = plain_tokenizer(tokenizer), _state(tokenizer)["model"]
    ids = tokenizer.get_vocab(with_added_tokens=True)
    used = np.zeros(max(ids.values()) + 1, np.int64)
    words, letters = Counter[str](), Counter[str]()
    source = iter(texts())
    while batch := list(itertools.islice(source, TEXTS_PER_BATCH)):
        encodings = plain.encode_batch_fast(batch, add_special_tokens=False)
        found = np.fromiter(itertools.chain.from_iterable(encoding.ids for encoding in encodings), np.int64)
        used += np.bincount(found, minlength=len(used))
        for text in batch:
            words.update(_words(plain, text))
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    longest = max(map(len, _pieces(model)))
    held = np.zeros_like(used)
    for word, n in words.items():
        spans = (
            (prefix if start else "") + word[start:end] + (suffix if end == len(word) else "")
            for start in range(len(word))
            for end in range(start + 1, min(len(word), start + longest) + 1)
        )
        held[list({ids[span] for span in spans if span in ids})] += n
        for char in word:
            letters[char] += n
    return Counts(used, held, {char: n for char, n in letters.items() if char.isalpha()})


def pieces_to_keep(
    tokenizer: Tokenizer,
    counts: Counts,
    *,
    min_count: int = 1,
    size: int | None = None,
    where: str = "vocabulary.size",
) -> set[int]:
    """Return the ids of the pieces that texts like the counted ones need.

    These are added tokens, bytes and single characters (of Han and Hangul only if the texts use them), then the pieces
    that occur in the texts: first those that they are cut into, then others that stand in their words, because unseen
    words of a language are cut into these; the most frequent first.

    Args:
        tokenizer: the whole tokenizer.
        counts: what the texts hold.
        min_count: a piece that occurs in the texts less often is left out.
        size: keep at most this many pieces.
        where: where the user gives `size`, for messages.

    Raises:
        ModelError: `size` is too small for what must be kept.
    """
    state, ids = _state(tokenizer), tokenizer.get_vocab(with_added_tokens=True)
    kept = _indispensable(state, ids, counts.letters)
    if size is not None and size < len(kept):
        raise ModelError(
            where,
            f"found {size:,}",
            expected=f"at least {len(kept):,}: so many are special tokens, bytes and single characters",
        )
    names = {id_: piece for piece, id_ in ids.items()}
    parts = _merged_from(state["model"])
    order = np.lexsort((-counts.held, -counts.used))
    for id_ in order[np.maximum(counts.used, counts.held)[order] >= min_count].tolist():
        needed = {ids[part] for part in parts(names[id_])}
        if size is not None and len(kept) + len(needed - kept) > size:
            break
        kept |= needed
    return kept


def trimmed_tokenizer(tokenizer: Tokenizer, keep: Collection[int]) -> tuple[Tokenizer, npt.NDArray[np.int64]]:
    """Return a tokenizer with some of the pieces only, and the old id of each of its ids.

    Added tokens, and what a kept piece is merged from, are kept too. The order of the pieces, normalizer, pre-tokenizer
    and decoder stay as they are.

    Raises:
        ModelError: the tokenizer is not Unigram, BPE or WordPiece.
    """
    from tokenizers import Tokenizer

    state, old = _state(tokenizer), tokenizer.get_vocab(with_added_tokens=True)
    model, added = state["model"], {token["content"] for token in state["added_tokens"]}
    names, parts, pieces = {id_: piece for piece, id_ in old.items()}, _merged_from(model), set(_pieces(model))
    kept = added.union(*(parts(names[id_]) for id_ in keep))
    # The library numbers added tokens that are no pieces of the model after all that are.
    order = sorted(kept, key=lambda piece: (piece not in pieces, old[piece]))
    new = {piece: id_ for id_, piece in enumerate(order)}
    if model["type"] == "Unigram":
        unknown = unknown_token(model)
        model["vocab"] = [entry for id_, entry in enumerate(model["vocab"]) if entry[0] in new and old[entry[0]] == id_]
        model["unk_id"] = None if unknown is None else new[unknown]
    else:
        model["vocab"] = {piece: new[piece] for piece in model["vocab"] if piece in new}
    if model["type"] == "BPE":
        join = join_pieces(model)
        model["merges"] = [(a, b) for a, b in model["merges"] if a in new and b in new and join(a, b) in new]
    for token in state["added_tokens"]:
        token["id"] = new[token["content"]]
    state["added_tokens"].sort(key=lambda token: token["id"])
    renumber(state["post_processor"], new)
    return Tokenizer.from_str(json.dumps(state)), np.array([old[piece] for piece in order], np.int64)


def keep_rows(model: PreTrainedModel, rows: npt.NDArray[np.int64]) -> None:
    """Keep some rows of a model's embeddings, and of a language-model head, in the order given.

    Ids in the configuration are those of the kept rows afterwards; one whose row is not kept is None.
    """
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    padding, index = embedding.padding_idx, torch.from_numpy(rows)
    tensors = [embedding.weight, *(head.parameters() if head is not None else ())]
    for tensor in {tensor.data_ptr(): tensor for tensor in tensors}.values():  # a tied head is the same tensor
        tensor.data[: len(rows)] = tensor.data[index]
    model.resize_token_embeddings(len(rows))
    new = {old: row for row, old in enumerate(rows.tolist())}
    model.get_input_embeddings().padding_idx = None if padding is None else new.get(padding)
    renumber_config(model, new)


def renumber_config(model: PreTrainedModel, new: Mapping[int, int]) -> None:
    """Put new ids of tokens, by old id, into a model's configuration; one that has no new id becomes None."""
    for config in {id(config): config for config in (model.config, model.config.get_text_config())}.values():
        for name, value in config.to_dict().items():
            if name.endswith("_token_id") and value is not None:
                setattr(
                    config,
                    name,
                    [new[id_] for id_ in value if id_ in new] if isinstance(value, list) else new.get(value),
                )


def plain_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy without the padding and truncation that the last call of a model left switched on."""
    plain = copy.deepcopy(tokenizer)
    plain.no_padding()
    plain.no_truncation()
    return plain


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _named_ids(model: PreTrainedModel) -> set[int]:
    """Return the ids that must stay because the model's configuration names them, or because of the positions."""
    config = model.config.get_text_config()
    named = [value for name, value in config.to_dict().items() if name.endswith("_token_id")]
    ids = {id_ for value in named for id_ in (value if isinstance(value, list) else [value]) if id_ is not None}
    return ids | (set(range(config.pad_token_id)) if config.model_type in POSITIONS_FROM_PADDING else set())


def with_backend(tokenizer: Any, backend: Tokenizer) -> Any:
    """Return a tokenizer for transformers like another one; it is loaded from its file just as it is saved."""
    from transformers import PreTrainedTokenizerFast

    names = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces")
    special = {
        name: getattr(tokenizer, name) for name in tokenizer.SPECIAL_TOKENS_ATTRIBUTES if name.endswith("_token")
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        extra_special_tokens=list(tokenizer.extra_special_tokens),
        **{name: token for name, token in special.items() if token is not None},
        **{name: getattr(tokenizer, name) for name in names},
    )


def _state(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what a tokenizer is made of, or raise if it is of a kind that cannot be trimmed."""
    state: dict[str, Any] = {**json.loads(tokenizer.to_str()), "truncation": None, "padding": None}
    if state["model"].get("type") not in ("Unigram", "BPE", "WordPiece"):
        raise ModelError(
            "vocabulary",
            f"the tokenizer is {type(tokenizer.model).__name__}",
            expected="Unigram, BPE or WordPiece",
            hint="leave out `vocabulary`",
        )
    return state


def _pieces(model: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pieces of a tokenizer's model."""
    return (piece for piece, _ in model["vocab"]) if model["type"] == "Unigram" else iter(model["vocab"])


def unknown_token(model: Mapping[str, Any]) -> str | None:
    """Return the token that stands for what a model does not know."""
    if model["type"] != "Unigram":
        return model["unk_token"]  # type: ignore[no-any-return]
    return None if model["unk_id"] is None else model["vocab"][model["unk_id"]][0]


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the words of a text as the tokenizer's model gets them."""
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    cut = tokenizer.pre_tokenizer
    parts = [part for part, _ in cut.pre_tokenize_str(normal)] if cut else [normal]
    # SentencePiece's BPE gets whole texts, in some models (Gemma) through a pre-tokenizer.
    return [word for part in parts for word in re.findall("▁?[^▁]+", part)]


def _indispensable(state: Mapping[str, Any], ids: Mapping[str, int], letters: Mapping[str, int]) -> set[int]:
    """Return the ids of added tokens, the unknown token, bytes and single characters."""
    model = state["model"]
    kept = {ids[token["content"]] for token in state["added_tokens"]} | {ids[p] for p in ids if BYTE.fullmatch(p)}
    if unknown := unknown_token(model):
        kept.add(ids[unknown])
    if model["type"] == "Unigram":
        kept.add(ids[min(model["vocab"], key=lambda entry: entry[1])[0]])
    characters: dict[str, list[int]] = {}
    for piece in _pieces(model):
        body = piece
        for affix in (model.get("continuing_subword_prefix"), model.get("end_of_word_suffix"), "▁"):
            body = body.removeprefix(affix).removesuffix(affix) if affix and body != affix else body
        if len(body) == 1:
            characters.setdefault(body, []).append(ids[piece])
    sizes, used = Counter(map(_script, characters)), Counter[str]()
    for letter, n in letters.items():
        used[_script(letter)] += n
    for character, found in characters.items():
        script = _script(character)
        if not script or sizes[script] <= LARGE_SCRIPT or used[script] > SCRIPT_SHARE * sum(used.values()):
            kept.update(found)
    return kept


def _script(character: str) -> str:
    """Return the first word of a letter's Unicode name (LATIN, CJK, HANGUL), an empty string for what is no letter."""
    return unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""


def join_pieces(model: Mapping[str, Any]) -> Callable[[str, str], str]:
    """Return the function that joins two pieces of a BPE."""
    skipped = len(model["continuing_subword_prefix"] or "")
    return lambda left, right: left + right[skipped:]


def _merged_from(model: Mapping[str, Any]) -> Callable[[str], set[str]]:
    """Return a function from a piece to itself and all pieces that it is merged from, if the model is a BPE."""
    if model["type"] != "BPE":
        return lambda piece: {piece}
    ranks, join = {(a, b): rank for rank, (a, b) in enumerate(model["merges"])}, join_pieces(model)

    def parts(piece: str) -> set[str]:
        symbols = first_symbols(model, piece)
        found = {piece, *symbols}
        while len(symbols) > 1:
            pairs = list(itertools.pairwise(symbols))
            first = min(range(len(pairs)), key=lambda place: ranks.get(pairs[place], len(ranks)))
            if pairs[first] not in ranks:
                return {piece}  # never merged from anything: a special token, a byte
            symbols[first : first + 2] = [join(*pairs[first])]
            found.add(symbols[first])
        return found

    return parts


def first_symbols(model: Mapping[str, Any], piece: str) -> list[str]:
    """Return the symbols that a BPE begins with when it makes a piece."""
    prefix, suffix = model["continuing_subword_prefix"] or "", model["end_of_word_suffix"] or ""
    inside, last = prefix and piece.startswith(prefix), suffix and piece.endswith(suffix)
    body = piece[len(prefix) if inside else 0 : len(piece) - (len(suffix) if last else 0)]
    symbols = [(prefix if place or inside else "") + char for place, char in enumerate(body)]
    return [*symbols[:-1], symbols[-1] + (suffix if last else "")] if symbols else []


def renumber(processor: Any, ids: Mapping[str, int]) -> None:
    """Put new ids into a post-processor, wherever it names a token."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", ()):
        renumber(part, ids)
    for key in ("cls", "sep"):  # BertProcessing, RobertaProcessing
        if key in processor:
            processor[key] = [processor[key][0], ids[processor[key][0]]]
    for token in (processor.get("special_tokens") or {}).values():  # TemplateProcessing
        token["ids"] = [ids[piece] for piece in token["tokens"]]
