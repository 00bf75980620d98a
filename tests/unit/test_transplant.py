"""A transplant before its first step: English as the teacher has it, new pieces where their translations are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from tiny_models import make_tiny_model

from distill import student as student_module
from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.encode import encode
from distill.errors import ModelError
from distill.plan import plan_run
from distill.prepare import prepare_tokens
from distill.recipe import Recipe, load_recipe
from distill.rows import Translations
from distill.student import build_student, describe, load_student, save_student
from distill.teacher import Teacher, load_teacher
from distill.tokens import token_store

CPU = torch.device("cpu")
Parts = tuple[Recipe, Teacher, list[Corpus]]


@pytest.fixture
def parts(write_recipe: Callable[..., Path]) -> Callable[..., Parts]:
    """Return a function that loads a recipe with another `student` section, its teacher and corpora."""

    def load(**student: object) -> Parts:
        section = {"kind": "transplant", "vocabulary": {"size": 800}, "max_tokens": 32, **student}
        recipe = load_recipe(write_recipe(student=section))
        return recipe, load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())

    return load


def test_english_vectors_are_the_teachers(parts: Callable[..., Parts]) -> None:
    recipe, teacher, (ukrainian, _) = parts()
    student = build_student(recipe.student, teacher, [ukrainian], CPU)
    trained_on = [text for text in ukrainian.texts("english", ukrainian.train) if text.isascii()]
    assert len(trained_on) > 100
    assert np.allclose(encode(student, trained_on), encode(teacher.model, trained_on), atol=1e-6)
    assert describe(student)["vocabulary"] > len(teacher.model.tokenizer)


def test_english_vectors_are_the_teachers_but_where_danish_has_most_of_a_piece(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    student = build_student(recipe.student, teacher, corpora, CPU)
    before, after = (model[0].model.get_input_embeddings().weight.detach() for model in (teacher.model, student))
    danish = {i for i, row in enumerate(before) if not torch.equal(row, after[i])}  # far more frequent than in English
    texts = [text for text in corpora[0].texts("english", corpora[0].train) if text.isascii()]
    same = [text for text in texts if not danish & set(student.tokenizer(text)["input_ids"])]
    assert len(texts) > len(same) > 0.9 * len(texts) > 100
    assert np.allclose(encode(student, same), encode(teacher.model, same), atol=1e-6)


def test_a_word_starts_where_its_translation_is(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts()
    student = build_student(recipe.student, teacher, corpora, CPU)
    rows = student[0].model.get_input_embeddings().weight.detach()
    english = teacher.model[0].model.get_input_embeddings().weight.detach()
    ids = student.tokenizer.get_vocab()
    # "і" (and) occurs in dozens of the 200 sentences, nearly always with "and".
    cosines = torch.nn.functional.cosine_similarity(rows[ids["і"]], english)
    assert teacher.model.tokenizer.convert_ids_to_tokens(int(cosines.argmax())) == "and"


@pytest.mark.parametrize(("most", "aligned"), [(1000, [150, 30]), (60, [60, 30])])
def test_as_many_pairs_of_each_language_are_aligned(
    parts: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch, most: int, aligned: list[int]
) -> None:
    recipe, teacher, corpora = parts(alignment={"max_pairs": most})
    for corpus, rows in zip(corpora, (150, 30), strict=True):
        corpus.train = corpus.train[:rows]
    found: list[Translations] = []

    def start(embeddings: np.ndarray, same: np.ndarray, translations: list[Translations], *_: Any, **__: Any) -> Any:
        found.extend(translations)
        return np.zeros((len(same), embeddings.shape[1]), np.float32)

    monkeypatch.setattr(student_module, "start_rows", start)
    build_student(recipe.student, teacher, corpora, CPU)
    assert [len(translations.targets) for translations in found] == aligned
    assert all(len(translations.sources) == len(translations.targets) for translations in found)


def test_a_replaced_vocabulary_has_no_pieces_that_were_not_learnt(parts: Callable[..., Parts]) -> None:
    recipe, teacher, corpora = parts(vocabulary={"mode": "replace", "size": 900})
    student = build_student(recipe.student, teacher, corpora, CPU)
    assert describe(student)["vocabulary"] <= 900 + len(teacher.model.tokenizer.all_special_tokens)
    tokenizer = student.tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("кіт")["input_ids"])[0] == "[CLS]"
    special = student[0].model.get_input_embeddings().weight[tokenizer.cls_token_id]
    teachers = teacher.model[0].model.get_input_embeddings().weight[teacher.model.tokenizer.cls_token_id]
    assert torch.equal(special, teachers)
    assert student[0].model.config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("mode", ["extend", "replace"])
def test_a_saved_transplant_gives_the_same_vectors(parts: Callable[..., Parts], tmp_path: Path, mode: str) -> None:
    recipe, teacher, corpora = parts(vocabulary={"mode": mode, "size": 800})
    student = build_student(recipe.student, teacher, corpora, CPU)
    save_student(student, tmp_path / "model")
    texts = ["Їжак і кіт сплять.", "Et barn spiser æbler på gården.", "The cat sleeps."]
    assert np.array_equal(encode(load_student(tmp_path / "model", CPU), texts), encode(student, texts))


def test_the_same_recipe_gives_the_same_student(parts: Callable[..., Parts]) -> None:
    first, second = (build_student(r.student, t, c, CPU) for r, t, c in (parts(), parts()))
    assert first.tokenizer.get_vocab() == second.tokenizer.get_vocab()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.fixture
def grown(parts: Callable[..., Parts], tmp_path: Path) -> Callable[..., tuple[Parts, SentenceTransformer, Any]]:
    """Return a function that builds a student of one language and one that adds another to it."""

    def grow(
        first: str, second: str, *, keep: bool = True, english: bool = False, unused: int = 0
    ) -> tuple[Parts, SentenceTransformer, Any]:
        recipe, teacher, corpora = parts()
        earlier = build_student(recipe.student, teacher, [c for c in corpora if c.language == first], CPU)
        earlier[0].model.resize_token_embeddings(len(earlier.tokenizer) + unused)
        save_student(earlier, tmp_path / "earlier")
        recipe, teacher, corpora = parts(model=str(tmp_path / "earlier"), add=second)
        own = corpora if keep else [c for c in corpora if c.language == second]
        own += [replace(own[0], kind="pairs", language="en")] * english
        return (recipe, teacher, corpora), earlier, build_student(recipe.student, teacher, own, CPU)

    return grow


def texts_of(corpora: list[Corpus], language: str) -> tuple[list[str], list[str]]:
    """Return the English sentences of a language's corpus, and their translations."""
    (corpus,) = (corpus for corpus in corpora if corpus.language == language)
    return corpus.texts("english", corpus.train), corpus.texts("non_english", corpus.train)


