"""Attention for short sentences computes what transformers' own eager attention does."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

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


@pytest.mark.parametrize("lengths", [[1], [2, 5, 3], [16, 16], [17, 4, 31, 32, 40]])
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


def test_long_inputs_and_dropout_are_left_to_transformers(plain_encoder: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LONGEST + 20,
    )
    eager = BertModel(config).eval()
    short = copy.deepcopy(eager)
    use_short_attention(short)
    features = batch([LONGEST + 10, 30], 50)
    assert torch.allclose(outputs(short, features)[0], outputs(eager, features)[0], atol=1e-5)
    short.train()
    assert not torch.equal(short(**features).last_hidden_state, short(**features).last_hidden_state)


def test_the_name_of_this_attention_is_not_saved(plain_encoder: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(plain_encoder)
    use_short_attention(model)
    assert model.config._attn_implementation == NAME
    use_own_attention(model)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()
