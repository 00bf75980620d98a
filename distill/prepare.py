"""What training needs of a recipe's corpora, made before it."""

from __future__ import annotations

from collections.abc import Sequence

from distill.corpora import Corpus
from distill.pipeline import make_accelerator
from distill.recipe import Recipe
from distill.store import TokenStore
from distill.student import build_student
from distill.teacher import load_teacher
from distill.tokens import store_tokens, token_store


def prepare_tokens(recipe: Recipe, corpora: Sequence[Corpus]) -> TokenStore:
    """Return the store with the tokens of all texts, as the student of a run of the recipe has them."""
    device = make_accelerator(recipe).device
    teacher = load_teacher(recipe.teacher, device)
    student = build_student(recipe.student, teacher, corpora, device, with_vectors=False)
    store = token_store(student)
    store_tokens(store, student, corpora)
    return store
