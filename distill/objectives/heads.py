"""What is learnt beside the encoder: classifiers on its vectors and scales; they are shipped in the model's folder."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from distill.errors import ModelError, nearest
from distill.recipe.objectives import ClassificationObjective, ContrastiveObjective

if TYPE_CHECKING:
    from distill.recipe.objectives import Objective

HEADS_FILE = "heads.json"


class Heads(nn.Module):
    """The classifiers and learnable scales of a run, by the names of their objectives.

    Args:
        classifiers: name → head.
        scales: name → scale to start with.
    """

    def __init__(self, classifiers: Mapping[str, nn.Module], scales: Mapping[str, float]) -> None:
        super().__init__()
        self.classifiers = nn.ModuleDict(dict(classifiers))
        self.log_scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(scale))) for name, scale in scales.items()}
        )

    def scale(self, name: str) -> torch.Tensor:
        """Return a learnable scale, exp(C)."""
        scale: torch.Tensor = self.log_scales[name].exp()
        return scale


def make_heads(
    objectives: Mapping[str, Objective], classes: Mapping[str, Sequence[str]], dimension: int, seed: int
) -> Heads:
    """Return the heads and scales that some objectives start with; the same in every process of a run.

    Args:
        objectives: name → section.
        classes: labels of each classification.
        dimension: length of the vectors.
        seed: of the weights.
    """
    scales = {
        name: section.scale.learnable
        for name, section in objectives.items()
        if isinstance(section, ContrastiveObjective) and section.scale.learnable
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifiers = {
            name: _classifier(dimension, section.hidden, len(classes[name]))
            for name, section in objectives.items()
            if isinstance(section, ClassificationObjective)
        }
    return Heads(classifiers, scales)


def bound_scales(heads: Heads, objectives: Mapping[str, Objective]) -> None:
    """Keep learnable scales below their bounds."""
    with torch.no_grad():
        for name, parameter in heads.log_scales.items():
            section = objectives[name]
            assert isinstance(section, ContrastiveObjective)
            parameter.clamp_(max=math.log(section.scale.at_most))


def _classifier(dimension: int, hidden: int | None, labels: int) -> nn.Sequential:
    sizes = [dimension, *([hidden] if hidden else []), labels]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.GELU()] * bool(layers) + [nn.Linear(before, after)]
    return nn.Sequential(*layers)


@dataclass
class Head:
    """A classifier that was shipped with a model.

    Attributes:
        classifier: from vectors (n, dimension) to logits (n, labels).
        labels: its labels.
    """

    classifier: nn.Module
    labels: tuple[str, ...]

    def probabilities(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability of each label (n, labels) for sentence vectors (n, dimension)."""
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.classifier(torch.from_numpy(vectors)).softmax(dim=1).numpy()
        return found


def save_heads(
    heads: Heads, objectives: Mapping[str, Objective], classes: Mapping[str, Sequence[str]], folder: Path
) -> None:
    """Write heads and scales into a model's folder: `heads/NAME.safetensors` and `heads.json`; nothing if none."""
    description: dict[str, dict[str, Any]] = {}
    for name, classifier in heads.classifiers.items():
        section = objectives[name]
        assert isinstance(section, ClassificationObjective)
        file = Path("heads") / f"{name}.safetensors"
        (folder / file).parent.mkdir(exist_ok=True)
        weights = {key: tensor.contiguous().cpu() for key, tensor in classifier.state_dict().items()}
        save_file(weights, folder / file)
        description[name] = {
            "file": file.as_posix(),
            "reads": "sentence_embedding",
            "dimension": weights["0.weight"].shape[1],
            "hidden": section.hidden,
            "labels": list(classes[name]),
        }
    scales = {name: heads.scale(name).item() for name in heads.log_scales}
    if description or scales:
        content = json.dumps({"heads": description, "scales": scales}, indent=1, ensure_ascii=False)
        (folder / HEADS_FILE).write_text(content + "\n", encoding="utf-8")


def copy_heads(model: Path, folder: Path) -> None:
    """Copy the heads and scales of a model's folder, if it has any, into that of a model with the same vectors."""
    if (model / HEADS_FILE).is_file():
        shutil.copyfile(model / HEADS_FILE, folder / HEADS_FILE)
    if (model / "heads").is_dir():
        shutil.copytree(model / "heads", folder / "heads")


def load_head(folder: Path, name: str) -> Head:
    """Return a head of a model's folder.

    Raises:
        ModelError: it has none of this name, or the files are damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"model: {folder}", "no such folder", expected="a model with heads, or a run directory")
    try:
        heads = json.loads((folder / HEADS_FILE).read_text(encoding="utf-8"))["heads"]
    except FileNotFoundError:
        raise ModelError(
            f"model: {folder}",
            f"no {HEADS_FILE}",
            expected="a model trained with an objective of loss: classification",
        ) from None
    except (ValueError, KeyError) as error:
        raise _damaged(folder / HEADS_FILE, error) from error
    if name not in heads:
        raise ModelError(
            f"model: {folder}",
            f"no head {name!r}",
            expected=f"one of {', '.join(heads)}" if heads else "a model with a classification head",
            hint=nearest(name, heads),
        )
    try:
        head = heads[name]
        classifier = _classifier(head["dimension"], head["hidden"], len(head["labels"]))
        classifier.load_state_dict(load_file(folder / head["file"]))
    except Exception as error:
        raise _damaged(folder / "heads", error) from error
    return Head(classifier.eval(), tuple(head["labels"]))


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(str(path), f"is damaged: {error}", hint="get the model again")
