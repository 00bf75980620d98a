"""The teacher: its vectors are computed once per distinct sentence, ever, and read through a memory map."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.corpora import Corpus, english_columns
from distill.encode import Precision, Vectors, best_precision, encode, speed_up
from distill.errors import ModelError
from distill.files import write_atomically
from distill.models import load_model, model_digest, tokenizer_digest
from distill.recipe import TeacherSection
from distill.reduction import ProjectedVectors, Projection, principal_components
from distill.store import Keys, Rows, Store, VectorStore, distinct_keys
from distill.vectors import TEXTS_PER_SHARD, stored_vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")


@dataclass
class Teacher:
    """The loaded teacher and the store of its vectors.

    Attributes:
        model: the sentence-transformers model.
        section: the recipe's section.
        precision: number format in which training targets are computed.
        dimension: length of a vector.
        unit_length: whether vectors have length 1.
        store: training targets by text.
        exact: vectors in full precision by text, for evaluation.
        digest: hash of its weights as they were loaded, the same on every device.
        projection: takes all vectors to fewer dimensions; both stores hold them as they were before.
    """

    model: SentenceTransformer
    section: TeacherSection
    precision: Precision
    dimension: int
    unit_length: bool
    store: VectorStore
    exact: VectorStore
    digest: str
    projection: Projection | None = None

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return vectors (n, dimension) of texts in full precision, for evaluation; stored like the targets."""
        vectors = stored_vectors(self.exact, texts, partial(encode, self.model, prompt=self.section.prompt))
        return self.projection.apply(vectors) if self.projection else vectors

    @property
    def targets(self) -> VectorStore | ProjectedVectors:
        """The vectors to train on, by text."""
        return ProjectedVectors(self.store, self.projection) if self.projection else self.store


def check_dimensions(teacher: Teacher, corpora: Sequence[Corpus], dimensions: int) -> None:
    """Check that a teacher's vectors can be reduced to some dimensions.

    Raises:
        ModelError: they have no more, or the corpora have no English texts whose vectors tell which to keep.
    """
    if dimensions >= teacher.dimension:
        raise ModelError(
            "student.dimensions", f"found {dimensions}", expected=f"fewer than the teacher's {teacher.dimension}"
        )
    if not any(english_columns(corpus) for corpus in corpora):
        raise ModelError(
            "student.dimensions",
            "the corpora have no English texts",
            hint="leave it out, or add such rows",
        )


def project(teacher: Teacher, weight: Vectors) -> Teacher:
    """Return a teacher whose vectors are projected by a matrix (dimensions, dimensions before)."""
    return replace(teacher, dimension=len(weight), projection=Projection(weight, teacher.unit_length))


def reduced_teacher(teacher: Teacher, corpora: Sequence[Corpus], dimensions: int, file: Path) -> Teacher:
    """Return the teacher with the principal components of its stored vectors of the corpora's English sentences.

    They are computed once and kept in a file, so that a resumed run and all its processes use the same.

    Raises:
        ModelError: see `check_dimensions`, or there are too few sentences.
    """
    if not file.exists():
        check_dimensions(teacher, corpora, dimensions)
        keys = [c.keys[column][c.train] for c in corpora for column in english_columns(c)]
        buffer = BytesIO()
        np.save(buffer, principal_components(teacher.store, np.concatenate(keys), dimensions))
        write_atomically(file, buffer.getvalue())
    return project(teacher, np.load(file, allow_pickle=False))