@pytest.mark.parametrize(("first", "second"), [("uk", "da"), ("da", "uk")])
def test_a_language_is_added_and_those_before_stay_as_they_are(
    grown: Callable[..., Any], first: str, second: str
) -> None:
    (_, teacher, corpora), earlier, student = grown(first, second)
    ids, more = earlier.tokenizer.get_vocab(), student.tokenizer.get_vocab()
    assert ids.items() < more.items()
    english, before = texts_of(corpora, first)
    for texts in (before, [text for text in english if text.isascii()]):
        assert len(texts) > 100
        assert student.tokenizer(texts)["input_ids"] == earlier.tokenizer(texts)["input_ids"]
        assert np.allclose(encode(student, texts), encode(earlier, texts), atol=1e-6)
    english, added = texts_of(corpora, second)
    targets = encode(teacher.model, english)
    errors = [np.square(encode(model, added) - targets).sum(axis=1).mean() for model in (earlier, student)]
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("english", [False, True], ids=["", "but one in English"])
def test_without_a_corpus_of_the_languages_before_all_rows_stay(
    english: bool, grown: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    _, earlier, student = grown("da", "uk", keep=False, english=english)
    assert "no corpus of the languages that it knows" in caplog.text
    rows, more = (model[0].model.get_input_embeddings().weight for model in (earlier, student))
    assert torch.equal(more[: len(rows)], rows)
    assert student.tokenizer.tokenize("på") == earlier.tokenizer.tokenize("på")  # å is kept, as before


def test_an_earlier_student_may_have_more_embeddings_than_pieces(grown: Callable[..., Any]) -> None:
    (_, _, corpora), earlier, student = grown("uk", "da", unused=7)
    _, before = texts_of(corpora, "uk")
    assert np.allclose(encode(student, before), encode(earlier, before), atol=1e-6)
    assert len(student[0].model.get_input_embeddings().weight) == len(student.tokenizer)


def test_a_language_that_an_earlier_student_does_not_know_is_to_be_added(
    parts: Callable[..., Parts], tmp_path: Path
) -> None:
    recipe, teacher, corpora = parts()
    danish = [corpus for corpus in corpora if corpus.language == "da"]
    save_student(build_student(recipe.student, teacher, danish, CPU), tmp_path / "earlier")
    recipe, teacher, corpora = parts(model=str(tmp_path / "earlier"), add="da")
    with pytest.raises(ModelError, match="of the words of uk are unknown to") as error:
        build_student(recipe.student, teacher, corpora, CPU)
    assert (error.value.where, error.value.hint) == ("student.add", "add uk to student.add")
    build_student(recipe.student, teacher, danish, CPU, with_vectors=False)


def test_a_student_of_another_teacher_learns_no_language(
    parts: Callable[..., Parts], everyday_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    other = make_tiny_model(tmp_path, [row["en"] for row in everyday_rows])
    model = SentenceTransformer(str(other), device="cpu")
    final = model[0].model.encoder.layer[-1].output.LayerNorm
    final.weight.data[::2].neg_()
    save_student(model, tmp_path / "earlier")
    recipe, teacher, corpora = parts(model=str(tmp_path / "earlier"), add=["uk", "da"])
    with pytest.raises(ModelError, match=r"a mean cosine of 0\.\d\d between") as error:
        build_student(recipe.student, teacher, corpora, CPU, with_vectors=False)
    assert error.value.hint == "name the teacher that it was made from"


def test_a_language_without_parallel_rows_is_named(
    parts: Callable[..., Parts], caplog: pytest.LogCaptureFixture
) -> None:
    recipe, teacher, (ukrainian, danish) = parts()
    build_student(recipe.student, teacher, [ukrainian, replace(danish, language="en")], CPU)
    assert "no parallel rows" not in caplog.text
    build_student(recipe.student, teacher, [ukrainian, replace(danish, kind="pairs")], CPU)
    assert "no parallel rows of da: the new pieces start from their spelling alone" in caplog.text


@pytest.mark.parametrize("mode", ["extend", "replace"])
def test_embeddings_keep_their_class_and_ids_in_the_configuration_their_pieces(
    parts: Callable[..., Parts], plain_encoder: Path, tmp_path: Path, mode: str
) -> None:
    from transformers import AutoTokenizer, Gemma3TextConfig, Gemma3TextModel

    recipe, teacher, corpora = parts(vocabulary={"mode": mode, "size": 900})
    tokenizer = AutoTokenizer.from_pretrained(plain_encoder)
    ids, lost = tokenizer.get_vocab(), len(tokenizer) - 1
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=16,
        max_position_embeddings=64,
        pad_token_id=ids["[PAD]"],
        bos_token_id=ids["the"],
        eos_token_id=[ids["[SEP]"], lost],
    )
    Gemma3TextModel(config).save_pretrained(tmp_path / "gemma")
    tokenizer.save_pretrained(tmp_path / "gemma")
    section = recipe.teacher.model_copy(update={"model": str(tmp_path / "gemma")})
    teacher = load_teacher(section, CPU)
    student = build_student(recipe.student, teacher, corpora, CPU)
    encoder, more = student[0].model, student.tokenizer.get_vocab()
    assert type(encoder.get_input_embeddings()) is type(teacher.model[0].model.get_input_embeddings())
    kept = [more["[SEP]"]] + [more[piece] for piece, id_ in ids.items() if id_ == lost and piece in more]
    assert (encoder.config.bos_token_id, encoder.config.eos_token_id) == (more["the"], kept)
    assert encoder.config.pad_token_id == encoder.get_input_embeddings().padding_idx == more["[PAD]"]
    assert encoder.config.vocab_size == len(more) == encoder.get_input_embeddings().num_embeddings
    save_student(student, tmp_path / "student")
    texts = ["Їжак і кіт сплять.", "The cat sleeps."]
    vectors = encode(student, texts)
    assert np.allclose(encode(load_student(tmp_path / "student", CPU), texts), vectors, atol=1e-6)
    if mode == "extend":
        assert np.allclose(encode(teacher.model, texts[1:]), vectors[1:], atol=1e-6)


def test_a_student_of_another_size_is_refused(parts: Callable[..., Parts], tmp_path: Path) -> None:
    recipe, teacher, corpora = parts()
    student = build_student(recipe.student, teacher, corpora, CPU)
    student.append(Dense(32, 8))
    save_student(student, tmp_path / "earlier")
    recipe, teacher, corpora = parts(model=str(tmp_path / "earlier"), add="da")
    with pytest.raises(ModelError, match="its vectors have 8 dimensions") as error:
        build_student(recipe.student, teacher, corpora, CPU)
    assert "32" in error.value.expected


@pytest.mark.parametrize("student", [{"kind": "transplant", "skip": 0.5}, {"kind": "static"}])
def test_a_plan_and_prepared_tokens_compute_no_vectors_of_pieces(
    write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, student: dict[str, object]
) -> None:
    recipe = load_recipe(write_recipe(student=student))
    with monkeypatch.context() as patch:
        for place in ("distill.student.start_rows", "distill.student.static_student"):
            patch.setattr(place, lambda *args, **kwargs: pytest.fail("it computes them"))
        planned = plan_run(recipe)
        corpora = load_corpora(recipe, SentenceFilter())
        prepare_tokens(recipe, corpora)
    made = build_student(recipe.student, load_teacher(recipe.teacher, CPU), corpora, CPU)
    assert planned.sizes["vocabulary"] == describe(made)["vocabulary"]
    prepared = token_store(made)
    assert all((prepared.find(keys[corpus.train]) >= 0).all() for corpus in corpora for keys in corpus.keys.values())
