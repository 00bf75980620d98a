"""Loading models: from the Hub, a folder or an installed package, checked, every failure explained."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import xxhash

from distill.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")


def load_model(
    where: str,
    name: str,
    *,
    revision: str | None = None,
    package: str | None = None,
    sha256: str | None = None,
    trust_remote_code: bool = False,
    device: str = "cpu",
) -> SentenceTransformer:
    """Return a sentence-transformers model in float32.

    Weights are read from safetensors only.

    Args:
        where: the recipe section, for messages.
        name: Hub id or local folder.
        revision: commit, branch or tag on the Hub.
        package: Python distribution that carries the model; used instead of `name` if it is installed.
        sha256: checksum that `model.safetensors` must have.
        trust_remote_code: run Python code that comes with the model.
        device: where to put it.

    Raises:
        ModelError: there is no such model, it cannot be read, or its weights are not the expected ones.
    """
    from sentence_transformers import SentenceTransformer

    source = str(package_folder(package) or name) if package else name
    if sha256:
        _check_weights(where, source, revision, sha256)
    try:
        model = SentenceTransformer(
            source,
            revision=revision if source == name else None,
            device=device,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except Exception as error:
        raise _model_error(where, source, error) from error
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


def model_digest(model: torch.nn.Module) -> str:
    """Return a hash of a model's structure and weights, the same wherever it was loaded from."""
    digest = xxhash.xxh3_128(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_weights(where: str, source: str, revision: str | None, expected: str) -> None:
    path = Path(source) / "model.safetensors"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(source, "model.safetensors", revision=revision))
        except Exception as error:
            raise _model_error(where, source, error) from error
    if not path.is_file():
        raise ModelError(f"{where}: {source}", "no model.safetensors", expected=f"one with sha256 {expected}")
    with path.open("rb") as file:
        found = (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(file.read()).hexdigest()
        )
    if found != expected:
        raise ModelError(
            f"{where}: {path}",
            f"sha256 is {found}",
            expected=expected,
            hint="the weights are not the ones the recipe names: get them again, or correct sha256",
        )


def _model_error(where: str, source: str, error: Exception) -> ModelError:
    """Return what went wrong with a model in the user's terms."""
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
    place = f"{where}: {source}"
    if any(isinstance(c, RevisionNotFoundError) for c in causes):
        return ModelError(place, "no such revision on the Hub", hint="check the revision")
    if any(isinstance(c, RepositoryNotFoundError) for c in causes):
        return ModelError(
            place,
            "no such model on the Hub, or no access to it",
            hint="check the name; for a private model log in with `hf auth login`; a local folder begins with ./ or /",
        )
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if (
        any(isinstance(c, LocalEntryNotFoundError | HfHubHTTPError | ConnectionError) for c in causes)
        or "offline" in str(error).lower()
    ):
        return ModelError(
            place, f"the Hub cannot be reached: {first}", hint="check the network, or name a local folder"
        )
    if Path(source).is_dir():
        there: Any = ", ".join(sorted(p.name for p in Path(source).iterdir())[:8]) or "nothing"
        return ModelError(
            place,
            f"cannot be read as a model: {first}",
            expected="config.json, tokenizer and model.safetensors",
            hint=f"the folder holds {there}",
        )
    return ModelError(place, f"cannot be loaded ({type(error).__name__}): {first}")
