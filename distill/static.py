"""Static students: a vector for each piece; a sentence's vector is the mean of its pieces'.

They start from what the teacher says of each piece alone, weighted by how rare the piece is (SIF, Arora et al. 2017,
as in model2vec); pieces of other languages start from the English ones they stand for (IBM model 1). Ridge regression
on the teacher's vectors of all sentences then gives the piece vectors at once: a mean is linear in them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from distill.alignment import align
from distill.corpora import Corpus
from distill.errors import ModelError
from distill.recipe import StaticStudent
from distill.recipe.models import StaticFit
from distill.ridge import Matrix, gram_product, ridge_regression
from distill.store import Rows
from distill.teacher import Teacher, english_columns

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

log = logging.getLogger("distill")

ROWS_PER_READ = 16_384
"""Teacher vectors read at once."""


@dataclass(frozen=True)
class Side:
    """The texts of one column of a corpus's training rows, as far as there is a teacher's vector for them.

    Attributes:
        counts: how often each piece occurs in each text (texts, pieces).
        targets: the store's row of each text's teacher vector (texts,).
        english: for a translation, the side it translates; None for English.
    """

    counts: sparse.csr_array
    targets: Rows
    english: Side | None = None


def static_student(
    section: StaticStudent, teacher: Teacher, corpora: Sequence[Corpus], tokenizer: Tokenizer
) -> SentenceTransformer:
    """Return a student with a vector for each piece of a tokenizer, fitted to the teacher's stored vectors.

    Raises:
        ModelError: no sentence has a teacher's vector, or more dimensions are asked for than the teacher has.
    """
    dimensions = section.dimensions or teacher.dimension
    if dimensions > teacher.dimension:
        raise ModelError(
            "student.dimensions", f"found {dimensions}", expected=f"at most the teacher's {teacher.dimension}"
        )
    sides = count_pieces(corpora, teacher, tokenizer)
    if not sum(side.counts.shape[0] for side in sides):
        raise ModelError("student", "no sentence of the corpora has a teacher's vector", hint="add parallel rows")
    start = start_vectors(section, teacher, tokenizer, sides)
    basis = principal_axes(teacher, sides, dimensions)
    return assemble(tokenizer, fit(section.fit, teacher, sides, start, basis), basis, unit_length=teacher.unit_length)


def count_pieces(corpora: Sequence[Corpus], teacher: Teacher, tokenizer: Tokenizer) -> list[Side]:
    """Return the sides of all corpora whose texts the teacher's vectors are known for."""
    sides: list[Side] = []
    for corpus in corpora:
        for column in english_columns(corpus):
            targets = teacher.store.find(corpus.keys[column][corpus.train])
            english = Side(_counts(corpus, column, tokenizer), targets)
            sides.append(english)
            if corpus.kind == "parallel":
                sides.append(Side(_counts(corpus, "non_english", tokenizer), targets, english))
    return sides


def _counts(corpus: Corpus, column: str, tokenizer: Tokenizer) -> sparse.csr_array:
    """Return how often each piece occurs in each text of one column (texts, pieces)."""
    lengths, ids = [], []
    for first in range(0, len(corpus.train), ROWS_PER_READ):
        texts = corpus.texts(column, corpus.train[first : first + ROWS_PER_READ])
        found = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        lengths.append(np.fromiter(map(len, found), np.int64, len(found)))
        ids.append(np.concatenate([np.array(row, np.int32) for row in found]))
    joined = np.concatenate(ids or [np.empty(0, np.int32)])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths or [np.empty(0, np.int64)]))])
    shape = (len(starts) - 1, tokenizer.get_vocab_size())
    counts = sparse.csr_array((np.ones(len(joined), np.float32), joined, starts.astype(np.int32)), shape=shape)
    counts.sum_duplicates()
    return counts


def start_vectors(section: StaticStudent, teacher: Teacher, tokenizer: Tokenizer, sides: Sequence[Side]) -> Matrix:
    """Return the vectors that the pieces are started from and drawn to (pieces, teacher's dimension).

    The direction that all sentences share is taken out: it would be fitted at the cost of what differs.
    """
    counts = [_totals(sides, tokenizer, english=english) for english in (True, False)]
    vectors = _alone(teacher, tokenizer, counts[0] > 0)
    weights = align(
        _aligned(sides, section.alignment.max_pairs),
        n_target=len(vectors),
        n_source=len(vectors),
        rounds=section.alignment.rounds,
    ).astype(np.float32)
    # A piece of several languages means something of both.
    seen = np.diff(weights.indptr) > 0
    share = (counts[1] / np.maximum(1, counts[0] + counts[1]))[seen, None].astype(np.float32)
    vectors[seen] = share * (weights @ vectors)[seen] + (1 - share) * vectors[seen]
    frequency = (counts[0] + counts[1]) / max(1, sum(map(np.sum, counts)))
    sif = (section.fit.sif / (section.fit.sif + frequency)).astype(np.float32)
    mean = (frequency * sif) @ vectors / (frequency @ sif)
    return np.asarray(sif[:, None] * (vectors - mean), np.float32)


