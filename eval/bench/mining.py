"""Mined negatives: how many planted positives the true-negative test rejects, and what it keeps.

Usage: python eval/bench/mining.py [--pool 10000] [--json FILE]    (needs the extra mining and ../shared/data)

English sentences of Tatoeba with the same translation mean the same. Of each such group of three or more, one sentence
is the anchor, one its positive, and the others are planted among the passages, which are these, the positives and
`--pool` other sentences. A planted positive that a search finds must be rejected. All other candidates, of other
groups, count as true negatives; a few of them mean the same as the anchor, too. The judge is all-MiniLM-L6-v2.
All times are processor seconds.
"""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from common import DATA, finish, start

from distill.mining import (
    DEFAULT_MODEL,
    Judge,
    MakeFind,
    NegativeSettings,
    bm25,
    cosines,
    dense,
    load_encoder,
    mine_negatives,
    similar_names,
)
from distill.mining.candidates import approximate_search, candidates
from distill.neighbours import search, unit

LANGUAGES = ("cs", "da", "de", "fr", "nb", "sv", "uk")
TOP = 100
MARGINS = (0.0, 0.05, 0.1, 0.2, 0.3)
"""Relative margins; 0.05 is NV-Retriever's."""


def groups() -> tuple[list[list[str]], list[str]]:
    """Return groups of English sentences with the same translation, none in two groups, and all sentences."""
    by_translation: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    sentences: set[str] = set()
    for language in LANGUAGES:
        rows = pq.read_table(Path(DATA) / "parallel" / "tatoeba" / f"en-{language}" / "train.parquet").to_pydict()
        sentences.update(rows["english"])
        for english, other in zip(rows["english"], rows["non_english"], strict=True):
            by_translation[language, other.casefold()].add(english)
    found: list[list[str]] = []
    seen: set[str] = set()
    for group in sorted(map(sorted, by_translation.values()), key=lambda group: (-len(group), group)):
        if len(group) > 2 and not seen & set(group):
            found.append(group)
        seen.update(group)
    return found, sorted(sentences)


def measure(
    rows: list[list[str]], passages: list[str], searches: dict[str, MakeFind], judge: Judge, margin: float
) -> dict[str, object]:
    """Return what becomes of planted positives and others with one kind of search and one margin."""
    anchors, positives = [row[0] for row in rows], [row[1] for row in rows]
    place = {text: number for number, text in enumerate(passages)}
    planted = [{place[text] for text in row[2:]} for row in rows]
    finds = {name: make(anchors, passages, TOP) for name, make in searches.items()}
    found = candidates(finds, np.arange(len(rows)), len(passages))
    proposed = [set(found.passage[found.query == number]) for number in range(len(rows))]
    n_planted = sum(len(proposed[number] & planted[number]) for number in range(len(rows)))

    def mined(count: int, choose: str) -> list[set[int]]:
        how = NegativeSettings(count=count, top=TOP, relative_margin=margin, choose=choose)  # type: ignore[arg-type]
        result = mine_negatives(anchors, positives, passages, searches, judge, how)
        return [set(row[row >= 0].tolist()) for row in result.passages]

    began = time.process_time()
    kept = mined(len(searches) * TOP, "top")
    seconds = time.process_time() - began
    surviving = sum(len(kept[number] & planted[number]) for number in range(len(rows)))
    own = [{place[text] for text in row[1:]} for row in rows]
    others = sum(len(proposed[number] - own[number]) for number in range(len(rows)))
    others_kept = sum(len(kept[number] - own[number]) for number in range(len(rows)))
    wrong = {
        choose: sum(bool(chosen & planted[number]) for number, chosen in enumerate(mined(1, choose)))
        for choose in ("top", "random")
    }
    first = np.array(
        [min(proposed[n] - {place[positives[n]]}, key=_order(found, n)) in planted[n] for n in range(len(rows))]
    )
    return {
        "planted positives among the candidates": n_planted,
        "of all planted": round(n_planted / sum(map(len, planted)), 4),
        "planted rejected": round(1 - surviving / n_planted, 4),
        "others kept": round(others_kept / others, 4),
        "rows without a negative": sum(not row for row in kept),
        "rows whose first candidate is planted, without the test": round(float(first.mean()), 4),
        "rows whose negative is planted, top": round(wrong["top"] / len(rows), 4),
        "rows whose negative is planted, random": round(wrong["random"] / len(rows), 4),
        "seconds": round(seconds, 2),
    }


def _order(found: object, number: int) -> object:
    """Return a key that puts the best-ranked candidate of a query first."""
    own = found.query == number  # type: ignore[attr-defined]
    ranks = np.min([np.where(rank > 0, rank, TOP + 1)[own] for rank in found.ranks.values()], axis=0)  # type: ignore[attr-defined]
    best = dict(zip(found.passage[own].tolist(), ranks.tolist(), strict=True))  # type: ignore[attr-defined]
    return best.get


def main() -> None:
    """Measure each search with each margin; then the approximate search and similar names in their time."""
    options = start(__doc__ or "", pool=10_000, sentences=60_000, names=50_000)
    found, sentences = groups()
    random = np.random.default_rng(0)
    rows = [[str(text) for text in random.permutation(group)] for group in found]
    pool = [sentences[i] for i in random.permutation(len(sentences))[: options.pool]]
    passages = sorted({*pool, *(text for row in rows for text in row[1:])} - {row[0] for row in rows})
    encode_texts = load_encoder("model", DEFAULT_MODEL)
    began = time.process_time()
    encode_texts([*passages, *(row[0] for row in rows)])
    embedding = time.process_time() - began
    judge = cosines(encode_texts)
    both: dict[str, MakeFind] = {"bm25": bm25, "dense": partial(dense, encode_texts)}
    kinds = {"bm25": ["bm25"], "dense": ["dense"], "bm25,dense": ["bm25", "dense"]}
    tested = {
        f"{kind}, relative margin {margin:g}": measure(
            rows, passages, {name: both[name] for name in names}, judge, margin
        )
        for kind, names in kinds.items()
        for margin in MARGINS
    }

    vectors = unit(encode_texts(sentences[: options.sentences]))
    began = time.process_time()
    find, recall = approximate_search(vectors, vectors, TOP)
    built = time.process_time() - began
    sample = np.arange(min(2_000, len(vectors)))
    began = time.process_time()
    find(sample, None)
    approximate = time.process_time() - began
    began = time.process_time()
    search(vectors[sample], vectors, TOP)
    exact = time.process_time() - began

    names = [" ".join(sentence.split()[:2]) for sentence in sentences]
    names = list(dict.fromkeys(names))[: options.names]
    began = time.process_time()
    similar = similar_names(names)
    finish(
        options,
        {
            "rows": len(rows),
            "passages": len(passages),
            "seconds for their vectors": round(embedding, 1),
            "negatives": tested,
            "approximate search": {
                "passages": len(vectors),
                f"recall@{TOP}": round(recall, 4),
                "seconds to build and to tune": round(built, 1),
                "milliseconds a query": round(approximate / len(sample) * 1e3, 2),
                "milliseconds a query, exact": round(exact / len(sample) * 1e3, 2),
            },
            "similar names": {
                "names (the first two words of sentences)": len(names),
                "pairs": len(similar.score),
                "seconds": round(time.process_time() - began, 1),
            },
        },
    )


if __name__ == "__main__":
    main()
