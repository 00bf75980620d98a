"""Untrained models that load in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


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
