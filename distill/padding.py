"""Texts of different lengths as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

Features = dict[str, torch.Tensor]
RowNumbers = npt.NDArray[np.int64]

ROW_STEP = 8
LENGTH_STEP = 4
"""Of padded shapes in training on a CPU: kernels are made for each new shape, which takes as long as 100 tokens."""

BATCH_COST = 64
"""What a batch takes beside its tokens, in tokens."""


def pad(ids: Sequence[npt.NDArray[np.int32]], pad_id: int, shape: tuple[int, int] | None = None) -> Features:
    """Return token ids of different lengths as `input_ids` and `attention_mask`, both (n, longest).

    Args:
        ids: token ids of each text.
        pad_id: id that fills rows up.
        shape: rows and columns, if there are to be more. Further rows have one token, which attention wants to see.
    """
    lengths = np.fromiter((len(row) for row in ids), np.int64, len(ids))
    n, longest = shape or (len(ids), int(lengths.max(initial=1)))
    mask = np.arange(longest) < np.concatenate([lengths, np.ones(n - len(ids), np.int64)])[:, None]
    padded = np.full(mask.shape, pad_id, np.int64)
    padded[: len(ids)][mask[: len(ids)]] = np.concatenate(ids) if ids else 0
    return {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def length_batches(
    lengths: npt.NDArray[np.int32], tokens: int, pad_to: Sequence[int] | None = None, most: int | None = None
) -> Iterator[RowNumbers]:
    """Yield row numbers from long to short, so many at a time that a padded batch has about `tokens` tokens.

    Args:
        lengths: tokens per row (n,).
        tokens: of a batch, padded.
        pad_to: lengths that rows are padded to; to the longest of a batch if None.
        most: most rows of a batch.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = _rows_that_fit(tokens, padded_length(int(lengths[order[start]]), pad_to), most)
        yield order[start : start + size]
        start += size


def _rows_that_fit(tokens: int, length: int, most: int | None) -> int:
    return max(1, min(tokens // length, most or tokens))


def tight_batches(
    lengths: npt.NDArray[np.int32], tokens: int, longest: int
) -> list[tuple[RowNumbers, tuple[int, int]]]:
    """Return row numbers from long to short in batches of little padding, and the rows and columns of each, padded.

    The batches take the least time together, if it is their padded tokens and `BATCH_COST`, by dynamic programming.
    Rows and columns are multiples of `ROW_STEP` and `LENGTH_STEP` where that costs little: there are few shapes. Only
    the last batch may have more rows than texts.

    Args:
        lengths: tokens per row (n,).
        tokens: most tokens of a batch, padded, unless a row has more.
        longest: most columns, as long as the longest row or longer.
    """
    n = len(lengths)
    few = -n % ROW_STEP > n // ROW_STEP or int(lengths.max(initial=1)) * ROW_STEP > tokens
    step = 1 if few else ROW_STEP
    order = np.argsort(-lengths, kind="stable")
    in_group = np.maximum(lengths[order[::step]], 1).astype(np.int64)  # the longest of each group of `step` rows
    columns = np.minimum(-(-in_group // LENGTH_STEP) * LENGTH_STEP, longest)
    groups, fit = len(columns), np.maximum(1, tokens // (columns * step))  # groups that fit, by the first of a batch
    # By the number of groups in batches: the least cost, and the first group of the last batch.
    least, first = np.zeros(groups + 1), np.zeros(groups + 1, np.int64)
    for end in range(1, groups + 1):
        size = end - np.arange(end)
        cost = np.where(size <= fit[:end], least[:end] + columns[:end] * size * step + BATCH_COST, np.inf)
        first[end] = cost.argmin()
        least[end] = cost[first[end]]
    batches: list[tuple[RowNumbers, tuple[int, int]]] = []
    end = groups
    while end:
        start = int(first[end])
        batches.append((order[start * step : end * step], ((end - start) * step, int(columns[start]))))
        end = start
    return batches[::-1]


def padded_length(longest: int, pad_to: Sequence[int] | None) -> int:
    """Return the length that texts are padded to: the smallest of `pad_to` that fits the longest, or its own.

    Raises:
        ValueError: it is longer than all of them.
    """
    if pad_to is None:
        return max(1, longest)
    if longest > max(pad_to):
        raise ValueError(f"a text of {longest} tokens fits none of {list(pad_to)}")
    return min(length for length in pad_to if length >= longest)


def padded_shape(
    lengths: npt.NDArray[np.int32], tokens: int, pad_to: Sequence[int] | None, most: int | None = None
) -> tuple[int, int]:
    """Return rows and columns of one of `length_batches`.

    With `pad_to`, a compiler sees few of them: each length has its number of rows, and the last of the batches may have
    fewer texts than rows.
    """
    length = padded_length(int(lengths.max()), pad_to)
    return len(lengths) if pad_to is None else _rows_that_fit(tokens, length, most), length
