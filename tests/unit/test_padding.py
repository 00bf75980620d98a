"""Batches of texts of different lengths: every text once, little padding, few shapes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.models import load_model
from distill.padding import (
    BATCH_COST,
    LENGTH_STEP,
    ROW_STEP,
    length_batches,
    pad,
    padded_length,
    padded_shape,
    tight_batches,
)


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


@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=150),
    tokens=st.sampled_from([40, 300, 2_048]),
    spare=st.integers(0, 30),
)
def test_tight_batches_hold_every_row_once_in_few_tokens_and_few_shapes(
    lengths: list[int], tokens: int, spare: int
) -> None:
    values = np.array(lengths, np.int32)
    longest = int(values.max()) + spare
    batches = tight_batches(values, tokens, longest)
    assert sorted(np.concatenate([rows for rows, _ in batches]).tolist()) == list(range(len(lengths)))
    filled_up = sum(n for _, (n, _) in batches) - len(lengths)
    assert 0 <= filled_up <= len(lengths) / ROW_STEP
    for rows, (n, columns) in batches:
        assert values[rows].max() <= columns <= longest
        assert columns % LENGTH_STEP == 0 or columns == longest
        assert len(rows) == 1 or n * columns <= tokens
        assert len(rows) == n or rows is batches[-1][0]


@given(
    groups=st.lists(st.lists(st.integers(1, 90), min_size=ROW_STEP, max_size=ROW_STEP), min_size=1, max_size=6),
    last=st.integers(1, ROW_STEP),
    tokens=st.sampled_from([720, 1_000, 2_048]),
)
def test_no_other_batches_of_groups_of_rows_take_less_time(groups: list[list[int]], last: int, tokens: int) -> None:
    lengths = [length for group in groups for length in group][: len(groups) * ROW_STEP - ROW_STEP + last]
    step = 1 if -len(lengths) % ROW_STEP > len(lengths) // ROW_STEP else ROW_STEP
    assert_least_time(lengths, tokens, step)


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=7), tokens=st.sampled_from([100, 300, 2_048]))
def test_no_other_batches_of_few_rows_take_less_time(lengths: list[int], tokens: int) -> None:
    assert_least_time(lengths, tokens, 1)


def assert_least_time(lengths: list[int], tokens: int, step: int) -> None:
    """Assert that tight batches cost what the best of all ways costs to part ordered rows by groups of so many."""
    values = np.array(lengths, np.int32)
    longest = int(values.max())

    @cache
    def least(first: int) -> int:
        """Return the least cost of the groups from one on."""
        if first == len(columns):
            return 0
        fit = [n for n in range(1, len(columns) - first + 1) if n == 1 or n * step * columns[first] <= tokens]
        return min(n * step * columns[first] + BATCH_COST + least(first + n) for n in fit)

    columns = [min(-(-n // LENGTH_STEP) * LENGTH_STEP, longest) for n in sorted(lengths, reverse=True)[::step]]
    found = [n * columns + BATCH_COST for _, (n, columns) in tight_batches(values, tokens, longest)]
    assert sum(found) == least(0)


def test_tight_batches_have_less_padding_and_few_shapes() -> None:
    random = np.random.default_rng(0)
    old, new, shapes = 0, 0, set()
    for _ in range(50):
        lengths = np.clip(random.lognormal(2.6, 0.6, size=140), 3, 64).astype(np.int32)
        old += sum(len(rows) * int(lengths[rows].max()) for rows in length_batches(lengths, 2_048))
        batches = [shape for _, shape in tight_batches(lengths, 2_048, 64)]
        new += sum(n * columns for n, columns in batches)
        shapes |= set(batches)
    assert new < 0.8 * old
    assert len(shapes) < 100
