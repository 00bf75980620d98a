"""Losses against hand computation, and the batch of distinct texts against the naive one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.objectives import ParallelRows, squared_error, text_batch


def test_squared_error_by_hand() -> None:
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert squared_error(student, teacher, unit_length=True).tolist() == [5.0, 25.0]
    assert squared_error(student, teacher, unit_length=False).tolist() == [2.5, 12.5]
    squared_error(student, teacher, unit_length=True).sum().backward()
    assert student.grad is not None
    assert student.grad.tolist() == [[2.0, 4.0], [-6.0, -8.0]]


def test_squared_error_is_the_stock_loss_up_to_its_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 7, 5, generator=generator)
    stock = torch.nn.functional.mse_loss(student, teacher)
    assert squared_error(student, teacher, unit_length=False).mean() == pytest.approx(float(stock), abs=1e-6)
    assert squared_error(student, teacher, unit_length=True).mean() == pytest.approx(5 * float(stock), abs=1e-5)


def rows() -> ParallelRows:
    """Four rows; English text 10 occurs twice, and row 3's two sides are the same text."""
    return ParallelRows(
        english=np.array([10, 11, 10, 12]),
        other=np.array([20, 21, 22, 12]),
        target=np.array([0, 1, 0, 2]),
        length=np.array([5, 5, 5, 5], np.int32),
        corpus=np.zeros(4, np.int16),
        labels=("a",),
    )


@pytest.mark.parametrize("english", [True, False])
def test_each_text_is_encoded_once_and_the_loss_is_the_naive_one(english: bool) -> None:
    data, chosen = rows(), np.array([0, 2, 3])
    batch = text_batch(data, chosen, english=english)
    assert len(set(batch.texts.tolist())) == len(batch.texts)
    assert set(batch.texts.tolist()) == ({10, 12, 20, 22} if english else {20, 22, 12})

    vector = {text: torch.full((3,), float(text)) for text in range(30)}
    target = {row: torch.full((3,), float(row)) for row in range(3)}
    vectors = torch.stack([vector[int(text)] for text in batch.texts])[torch.from_numpy(batch.place)]
    targets = torch.stack([target[int(row)] for row in batch.target])
    loss = squared_error(vectors, targets, unit_length=True).sum()
    naive = sum(((vector[int(data.other[r])] - target[int(data.target[r])]) ** 2).sum() for r in chosen)
    if english:
        naive += sum(((vector[int(data.english[r])] - target[int(data.target[r])]) ** 2).sum() for r in chosen)
    assert float(loss) == float(naive)
