"""How many sentences a second a static student encodes, and where the time goes.

Real English and Swedish sentences, half of each. The vectors are random, which takes as long; the tokenizer is that of
recipes/static-sv.yaml. Rates are per second, and per second of processor time, which other work disturbs less.

Usage: python eval/bench/static.py [--repeats 3] [--sentences 20000] [--json FILE]
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from common import DATA, finish, load, recipe, spread, start
from sentence_transformers import SentenceTransformer

from distill.corpora import Corpus
from distill.encode import encode
from distill.skip import with_map
from distill.static import assemble
from distill.trimming import plain_tokenizer
from distill.vocabulary import extended_tokenizer


def sentences(corpora: list[Corpus], column: str) -> list[str]:
    """Return the training texts of one side."""
    return [text for corpus in corpora for text in corpus.texts(column, corpus.train)]


def main() -> None:
    """Measure and print."""
    options = start("Encoding with a static student.", sentences=20_000)
    names = ("tatoeba", "stsb", "docs", "software", "pud")
    folders = {name: {"folder": DATA / "parallel" / name, "languages": ["sv"]} for name in names}
    corpora_section = folders if DATA.is_dir() else {"everyday": {"bundled": "everyday", "languages": ["sv"]}}
    teacher, corpora = load(recipe(corpora=corpora_section))
    english, swedish = sentences(corpora, "english"), sentences(corpora, "non_english")
    old = plain_tokenizer(teacher.model.tokenizer.backend_tokenizer)
    sides = (lambda: iter(english), [lambda: iter(swedish)])
    tokenizer = extended_tokenizer(old, *sides, size=None, min_count=2)
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 384)).astype(np.float32)
    student = assemble(tokenizer, vectors, unit_length=True)

    generator = np.random.default_rng(0)
    chosen = [str(text) for side in (english, swedish) for text in generator.choice(side, options.sentences // 2)]
    few = chosen[:: max(1, len(chosen) // 400)]
    unfitted = np.zeros((385, 384), np.float32)
    ways: dict[str, tuple[Callable[[list[str]], object], list[str]]] = {
        "normalizer only": (lambda texts: [tokenizer.normalizer.normalize_str(text) for text in texts], chosen),
        "tokenizer only": (lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False), chosen),
        "teacher's tokenizer only": (lambda texts: old.encode_batch_fast(texts, add_special_tokens=False), chosen),
        "distill": (partial(encode, student), chosen),
        "the teacher, sentence-transformers": (partial(_encode, teacher.model, 32), few),
        "the same with a skip connection": (
            partial(_encode, with_map(copy.deepcopy(teacher.model), unfitted), 32),
            few,
        ),
    }
    for size in (32, 256, 1024):
        ways[f"sentence-transformers, batches of {size}"] = (partial(_encode, student, size), chosen)
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, (run, texts) in ways.items():
            began, used = time.perf_counter(), time.process_time()
            run(texts)
            wall[name].append(len(texts) / (time.perf_counter() - began))
            processor[name].append(len(texts) / (time.process_time() - used))
    figures: dict[str, object] = {
        "sentences": len(chosen),
        "words per sentence": round(float(np.mean([len(text.split()) for text in chosen])), 1),
        "pieces": tokenizer.get_vocab_size(),
        "sentences per second": {name: spread(values) for name, values in wall.items()},
        "sentences per second of processor time": {name: round(median(v)) for name, v in processor.items()},
    }
    finish(options, figures)


def _encode(model: SentenceTransformer, batch_size: int, texts: list[str]) -> object:
    return model.encode(texts, batch_size=batch_size, show_progress_bar=False)


if __name__ == "__main__":
    main()
