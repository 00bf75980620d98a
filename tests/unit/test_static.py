"""Static students: the fit against numpy, their start, and that they are read as any model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sentence_transformers import SentenceTransformer

from distill import static
from distill.corpora import Corpus, SentenceFilter, english_columns, load_corpora
from distill.encode import encode, own_features, token_ids
from distill.errors import ModelError
from distill.models import encoder_digest, longest_input
from distill.padding import pad
from distill.recipe import Recipe, StaticStudent, load_recipe
from distill.static import Side, fit, piece_vectors, sides_of
from distill.student import build_student, describe, load_student, save_student
from distill.teacher import Teacher, embed, load_teacher

CPU = torch.device("cpu")
Parts = tuple[Recipe, Teacher, list[Corpus]]
TEXTS = ["A cat is sleeping.", "", "Кіт спить, а собака гавкає.", "Hun læser en bog."]


@pytest.fixture
def parts(write_recipe: Callable[..., Path]) -> Callable[..., Parts]:
    """Return a function that loads a recipe of a static student, its teacher and corpora; vectors are stored."""

    def load(*, stored: bool = True, **student: object) -> Parts:
        recipe = load_recipe(write_recipe(student={"kind": "static", **student}))
        teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
        if stored:
            embed(teacher, corpora, english_columns)
        return recipe, teacher, corpora

    return load


def build(parts: Parts) -> SentenceTransformer:
    recipe, teacher, corpora = parts
    return build_student(recipe.student, teacher, corpora, CPU)


def rows_of(model: SentenceTransformer) -> np.ndarray:
    return model[0].embedding.weight.detach().numpy()


@pytest.mark.parametrize("unit_length", [True, False])
def test_the_fit_is_weighted_least_squares(parts: Callable[..., Parts], unit_length: bool) -> None:
    recipe, teacher, corpora = parts(fit={"ridge": 0.5, "rounds": 200}, vocabulary={"size": 300})
    tokenizer = build((recipe, teacher, corpora)).tokenizer
    teacher = replace(teacher, unit_length=unit_length)
    sides = sides_of(corpora, teacher, tokenizer)
    assert isinstance(recipe.student, StaticStudent)
    found = fit(recipe.student.fit, teacher, sides, np.zeros((tokenizer.get_vocab_size(), 32), np.float32))

    texts, targets = [], []
    for corpus in corpora:
        english = corpus.texts("english", corpus.train)
        vectors = encode(teacher.model, english, precision=teacher.precision)
        texts += english + corpus.texts("non_english", corpus.train)
        targets += [vectors, vectors]
    y = np.concatenate(targets)
    x = np.zeros((len(texts), len(found)))
    for row, text in zip(x, texts, strict=True):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        np.add.at(row, ids, 1 / np.sqrt(len(ids)))
    if not unit_length:  # the mean is to meet the vector: both sides of the equation times the root of the length
        y = y * np.sqrt(np.maximum(1, [len(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts]))[:, None]
    expected = np.linalg.solve(x.T @ x + 0.5 * np.eye(len(found)), x.T @ y)
    assert found == pytest.approx(expected, abs=2e-3)


def test_it_comes_closer_to_the_teacher_than_its_start(
    parts: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, teacher, corpora = parts(fit={"ridge": 0.1})
    held_out = corpora[0].dev
    target = encode(teacher.model, corpora[0].texts("english", held_out))
    fitted = build((recipe, teacher, corpora))
    monkeypatch.setattr(static, "fit", lambda section, teacher, sides, start: start)
    start = build((recipe, teacher, corpora))
    for column in ("english", "non_english"):
        texts = corpora[0].texts(column, held_out)
        near, far = ((encode(model, texts) * target).sum(axis=1).mean() for model in (fitted, start))
        assert near > far + 0.1


def test_a_word_starts_where_its_translation_is(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    tokenizer = build((recipe, teacher, corpora)).tokenizer
    assert isinstance(recipe.student, StaticStudent)
    vectors = piece_vectors(recipe.student.alignment, teacher, tokenizer, sides_of(corpora, teacher, tokenizer))
    ids = tokenizer.get_vocab()
    assert vectors[ids["and"]] == pytest.approx(teacher.vectors(["and"])[0], abs=0.01)
    # "і" (and) occurs in dozens of the 200 sentences, nearly always with "and".
    cosines = vectors @ vectors[ids["і"]] / np.maximum(1e-9, np.linalg.norm(vectors, axis=1))
    english = [ids[piece] for piece in teacher.model.tokenizer.get_vocab()]
    assert tokenizer.id_to_token(max(english, key=cosines.__getitem__)) == "and"


def test_each_language_is_aligned_alone_with_as_many_pairs(
    parts: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, teacher, corpora = parts(alignment={"max_pairs": 60})
    tokenizer = build((recipe, teacher, corpora)).tokenizer
    for corpus, rows in zip(corpora, (150, 30), strict=True):
        corpus.train = corpus.train[:rows]
    seen: list[int] = []

    def align(
        languages: Iterable[list[Any]], *, n_target: int, n_source: int, rounds: int, hmm_rounds: int
    ) -> sparse.csr_array:
        seen.extend(map(len, languages))
        return sparse.csr_array((n_target, n_source))

    monkeypatch.setattr(static, "align", align)
    assert isinstance(recipe.student, StaticStudent)
    piece_vectors(recipe.student.alignment, teacher, tokenizer, sides_of(corpora, teacher, tokenizer))
    assert seen == [60, 30]


def test_the_direction_that_all_sentences_share_is_taken_out(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    tokenizer = build((recipe, teacher, corpora)).tokenizer
    sides = sides_of(corpora, teacher, tokenizer)
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 32)).astype(np.float32) + 3
    start = static.weigh(vectors, sides, 1e-3)
    counts = sum(side.counts.sum(axis=0) for side in sides)
    assert counts @ start == pytest.approx(np.zeros(32), abs=1e-2)
    rare, often = int(counts.argmin()), int(counts.argmax())
    mean = vectors[rare] - start[rare]  # a piece that does not occur keeps its weight
    share = counts[often] / counts.sum()
    assert start[often] == pytest.approx(1e-3 / (1e-3 + share) * (vectors[often] - mean), rel=1e-3)


def test_where_no_vectors_are_stored_it_is_the_start(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts(stored=False)
    student = build((recipe, teacher, corpora))
    assert isinstance(recipe.student, StaticStudent)
    sides = sides_of(corpora, teacher, student.tokenizer)
    vectors = piece_vectors(recipe.student.alignment, teacher, student.tokenizer, sides)
    start = static.weigh(vectors, sides, recipe.student.fit.sif)
    assert np.abs(start).max() > 0.01
    assert rows_of(student) == pytest.approx(start, abs=1e-6)


def test_corpora_without_english_are_refused(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    danish = [replace(corpus, kind="pairs", language="da") for corpus in corpora]
    with pytest.raises(ModelError, match="no English texts"):
        build((recipe, teacher, danish))


def test_a_saved_student_is_read_as_any_model(parts: Callable[..., Parts], tmp_path: Path) -> None:
    student = build(parts(max_tokens=6, vocabulary={"words": 50}))
    save_student(student, tmp_path)
    loaded = load_student(tmp_path, CPU)
    assert [type(module).__name__ for module in loaded] == ["StaticEmbedding", "Normalize"]
    texts = [*TEXTS, "word " * 20]
    assert np.allclose(encode(loaded, texts), loaded.encode(texts), atol=1e-6)
    assert np.allclose(encode(loaded, texts), student.encode(texts), atol=1e-6)
    assert [len(ids) for ids in token_ids(loaded, texts)][-1] == 6
    assert longest_input(loaded) == 6
    assert encoder_digest(loaded) == encoder_digest(student)
    sizes = describe(loaded)
    assert sizes["layers"] is None
    assert sizes["parameters"] == sizes["embedding_parameters"] == 32 * sizes["vocabulary"]
    loaded.tokenizer.enable_truncation(4)
    assert encoder_digest(loaded) != encoder_digest(student)


def test_padding_does_not_count(parts: Callable[..., Parts]) -> None:
    student = build(parts())
    ids = [np.array(row, np.int32) for row in token_ids(student, TEXTS)]
    features = own_features(student, pad(ids, pad_id=0))
    assert set(features) == {"input_ids", "offsets"}
    assert torch.allclose(student(features)["sentence_embedding"], torch.from_numpy(student.encode(TEXTS)), atol=1e-6)


def test_a_side_knows_what_it_translates(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    sides = sides_of(corpora, teacher, build((recipe, teacher, corpora)).tokenizer)
    english: list[Side] = sides[::2]
    assert [side.english for side in english] == [None, None]
    assert all(side.english is other for side, other in zip(sides[1::2], english, strict=True))
    text = corpora[0].texts("english", corpora[0].train[:1])
    assert teacher.store.read(sides[1].targets[:1]) == pytest.approx(encode(teacher.model, text), abs=2e-2)
