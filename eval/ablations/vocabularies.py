"""Vocabularies of each kind of English tokenizer extended: whether English stays, and pieces per word before and after.

The teachers' tokenizers are learnt here from the English sides of all real corpora, as BERT, RoBERTa, T5, ALBERT and
DeBERTa-v3 have them; the other languages' pieces from every n-th training row. `dev` are rows not learnt from.

Usage: python eval/ablations/vocabularies.py [--languages uk sv] [--pieces 30000] [--size 12000] [--every 1]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import sentencepiece
import transformers
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer, Tokenizer

from distill.trimming import plain_tokenizer
from distill.vocabulary import count_strings, extended_tokenizer, kept_accents

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "parallel"
CORPORA = ("tatoeba", "news", "docs", "software")
UNIGRAM = {
    "T5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    "Albert": {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "user_defined_symbols": "[CLS],[SEP],[MASK]",
               "normalization_rule_name": "nmt_nfkc_cf"},
    "DebertaV2": {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
                  "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
}  # fmt: skip


def english_tokenizer(kind: str, texts: list[str], pieces: int) -> Tokenizer:
    """Return a tokenizer of a kind, learnt from texts."""
    folder = Path(tempfile.mkdtemp())
    if kind in UNIGRAM:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=pieces,
            hard_vocab_limit=False, num_threads=1, minloglevel=2, **UNIGRAM[kind],
        )  # fmt: skip
        cls = getattr(transformers, f"{kind}Tokenizer")
        (folder / cls.vocab_files_names["vocab_file"]).write_bytes(model.getvalue())
    else:
        cls = getattr(transformers, f"{kind}Tokenizer")
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        trained = ByteLevelBPETokenizer() if kind == "Roberta" else BertWordPieceTokenizer(lowercase=True)
        given = {"special_tokens": special} if kind == "Roberta" else {}
        trained.train_from_iterator(texts, vocab_size=pieces, show_progress=False, **given)
        trained.save_model(str(folder))
    return plain_tokenizer(cls.from_pretrained(folder).backend_tokenizer)


def rows(language: str, split: str) -> tuple[list[str], list[str]]:
    """Return both sides of the corpora of a language."""
    files = [path for name in CORPORA if (path := DATA / name / f"en-{language}" / f"{split}.parquet").exists()]
    tables = [pq.read_table(path) for path in files]
    english, other = ([text for t in tables for text in t[c].to_pylist()] for c in ("english", "non_english"))
    return english, other


def ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def pieces_per_word(tokenizer: Tokenizer, texts: list[str]) -> float:
    return sum(map(len, ids(tokenizer, texts))) / sum(len(text.split()) for text in texts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Extend tokenizers of all kinds.")
    parser.add_argument("--languages", nargs="+", default=["uk", "sv"])
    parser.add_argument("--kinds", nargs="+", default=["Bert", "Roberta", *UNIGRAM])
    parser.add_argument("--pieces", type=int, default=30_000)
    parser.add_argument("--size", type=int, default=12_000)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    files = sorted(DATA.glob("*/en-*/train.parquet"))
    texts = sorted({text for path in files for text in pq.read_table(path)["english"].to_pylist()})
    print(
        "| language | teacher | new | English as before | dev | pieces per word | dev | processor s |\n"
        + "|---" * 8
        + "|"
    )
    for kind in options.kinds:
        teacher = english_tokenizer(kind, texts, options.pieces)
        for language in options.languages:
            english, other = (side[:: options.every] for side in rows(language, "train"))
            began = time.process_time()
            new = extended_tokenizer(teacher, lambda e=english: e, [lambda o=other: o], size=options.size, min_count=2)
            seconds = time.process_time() - began
            accents = set(kept_accents(count_strings(other)))
            cells = [language, kind, f"{new.get_vocab_size() - teacher.get_vocab_size():,}"]
            dev = rows(language, "dev")
            for side in (english, dev[0]):
                kept = [text for text in side if not accents & set(text)]
                same = sum(a == b for a, b in zip(ids(teacher, kept), ids(new, kept), strict=True))
                cells.append(f"{same:,} / {len(kept):,}")
            for side in (other, dev[1]):
                cells.append(" → ".join(f"{pieces_per_word(tokenizer, side):.2f}" for tokenizer in (teacher, new)))
            print(f"| {' | '.join(cells)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
