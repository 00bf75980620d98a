"""Encoding against sentence-transformers' own `encode`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.encode import Precision, best_precision, encode, speed_up
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


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_the_precision_asked_for_is_taken(wanted: str) -> None:
    assert best_precision(wanted, torch.device("cpu")) == wanted


def test_auto_takes_bf16_only_where_the_cpu_computes_in_it() -> None:
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert best_precision("auto", torch.device("cpu")) == ("bf16" if has_bf16 else "fp32")
