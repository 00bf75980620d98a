"""Attention for short sentences computes what transformers' own eager attention does."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

from distill.attention import LONGEST, NAME, use_own_attention, use_short_attention


def batch(lengths: list[int], vocabulary: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    width = max(lengths)
    ids = torch.randint(5, vocabulary, (len(lengths), width), generator=generator)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def outputs(model: torch.nn.Module, features: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the vectors of real tokens, and the gradients of a loss on them."""
    model.zero_grad()
    out = model(**features).last_hidden_state * features["attention_mask"][..., None]
    (out * torch.linspace(-1, 1, out.shape[-1])).square().sum().backward()
    return out.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("lengths", [[1], [16, 16], list(range(1, 41))])
def test_equals_eager_attention(plain_encoder: Path, lengths: list[int]) -> None:
    eager = AutoModel.from_pretrained(plain_encoder, attn_implementation="eager").eval()
    short = copy.deepcopy(eager)
    assert use_short_attention(short)
    features = batch(lengths, eager.config.vocab_size)
    expected, expected_gradients = outputs(eager, features)
    found, gradients = outputs(short, features)
    assert torch.allclose(found, expected, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected_gradients[name], atol=1e-4, rtol=1e-4), name


def test_bf16_stays_close_to_fp32(plain_encoder: Path) -> None:
    model = AutoModel.from_pretrained(plain_encoder).eval()
    features = batch([7, 12, 3], model.config.vocab_size)
    exact, _ = outputs(model, features)
    use_short_attention(model)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = outputs(model, features)
    real = features["attention_mask"].bool()
    cosines = torch.nn.functional.cosine_similarity(rounded[real].float(), exact[real], dim=-1)
    assert float(cosines.min()) > 0.999


def one_layer(attention_dropout: float = 0.0) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LONGEST + 20,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=attention_dropout,
        attn_implementation="eager",
    )
    return BertModel(config)


@pytest.mark.parametrize("longest", [LONGEST, LONGEST + 1, LONGEST + 10])
def test_long_inputs_give_the_same_vectors(longest: int) -> None:
    eager = one_layer().eval()
    short = copy.deepcopy(eager)
    use_short_attention(short)
    features = batch([longest, 30], 50)
    expected, expected_gradients = outputs(eager, features)
    found, gradients = outputs(short, features)
    assert torch.allclose(found, expected, atol=1e-5)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected_gradients[name], atol=1e-4, rtol=1e-4), name


def test_dropout_of_attention_is_applied_in_training_alone() -> None:
    model, features = one_layer(attention_dropout=0.5), batch([9, 5], 50)
    use_short_attention(model)
    model.train()
    assert not torch.equal(model(**features).last_hidden_state, model(**features).last_hidden_state)
    model.eval()
    assert torch.equal(model(**features).last_hidden_state, model(**features).last_hidden_state)


def test_a_model_is_switched_back_before_it_is_saved(plain_encoder: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(plain_encoder).eval()
    features = batch([7, 12, 3], model.config.vocab_size)
    use_short_attention(model)
    assert model.config._attn_implementation == NAME
    expected, _ = outputs(model, features)
    use_own_attention(model)
    assert model.config._attn_implementation == "sdpa"
    assert torch.allclose(outputs(model, features)[0], expected, atol=1e-5)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_a_model_with_an_attention_of_its_own_is_left_as_it_is(plain_encoder: Path) -> None:
    model = AutoModel.from_pretrained(plain_encoder, attn_implementation="eager")
    use_own_attention(model)
    assert model.config._attn_implementation == "eager"
