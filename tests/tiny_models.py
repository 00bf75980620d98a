"""Untrained models that load in milliseconds."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def make_tiny_model(folder: Path, texts: Sequence[str]) -> Path:
    """Return the folder of an untrained two-layer BERT with 32 dimensions, mean pooling and unit-length vectors.

    Its vocabulary is learnt from texts. Beside it, `plain` is the transformers model without pooling.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(texts, vocab_size=1200, show_progress=False)
    (folder / "plain").mkdir()
    trainer.save_model(str(folder / "plain"))
    tokenizer = BertTokenizerFast(str(folder / "plain" / "vocab.txt"), do_lower_case=True, model_max_length=64)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    transformer = Transformer(str(folder / "plain"), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean"), Normalize()], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def bpe_tokenizer(folder: Path, texts: Sequence[str]) -> Any:
    """Return a byte-level BPE tokenizer as RoBERTa has it, learnt from texts."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(texts, vocab_size=1200, special_tokens=special, show_progress=False)
    trained.save_model(str(folder))
    return RobertaTokenizer.from_pretrained(folder, model_max_length=64)


def unigram_tokenizer(folder: Path, texts: Sequence[str], like: str) -> Any:
    """Return a Unigram tokenizer as T5, ALBERT or DeBERTa-v3 have it, learnt from texts by SentencePiece."""
    import sentencepiece
    import transformers

    ids: dict[str, Any] = {
        "T5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        "Albert": {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "user_defined_symbols": "[CLS],[SEP],[MASK]"},
        "DebertaV2": {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
                      "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
    }  # fmt: skip
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=1000, num_threads=1,
        minloglevel=2, normalization_rule_name="nmt_nfkc_cf" if like == "Albert" else "nmt_nfkc", **ids[like],
    )  # fmt: skip
    kind = getattr(transformers, f"{like}Tokenizer")
    (folder / kind.vocab_files_names["vocab_file"]).write_bytes(model.getvalue())
    return kind.from_pretrained(folder, model_max_length=64)


def make_tiny_encoder(folder: Path, tokenizer: Any) -> Path:
    """Return the folder of an untrained model of the tokenizer's kind, with mean pooling and vectors of any length."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    name = type(tokenizer).__name__.removesuffix("Tokenizer")
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 64, "max_position_embeddings": 70, "embedding_size": 16}
    if name == "T5":
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer) + 8, pad_token_id=tokenizer.pad_token_id, **sizes
    )
    torch.manual_seed(0)
    encoder = getattr(transformers, "T5EncoderModel" if name == "T5" else f"{name}Model")(config)
    encoder.save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    transformer = Transformer(str(folder / "plain"), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean")], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def with_own_code(model: Path, folder: Path) -> Path:
    """Return the folder of a copy of a model whose architecture is in a Python file of its own."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (architecture,) = config["architectures"]
    configuration = architecture.replace("Model", "Config")
    (folder / "modeling_own.py").write_text(
        f"from transformers import {configuration}, {architecture}\n\n"
        f"class OwnConfig({configuration}):\n    model_type = 'own'\n\n"
        f"class OwnModel({architecture}):\n    config_class = OwnConfig\n"
    )
    auto = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    own = {**config, "model_type": "own", "architectures": ["OwnModel"], "auto_map": auto}
    (folder / "config.json").write_text(json.dumps(own))
    return folder
