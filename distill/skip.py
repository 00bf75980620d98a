"""A skip connection from the token embeddings to the sentence vector: what the words say, past all layers.

The layers of a student that saw few pairs place sentences with rare words among other such sentences. The mean of the
token embeddings keeps apart what the layers merge: a linear map takes it to the teacher's vectors, by ridge regression,
and is added to the sentence vector with a weight (the wide part of a wide and deep model, Cheng et al. 2016, arXiv
1606.07792). English sentences get it too: both sides of a translation are moved alike.

It is made of modules of sentence-transformers alone: `Pooling` joins the sentence vector, put in the place of the first
token, and the mean of the embedding layer's output; a `Dense` adds them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from distill.corpora import Corpus
from distill.encode import token_ids
from distill.errors import ModelError
from distill.padding import length_batches, pad
from distill.spread import spread_over
from distill.teacher import Teacher

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

log = logging.getLogger("distill")

MAX_PAIRS = 20_000
"""Most sentence pairs that the map is fitted to: it has only hidden × dimension weights."""

RIDGE = 1.0
"""What a weight's square costs in the fit, where a sentence's squared error costs 1; 30 gives the same scores."""

TOKENS_PER_BATCH = 65_536

Floats = npt.NDArray[np.float32]


def add_skip(
    student: SentenceTransformer, weight: float, teacher: Teacher, corpora: Sequence[Corpus]
) -> SentenceTransformer:
    """Return a model whose vectors are the student's plus a map of the mean token embedding, of length 1 again.

    Args:
        student: a transformer whose vectors have length 1. The new model shares its layers: it must not be used after
            this but by `without_skip`.
        weight: length of what is added, on average over the sentences fitted; the student's vector has length 1.
        teacher: its stored vectors are what the map is fitted to.
        corpora: both sides of their parallel rows are fitted.

    Raises:
        ModelError: the student's vectors do not have length 1, its kind has none, or there are no parallel rows.
    """
    check_first_input(student)
    return with_map(student, weight * fit_skip(student, teacher, corpora))


def with_map(student: SentenceTransformer, matrix: Floats) -> SentenceTransformer:
    """Return a model whose vectors are the student's plus a linear map of the mean token embedding, of length 1 again.

    Args:
        student: a transformer whose vectors have length 1, see `add_skip`.
        matrix: the map (hidden + 1, dimension), the last row being the constant.

    Raises:
        ModelError: the student's vectors do not have length 1.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, WeightedLayerPooling

    modules = list(student)
    if not isinstance(modules[-1], Normalize):
        raise ModelError("student.skip", "the teacher's vectors do not have length 1", hint="leave it out")
    transformer = modules[0]
    hidden, dimension = len(matrix) - 1, matrix.shape[1]
    layers = transformer.model.config.num_hidden_layers
    embedding_layer = WeightedLayerPooling(
        hidden, num_hidden_layers=layers, layer_start=0, layer_weights=nn.Parameter(torch.eye(layers + 1)[0].clone())
    )
    added = torch.from_numpy(matrix)
    with torch.random.fork_rng(devices=[]):  # a layer draws weights first; the training goes on with the same numbers
        joined = Dense(
            dimension + hidden,
            dimension,
            bias=True,
            activation_function=nn.Identity(),
            init_weight=torch.cat([torch.eye(dimension), added[:-1].T], dim=1),
            init_bias=added[-1].clone(),
        )
    collect_states(student, on=True)
    own_vector = Normalize(module_output_name="cls_token_embeddings")
    both = Pooling(hidden, pooling_mode=("cls", "mean"))
    chain = [*modules[:-1], own_vector, embedding_layer, both, joined, Normalize()]
    return SentenceTransformer(modules=chain, device=str(student.device)).eval()


def without_skip(model: SentenceTransformer) -> SentenceTransformer:
    """Return the student below a skip connection; a model without one as it is.

    The layers are the same: the model given must not be used after it.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, WeightedLayerPooling

    modules = list(model)
    place = next((i for i, module in enumerate(modules) if isinstance(module, WeightedLayerPooling)), None)
    if place is None or getattr(modules[place - 1], "module_output_name", None) != "cls_token_embeddings":
        return model
    collect_states(model, on=False)
    return SentenceTransformer(modules=[*modules[: place - 1], Normalize()], device=str(model.device))


def layers_of(model: SentenceTransformer, name: str) -> SentenceTransformer:
    """Return a model without its skip connection, if it has one."""
    bare = without_skip(model)
    if bare is not model:
        log.info("student: the skip connection of %s is left out; student.skip fits a new one", name)
    return bare


def collect_states(student: SentenceTransformer, *, on: bool) -> None:
    """Set whether an encoder keeps the states of all layers, which a skip connection reads and training does not."""
    student[0].model.config.output_hidden_states = on


def fit_skip(student: SentenceTransformer, teacher: Teacher, corpora: Sequence[Corpus]) -> Floats:
    """Return the map of mean embeddings to the teacher's vectors, scaled so that what it gives has length 1 on average.

    Returns:
        (hidden + 1, dimension), the last row being the constant.

    Raises:
        ModelError: there are no parallel rows, or no vectors of them are stored.
    """
    parallel = [corpus for corpus in corpora if corpus.kind == "parallel"]
    means, vectors = [], []
    for corpus, rows in zip(parallel, spread_over([corpus.train for corpus in parallel], MAX_PAIRS), strict=True):
        targets = teacher.targets.find(corpus.keys["english"][rows])
        rows, targets = rows[targets >= 0], targets[targets >= 0]
        if len(rows):
            means += [mean_embeddings(student, corpus.texts(column, rows)) for column in ("english", "non_english")]
            vectors += [teacher.targets.read(targets)] * 2
    if not means:
        raise ModelError("student.skip", "no parallel rows to fit it to", hint="leave it out")
    design = np.pad(np.concatenate(means), [(0, 0), (0, 1)], constant_values=1).astype(np.float64)
    gram, products = design.T @ design, design.T @ np.concatenate(vectors)
    matrix = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), products)
    usual = np.linalg.norm(design @ matrix, axis=1).mean()
    scaled: Floats = (matrix / max(usual, 1e-12)).astype(np.float32)
    return scaled


def mean_embeddings(student: SentenceTransformer, texts: Sequence[str]) -> Floats:
    """Return the mean over each text's tokens of what an encoder's first layer reads, (n, hidden)."""
    ids = [np.array(row, np.int32) for row in token_ids(student, texts)]
    lengths = np.fromiter(map(len, ids), np.int32, len(ids))
    model = student[0].model
    means = np.empty((len(ids), model.config.hidden_size), np.float32)
    with _evaluating(model):
        for rows in length_batches(lengths, TOKENS_PER_BATCH):
            features = _padded(student, [ids[row] for row in rows])
            mask = features["attention_mask"].unsqueeze(-1).float()
            states = first_input(model, features).float()
            means[rows] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy()
    return means


def check_first_input(student: SentenceTransformer) -> None:
    """Check that what the first layer reads is what a saved model will take the mean of.

    Raises:
        ModelError: it is not, as where layers get sentences in another order.
    """
    model = student[0].model
    ids = [np.array(row, np.int32) for row in token_ids(student, ["a", "a longer text"])]
    features = _padded(student, ids)
    with _evaluating(model), torch.inference_mode():
        found = first_input(model, features)
        states = model(**features, output_hidden_states=True).get("hidden_states")
    mask = features["attention_mask"].bool()
    if not states or states[0].shape != found.shape or not torch.allclose(states[0][mask], found[mask], atol=1e-4):
        raise ModelError(
            "student.skip",
            f"the first layer of a {model.config.model_type} does not read its first hidden states",
            expected="an encoder such as BERT, RoBERTa, XLM-R or MPNet",
            hint="leave it out",
        )


def _padded(student: SentenceTransformer, ids: Sequence[npt.NDArray[np.int32]]) -> dict[str, torch.Tensor]:
    """Return what an encoder is given for token ids, on its device."""
    features = pad(ids, int(student.tokenizer.pad_token_id or 0))
    return {name: tensor.to(student.device) for name, tensor in features.items()}


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Put a model into evaluation mode, and then back into the one that it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class _Reached(Exception):  # noqa: N818 - it ends a forward pass, it is no error
    """Carries what the first layer was given out of a forward pass."""

    def __init__(self, states: torch.Tensor) -> None:
        self.states = states


def first_input(model: PreTrainedModel, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return what an encoder's first layer reads (n, longest, hidden), without running its layers.

    Raises:
        ModelError: no list of layers is found.
    """
    layers = next((module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module)), None)
    if layers is None:
        raise ModelError("student.skip", f"a {model.config.model_type} has no list of layers", hint="leave it out")

    def stop(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        raise _Reached(arguments[0])

    handle = layers[0].register_forward_pre_hook(stop)
    try:
        with torch.inference_mode():
            model(**features)
    except _Reached as reached:
        return reached.states
    finally:
        handle.remove()
    raise ModelError("student.skip", f"the layers of a {model.config.model_type} are not run", hint="leave it out")
