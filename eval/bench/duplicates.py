"""Near-duplicates of test sentences in a corpus: this program's exact search against datasketch's MinHash LSH.

Usage: python eval/bench/duplicates.py [--repeats 3] [--json FILE]    (needs datasketch and ../shared/data)

Texts are the English sides of Tatoeba, Multi30k, STS-B, documentation and news; sentences those of NTREX, STS-B dev,
STS17 and Tatoeba. All times are processor seconds of one thread. Brute force compares every pair.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow.parquet as pq
from common import DATA, finish, spread, start
from datasketch import MinHash, MinHashLSH

from distill.corpora import SentenceFilter
from distill.duplicates import SHORTEST, THRESHOLD, index_duplicates, near_duplicates, normal_form
from distill.testsets import load_suites, sentences

CORPORA = ("tatoeba/en-uk", "multi30k/en-de", "stsb/en-de", "docs/en-uk", "news/en-uk")
SENTENCES = 5_000
SAMPLE = 10_000


def trigrams(form: str) -> frozenset[str]:
    """Return the set of a text's trigrams."""
    padded = f" {form} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def brute_force(forms: list[str], texts: list[str]) -> set[tuple[int, int]]:
    """Return all pairs (text, sentence) at the threshold, by the product of the matrices of trigrams."""
    from scipy.sparse import csr_array

    sets = [trigrams(form) for form in (*forms, *texts)]
    number = {t: n for n, t in enumerate(sorted({t for found in sets for t in found}))}
    columns = np.array([number[t] for found in sets for t in found])
    starts = np.cumsum([0, *map(len, sets)])
    matrix = csr_array((np.ones(len(columns), np.int32), columns, starts), (len(sets), len(number)))
    sizes = np.diff(starts)
    found = set()
    for at in range(0, len(texts), 500):
        rows = np.arange(len(forms) + at, min(len(forms) + at + 500, len(sets)))
        shared = (matrix[rows] @ matrix[: len(forms)].T).toarray()
        alike = shared >= THRESHOLD * (sizes[rows][:, None] + sizes[None, : len(forms)] - shared)
        alike &= sizes[None, : len(forms)] >= SHORTEST
        found |= {(int(t) + at, int(s)) for t, s in zip(*np.nonzero(alike), strict=True)}
    return found


def minhash(forms: list[str]) -> list[MinHash]:
    """Return datasketch's signatures of texts (its fastest way: all texts at once)."""
    return MinHash.bulk([[t.encode() for t in trigrams(form)] for form in forms], num_perm=128)


def main() -> None:
    """Time both on the same texts and compare what they find with brute force."""
    options = start(__doc__ or "")
    english = [
        text
        for name in CORPORA
        for text in pq.read_table(DATA / "parallel" / name / "train.parquet")["english"].to_pylist()
    ]
    files = [DATA / "sts" / "stsb-dev" / "en-en.tsv", DATA / "sts" / "sts17" / "en-en.tsv"]
    held_out = sentences(load_suites([*map(str, files)], None))
    for suite in ("tatoeba", "ntrex"):
        (found,) = load_suites([str(DATA / "bitext" / suite / "en-uk.tsv")], None)
        held_out += found.texts()[: len(found.texts()) // 2]  # English
    held_out = held_out[:SENTENCES]
    texts = list(dict.fromkeys(map(normal_form, english)))
    forms = list(dict.fromkeys(map(normal_form, held_out)))
    sample = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:SAMPLE]]
    words = sum(len(text.split()) for text in texts) / len(texts)

    search, whole, sketch = [], [], []
    for _ in range(options.repeats):
        began = time.process_time()
        index = index_duplicates(forms)
        built = time.process_time()
        near = near_duplicates(index, texts)
        search.append(len(texts) / (time.process_time() - built))
        checker = SentenceFilter({"all": held_out})
        again = time.process_time()
        for at in range(0, len(english), 10_000):
            checker.find(english[at : at + 10_000])
        whole.append(len(english) / (time.process_time() - again))
        lsh = MinHashLSH(THRESHOLD, num_perm=128)
        for number, signature in enumerate(minhash(forms)):
            lsh.insert(number, signature)
        began = time.process_time()
        candidates = {(t, s) for t, m in enumerate(minhash(sample)) for s in lsh.query(m)}
        sketch.append(len(sample) / (time.process_time() - began))
    own = near_duplicates(index, sample)
    ours = set(zip(own.texts.tolist(), own.sentences.tolist(), strict=True))
    # The recall of MinHash needs more pairs than the corpora have: the test sentences against themselves too.
    exact = brute_force(forms, sample)
    mixed = forms + sample
    truth = brute_force(forms, mixed) - {(n, n) for n in range(len(forms))}
    own = near_duplicates(index, mixed)
    ours_mixed = set(zip(own.texts.tolist(), own.sentences.tolist(), strict=True))
    theirs = {(t, s) for t, m in enumerate(minhash(mixed)) for s in lsh.query(m)}
    finish(
        options,
        {
            "texts": len(texts),
            "words per text": round(words, 1),
            "sentences": len(forms),
            "near-duplicates among all texts": len(set(near.texts.tolist())),
            "texts per second, search alone": spread(search),
            "texts per second, with normal forms and exact matches": spread(whole),
            "texts per second, datasketch": spread(sketch),
            "times datasketch": spread([a / b for a, b in zip(search, sketch, strict=True)]),
            "pairs by brute force, sample": len(exact),
            "same pairs as brute force, sample": ours == exact,
            "pairs by brute force, sample and the sentences themselves": len(truth),
            "recall": len(truth & ours_mixed) / len(truth),
            "recall, datasketch": round(len(truth & theirs) / len(truth), 4),
            "candidates of datasketch, sample": len(candidates),
        },
    )


if __name__ == "__main__":
    main()
