"""The skip connection: a share of a linear map of the mean token embedding in the sentence vector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers import AutoConfig, AutoModel

from distill import skip
from distill.corpora import Corpus, SentenceFilter, english_columns, load_corpora
from distill.encode import encode, speed_up, token_ids
from distill.errors import ModelError, RecipeError
from distill.pipeline import run_recipe
from distill.plan import plan_run
from distill.recipe import Recipe, load_recipe
from distill.skip import add_skip, check_first_input, first_input, mean_embeddings, without_skip
from distill.student import build_student, load_student, save_student
from distill.teacher import Teacher, embed, load_teacher

CPU = torch.device("cpu")
TEXTS = ["Їжак і кіт сплять.", "Et barn spiser æbler på gården.", "The cat sleeps.", "a"]


@pytest.fixture
def parts(write_recipe: Callable[..., Path]) -> tuple[Recipe, Teacher, list[Corpus], SentenceTransformer]:
    """A recipe, its teacher with stored vectors, corpora and untrained student."""
    recipe = load_recipe(write_recipe())
    teacher = load_teacher(recipe.teacher, CPU)
    corpora = load_corpora(recipe, SentenceFilter())
    embed(teacher, corpora, english_columns)
    return recipe, teacher, corpora, build_student(recipe.student, teacher, corpora, CPU)


def by_hand(student: SentenceTransformer, texts: list[str]) -> np.ndarray:
    """Return the mean embeddings of texts, with a last column of ones, from the hidden states of the whole model."""
    model, rows = student[0].model, []
    for ids in token_ids(student, texts):
        states = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[0]
        rows.append(np.append(states[0].detach().mean(dim=0).numpy(), 1.0))
    return np.array(rows)


def test_vectors_are_the_students_plus_a_fitted_map_of_its_words(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
) -> None:
    _, teacher, corpora, student = parts
    design, targets = [], []
    for corpus in corpora:
        english = corpus.texts("english", corpus.train)
        for side in (english, corpus.texts("non_english", corpus.train)):
            design.append(by_hand(student, side))
            targets.append(encode(teacher.model, english))
    x, y = np.concatenate(design), np.concatenate(targets)
    matrix = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)  # ridge regression, ridge 1
    usual = np.linalg.norm(x @ matrix, axis=1).mean()
    expected = encode(student, TEXTS) + 0.4 / usual * by_hand(student, TEXTS) @ matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    below = encode(student, TEXTS)
    found = encode(add_skip(student, 0.4, teacher, corpora), TEXTS)
    np.testing.assert_allclose(found, expected, atol=2e-4)  # the stored vectors are in half precision
    assert np.abs(found - below).max() > 0.01


def test_a_saved_skip_connection_is_plain_sentence_transformers(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer], tmp_path: Path
) -> None:
    _, teacher, corpora, student = parts
    model = add_skip(student, 0.4, teacher, corpora)
    expected = encode(model, TEXTS)
    save_student(model, tmp_path / "model")
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(plain.encode(TEXTS), expected, atol=1e-6)
    assert plain.max_seq_length == student.max_seq_length
    assert plain.get_embedding_dimension() == teacher.dimension
    fast = load_student(tmp_path / "model", CPU)
    speed_up(fast)
    np.testing.assert_allclose(encode(fast, TEXTS), expected, atol=1e-6)


def test_a_student_without_its_skip_connection_is_as_it_was(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer], tmp_path: Path
) -> None:
    _, teacher, corpora, student = parts
    before = encode(student, TEXTS)
    save_student(add_skip(student, 0.4, teacher, corpora), tmp_path / "model")
    below = without_skip(load_student(tmp_path / "model", CPU))
    assert [type(module) for module in below] == [type(module) for module in student]
    assert isinstance(below[-1], Normalize)
    np.testing.assert_allclose(encode(below, TEXTS), before, atol=1e-6)
    assert without_skip(below) is below
    again = add_skip(below, 0.4, teacher, corpora)
    save_student(again, tmp_path / "again")
    first, second = (encode(load_student(tmp_path / name, CPU), TEXTS) for name in ("model", "again"))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_without_rows_to_fit_it_to_it_is_refused(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
) -> None:
    _, teacher, corpora, student = parts
    for corpus in corpora:
        corpus.train = corpus.train[:0]
    with pytest.raises(ModelError, match="no parallel rows"):
        add_skip(student, 0.4, teacher, corpora)


def test_a_plan_counts_its_parameters(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(student={"kind": "transplant", "skip": 0.5}))
    planned = plan_run(recipe).sizes["parameters"]
    run_recipe(recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 0})}))
    student = load_student(recipe.runs / recipe.name / "model", CPU)
    assert planned == sum(parameter.numel() for parameter in student.parameters())


def test_students_whose_vectors_have_no_fixed_length_are_refused(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
) -> None:
    _, teacher, corpora, student = parts
    longer = SentenceTransformer(modules=list(student)[:-1], device="cpu")
    with pytest.raises(ModelError, match="length 1"):
        add_skip(longer, 0.4, teacher, corpora)


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "electra", "albert"])
def test_what_the_first_layer_reads_is_the_first_hidden_state(kind: str) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16}
    model = AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=50, **sizes)).eval()
    features = {
        "input_ids": torch.tensor([[5, 6, 7], [8, 9, 1]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    }
    with torch.inference_mode():
        states = model(**features, output_hidden_states=True).hidden_states[0]
    assert torch.equal(first_input(model, features), states)


def test_encoders_whose_first_layer_reads_something_else_are_refused(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, teacher, corpora, student = parts
    check_first_input(student)
    # As XLNet, whose layers read (length, n, hidden).
    monkeypatch.setattr(skip, "first_input", lambda *given: first_input(*given).transpose(0, 1))
    with pytest.raises(ModelError, match="does not read its first hidden states"):
        add_skip(student, 0.4, teacher, corpora)


def test_random_numbers_go_on_as_without_it(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
) -> None:
    _, teacher, corpora, student = parts
    before = torch.get_rng_state()
    add_skip(student, 0.4, teacher, corpora)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_teachers_own_skip_connection_is_left_out_of_a_transplant(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, teacher, corpora, student = parts
    save_student(add_skip(student, 0.4, teacher, corpora), tmp_path / "model")
    recipe = load_recipe(
        write_recipe(
            teacher={"model": str(tmp_path / "model")}, student={"kind": "transplant", "layers": {"keep": [0]}}
        )
    )
    teacher = load_teacher(recipe.teacher, CPU)
    with caplog.at_level("INFO", logger="distill"):
        built = build_student(recipe.student, teacher, corpora, CPU)
    assert [type(module).__name__ for module in built] == ["Transformer", "Pooling", "Normalize"]
    assert "the skip connection of" in caplog.text


def test_teachers_whose_vectors_have_no_fixed_length_are_refused_at_once(
    write_recipe: Callable[..., Path], tiny_teacher: Path, tmp_path: Path
) -> None:
    model = SentenceTransformer(str(tiny_teacher), device="cpu")
    SentenceTransformer(modules=[m for m in model if not isinstance(m, Normalize)]).save(str(tmp_path / "longer"))
    student = {"kind": "transplant", "skip": 0.4}
    recipe = load_recipe(write_recipe(student=student, teacher={"model": str(tmp_path / "longer")}))
    for begin in (plan_run, run_recipe):
        with pytest.raises(ModelError, match="longer: its vectors do not have length 1"):
            begin(recipe)


def test_mean_embeddings_leave_the_mode_of_the_model(
    parts: tuple[Recipe, Teacher, list[Corpus], SentenceTransformer],
) -> None:
    student = parts[3]
    student.train()
    np.testing.assert_allclose(mean_embeddings(student, TEXTS), by_hand(student.eval(), TEXTS)[:, :-1], atol=1e-6)
    student.train()
    mean_embeddings(student, TEXTS)
    assert student[0].model.training


def test_recipes_in_which_a_skip_connection_would_do_harm_are_refused(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    student = {"kind": "transplant", "skip": 0.4}
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"row {i},{i % 2}\n" for i in range(9)))
    labels = {"files": str(tmp_path / "rows.csv"), "rows": "labelled", "languages": ["en"], "dev_rows": 0}
    objectives = {"topic": {"loss": "classification"}}
    with pytest.raises(RecipeError, match="no corpus has rows: parallel"):
        load_recipe(write_recipe(student=student, corpora={"rows": labels}, objectives=objectives))
    corpora = {"rows": labels, "uk": {"folder": str(tmp_path / "corpus"), "languages": ["uk"], "dev_rows": 20}}
    pairs = {"uk": corpora["uk"]}
    with pytest.raises(RecipeError, match="no objective draws the student to the teacher's vectors"):
        load_recipe(write_recipe(student=student, corpora=pairs, objectives={"c": {"loss": "contrastive"}}))
    with pytest.raises(RecipeError, match="classifier"):
        load_recipe(write_recipe(student=student, corpora=corpora, objectives={**objectives, "mse": {"loss": "mse"}}))
