"""Static students: a vector for each piece; a sentence's vector is the mean of its pieces'.

They start from what the teacher says of each piece alone, weighted by how rare the piece is (SIF, Arora et al. 2017,
as in model2vec); pieces of other languages start from the English ones they are aligned with. Ridge regression on the
teacher's vectors of all sentences then gives the piece vectors at once: a mean is linear in them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from distill.alignment import align
from distill.corpora import Corpus, english_columns
from distill.recipe import AlignmentSection, StaticFit, StaticStudent
from distill.ridge import Matrix, gram_product, ridge_regression
from distill.spread import spread_over
from distill.store import Rows
from distill.teacher import Teacher

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

log = logging.getLogger("distill")

ROWS_PER_READ = 16_384
"""Teacher vectors read at once."""


@dataclass(frozen=True)
class Side:
    """The texts of one column of a corpus's training rows, of which the teacher's vectors are the targets.

    Attributes:
        pieces: piece ids of the texts, one text after the other (n,).
        starts: where each text starts in `pieces`, and where the last ends (texts + 1,).
        counts: how often each piece occurs in each text (texts, pieces).
        targets: row of each text's target in the teacher's store (texts,), -1 if it is not stored.
        english: for a translation, the side it translates; None for English.
        language: its ISO 639-1 code.
    """

    pieces: npt.NDArray[np.int32]
    starts: Rows
    counts: sparse.csr_array
    targets: Rows
    english: Side | None = None
    language: str = "en"


def static_student(
    section: StaticStudent, teacher: Teacher, corpora: Sequence[Corpus], tokenizer: Tokenizer
) -> SentenceTransformer:
    """Return a student with a vector for each piece of a tokenizer, fitted to the teacher's stored vectors.

    Where no vector is stored, the student is the start.
    """
    sides = sides_of(corpora, teacher, tokenizer)
    start = weigh(piece_vectors(section.alignment, teacher, tokenizer, sides), sides, section.fit.sif)
    vectors = fit(section.fit, teacher, sides, start)
    return assemble(tokenizer, vectors, unit_length=teacher.unit_length)


def sides_of(corpora: Sequence[Corpus], teacher: Teacher, tokenizer: Tokenizer) -> list[Side]:
    """Return the sides of all corpora: English texts and their translations."""
    sides: list[Side] = []
    for corpus in corpora:
        for column in english_columns(corpus):
            targets = teacher.targets.find(corpus.keys[column][corpus.train])
            english = _side(corpus, column, tokenizer, targets)
            sides.append(english)
            if corpus.kind == "parallel":
                side = _side(corpus, "non_english", tokenizer, targets)
                sides.append(replace(side, english=english, language=corpus.language))
    return sides


def _side(corpus: Corpus, column: str, tokenizer: Tokenizer, targets: Rows) -> Side:
    """Return the texts of one column, as English ones."""
    lengths, ids = [], []
    for first in range(0, len(corpus.train), ROWS_PER_READ):
        texts = corpus.texts(column, corpus.train[first : first + ROWS_PER_READ])
        found = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        lengths.append(np.fromiter(map(len, found), np.int64, len(found)))
        ids.append(np.concatenate([np.array(row, np.int32) for row in found]))
    joined = np.concatenate(ids or [np.empty(0, np.int32)])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths or [np.empty(0, np.int64)]))])
    shape = (len(starts) - 1, tokenizer.get_vocab_size())
    counts = sparse.csr_array((np.ones(len(joined), np.float32), joined.copy(), starts.astype(np.int32)), shape=shape)
    counts.sum_duplicates()
    return Side(joined, starts, counts, targets)


def piece_vectors(section: AlignmentSection, teacher: Teacher, tokenizer: Tokenizer, sides: Sequence[Side]) -> Matrix:
    """Return what the teacher says of each piece, or of the English pieces it stands for (pieces, dimension)."""
    english, other = (_totals([side for side in sides if (side.english is None) == found]) for found in (True, False))
    vectors = _alone(teacher, tokenizer, english > 0)
    n = len(vectors)
    pairs = _pairs_by_language(sides, section.max_pairs)
    weights = align(pairs, n_target=n, n_source=n, rounds=section.rounds, hmm_rounds=section.hmm_rounds).astype(
        np.float32
    )
    # A piece that English has too means something of both.
    seen = np.diff(weights.indptr) > 0
    share = (other / np.maximum(1, english + other))[seen, None].astype(np.float32)
    vectors[seen] = share * (weights @ vectors)[seen] + (1 - share) * vectors[seen]
    return vectors


def weigh(vectors: Matrix, sides: Sequence[Side], sif: float) -> Matrix:
    """Return the vectors of pieces weighted by how rare they are (pieces, dimension).

    The direction that all sentences share is taken out: it would be fitted at the cost of what differs.
    """
    counts = _totals(sides)
    frequency = counts / max(1.0, counts.sum())
    weights = sif / (sif + frequency)
    mean = (frequency * weights) @ vectors / max(1e-12, frequency @ weights)
    return np.asarray(weights[:, None] * (vectors - mean), np.float32)


def _totals(sides: Sequence[Side]) -> npt.NDArray[np.float64]:
    """Return how often each piece occurs (pieces,); 0 if there are no sides."""
    return sum((side.counts.sum(axis=0, dtype=np.float64) for side in sides), np.zeros(1))


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


def _pairs_by_language(sides: Sequence[Side], most: int) -> Iterator[list[tuple[Sequence[int], Sequence[int]]]]:
    """Yield for each language the pieces of translations and of the English sentences they translate."""
    for language in dict.fromkeys(side.language for side in sides if side.english):
        own = [(side, side.english) for side in sides if side.english and side.language == language]
        chosen = spread_over([np.arange(len(side.targets)) for side, _ in own], most)
        yield [
            (_pieces(side, row), _pieces(english, row))
            for (side, english), rows in zip(own, chosen, strict=True)
            for row in rows
        ]


def _pieces(side: Side, row: int) -> Sequence[int]:
    return side.pieces[side.starts[row] : side.starts[row + 1]].tolist()  # type: ignore[no-any-return]


def fit(section: StaticFit, teacher: Teacher, sides: Sequence[Side], start: Matrix) -> Matrix:
    """Return the piece vectors with which the sentences' come closest to the teacher's (pieces, dimension).

    Where the teacher's vectors have length 1, only directions count: a sentence is the sum of its pieces divided by the
    root of their number, because such sums differ less in length than means do. Vectors of other lengths must be met
    by the mean itself, the squared error of each sentence weighted by its number of pieces.

    Args:
        section: ridge and rounds.
        teacher: its stored vectors are the targets.
        sides: the sentences.
        start: what the vectors are drawn to (pieces, dimension), once it is scaled to fit best.
    """
    targets = np.concatenate([side.targets for side in sides])
    design = sparse.vstack([side.counts for side in sides], format="csr")[targets >= 0]
    targets = targets[targets >= 0]
    if not len(targets):
        log.warning("student: the teacher's vectors of the corpora are not stored; it is not fitted to them")
    roots = np.sqrt(np.maximum(design.sum(axis=1), 1))
    design = (sparse.diags_array(1 / roots, dtype=np.float32) @ design).tocsr()
    products = np.zeros(start.shape, np.float32)
    for first in range(0, len(targets), ROWS_PER_READ):
        rows = slice(first, first + ROWS_PER_READ)
        vectors = teacher.targets.read(targets[rows])
        if not teacher.unit_length:
            vectors = vectors * roots[rows, None]
        products += design[rows].T @ vectors
    length = float((start * gram_product(design, start)).sum())
    scale = np.float32((start * products).sum() / length if length else 1)
    return ridge_regression(design, products, scale * start, ridge=section.ridge, rounds=section.rounds)


def assemble(tokenizer: Tokenizer, vectors: Matrix, *, unit_length: bool) -> SentenceTransformer:
    """Return a sentence-transformers model with a vector for each piece (pieces, dimension)."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    embedding = StaticEmbedding(tokenizer, embedding_weights=vectors)
    return SentenceTransformer(modules=[embedding, Normalize()] if unit_length else [embedding], device="cpu")
