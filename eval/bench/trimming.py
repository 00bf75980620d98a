"""How small a trimmed vocabulary is, and which share of unseen text is cut as before.

An XLM-R tokenizer of 80,000 pieces is trained (SentencePiece, Unigram) on all languages of the shared data and trimmed
to the corpora of some; dev rows, NTREX and Tatoeba were not counted.

Usage: python eval/bench/trimming.py [--pieces 80000] [--json FILE]
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import sentencepiece
from common import DATA, finish, start
from tokenizers import Tokenizer
from transformers import XLMRobertaTokenizer

from distill.trimming import Counts, count_pieces, pieces_to_keep, trimmed_tokenizer

LANGUAGES = {"en+uk": ["uk"], "en+sv+da+nb": ["sv", "da", "nb"], "en+de": ["de"]}
CORPORA = ("tatoeba", "news", "docs", "software", "multi30k", "stsb")
XLM_R_BODY = 278_043_648 - 250_002 * 768


def texts(split: str, languages: list[str]) -> Iterator[str]:
    """Yield both sides of the corpora of some languages."""
    for corpus, language in itertools.product(CORPORA, languages):
        path = DATA / "parallel" / corpus / f"en-{language}" / f"{split}.parquet"
        if path.is_file():
            table = pq.read_table(path)
            yield from (text for side in ("english", "non_english") for text in table[side].to_pylist())


def held_out(languages: list[str]) -> dict[str, list[str]]:
    """Return texts that are not counted, by name."""
    sets = {"dev": list(texts("dev", languages))}
    for suite, language in itertools.product(("ntrex", "tatoeba"), languages):
        path = DATA / "bitext" / suite / f"en-{language}.tsv"
        if path.is_file():
            rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
            sets |= {f"{suite} {code}": [row[i] for row in rows] for i, code in enumerate(("en", language))}
    return sets


def xlm_r_tokenizer(pieces: int) -> Tokenizer:
    """Return an XLM-R tokenizer trained on the training rows of all languages."""
    languages = sorted({path.name[3:] for path in (DATA / "parallel").glob("*/en-*")})
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sorted(set(texts("train", languages)))),
        model_writer=model,
        vocab_size=pieces,
        model_type="unigram",
        character_coverage=0.9999,
        seed_sentencepiece_size=4 * pieces,
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sentencepiece.bpe.model").write_bytes(model.getvalue())
        return XLMRobertaTokenizer.from_pretrained(folder).backend_tokenizer


def unchanged(whole: Tokenizer, small: Tokenizer, sentences: list[str]) -> list[float]:
    """Return the percentage of sentences and of pieces that are as before."""
    before, after = (t.encode_batch(sentences, add_special_tokens=False) for t in (whole, small))
    vocabulary = small.get_vocab()
    kept = [whole.id_to_token(id_) in vocabulary for encoding in before for id_ in encoding.ids]
    same = [a.tokens == b.tokens for a, b in zip(before, after, strict=True)]
    return [round(100 * float(np.mean(same)), 1), round(100 * float(np.mean(kept)), 2)]


def main() -> None:
    """Trim for each group of languages, by each rule."""
    options = start(__doc__ or "", pieces=80_000)
    whole = xlm_r_tokenizer(options.pieces)
    figures: dict[str, object] = {"pieces": whole.get_vocab_size()}
    for name, languages in LANGUAGES.items():
        counted = list(dict.fromkeys(texts("train", languages)))
        began = time.process_time()
        counts = count_pieces(whole, lambda counted=counted: counted)
        seconds = time.process_time() - began
        only_cut: Counts = dataclasses.replace(counts, held=np.zeros_like(counts.held))
        limit = 25_000 * (1 + len(languages))
        rules = {
            "default": pieces_to_keep(whole, counts, size=limit),
            "pieces of the cut only": pieces_to_keep(whole, only_cut),
            "pieces of the cut only, twice": pieces_to_keep(whole, only_cut, min_count=2),
            "20,000 pieces": pieces_to_keep(whole, counts, size=20_000),
        }
        rows: dict[str, object] = {}
        for rule, kept in rules.items():
            small, _ = trimmed_tokenizer(whole, kept)
            sets = {"counted": counted[:: len(counted) // 2_000], **held_out(languages)}
            rows[rule] = {
                "pieces": (size := small.get_vocab_size()),
                "parameters of XLM-R base with as many": XLM_R_BODY + 768 * size,
                "% of sentences and pieces as before": {n: unchanged(whole, small, found) for n, found in sets.items()},
            }
        figures[name] = {"texts": len(counted), "counting (CPU seconds)": round(seconds, 1), **rows}
    finish(options, figures)


if __name__ == "__main__":
    main()
