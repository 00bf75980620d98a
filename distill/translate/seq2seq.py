"""Translating with a transformers sequence-to-sequence model: Marian (opus-mt), NLLB, M2M100, mBART-50, MADLAD.

Models that know several languages are told the target by a token, each family in its own way: Marian (`>>ukr<<`) and
MADLAD (`<2uk>`) at the beginning of the source; NLLB (`ukr_Cyrl`), M2M100 (`__uk__`) and mBART-50 (`uk_UA`) as the
first token of the translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import langcodes
import torch

from distill.encode import best_precision
from distill.errors import ModelError, nearest
from distill.languages import ALIASES
from distill.models import model_digest, model_error
from distill.translate.engine import Engine, Translation

PREFIX_TOKEN = re.compile(r">>([a-z]{2,3})(?:_([A-Z][a-z]{3}))?<<|<2([a-z]{2,3})(?:_([A-Z][a-z]{3}))?>")
FIRST_TOKEN = re.compile(r"([a-z]{3})_([A-Z][a-z]{3})|__([a-z]{2,3})__|([a-z]{2})_[A-Z]{2}")

TOKENS_PER_BATCH = {"cuda": 8_192, "cpu": 512}
"""Source tokens, padding included, that are translated together; each is held once per beam."""

NEW_TOKENS = (2.0, 24)
"""A translation may have this many times its source's tokens, and so many more."""


def seq2seq_engine(name: str, revision: str | None, *, source: str, target: str, beams: int, where: str) -> Engine:
    """Return an engine that runs a sequence-to-sequence model here: on a GPU in bf16 or fp16, on CPUs in fp32.

    Weights are read from safetensors only, and no code that comes with the model is run.

    Args:
        name: Hub id or folder.
        revision: commit, branch or tag on the Hub.
        source: language code of the texts.
        target: language code of the translations.
        beams: width of the beam search.
        where: the option that names the model, for messages.

    Raises:
        ModelError: there is no such model, it cannot be read, or it does not know a language.
    """
    model, tokenizer, commit = _load(name, revision, where)
    prefix, source_name, first_token = _tell_languages(tokenizer, source, target, f"{where}: {name}")
    limit = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    parameters = {"beams": beams, "precision": str(model.dtype).removeprefix("torch."), "new_tokens": list(NEW_TOKENS)}

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        if source_name:
            tokenizer.src_lang = source_name  # the tokenizer is shared with engines for other pairs
        return list(tokenizer([prefix + text for text in texts], verbose=False)["input_ids"])

    def batches(texts: Sequence[str]) -> list[list[int]]:
        lengths = [min(len(ids), limit) for ids in tokenize(texts)] if texts else []
        return _batches(lengths, TOKENS_PER_BATCH.get(model.device.type, 512))

    @torch.inference_mode()
    def translate(texts: Sequence[str]) -> list[Translation]:
        rows = tokenize(texts)
        cut = [len(ids) > limit for ids in rows]
        rows = [ids[: limit - 1] + ids[-1:] if long else ids for ids, long in zip(rows, cut, strict=True)]
        inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(model.device)
        times, more = NEW_TOKENS
        new = min(int(times * inputs["input_ids"].shape[1]) + more, limit - 1)
        forced = {} if first_token is None else {"forced_bos_token_id": first_token}
        found = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            num_beams=beams,
            do_sample=False,
            max_new_tokens=new,
            **forced,
        )
        tokens = (found[:, 1:] != tokenizer.pad_token_id).sum(dim=1).tolist()  # without the decoder's start
        kept = [[token for token in row if token != first_token] for row in found.tolist()]
        answers = tokenizer.batch_decode(kept, skip_special_tokens=True)
        return [
            Translation(answer.strip(), cut=long or count >= new)
            for answer, long, count in zip(answers, cut, tokens, strict=True)
        ]

    identity = {
        "engine": "seq2seq",
        "model": name,
        "revision": commit,
        "prompt": "",
        "parameters": parameters,
        "source": source,
        "target": target,
    }
    return Engine(identity, batches, translate)


@lru_cache(maxsize=1)
def _load(name: str, revision: str | None, where: str) -> tuple[Any, Any, str]:
    """Return model, tokenizer and the commit they are of; a hash of the weights for a folder."""
    from accelerate import PartialState
    from huggingface_hub import hf_hub_download
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    device = PartialState().device
    precision = best_precision("auto", device) if device.type == "cuda" else "fp32"
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        model, loaded = AutoModelForSeq2SeqLM.from_pretrained(
            name,
            revision=revision,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    except Exception as error:
        raise model_error(where, name, error) from error
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(
            f"{where}: {name}",
            f"{len(missing)} weights are not in its files, the first {missing[0]}",
            hint="get the model again",
        )
    if Path(name).is_dir():
        commit = model_digest(model)
    else:
        commit = Path(hf_hub_download(name, "config.json", revision=revision)).parent.name  # …/snapshots/COMMIT/
    return model.eval().to(device), tokenizer, commit


def _batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return the numbers of texts cut into batches of like length, longest first, `budget` padded tokens in each."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    return batches


def _tell_languages(tokenizer: Any, source: str, target: str, place: str) -> tuple[str, str, int | None]:
    """Return how a model is told the languages: text before the source, its name of the source, the first token."""
    listed = getattr(tokenizer, "lang_code_to_token", {}).values()  # M2M100's are in no vocabulary
    tokens = {*tokenizer.get_vocab(), *tokenizer.all_special_tokens, *listed}
    if first := _language_tokens(tokens, FIRST_TOKEN):
        for code in (source, target):
            _check_known(code, first, place)
        return "", first[source].strip("_"), int(tokenizer.convert_tokens_to_ids(first[target]))
    if prefix := _language_tokens(tokens, PREFIX_TOKEN):
        _check_known(target, prefix, place)
        return f"{prefix[target]} ", "", None
    for role, wanted in (("source_lang", source), ("target_lang", target)):
        known = getattr(tokenizer, role, None)
        if known and langcodes.tag_is_valid(known) and _standard(known) != wanted:
            raise ModelError(place, f"its {role} is {known}", expected=wanted, hint="take a model for this pair")
    return "", "", None


def _language_tokens(tokens: Iterable[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """Return a model's tokens by language code; of several for one language the one in its usual script."""
    found: dict[str, tuple[bool, str]] = {}
    for token in sorted(tokens):
        if match := pattern.fullmatch(token):
            parts = [part for part in match.groups() if part]
            code, script = _standard(parts[0]), parts[1] if len(parts) > 1 else ""
            usual = not script or langcodes.Language.get(code).maximize().script == script
            if code not in found or (usual and not found[code][0]):
                found[code] = (usual, token)
    return {code: token for code, (_, token) in found.items()}


def _standard(code: str) -> str:
    """Return the code that this program uses for a model's own, such as lv for lvs and nb for nob or no."""
    short = ALIASES.get(code, code)
    return str(langcodes.Language.get(short).prefer_macrolanguage().language or short)


def _check_known(code: str, known: Iterable[str], place: str) -> None:
    codes = sorted(known)
    if code not in codes:
        shown = ", ".join(codes[:40]) + ", …" * (len(codes) > 40)
        raise ModelError(
            place, f"does not know the language {code}", expected=f"one of {shown}", hint=_near(code, codes)
        )


def _near(code: str, known: Sequence[str]) -> str:
    """Return the known language that a reader of `code` is likeliest to understand, or whose code is most like it."""
    close = langcodes.closest_supported_match(code, list(known), max_distance=25)
    return f"the nearest that it knows is {close}" if close else nearest(code, known)