def _totals(sides: Sequence[Side], tokenizer: Tokenizer, *, english: bool) -> npt.NDArray[np.float64]:
    """Return how often each piece occurs in the English texts, or in the others (pieces,)."""
    chosen = [side.counts.sum(axis=0, dtype=np.float64) for side in sides if (side.english is None) == english]
    return np.sum([np.zeros(tokenizer.get_vocab_size()), *chosen], axis=0)


def _alone(teacher: Teacher, tokenizer: Tokenizer, in_english: npt.NDArray[np.bool_]) -> Matrix:
    """Return the teacher's vector of each piece alone, as a word, or 0 for those only other languages have."""
    known = teacher.model.tokenizer.get_vocab()
    texts = {}
    for piece, row in tokenizer.get_vocab().items():
        text = tokenizer.decode([row]).removeprefix("##").strip()
        if text and (in_english[row] or piece in known):
            texts[row] = text
    vectors = np.zeros((tokenizer.get_vocab_size(), teacher.dimension), np.float32)
    vectors[list(texts)] = teacher.vectors(list(texts.values()))
    return vectors


def _aligned(sides: Sequence[Side], max_pairs: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Yield the pieces of translations and of the English sentences they translate."""
    total = sum(side.counts.shape[0] for side in sides if side.english)
    stride = max(1, -(-total // max_pairs))
    for side in sides:
        if side.english:
            for row in range(0, side.counts.shape[0], stride):
                yield _pieces(side.counts, row), _pieces(side.english.counts, row)


def _pieces(counts: sparse.csr_array, row: int) -> Sequence[int]:
    return counts.indices[counts.indptr[row] : counts.indptr[row + 1]]  # type: ignore[no-any-return]


def principal_axes(teacher: Teacher, sides: Sequence[Side], dimensions: int) -> Matrix | None:
    """Return the directions in which the teacher's vectors are largest (teacher's dimension, dimensions), or None.

    None where no dimension is left out.
    """
    if dimensions == teacher.dimension:
        return None
    moments = np.zeros((teacher.dimension, teacher.dimension))
    for side in sides:
        if side.english is None:
            for rows in _parts(side.targets):
                vectors = teacher.store.read(rows)
                moments += vectors.T @ vectors
    return np.ascontiguousarray(np.linalg.eigh(moments)[1][:, ::-1][:, :dimensions], np.float32)


def fit(section: StaticFit, teacher: Teacher, sides: Sequence[Side], start: Matrix, basis: Matrix | None) -> Matrix:
    """Return the piece vectors with which the sentences' come closest to the teacher's (pieces, dimensions).

    A sentence's pieces are summed and divided by the root of their number: the lengths of the vectors then differ least
    (where the teacher's have length 1, only the directions count). A teacher's vectors of other lengths must be met by
    the mean itself, with errors weighted alike.

    Args:
        section: ridge and rounds.
        teacher: its stored vectors are the targets.
        sides: the sentences.
        start: what the vectors are drawn to (pieces, teacher's dimension), scaled to fit best.
        basis: axes that the targets are projected on (teacher's dimension, dimensions), None for all.
    """
    design = sparse.vstack([side.counts for side in sides], format="csr", dtype=np.float32)
    lengths = np.maximum(design.sum(axis=1), 1)
    design = sparse.diags_array(1 / np.sqrt(lengths), dtype=np.float32) @ design
    targets = np.concatenate([side.targets for side in sides])
    products = np.zeros(start.shape, np.float32)
    for places in _parts(np.arange(len(targets))):
        vectors = teacher.store.read(targets[places])
        if not teacher.unit_length:
            vectors *= np.sqrt(lengths[places, None])
        products += design[places].T @ vectors
    if basis is not None:
        start, products = start @ basis, products @ basis
    scale = (start * products).sum() / max(1e-12, (start * gram_product(design, start)).sum())
    return ridge_regression(design, products, scale * start, ridge=section.ridge, rounds=section.rounds)


def _parts(rows: Rows) -> list[Rows]:
    return [rows[first : first + ROWS_PER_READ] for first in range(0, len(rows), ROWS_PER_READ)]


def assemble(
    tokenizer: Tokenizer, vectors: Matrix, basis: Matrix | None = None, *, unit_length: bool
) -> SentenceTransformer:
    """Return a sentence-transformers model with these piece vectors (pieces, dimensions).

    Args:
        tokenizer: cuts texts into the pieces.
        vectors: a vector for each piece.
        basis: axes (teacher's dimension, dimensions) that take the vectors to the teacher's space, None if they are there.
        unit_length: whether sentence vectors get length 1.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding

    modules: list[torch.nn.Module] = [StaticEmbedding(tokenizer, embedding_weights=vectors)]
    if basis is not None:
        dense = Dense(basis.shape[1], basis.shape[0], bias=False, activation_function=torch.nn.Identity())
        dense.linear.weight.data = torch.from_numpy(basis.copy())
        modules.append(dense)
    return SentenceTransformer(modules=[*modules, Normalize()] if unit_length else modules, device="cpu")
