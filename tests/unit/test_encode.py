"""Encoding against sentence-transformers' own `encode`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.encode import Precision, best_precision, encode, length_batches, pad, padded_length, padded_shape, speed_up
from distill.models import load_model


def test_vectors_are_those_of_sentence_transformers(tiny_teacher: Path, everyday_rows: list[dict[str, str]]) -> None:
    model = load_model("model", str(tiny_teacher))
    texts = [row["en"] for row in everyday_rows[:60]] + ["", "a", "cat " * 200]
    expected = model.encode(texts)
    speed_up(model)
    assert np.allclose(encode(model, texts), expected, atol=1e-5)


def test_a_text_that_occurs_twice_is_encoded_once(tiny_teacher: Path) -> None:
    model = load_model("model", str(tiny_teacher))
    counts: list[int] = []
    vectors = encode(model, ["one", "two", "one", "one"], progress=counts.append)
    assert counts[-1] == 2
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_a_prompt_is_put_before_each_text(tiny_teacher: Path) -> None:
    model = load_model("model", str(tiny_teacher))
    assert np.allclose(encode(model, ["cat"], prompt="query: "), model.encode(["query: cat"]), atol=1e-6)


def test_the_default_prompt_of_a_model_is_used_unless_another_is_given(tiny_teacher: Path) -> None:
    model = load_model("model", str(tiny_teacher))
    model.prompts, model.default_prompt_name = {"query": "query: "}, "query"
    assert np.allclose(encode(model, ["cat"]), model.encode(["cat"]), atol=1e-6)
    assert np.allclose(encode(model, ["cat"], prompt=""), model.encode(["cat"], prompt=""), atol=1e-6)
    assert not np.allclose(encode(model, ["cat"]), encode(model, ["cat"], prompt=""), atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_are_as_before_after_encoding(tiny_teacher: Path, precision: Precision) -> None:
    model = load_model("model", str(tiny_teacher))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    encode(model, ["one", "two"], precision=precision)
    after = model.state_dict()
    assert all(after[name].dtype == tensor.dtype and after[name].equal(tensor) for name, tensor in before.items())


def test_no_texts_give_no_vectors(tiny_teacher: Path) -> None:
    assert encode(load_model("model", str(tiny_teacher)), []).shape == (0, 32)


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=80), tokens=st.integers(1, 400))
def test_length_batches_hold_every_row_once_and_few_tokens(lengths: list[int], tokens: int) -> None:
    values = np.array(lengths, np.int32)
    batches = list(length_batches(values, tokens))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or int(values[rows].max()) * len(rows) <= tokens


def test_pad() -> None:
    features = pad([np.array([7, 8, 9], np.int32), np.array([5], np.int32)], pad_id=3)
    assert features["input_ids"].tolist() == [[7, 8, 9], [5, 3, 3]]
    assert features["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@given(
    lengths=st.lists(st.integers(1, 256), min_size=1, max_size=200),
    tokens=st.sampled_from([100, 2_048, 65_536]),
    pad_to=st.sampled_from([(64, 128, 196, 256), (256,)]),
    most=st.sampled_from([None, 1, 12]),
)
def test_only_shapes_of_the_fixed_lengths_occur(
    lengths: list[int], tokens: int, pad_to: tuple[int, ...], most: int | None
) -> None:
    values = np.array(lengths, np.int32)
    ids = [np.full(n, 7, np.int32) for n in lengths]
    batches = list(length_batches(values, tokens, pad_to, most))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        features = pad([ids[row] for row in rows], 0, padded_shape(values[rows], tokens, pad_to, most))
        n, length = features["input_ids"].shape
        assert length in pad_to
        assert n == max(1, min(tokens // length, most or tokens))
        assert length == min(allowed for allowed in pad_to if allowed >= values[rows].max())
        assert features["attention_mask"].sum(1).tolist() == [*values[rows].tolist(), *[1] * (n - len(rows))]
        assert (features["input_ids"] == 7).sum(1).tolist() == [*values[rows].tolist(), *[0] * (n - len(rows))]
        assert len(rows) == n or rows is batches[-1]


def test_a_text_that_fits_no_fixed_length_is_an_error() -> None:
    assert padded_length(64, (64, 128)) == 64
    assert padded_length(65, (64, 128)) == 128
    assert padded_length(65, None) == 65
    with pytest.raises(ValueError, match="129"):
        padded_length(129, (64, 128))


def test_vectors_and_gradients_in_fixed_shapes_are_those_without(tiny_teacher: Path) -> None:
    gradients, vectors = [], []
    for shape in (None, (7, 64)):
        model = load_model("model", str(tiny_teacher))
        ids = [np.array(model.tokenizer(text)["input_ids"], np.int32) for text in ("a cat", "two", "the small dog is")]
        features = pad(ids, int(model.tokenizer.pad_token_id), shape)
        out = model(dict(features))["sentence_embedding"][: len(ids)]
        (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
        vectors.append(out.detach())
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-3) for name in gradients[0])


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_the_precision_asked_for_is_taken(wanted: str) -> None:
    assert best_precision(wanted, torch.device("cpu")) == wanted


def test_auto_takes_bf16_only_where_the_cpu_computes_in_it() -> None:
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert best_precision("auto", torch.device("cpu")) == ("bf16" if has_bf16 else "fp32")
