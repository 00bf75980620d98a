"""Losses against sentence-transformers, or by hand where it has none, and the batch of distinct texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sentence_transformers.sentence_transformer import losses as reference
from torch.nn import functional

from distill.objectives import Compared, Heads, ObjectiveRows, make_heads, row_losses, scale_at, text_batch
from distill.objectives.coupled import contrastive, cosent, similarity
from distill.objectives.losses import (
    classification,
    cosine_distance,
    cosine_to_score,
    margin_mse,
    mse,
    squared_error,
    triplet,
)
from distill.recipe import Objective
from distill.recipe.objectives import FalseNegatives

NO_HEADS = Heads({}, {})


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(
    columns: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor] | None = None,
    value: torch.Tensor | None = None,
    place: list[list[int]] | None = None,
) -> Compared:
    """Return a batch with a text for each place of the columns, or with the vectors of `columns[0]` at `place`."""
    n = len(columns[0])
    places = torch.tensor(place) if place else torch.arange(n * len(columns)).view(-1, n).T
    flat = places.flatten().tolist()
    first = torch.tensor([flat.index(text) for text in sorted(set(flat) - {-1})])
    found = torch.cat(list(columns))
    return Compared(
        found,
        places,
        first,
        None if teacher is None else torch.cat(list(teacher)),
        None if teacher is None else places,
        value,
    )


def section(**values: Any) -> Objective:
    found: Objective = TypeAdapter(Objective).validate_python(values)
    return found


def loss_of(stock: torch.nn.Module, *columns: torch.Tensor, labels: Any = None) -> float:
    return float(stock.compute_loss_from_embeddings(list(columns), labels))


# mse and cosine


def test_squared_error_by_hand() -> None:
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert squared_error(student, teacher, unit_length=True).tolist() == [5.0, 25.0]
    assert squared_error(student, teacher, unit_length=False).tolist() == [2.5, 12.5]
    squared_error(student, teacher, unit_length=True).sum().backward()
    assert student.grad is not None
    assert student.grad.tolist() == [[2.0, 4.0], [-6.0, -8.0]]


def test_mse_and_cosine_are_the_stock_losses() -> None:
    one, two, target = (vectors(7, 5, seed=seed) for seed in range(3))
    rows = batch([one, two], [target, target])
    for metric, found in (("mse", mse(rows, unit_length=False)), ("cosine", cosine_distance(rows))):
        stock = reference.EmbedDistillLoss(None, distance_metric=metric)
        expected = stock.compute_loss_from_embeddings([one, two], [target, target])
        assert found.mean() == pytest.approx(float(expected), abs=1e-6)
    assert mse(rows, unit_length=True).mean() == pytest.approx(5 * float(mse(rows, unit_length=False).mean()), abs=1e-5)


# contrastive


@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_contrastive_is_the_stock_loss(negatives: int) -> None:
    columns = [vectors(6, 8, seed=seed) for seed in range(2 + negatives)]
    expected = loss_of(reference.MultipleNegativesRankingLoss(None, scale=17.0), *columns)
    assert contrastive(batch(columns), scale=17.0).mean() == pytest.approx(expected, abs=1e-5)


def test_symmetric_contrastive_is_the_stock_loss() -> None:
    columns = [vectors(6, 8, seed=seed) for seed in range(2)]
    stock = reference.MultipleNegativesRankingLoss(
        None, scale=17.0, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    found = contrastive(batch(columns), scale=17.0, symmetric=True).mean()
    assert found == pytest.approx(loss_of(stock, *columns), abs=1e-5)


def test_the_margin_by_hand() -> None:
    anchors, positives = vectors(4, 8), vectors(4, 8, seed=1)
    cosines = functional.normalize(anchors, dim=1) @ functional.normalize(positives, dim=1).T
    expected = functional.cross_entropy((cosines - 0.3 * torch.eye(4)) * 10, torch.arange(4))
    assert contrastive(batch([anchors, positives]), scale=10.0, margin=0.3).mean() == pytest.approx(
        float(expected), abs=1e-5
    )


def naive_contrastive(found: torch.Tensor, place: list[list[int]], scale: float) -> list[float]:
    """Return the loss of each row, a candidate at a time."""
    unit = functional.normalize(found, dim=1)
    candidates = {text for row in place for text in row[1:] if text >= 0}
    expected = []
    for anchor, positive, *_ in place:
        own = {row[1] for row in place if row[0] == anchor} | {anchor}
        logits = [float(unit[anchor] @ unit[text]) * scale for text in candidates - own | {positive}]
        expected.append(math.log(sum(map(math.exp, logits))) - float(unit[anchor] @ unit[positive]) * scale)
    return expected


def test_duplicates_of_anchor_and_positive_are_no_negatives_and_rows_may_lack_negatives() -> None:
    place = [[0, 1, -1], [0, 2, 3], [4, 1, 0], [5, 6, 5], [7, 8, 8]]
    found = vectors(9, 8)
    losses = contrastive(batch([found], place=place), scale=5.0)
    assert losses.tolist() == pytest.approx(naive_contrastive(found, place, 5.0), abs=1e-5)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_false_negatives_are_masked_as_in_the_stock_loss(margin: float, relative: bool) -> None:
    columns = [vectors(12, 4, seed=seed) for seed in range(3)]
    teacher = [functional.normalize(vectors(12, 4, seed=seed), dim=1) for seed in range(3, 6)]
    stock = reference.GISTEmbedLoss.__new__(reference.GISTEmbedLoss)
    torch.nn.Module.__init__(stock)
    stock.temperature, stock.must_retokenize, stock.margin = 0.1, False, margin
    stock.margin_strategy = "relative" if relative else "absolute"
    stock.contrast_anchors = stock.contrast_positives = stock.gather_across_devices = False
    stock.similarity_fct, stock.cross_entropy_loss = torch.nn.CosineSimilarity(dim=-1), torch.nn.CrossEntropyLoss()
    given = [{"sentence_embedding": column, "guide": guide} for column, guide in zip(columns, teacher, strict=True)]
    stock.model = lambda features: features
    stock.guide = lambda features: {"sentence_embedding": features["guide"]}
    expected = float(stock(given, torch.empty(0)))
    section = FalseNegatives(margin=margin, relative=relative)
    found = contrastive(batch(columns, teacher), scale=10.0, false_negatives=section).mean()
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(found - contrastive(batch(columns), scale=10.0).mean()) > 1e-3  # some are masked


def test_parts_of_a_large_batch_have_the_loss_and_gradient_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for most in (2**24, 40):
        monkeypatch.setattr("distill.objectives.coupled.COSINES_AT_ONCE", most)
        columns = [vectors(9, 8, seed=seed).requires_grad_() for seed in range(2)]
        teacher = [column.detach() for column in columns]
        loss = contrastive(batch(columns), scale=torch.tensor(3.0), symmetric=True).mean()
        loss = loss + similarity(batch(columns, teacher[::-1]), form="kl", temperature=0.1).mean()
        loss.backward()
        results.append(torch.stack([loss.detach().expand(9, 8), *(column.grad for column in columns)]))
    assert torch.allclose(*results, atol=1e-6)


@pytest.mark.parametrize(("step", "expected"), [(0, 1.0), (1, 1.0022), (5_000, 12.0), (10_000, 23.0), (90_000, 23.0)])
def test_a_scheduled_scale(step: int, expected: float) -> None:
    objective = section(loss="contrastive", scale={"from": 1, "to": 23, "steps": 10_000})
    assert scale_at(objective.scale, step) == pytest.approx(expected)
    rows = batch([vectors(4, 8), vectors(4, 8, seed=1)])
    found = row_losses("a", objective, rows, NO_HEADS, step=step, unit_length=True)
    assert found.tolist() == pytest.approx(contrastive(rows, scale=expected).tolist(), abs=1e-6)


def test_a_learnable_scale_starts_where_it_should_and_has_a_gradient() -> None:
    objective = section(loss="contrastive", scale={"learnable": 20})
    heads = make_heads({"a": objective}, {}, 8, seed=0)
    rows = batch([vectors(4, 8), vectors(4, 8, seed=1)])
    loss = row_losses("a", objective, rows, heads, step=0, unit_length=True).mean()
    assert loss.item() == pytest.approx(float(contrastive(rows, scale=20.0).mean()), abs=1e-4)
    loss.backward()
    assert float(heads.log_scales["a"].grad) != 0


# similarity


def test_similarity_by_soft_labels_is_the_stock_divergence() -> None:
    columns, teacher = ([vectors(5, 8, seed=seed + more) for seed in range(2)] for more in (0, 2))
    own, wanted = (functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T for a, b in (columns, teacher))
    stock = reference.DistillKLDivLoss(None, similarity_fct=lambda query, other: other, temperature=0.1)
    expected = loss_of(stock, columns[0], *own.T, labels=wanted) / 0.1**2
    found = similarity(batch(columns, teacher), form="kl", temperature=0.1)
    assert found.mean() == pytest.approx(expected, abs=1e-5)
    squares = similarity(batch(columns, teacher), form="mse", temperature=0.1)
    assert squares.tolist() == pytest.approx((own - wanted).square().mean(dim=1).tolist(), abs=1e-6)


@pytest.mark.parametrize("loss", ["mse", "cosine"])
@pytest.mark.parametrize("n_candidates", [0, 7])
def test_similarity_beside_a_distance_is_the_stock_divergence_both_ways(loss: str, n_candidates: int) -> None:
    english, other, teacher = (vectors(5, 8, seed=seed) for seed in range(3))
    candidates = functional.normalize(vectors(n_candidates, 8, seed=3), dim=1)
    alone, both = section(loss=loss), section(loss=loss, similarity={"weight": 3, "temperature": 0.1})
    unit, wanted = [functional.normalize(v, dim=1) for v in (english, other)], functional.normalize(teacher, dim=1)
    rows = replace(batch([english, other], [teacher, teacher]), candidates=candidates if n_candidates else None)
    stock = reference.DistillKLDivLoss(None, similarity_fct=lambda query, other: other, temperature=0.1)
    divergences = [
        loss_of(
            stock,
            unit[side],
            *(unit[side] @ torch.cat([unit[1 - side], candidates]).T).T,
            labels=wanted @ torch.cat([wanted, candidates]).T,
        )
        / 0.1**2
        for side in (0, 1)
    ]
    distance, found = (
        row_losses("a", objective, rows, NO_HEADS, step=0, unit_length=True).mean() for objective in (alone, both)
    )
    assert found - distance == pytest.approx(3 * sum(divergences) / 2, abs=1e-5)
    one_side = batch([other], [teacher])
    assert row_losses("a", both, one_side, NO_HEADS, step=0, unit_length=True).tolist() == pytest.approx(
        row_losses("a", alone, one_side, NO_HEADS, step=0, unit_length=True).tolist(), abs=0
    )


def test_matryoshka_cuts_the_further_candidates_too() -> None:
    english, other, teacher, candidates = (functional.normalize(vectors(5, 8, seed=seed), dim=1) for seed in range(4))
    rows = replace(batch([english, other], [teacher, teacher]), candidates=candidates)
    columns, targets, further = (
        [functional.normalize(v[:, :4], dim=1) for v in group]
        for group in ([english, other], [teacher] * 2, [candidates])
    )
    whole = section(loss="mse", similarity={})
    expected = row_losses(
        "a", whole, replace(batch(columns, targets), candidates=further[0]), NO_HEADS, step=0, unit_length=True
    )
    cut = section(loss="mse", similarity={}, matryoshka=[4])
    found = row_losses("a", cut, rows, NO_HEADS, step=0, unit_length=True)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_similarity_of_single_texts_leaves_each_itself_out() -> None:
    own, teacher = vectors(5, 8), vectors(5, 8, seed=1)
    cosines = [functional.normalize(v, dim=1) @ functional.normalize(v, dim=1).T for v in (own, teacher)]
    others = [c[~torch.eye(5, dtype=torch.bool)].view(5, 4) / 0.2 for c in cosines]
    expected = (others[1].softmax(1) * (others[1].log_softmax(1) - others[0].log_softmax(1))).sum(dim=1)
    assert similarity(batch([own], [teacher]), form="kl", temperature=0.2).tolist() == pytest.approx(
        expected.tolist(), abs=1e-5
    )


@pytest.mark.parametrize("form", ["kl", "mse"])
def test_similarity_of_one_text_is_nothing(form: Any) -> None:
    own = vectors(1, 8).requires_grad_()
    loss = similarity(batch([own], [vectors(1, 8, seed=1)]), form=form, temperature=0.05).mean()
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(own.grad).all()


# the others


@pytest.mark.parametrize(("distance", "margin"), [("cosine", 0.5), ("euclidean", 5.0)])
def test_triplet_is_the_stock_loss(distance: Any, margin: float) -> None:
    columns = [vectors(6, 8, seed=seed) for seed in range(3)]
    metric = getattr(reference.TripletDistanceMetric, distance.upper())
    stock = reference.TripletLoss(None, metric, margin)
    found = triplet(batch(columns), margin=margin, distance=distance)
    assert found.mean() == pytest.approx(loss_of(stock, *columns), abs=1e-5)


def test_margin_mse_is_the_stock_loss() -> None:
    columns, teacher = ([vectors(6, 8, seed=seed + more) for seed in range(4)] for more in (0, 4))
    scores = torch.stack([(teacher[0] * other).sum(dim=1) for other in teacher[1:]], dim=1)
    expected = loss_of(reference.MarginMSELoss(None), *columns, labels=scores)
    assert margin_mse(batch(columns, teacher)).mean() == pytest.approx(expected, rel=1e-5)


def test_rows_with_one_and_with_three_negatives() -> None:
    found, teacher = vectors(9, 8), vectors(9, 8, seed=1)
    mixed = batch([found], [teacher], place=[[0, 1, 2, -1, -1], [3, 4, 5, 6, 7]])
    for number, alone in enumerate(([[0, 1, 2]], [[3, 4, 5, 6, 7]])):
        texts = alone[0]
        one = batch([found[texts]], [teacher[texts]], place=[list(range(len(texts)))])
        for loss in (lambda rows: triplet(rows, margin=1.0, distance="cosine"), margin_mse):
            assert float(loss(mixed)[number]) == pytest.approx(float(loss(one)[0]), rel=1e-5)


def test_cosent_by_hand() -> None:
    one, two, scores = vectors(4, 8), vectors(4, 8, seed=1), torch.tensor([0.1, 0.9, 0.5, 0.5])
    cosines = functional.cosine_similarity(one, two)
    terms = [torch.exp(20 * (cosines[i] - cosines[j])) for i in range(4) for j in range(4) if scores[i] < scores[j]]
    expected = torch.log(1 + torch.stack(terms).sum())
    assert len(terms) == 5
    assert cosent(batch([one, two], value=scores), scale=20.0).tolist() == pytest.approx(
        [float(expected)] * 4, rel=1e-5
    )


def test_cosine_to_score_is_the_stock_loss() -> None:
    one, two, scores = vectors(6, 8), vectors(6, 8, seed=1), torch.rand(6)
    expected = loss_of(reference.CosineSimilarityLoss(None), one, two, labels=scores)
    assert cosine_to_score(batch([one, two], value=scores)).mean() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("hidden", [None, 6])
def test_classification_by_hand(hidden: int | None) -> None:
    objective = section(loss="classification", hidden=hidden)
    head = make_heads({"topic": objective}, {"topic": ("a", "b", "c")}, 8, seed=3).classifiers["topic"]
    texts, labels = vectors(4, 8), torch.tensor([0.0, 2.0, 1.0, 2.0])
    weights = list(head.state_dict().values())
    logits = texts @ weights[0].T + weights[1]
    if hidden:
        logits = functional.gelu(logits) @ weights[2].T + weights[3]
    expected = [-math.log(float(row.softmax(0)[int(label)])) for row, label in zip(logits, labels, strict=True)]
    assert classification(batch([texts], value=labels), head).tolist() == pytest.approx(expected, abs=1e-5)


def test_heads_are_the_same_whatever_was_drawn_before_and_draw_nothing() -> None:
    objective, found, drawn = section(loss="classification"), [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(make_heads({"a": objective}, {"a": ("x", "y")}, 8, seed=3).state_dict())
        drawn.append(torch.rand(1))
        torch.manual_seed(seed)
        assert torch.rand(1) == drawn[-1]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


# Matryoshka


@pytest.mark.parametrize("weights", [None, (1.0, 0.25)])
def test_matryoshka_is_the_stock_sum_of_the_losses_of_cut_vectors(weights: tuple[float, ...] | None) -> None:
    columns = [vectors(6, 8, seed=seed) for seed in range(2)]
    objective = section(loss="contrastive", scale=5, matryoshka=[8, 4], matryoshka_weights=weights)
    found = row_losses("a", objective, batch(columns), NO_HEADS, step=0, unit_length=True).mean()
    stock = reference.MultipleNegativesRankingLoss(None, scale=5.0)
    expected = sum(
        weight * loss_of(stock, *(functional.normalize(column[:, :length], dim=1) for column in columns))
        for length, weight in zip((8, 4), weights or (1, 1), strict=True)
    )
    assert float(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("unit_length", [True, False])
def test_matryoshka_of_mse_cuts_the_teacher_too(unit_length: bool) -> None:
    student, teacher = vectors(3, 8), vectors(3, 8, seed=1)
    objective = section(loss="mse", matryoshka=[4])
    found = row_losses("a", objective, batch([student], [teacher]), NO_HEADS, step=0, unit_length=unit_length)
    one, two = student[:, :4], teacher[:, :4]
    if unit_length:
        one, two = functional.normalize(one, dim=1), functional.normalize(two, dim=1)
    expected = (one - two).square().sum(dim=1) / (1 if unit_length else 4)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("unit_length", [True, False])
def test_matryoshka_of_margin_mse_has_vectors_as_long_as_the_teachers(unit_length: bool) -> None:
    columns, teacher = ([vectors(5, 8, seed=seed + more) for seed in range(3)] for more in (0, 3))
    objective = section(loss="margin_mse", matryoshka=[4])
    found = row_losses("a", objective, batch(columns, teacher), NO_HEADS, step=0, unit_length=unit_length)
    anchor, *others = (functional.normalize(c[:, :4], dim=1) if unit_length else c[:, :4] for c in columns)
    own, wanted = ((a * (p - n)).sum(dim=1) for a, p, n in ((anchor, *others), teacher))
    assert found.tolist() == pytest.approx((own - wanted).square().tolist(), rel=1e-4)


def test_matryoshka_of_similarity_keeps_the_teachers_similarities() -> None:
    columns, teacher = ([vectors(5, 8, seed=seed + more) for seed in range(2)] for more in (0, 2))
    objective = section(loss="similarity", form="mse", matryoshka=[4])
    found = row_losses("a", objective, batch(columns, teacher), NO_HEADS, step=0, unit_length=True)
    own = functional.normalize(columns[0][:, :4], dim=1) @ functional.normalize(columns[1][:, :4], dim=1).T
    wanted = functional.normalize(teacher[0], dim=1) @ functional.normalize(teacher[1], dim=1).T
    assert found.tolist() == pytest.approx((own - wanted).square().mean(dim=1).tolist(), abs=1e-5)


def test_matryoshka_of_classification_cuts_the_heads_weights() -> None:
    objective = section(loss="classification", matryoshka=[4])
    heads = make_heads({"a": objective}, {"a": ("x", "y")}, 8, seed=0)
    texts, labels = functional.normalize(vectors(3, 8), dim=1), torch.tensor([0.0, 1.0, 0.0])
    found = row_losses("a", objective, batch([texts], value=labels), heads, step=0, unit_length=True)
    weight, bias = heads.classifiers["a"].state_dict().values()
    logits = functional.normalize(texts[:, :4], dim=1) @ weight[:, :4].T + bias
    assert found.tolist() == pytest.approx(
        functional.cross_entropy(logits, labels.long(), reduction="none").tolist(), abs=1e-5
    )


# Rows


def rows() -> ObjectiveRows:
    """Four parallel rows: text 10 stands in two rows, and row 3's two sides are the same text."""
    target = np.array([0, 1, 0, 2])
    return ObjectiveRows(
        texts=np.array([[10, 20], [11, 21], [10, 22], [12, 12]]),
        target=np.stack([target, target], axis=1),
        value=None,
        length=np.array([5, 5, 5, 5], np.int32),
        corpus=np.zeros(4, np.int16),
        labels=("a",),
        classes=(),
        domain=np.full(4, -1, np.int32),
    )


@pytest.mark.parametrize("columns", [(1,), (1, 0), None])
def test_each_text_is_encoded_once_and_the_loss_is_the_naive_one(columns: tuple[int, ...] | None) -> None:
    data, chosen = rows(), np.array([0, 2, 3])
    found = text_batch(data, chosen, columns)
    assert found.texts.tolist() == sorted({*data.texts[chosen][:, list(columns or (0, 1))].ravel().tolist()})
    assert found.texts[found.place].tolist() == data.texts[chosen][:, list(columns or (0, 1))].tolist()
    assert data.target is not None
    assert found.targets is not None
    assert found.targets[found.target_place].tolist() == data.target[chosen][:, list(columns or (0, 1))].tolist()
    assert [found.place.ravel()[place] for place in found.first] == list(range(len(found.texts)))


def test_a_text_that_a_row_lacks_is_no_text() -> None:
    data = rows()
    data.texts[1, 1] = -1
    assert data.target is not None
    data.target[1, 1] = -1
    found = text_batch(data, np.array([0, 1]))
    assert found.texts.tolist() == [10, 11, 20]
    assert found.place.tolist() == [[0, 2], [1, -1]]
    assert found.target_place is not None
    assert found.target_place.tolist() == [[0, 0], [1, -1]]
