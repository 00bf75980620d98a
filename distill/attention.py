"""Attention for short sentences on a CPU, for any transformers encoder with an attention interface.

torch's own kernels are made for long inputs: at 15 tokens the backward of its CPU flash attention takes a third
of a training step, and its softmax is ten times slower on rows that are no multiple of 16 wide. Here attention is
three batched matrix products and a padded softmax. It computes the same function (gradients equal to 1e-5 in fp32).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "distill_short"

LONGEST = 192
"""Longest input in tokens; beyond it torch's flash kernel is faster."""

SOFTMAX_WIDTH = 16


def use_short_attention(model: PreTrainedModel) -> bool:
    """Switch a model to this attention; return False, and leave it as it is, if its attention is fixed."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, additive_mask)
    try:
        model.set_attn_implementation(NAME)
    except ValueError:
        return False
    return bool(model.config._attn_implementation == NAME)


def use_own_attention(model: PreTrainedModel) -> None:
    """Switch a model back to transformers' default, before it is saved."""
    if model.config._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **extra: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention as transformers expects it: short inputs on a CPU here, all others by SDPA.

    Args:
        module: the layer's attention module.
        query: (batch, heads, length, size); `key` and `value` likewise.
        key: see `query`.
        value: see `query`.
        attention_mask: added to the scores, (batch, 1, length, length) or None.
        dropout: probability; with any, SDPA is used.
        scaling: factor of the scores; 1/√size if None.
        **extra: what some models pass beside.

    Returns:
        Vectors (batch, length, heads, size), and None for the weights.
    """
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        query, key, value = (tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (query, key, value))
    if _applies(module, query, key, attention_mask, dropout, extra):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        with torch.autocast("cpu", enabled=False):
            out = ShortAttention.apply(query, key, value, attention_mask, scale)  # type: ignore[no-untyped-call]
        return out, None
    mask = None if attention_mask is None else attention_mask.to(query.dtype)
    out, _ = sdpa_attention_forward(module, query, key, value, mask, dropout=dropout, scaling=scaling, **extra)
    return out, None


def additive_mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return transformers' boolean mask as numbers to add: 0 to attend, very negative not to."""
    keep = sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})
    if keep is None:
        return None
    return torch.zeros(keep.shape, device=keep.device).masked_fill_(~keep, torch.finfo(torch.float32).min / 2)


class ShortAttention(torch.autograd.Function):
    """softmax(scale · q kᵀ + mask) v for (batch, heads, length, size); the mask takes no gradient."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
    ) -> torch.Tensor:
        """Return (batch, length, heads, size) and keep the weights for the backward pass."""
        batch, heads, length, _ = query.shape
        q, k, v = (tensor.reshape(batch * heads, -1, tensor.shape[-1]) for tensor in (query, key, value))
        scores = torch.bmm(q, k.transpose(1, 2)).view(batch, heads, length, -1)
        weights = _softmax(scores, scale, mask).to(q.dtype).reshape(batch * heads, length, -1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale = scale
        return torch.bmm(weights, v).view(batch, heads, length, -1).transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value; the softmax's part is computed in float32."""
        q, k, v, weights = ctx.saved_tensors
        batch, length, heads, size = gradient.shape
        g = gradient.transpose(1, 2).reshape(batch * heads, length, size)
        exact = weights.float()
        by_weight = torch.bmm(g, v.transpose(1, 2)) * exact
        by_score = by_weight.sub_(exact * by_weight.sum(-1, keepdim=True)).mul_(ctx.scale).to(q.dtype)
        gradients = (
            torch.bmm(by_score, k),
            torch.bmm(by_score.transpose(1, 2), q),
            torch.bmm(weights.transpose(1, 2), g),
        )
        return *(tensor.view(batch, heads, -1, tensor.shape[-1]) for tensor in gradients), None, None


def _softmax(scores: torch.Tensor, scale: float, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the float32 softmax of scale · scores + mask, computed on rows widened with -∞."""
    width = scores.shape[-1]
    padded = -(-width // SOFTMAX_WIDTH) * SOFTMAX_WIDTH
    wide = scores.new_full((*scores.shape[:-1], padded), float("-inf"), dtype=torch.float32)
    wide[..., :width].copy_(scores).mul_(scale)
    if mask is not None:
        wide[..., :width] += mask
    return torch.softmax(wide, -1)[..., :width]


def _applies(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, dropout: float, extra: Any
) -> bool:
    """Return whether `ShortAttention` computes what this call asks for."""
    causal = extra.get("is_causal")
    causal = getattr(module, "is_causal", False) if causal is None else causal
    return (
        query.device.type == "cpu"
        and key.shape[2] <= LONGEST
        and key.shape[1] == query.shape[1]
        and dropout == 0
        and not (causal and mask is None)
        and not (mask is not None and mask.requires_grad)
        and not any(extra.get(name) is not None for name in ("position_bias", "softcap", "cache"))
    )
