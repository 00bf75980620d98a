"""Loading models: from the Hub, a folder or an installed package, checked, every failure explained."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash

from distill.encode import is_static
from distill.errors import ModelError
from distill.files import file_checksum
from distill.recipe.values import is_path

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")

HUB_HINT = "check the network and that HF_HUB_OFFLINE is not set, or name a local folder, which begins with ./ or /"


def load_model(
    where: str,
    name: str,
    *,
    revision: str | None = None,
    package: str | None = None,
    sha256: str | None = None,
    trust_remote_code: bool = False,
    device: str = "cpu",
    as_stored: bool = False,
    to_trust: str | None = None,
) -> SentenceTransformer:
    """Return a sentence-transformers model in float32, unless it is to stay as it is stored.

    Weights are read from safetensors only.

    Args:
        where: the recipe section, for messages.
        name: Hub id or local folder.
        revision: commit, branch or tag on the Hub.
        package: Python distribution that carries the model; used instead of `name` if it is installed.
        sha256: checksum that `model.safetensors` must have.
        trust_remote_code: run Python code that comes with the model.
        device: where to put it.
        to_trust: what to do to have that code run, for messages; a key of the section if None.
        as_stored: the encoder has the number format of its files, such as float16, instead of float32.

    Raises:
        ModelError: there is no such model, it cannot be read, is incomplete, or has other weights than expected.
    """
    from sentence_transformers import SentenceTransformer

    source = str(package_folder(package) or name) if package else name
    if is_path(source) and not Path(source).is_dir():
        raise ModelError(f"{where}: {source}", "no such folder", expected="a model's folder or a Hub id")
    if sha256:
        _check_weights(where, source, revision, sha256)
    try:
        model = SentenceTransformer(
            source,
            revision=revision if source == name else None,
            device=device,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True, "dtype": "auto" if as_stored else torch.float32},
        )
    except Exception as error:
        raise model_error(where, source, error, to_trust) from error
    stored = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    half = as_stored and stored != torch.float32
    if half:
        model.float()  # half precision may overflow on what it is checked with
    _check_complete(f"{where}: {source}", model)
    if half:
        model[0].to(stored)
    log.info("%s: %s", where, source)
    return model


def package_folder(distribution: str) -> Path | None:
    """Return the folder of the model that an installed Python distribution carries, None if not installed."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "modules.json":
            return Path(str(file.locate())).parent
    raise ModelError(f"package {distribution}", "carries no modules.json", expected="a sentence-transformers model")


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a hash of how a tokenizer cuts text."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)  # a static model has the backend itself
    content = repr(sorted(tokenizer.get_vocab().items()))
    if hasattr(backend, "to_str"):  # truncation and padding are what the last call set, not part of the tokenizer
        content = json.dumps({**json.loads(backend.to_str()), "truncation": None, "padding": None}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def model_digest(model: torch.nn.Module) -> str:
    """Return a hash of a model's structure and weights, the same wherever it was loaded from."""
    digest = xxhash.xxh3_128(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def weights_digest(folder: Path) -> str:
    """Return a hash of the weights in a model's folder, which is not loaded."""
    return " ".join(file_checksum(path) for path in sorted(folder.glob("*.safetensors")))


def encoder_digest(model: SentenceTransformer) -> str:
    """Return a hash of all that decides a model's vectors: weights, tokenizer, prompts, longest input, truncation."""
    tokenizer = tokenizer_digest(model.tokenizer) if hasattr(model.tokenizer, "get_vocab") else ""
    settings = [model.prompts, model.default_prompt_name, longest_input(model), model.truncate_dim]
    content = json.dumps([model_digest(model), tokenizer, *settings], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def token_embeddings(model: SentenceTransformer) -> torch.nn.Embedding:
    """Return the module that holds the vectors of a model's pieces."""
    first: Any = model[0]
    module: torch.nn.Embedding = first.embedding if is_static(model) else first.model.get_input_embeddings()
    return module


def longest_input(model: SentenceTransformer) -> int | None:
    """Return how many tokens of a text a model reads; None: all."""
    if is_static(model):
        truncation = model.tokenizer.truncation
        return int(truncation["max_length"]) if truncation else None
    limit: int | None = model.max_seq_length
    return limit


def _check_weights(where: str, source: str, revision: str | None, expected: str) -> None:
    path = Path(source) / "model.safetensors"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(source, "model.safetensors", revision=revision))
        except Exception as error:
            raise model_error(where, source, error) from error
    if not path.is_file():
        raise ModelError(f"{where}: {source}", "no model.safetensors", expected=f"one with sha256 {expected}")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise ModelError(
            f"{where}: {path}",
            f"sha256 is {digest.hexdigest()}",
            expected=expected,
            hint="the weights are not the ones the recipe names: get them again, or correct sha256",
        )


def _check_complete(place: str, model: SentenceTransformer) -> None:
    """Check what loads without an error although a part is missing: pieces, weights, modules that do not fit."""
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    special = set(getattr(tokenizer, "all_special_tokens", ()))
    if special and not set(tokenizer.get_vocab()) - special:
        raise ModelError(place, "has no tokenizer", expected="tokenizer.json, or the vocabulary of the tokenizer")
    if missing := _started_parameters(model):
        raise ModelError(
            place,
            f"{len(missing)} weights are not in its files, the first {missing[0]}",
            expected="weights for all layers of config.json",
            hint="get the model again",
        )
    try:
        vector = np.asarray(model.encode("a b c", show_progress_bar=False))
    except RuntimeError as error:
        raise ModelError(place, f"its modules do not fit each other: {error}", hint="get the model again") from error
    if len(vector) != model.get_embedding_dimension():
        raise ModelError(
            place,
            f"its vectors have {len(vector)} dimensions",
            expected=f"{model.get_embedding_dimension()}, as its modules say",
        )
    if not np.isfinite(vector).all():
        raise ModelError(place, "its vectors are not finite", hint="the weights are damaged: get the model again")


def _started_parameters(model: SentenceTransformer) -> list[str]:
    """Return the parameters that transformers started at random because no file holds them, the unused pooler aside."""
    parameters = list(model[0].named_parameters())
    loaded = [hasattr(parameter, "_is_hf_initialized") for _, parameter in parameters]
    if not any(loaded):  # not a transformers model
        return []
    return [name for (name, _), there in zip(parameters, loaded, strict=True) if not there and "pooler." not in name]


def model_error(where: str, source: str, error: Exception, to_trust: str | None = None) -> ModelError:
    """Return what went wrong with a model in the user's terms."""
    place = f"{where}: {source}"
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if "trust_remote_code" in str(error):
        return ModelError(
            place,
            "comes with Python code of its own, which is not run by default",
            hint=f"read that code, then {to_trust or f'set {where}.trust_remote_code: true'}",
        )
    if Path(source).is_dir():
        found, hint = _folder_problem(Path(source), first)
        return ModelError(place, found, expected="config.json, a tokenizer and model.safetensors", hint=hint)
    return _hub_error(place, error, first)


def _folder_problem(folder: Path, message: str) -> tuple[str, str]:
    """Return why a local model cannot be loaded, and what to do."""
    again = "get the model again"
    for path in sorted(folder.rglob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            return f"{path.relative_to(folder)} is no JSON: {error}", again
    modules = folder / "modules.json"
    parts = [folder / module["path"] for module in json.loads(modules.read_bytes())] if modules.is_file() else [folder]
    if not (parts[0] / "config.json").is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        return "no config.json", f"in the folder: {there}" if there else "the folder is empty"
    weights = sorted(parts[0].glob("*.safetensors"))
    if not weights:
        if pickles := sorted(path.name for path in parts[0].glob("*.bin")):
            return (
                f"its weights are in {pickles[0]} only, and a pickle can run code",
                "load it where you trust it and save it with save_pretrained, which writes model.safetensors",
            )
        return "no model.safetensors", again
    for path in weights:
        if problem := _safetensors_problem(path):
            return f"{path.name} is damaged or incomplete: {problem}", again
    if "ignore_mismatched_sizes" in message:
        return "the weights do not have the shapes that config.json gives", again
    for part in parts[1:]:
        if not part.is_dir():
            return f"modules.json names {part.name}, which is not there", again
    return f"cannot be read as a model: {message}", ""


def _safetensors_problem(path: Path) -> str:
    """Return what is wrong with a weights file, an empty string if it can be opened."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt"):
            return ""
    except (OSError, SafetensorError) as error:
        return str(error)


def _hub_error(place: str, error: Exception, message: str) -> ModelError:
    """Return why a model on the Hub cannot be loaded."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(c, RevisionNotFoundError) for c in causes):
        return ModelError(place, "no such revision on the Hub", hint="check the revision")
    if any(isinstance(c, RepositoryNotFoundError | FileNotFoundError) for c in causes) and not any(
        isinstance(c, LocalEntryNotFoundError) for c in causes
    ):
        return ModelError(
            place,
            "no such model on the Hub, or no access to it",
            hint="check the name; for a private model log in with `hf auth login`; a local folder begins with ./ or /",
        )
    unreachable = any(isinstance(c, LocalEntryNotFoundError | HfHubHTTPError | ConnectionError) for c in causes)
    if unreachable or re.search("offline|couldn't connect", str(error), re.IGNORECASE):
        return ModelError(place, f"the Hub cannot be reached: {message}", hint=HUB_HINT)
    return ModelError(place, f"cannot be loaded ({type(error).__name__}): {message}")
