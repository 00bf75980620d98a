"""Similar names: pairs out of a list that may mean the same, across spellings, word orders and scripts.

Names are compared in Latin letters, folded. Candidates are the nearest names by character n-grams (TF-IDF) of the
spelling and of the sound (Metaphone, Philips 1990), and by a bi-encoder if one is given: no name is compared with all
others. Each candidate pair gets all scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.duplicates import normal_form
from distill.encode import EncodeTexts
from distill.mining.candidates import dense
from distill.mining.models import Floats, Numbers
from distill.mining.packages import require
from distill.neighbours import unit

LEAST_COSINE = 0.2
"""Names with a smaller cosine of n-grams are no candidates of each other."""


@dataclass(frozen=True)
class SimilarNames:
    """Pairs of names, most similar first.

    Attributes:
        first: number of one name (m,).
        second: number of the other, the greater (m,).
        scores: name of a score → its values, 0 to 1 (m,): `ngrams`, `edit`, `tokens` (edit distance of the sorted
            words), `sound`, and `dense` with a bi-encoder.
        score: their mean, of `edit` and `tokens` the greater (m,).
    """

    first: Numbers
    second: Numbers
    scores: dict[str, Floats]
    score: Floats


def similar_names(
    names: Sequence[str], *, top: int = 10, least: float = 0.5, encode_texts: EncodeTexts | None = None
) -> SimilarNames:
    """Return the pairs of names that score at least `least`.

    Args:
        names: each once.
        top: candidates of each name, by each of spelling, sound and bi-encoder.
        least: score of a pair.
        encode_texts: gives vectors of the names as they are written.
    """
    require("anyascii", "jellyfish", "rapidfuzz", "sparse_dot_topn")
    from anyascii import anyascii
    from jellyfish import metaphone

    spelled = [normal_form(anyascii(name)) for name in names]
    sounds = [metaphone(form).strip() for form in spelled]
    spelling, sound = _ngrams(spelled), _ngrams(sounds)
    found = [_nearest(spelling, top), _nearest(sound, top)]
    if encode_texts:
        near = dense(encode_texts, names, names, top + 1)(np.arange(len(names)), None).passages
        found.append((np.repeat(np.arange(len(names)), near.shape[1]), near.ravel()))
    one, two = (np.concatenate(side) for side in zip(*found, strict=True))
    one, two = np.minimum(one, two), np.maximum(one, two)
    pairs = np.unique((one * len(names) + two)[(one != two) & (one >= 0)])
    first, second = np.divmod(pairs, len(names))

    scores: dict[str, Floats] = {
        "ngrams": np.asarray(spelling[first].multiply(spelling[second]).sum(axis=1), np.float32).ravel()
    }
    scores |= _edit_scores(spelled, sounds, first, second)
    if encode_texts:
        vectors = unit(encode_texts(names))
        scores["dense"] = np.einsum("kd,kd->k", vectors[first], vectors[second])
    parts = [np.maximum(scores["edit"], scores["tokens"])]
    parts += [values for name, values in scores.items() if name not in ("edit", "tokens")]
    score: Floats = np.mean(np.stack(parts), axis=0, dtype=np.float32)
    order = np.lexsort((second, first, -score))
    order = order[score[order] >= least]
    kept = {name: values[order] for name, values in scores.items()}
    return SimilarNames(first[order], second[order], kept, score[order])


def _ngrams(forms: Sequence[str]) -> Any:
    """Return TF-IDF of the bigrams and trigrams within words, a sparse matrix of unit rows (n, n-grams)."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    if not any(form.strip() for form in forms):
        from scipy.sparse import csr_matrix

        return csr_matrix((len(forms), 1), dtype=np.float32)
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), dtype=np.float32).fit_transform(forms)


def _nearest(matrix: Any, top: int) -> tuple[Numbers, Numbers]:
    """Return pairs of each row and the `top` others with the greatest cosines."""
    from sparse_dot_topn import sp_matmul_topn

    found = sp_matmul_topn(matrix, matrix.T.tocsr(), top_n=top + 1, threshold=LEAST_COSINE).tocoo()
    return found.row.astype(np.int64), found.col.astype(np.int64)


def _edit_scores(spelled: Sequence[str], sounds: Sequence[str], first: Numbers, second: Numbers) -> dict[str, Floats]:
    """Return normalised edit similarities (insertions and deletions) of pairs: spelling, sorted words, sound.

    Names without a sound, such as numbers, are compared by their spelling.
    """
    from rapidfuzz import fuzz, process

    def similarity(forms: Sequence[str], scorer: Any) -> Floats:
        left, right = [forms[i] for i in first], [forms[j] for j in second]
        return np.asarray(process.cpdist(left, right, scorer=scorer) / np.float32(100), np.float32)

    edit = similarity(spelled, fuzz.ratio)
    silent = np.array([not (sounds[i] and sounds[j]) for i, j in zip(first, second, strict=True)], bool)
    sound = similarity(sounds, fuzz.ratio)
    sound[silent] = edit[silent]
    return {"edit": edit, "tokens": similarity(spelled, fuzz.token_sort_ratio), "sound": sound}


def name_columns(names: Sequence[str], found: SimilarNames) -> dict[str, list[object]]:
    """Return the pairs by column."""
    columns: dict[str, list[object]] = {
        "name_1": [names[i] for i in found.first],
        "name_2": [names[j] for j in found.second],
        "score": [round(float(score), 4) for score in found.score],
        "rank": list(range(1, len(found.score) + 1)),
    }
    return columns | {name: [round(float(s), 4) for s in values] for name, values in found.scores.items()}