def load_teacher(section: TeacherSection, device: torch.device) -> Teacher:
    """Return the teacher of a recipe.

    Raises:
        ModelError: it cannot be loaded, or a setting does not fit it.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    model = load_model(
        "teacher",
        section.model,
        revision=section.revision,
        package=section.package,
        sha256=section.sha256,
        trust_remote_code=section.trust_remote_code,
        device=str(device),
    )
    if section.pooling:
        place = next((i for i, module in enumerate(model) if isinstance(module, Pooling)), None)
        if place is None:
            raise ModelError(f"teacher: {section.model}", f"has no pooling to replace with {section.pooling}")
        model[place] = Pooling(model[place].embedding_dimension, section.pooling)
    if section.max_tokens:
        limit = model.max_seq_length
        if limit and section.max_tokens > limit:
            raise ModelError(
                f"teacher: {section.model}",
                f"max_tokens is {section.max_tokens}",
                expected=f"at most {limit}",
            )
        model.max_seq_length = section.max_tokens
    model.requires_grad_(False).eval()
    digest = model_digest(model)
    speed_up(model)
    precision = best_precision(section.precision, device)
    identity: dict[str, Any] = {
        "model": section.model,
        "digest": digest,
        "tokenizer": tokenizer_digest(model.tokenizer),
        "max_tokens": model.max_seq_length,
        "prompt": section.prompt,
        "precision": precision,
    }
    unit_length = any(isinstance(module, Normalize) for module in model)
    dimension = int(model.get_embedding_dimension() or 0)
    store, exact = VectorStore(identity), VectorStore({**identity, "precision": "fp32"})
    return Teacher(model, section, precision, dimension, unit_length, store, exact, digest)


def embed(
    teacher: Teacher,
    corpora: Sequence[Corpus],
    columns: Callable[[Corpus], Sequence[str]],
    *,
    rank: int = 0,
    world: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Put the teacher's vector of every text in some columns of the corpora into its store.

    Each process of a run computes its share; what is stored already is not computed again.

    Args:
        teacher: the teacher.
        corpora: their training and dev rows are embedded.
        columns: the columns of a corpus to embed.
        rank: number of this process.
        world: number of processes.
        progress: called with texts done and texts to do.
    """
    jobs = list(missing_texts(teacher.store, corpora, columns))[rank::world]
    total = sum(len(job.keys) for job in jobs)
    done = 0
    for job in jobs:
        texts = job.texts()
        vectors = encode(
            teacher.model,
            texts,
            precision=teacher.precision,
            prompt=teacher.section.prompt,
            progress=partial(_report, progress, done, total),
        )
        teacher.store.append(job.keys, {"vectors": vectors})
        done += len(texts)


def _report(progress: Callable[[int, int], None] | None, before: int, total: int, done: int) -> None:
    if progress:
        progress(before + done, total)


@dataclass
class MissingTexts:
    """Distinct texts that a store lacks, sorted by key, and where to read them."""

    corpus: Corpus
    column: str
    keys: Keys
    rows: Rows

    def texts(self) -> list[str]:
        """Return the texts in the order of `keys`."""
        order = np.argsort(self.rows)
        texts: list[str] = [""] * len(order)
        for place, text in zip(order, self.corpus.texts(self.column, self.rows[order]), strict=True):
            texts[place] = text
        return texts


def missing_texts(
    store: Store, corpora: Sequence[Corpus], columns: Callable[[Corpus], Sequence[str]]
) -> Iterator[MissingTexts]:
    """Yield the texts of the corpora's rows that a store lacks, each once, a shard at a time."""
    planned: Keys = np.empty((0, 2), np.uint64)
    for corpus in corpora:
        rows = np.concatenate([corpus.train, corpus.dev])
        for column in columns(corpus):
            keys = corpus.keys[column][rows]
            absent = np.flatnonzero((store.find(keys) < 0) & ~np.isin(keys[:, 0], planned[:, 0]))
            absent = absent[distinct_keys(keys[absent])]
            planned = np.concatenate([planned, keys[absent]])
            n_shards = math.ceil(len(absent) / TEXTS_PER_SHARD)
            for part in np.array_split(np.sort(absent), n_shards) if n_shards else []:
                ordered = part[np.lexsort((keys[part, 1], keys[part, 0]))]
                yield MissingTexts(corpus, column, keys[ordered], rows[ordered])
