"""Earlier students that are to learn more languages: whose they are, and what they know."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distill.corpora import Corpus
from distill.encode import Vectors, encode
from distill.errors import ModelError
from distill.models import load_model
from distill.recipe import TransplantStudent
from distill.sides import piece_ids, texts_of
from distill.skip import layers_of
from distill.teacher import Teacher
from distill.vocabulary import unknown_share

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

log = logging.getLogger("distill")

COMPARED_TEXTS = 100
LEAST_COSINE = 0.3
"""A student is of a teacher if their vectors of so many English texts have at least this mean cosine.

Students of the recipes have 0.91, other models about 0.
"""

KNOWN_ROWS = 20_000
"""Most rows of a corpus that show whether a student knows its language."""

MOST_UNKNOWN = 0.5
"""A student knows a language if at most this share of its words are unknown."""

ALWAYS = 10**9
"""Occurrences of a piece that is not to change at all."""

TEXTS_PER_BATCH = 10_000


def earlier_student(
    section: TransplantStudent, name: str, teacher: Teacher, corpora: Sequence[Corpus]
) -> SentenceTransformer:
    """Return the student that is to learn more languages.

    Raises:
        ModelError: it is not of this teacher, as its vectors of the corpora's English sentences show.
    """
    student = load_model(
        "student",
        name,
        revision=section.revision,
        trust_remote_code=teacher.section.trust_remote_code,
        to_trust="set teacher.trust_remote_code: true",
    )
    student = layers_of(student, name)
    own = student.get_embedding_dimension()
    if own != teacher.dimension:
        raise ModelError(
            f"student: {name}",
            f"its vectors have {own} dimensions",
            expected=f"{teacher.dimension}, as those of its teacher",
            hint="a student of fewer dimensions learns no more languages: name them in the recipe that makes it",
        )
    texts = list(itertools.islice(texts_of(corpora, english=True, most=COMPARED_TEXTS)(), COMPARED_TEXTS))
    if texts and (cosine := _mean_cosine(encode(student, texts), teacher.vectors(texts))) < LEAST_COSINE:
        raise ModelError(
            f"student: {name}",
            f"a mean cosine of {cosine:.2f} between its vectors of English sentences and those of the teacher",
            expected=f"at least {LEAST_COSINE}, as a student of {teacher.section.model} has",
            hint="name the teacher that it was made from",
        )
    return student


def _mean_cosine(some: Vectors, others: Vectors) -> float:
    """Return the mean cosine of the rows of two matrices (n, dimension)."""
    norms = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.mean(np.einsum("nd,nd->n", some, others) / np.maximum(norms, 1e-12)))


def check_known(tokenizer: Tokenizer, name: str | None, known: Sequence[Corpus]) -> None:
    """Check that an earlier student's tokenizer knows most words of the languages that it is not to learn.

    Raises:
        ModelError: it does not.
    """
    for language in dict.fromkeys(corpus.language for corpus in known if corpus.language != "en"):
        own = [corpus for corpus in known if corpus.language == language]
        share = unknown_share(tokenizer, texts_of(own, english=False, most=KNOWN_ROWS))
        if share > MOST_UNKNOWN:
            raise ModelError(
                "student.add",
                f"{share:.0%} of the words of {language} are unknown to {name}",
                expected="corpora of languages that it knows, or that it is to learn",
                hint=f"add {language} to student.add",
            )


def known_counts(tokenizer: Tokenizer, known: Sequence[Corpus], n: int) -> npt.NDArray[np.int64]:
    """Return how often each of an earlier student's n embeddings occurs in the corpora of languages that it knows (n,).

    There may be more embeddings than pieces.
    """
    counts = np.zeros(n, np.int64)
    if all(corpus.language == "en" for corpus in known):
        log.warning(
            "student: no corpus of the languages that it knows: its pieces stay as they are, but new ones may change "
            "how words of these languages are cut"
        )
        return counts + ALWAYS
    texts = itertools.chain.from_iterable(texts_of(known, english=side)() for side in (True, False))
    while batch := list(itertools.islice(texts, TEXTS_PER_BATCH)):
        ids = np.fromiter(itertools.chain.from_iterable(piece_ids(tokenizer, batch)), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts
