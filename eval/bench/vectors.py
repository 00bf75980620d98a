"""Teacher vectors for 20,000 sentences: this program's store against `SentenceTransformer.encode` with defaults.

Usage: python eval/bench/vectors.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import time

import numpy as np
from common import PAIRS, finish, load, recipe, spread, start

from distill.corpora import Corpus, english_columns
from distill.encode import encode
from distill.store import Rows, VectorStore
from distill.teacher import embed

SENTENCES = 20_000
SAMPLE = 4_000


def rows_with_sentences(corpora: list[Corpus], wanted: int) -> list[Corpus]:
    """Return the corpora cut to rows that hold about `wanted` distinct English sentences."""
    for corpus in corpora:
        share: Rows = np.unique(corpus.keys["english"][corpus.train, 0], return_index=True)[1]
        n = min(len(share), max(1, wanted // len(corpora)))
        corpus.train, corpus.dev = corpus.train[np.sort(share)[:n]], corpus.dev[:0]
    return corpora


def main() -> None:
    """Time `encode` on a sample of the sentences and the store on all, alternating."""
    options = start(__doc__ or "")
    teacher, corpora = load(recipe())
    corpora = rows_with_sentences(corpora, SENTENCES)
    texts = list(dict.fromkeys(t for c in corpora for t in c.texts("english", c.train)))
    sample = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:SAMPLE]]
    identity = teacher.store.identity
    default, first, again = [], [], []
    for number in range(options.repeats):
        teacher.model[0].model.set_attn_implementation("sdpa")  # encode as it is without this program
        began = time.perf_counter()
        teacher.model.encode(sample, show_progress_bar=False)
        default.append(len(sample) / (time.perf_counter() - began))
        from distill.encode import speed_up

        speed_up(teacher.model)
        teacher.store = VectorStore({**identity, "round": number})
        began = time.perf_counter()
        embed(teacher, corpora, english_columns)
        first.append(len(texts) / (time.perf_counter() - began))
        began = time.perf_counter()
        store = VectorStore({**identity, "round": number})
        rows = [store.find(c.keys["english"][c.train]) for c in corpora]
        vectors = [store.read(r) for r in rows]
        again.append(len(texts) / (time.perf_counter() - began))
    exact = encode(teacher.model, sample)
    stored = encode(teacher.model, sample, precision=teacher.precision)
    cosines = (exact * stored).sum(1)
    finish(
        options,
        {
            **PAIRS,
            "sentences": len(texts),
            "encode, defaults (sentences per second)": spread(default),
            "store, first time": spread(first),
            "store, again": spread(again),
            "times encode": spread([a / b for a, b in zip(first, default, strict=True)]),
            "times encode, again": spread([a / b for a, b in zip(again, default, strict=True)]),
            "cosine of the stored vectors to fp32": {"min": float(cosines.min()), "mean": float(cosines.mean())},
            "vectors read": int(sum(len(v) for v in vectors)),
        },
    )


if __name__ == "__main__":
    main()
