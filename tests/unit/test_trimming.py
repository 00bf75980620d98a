"""Trimmed vocabularies: covered text is cut as before, other text still works, rows follow their pieces."""

from __future__ import annotations

import copy
import csv
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from distill.errors import ModelError
from distill.models import load_model
from distill.trimming import count_pieces, keep_rows, pieces_to_keep, trim_vocabulary, trimmed_tokenizer

EVERYDAY = Path(__file__).resolve().parents[2] / "distill" / "everyday" / "train.tsv"
with EVERYDAY.open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:600]
ALL = [row[code] for row in ROWS for code in ("en", "uk", "da", "sv", "nb")]
TEXTS = [row[code] for row in ROWS[:300] for code in ("en", "uk")]
OTHERS = [row[code] for row in ROWS[300:] for code in ("en", "uk", "da")]


def sentencepiece(folder: Path, name: str, **options: Any) -> None:
    """Train SentencePiece's own model and write it as a model repository has it."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ALL), model_writer=model, character_coverage=1.0, minloglevel=2, num_threads=1, **options
    )
    (folder / name).write_bytes(model.getvalue())


def xlm_roberta(folder: Path) -> Any:
    from transformers import XLMRobertaTokenizer

    sentencepiece(folder, "sentencepiece.bpe.model", model_type="unigram", vocab_size=4000)
    return XLMRobertaTokenizer.from_pretrained(folder)


def roberta(folder: Path) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(ALL, vocab_size=4000, special_tokens=special, show_progress=False)
    trained.save_model(str(folder))
    return RobertaTokenizer.from_pretrained(folder)


def llama(folder: Path) -> Any:
    from transformers import LlamaTokenizer

    sentencepiece(folder, "tokenizer.model", model_type="bpe", vocab_size=4000, byte_fallback=True)
    return LlamaTokenizer.from_pretrained(folder)


def bert(folder: Path) -> Any:
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    trained = BertWordPieceTokenizer(strip_accents=False)
    trained.train_from_iterator(ALL, vocab_size=4000, show_progress=False)
    trained.save_model(str(folder))
    return BertTokenizerFast(str(folder / "vocab.txt"), strip_accents=False)


def bpe_with_affixes(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=["<unk>", "<pad>"],
        continuing_subword_prefix="##",
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(ALL, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")


KINDS = {f.__name__: f for f in (xlm_roberta, roberta, llama, bert, bpe_with_affixes)}


@pytest.fixture(scope="module", params=list(KINDS))
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of each kind, trained on five languages."""
    return KINDS[request.param](tmp_path_factory.mktemp(request.param)).backend_tokenizer


@pytest.fixture(scope="module")
def xlmr_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return xlm_roberta(tmp_path_factory.mktemp("xlmr"))


def trimmed(tokenizer: Tokenizer, texts: list[str] = TEXTS, **options: Any) -> tuple[Tokenizer, Any]:
    counts = count_pieces(tokenizer, lambda: texts)
    return trimmed_tokenizer(tokenizer, pieces_to_keep(tokenizer, counts, **options))


def test_texts_that_were_counted_are_cut_as_before(tokenizer: Tokenizer) -> None:
    small, rows = trimmed(tokenizer)
    assert small.get_vocab_size() < 0.75 * tokenizer.get_vocab_size()
    pairs = list(zip(tokenizer.encode_batch(TEXTS), small.encode_batch(TEXTS), strict=True))
    assert all(before.tokens == after.tokens and before.offsets == after.offsets for before, after in pairs)
    # the row of each new id is that of the same piece: special tokens of the post-processor included
    assert all(before.ids == rows[after.ids].tolist() for before, after in pairs)
    before, after = tokenizer.encode("A cat.", "Кіт."), small.encode("A cat.", "Кіт.")
    assert (before.tokens, before.type_ids) == (after.tokens, after.type_ids)


def test_other_texts_are_cut_into_smaller_pieces(tokenizer: Tokenizer) -> None:
    small, _ = trimmed(tokenizer)
    before, after = tokenizer.encode_batch(OTHERS), small.encode_batch(OTHERS)
    unknown = {"<unk>", "[UNK]"}
    assert [sum(t in unknown for t in e.tokens) for e in after] == [sum(t in unknown for t in e.tokens) for e in before]
    assert sum(len(e) for e in before) < sum(len(e) for e in after) < 1.6 * sum(len(e) for e in before)
    seen_languages = [i for i in range(len(OTHERS)) if i % 3 < 2]
    same = np.mean([before[i].tokens == after[i].tokens for i in seen_languages])
    assert same > 0.3  # unseen sentences of the same languages, from 600 counted ones
    assert small.decode(after[1].ids) == tokenizer.decode(before[1].ids)


def test_order_and_everything_but_the_vocabulary_stay(tokenizer: Tokenizer) -> None:
    import json

    small, rows = trimmed(tokenizer)
    assert (np.diff(rows) > 0).all()
    old, new = json.loads(tokenizer.to_str()), json.loads(small.to_str())
    assert all(old[part] == new[part] for part in ("normalizer", "pre_tokenizer", "decoder"))
    contents = [[{**token, "id": 0} for token in state["added_tokens"]] for state in (old, new)]
    assert contents[0] == contents[1]
    if old["model"]["type"] == "BPE":
        left = iter(old["model"]["merges"])
        assert all(merge in left for merge in new["model"]["merges"])  # a subsequence


def test_a_target_size_keeps_the_most_frequent(tokenizer: Tokenizer) -> None:
    whole, _ = trimmed(tokenizer)
    for size in (whole.get_vocab_size() - 1, 1_000):
        small, _ = trimmed(tokenizer, size=size)
        assert 0.98 * size < small.get_vocab_size() <= size
    frequent = [row["en"] for row in ROWS[:100]] * 50
    kept, _ = trimmed(tokenizer, texts=frequent + TEXTS, size=1_200)
    lost = lambda text: kept.encode(text).tokens != tokenizer.encode(text).tokens  # noqa: E731
    assert sum(map(lost, frequent[:100])) < 0.5 * sum(map(lost, TEXTS[200:300]))
    with pytest.raises(ModelError, match=r"vocabulary\.size"):
        trimmed(tokenizer, size=20)


def test_rare_pieces_are_left_out(tokenizer: Tokenizer) -> None:
    sizes = [trimmed(tokenizer, min_count=n)[0].get_vocab_size() for n in (1, 2, 5)]
    assert sizes[0] > sizes[1] > sizes[2]


@given(kept=st.sets(st.sampled_from(sorted({word for text in ALL for word in text.split()})), min_size=1, max_size=20))
def test_any_words_keep_their_pieces(kept: set[str]) -> None:
    tokenizer = TINY_BPE
    words = sorted(kept)
    ids = {id_ for encoding in tokenizer.encode_batch(words) for id_ in encoding.ids}
    small, rows = trimmed_tokenizer(tokenizer, ids)
    assert [e.tokens for e in small.encode_batch(words)] == [e.tokens for e in tokenizer.encode_batch(words)]
    assert ids <= set(rows.tolist())


def _tiny_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(ALL, trainers.BpeTrainer(vocab_size=800, show_progress=False))
    return tokenizer


TINY_BPE = _tiny_bpe()


def test_large_scripts_stay_only_where_they_are_used() -> None:
    han = [chr(0x4E00 + i) for i in range(1_500)]
    vocabulary = [("<unk>", 0.0), *((piece, -5.0) for piece in ["▁", "a", "b", "ß", "ж", "ab", *han])]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    latin, _ = trimmed(tokenizer, ["ab"])
    assert set(latin.get_vocab()) == {"<unk>", "▁", "a", "b", "ß", "ж", "ab"}
    assert trimmed(tokenizer, ["ab", han[3]])[0].get_vocab_size() == len(vocabulary)


def test_words_are_parted_where_the_pre_tokenizer_leaves_texts_whole() -> None:
    """As Gemma's does, which looks for blanks that the normalizer has replaced."""
    vocabulary = {piece: i for i, piece in enumerate(["▁", "a", "b", "c", "▁a", "ab", "▁ab", "b▁c"])}
    plain = Tokenizer(models.BPE(vocabulary, [("▁", "a"), ("a", "b"), ("▁a", "b")]))
    plain.normalizer = normalizers.Replace(" ", "▁")
    whole = Tokenizer.from_str(plain.to_str())
    whole.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    for tokenizer in (plain, whole):
        held = count_pieces(tokenizer, lambda: ["ab c", "b ab"]).held
        assert {piece: int(held[i]) for piece, i in vocabulary.items() if held[i]} == {
            "▁": 2, "a": 2, "b": 3, "c": 1, "▁a": 1, "ab": 2, "▁ab": 1,
        }  # fmt: skip


def test_unknown_characters_weigh_as_before() -> None:
    """The score of an unknown character is that of the worst piece less 10: that piece must stay."""
    vocabulary = [("<unk>", 0.0), ("a", -1.0), ("ab", -2.0), ("c", -3.0), ("bcd", -12.5), ("zz", -9.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    small, _ = trimmed_tokenizer(tokenizer, pieces_to_keep(tokenizer, count_pieces(tokenizer, lambda: ["abc", "abxc"])))
    assert "bcd" in small.get_vocab()
    assert "zz" not in small.get_vocab()


def test_other_kinds_of_tokenizers_are_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(ModelError, match="WordLevel"):
        trimmed(tokenizer, ["a"])


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that makes an untrained sentence-transformers model of a config class and a tokenizer."""

    def make(tokenizer: Any, kind: str, extra_rows: int = 0) -> Any:
        from transformers import AutoConfig, AutoModel

        torch.manual_seed(0)
        config = AutoConfig.for_model(
            kind,
            vocab_size=len(tokenizer) + extra_rows,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=130,
            pad_token_id=tokenizer.pad_token_id,
        )
        AutoModel.from_config(config).save_pretrained(tmp_path / kind)
        tokenizer.save_pretrained(tmp_path / kind)
        return load_model("model", str(tmp_path / kind))

    return make


@pytest.mark.parametrize(
    ("maker", "kind", "extra_rows"), [(xlm_roberta, "xlm-roberta", 35), (roberta, "roberta", 0), (bert, "bert", 0)]
)
def test_vectors_of_a_saved_trimmed_model_are_the_same(
    maker: Callable[[Path], Any], kind: str, extra_rows: int, make_model: Callable[..., Any], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    model = make_model(maker(tmp_path), kind, extra_rows)
    before = model.encode(TEXTS[:60], show_progress_bar=False)
    positions = model[0].model.embeddings.position_embeddings.weight.clone()
    pieces = len(model[0].model.get_input_embeddings().weight)
    trim_vocabulary(model, lambda: TEXTS, languages=2)
    model.save_pretrained(str(tmp_path / "trimmed"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "trimmed"), device="cpu")
    assert np.allclose(again.encode(TEXTS[:60], show_progress_bar=False), before, atol=1e-6)
    encoder, tokenizer = again[0].model, again.tokenizer
    assert len(tokenizer) == encoder.config.vocab_size == len(encoder.get_input_embeddings().weight) < 0.75 * pieces
    assert torch.equal(encoder.embeddings.position_embeddings.weight, positions)
    config = encoder.config
    assert config.pad_token_id == tokenizer.pad_token_id == encoder.get_input_embeddings().padding_idx
    assert tokenizer.mask_token_id == tokenizer.get_vocab()[model.tokenizer.mask_token]
    assert tokenizer.model_max_length == model.tokenizer.model_max_length
    if kind != "bert":
        assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (0, 1, 2)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_language_model_heads_keep_the_same_rows(kind: str, tied: bool, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = AutoConfig.for_model(kind, vocab_size=50, pad_token_id=1, tie_word_embeddings=tied, **sizes)
    model = AutoModelForMaskedLM.from_config(config).eval()
    torch.nn.init.normal_(model.get_output_embeddings().bias)
    old = copy.deepcopy(model)
    rows = np.array([0, 1, 2, 3, 10, 20, 21, 49])
    keep_rows(model, rows)
    found = [model]
    if tied:  # transformers itself loses the bias of a saved untied head
        model.save_pretrained(tmp_path)
        found.append(AutoModelForMaskedLM.from_pretrained(tmp_path).eval())
    with torch.inference_mode():
        expected = old(input_ids=torch.tensor([[0, 20, 49, 2]])).logits[..., rows]
        for new in found:
            assert torch.allclose(new(input_ids=torch.tensor([[0, 5, 7, 2]])).logits, expected, atol=1e-6)


def test_prompts_are_covered(xlmr_tokenizer: Any, make_model: Callable[..., Any]) -> None:
    model = make_model(xlmr_tokenizer, "xlm-roberta")
    model.prompts = {"query": ROWS[400]["sv"]}
    tokens = model.tokenizer.tokenize(model.prompts["query"])
    trim_vocabulary(model, lambda: TEXTS, languages=2)
    assert model.tokenizer.tokenize(model.prompts["query"]) == tokens


@pytest.mark.parametrize("languages", [1, 2])
def test_two_languages_of_xlm_roberta_stay_under_125_million(languages: int, make_model: Callable[..., Any]) -> None:
    """Its body is 86.0M parameters (278.0M less 250,002 × 768); the default bound on pieces decides the rest."""
    from transformers import BertTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["".join(word) for word in itertools.product(letters, repeat=3)]
    words += [word + "z" for word in words[: 60_000 - len(words)]]  # more than two languages may keep
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *words]
    model = make_model(BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)}), "bert")
    lost = trim_vocabulary(model, lambda: [" ".join(words)], languages=languages)
    rows = len(model[0].model.get_input_embeddings().weight)
    assert rows == len(model.tokenizer) == 25_000 * languages
    assert lost == pytest.approx(1 - (rows - 5 - len(letters)) / len(words))
    with torch.device("meta"):
        config = XLMRobertaConfig(vocab_size=rows, max_position_embeddings=514, type_vocab_size=1)
        trimmed = XLMRobertaModel(config)
    assert sum(p.numel() for p in trimmed.parameters()) == 278_043_648 - (250_002 - rows) * 768 < 125e6


@pytest.mark.parametrize("where", ["student.vocabulary.size", "--size"])
def test_a_size_that_is_too_small_is_named_as_the_user_gave_it(
    where: str, xlmr_tokenizer: Any, make_model: Callable[..., Any]
) -> None:
    model = make_model(xlmr_tokenizer, "xlm-roberta")
    with pytest.raises(ModelError, match="found 10") as error:
        trim_vocabulary(model, lambda: TEXTS, languages=2, size=10, where=where)
    assert error.value.where == where
    least = re.search(r"at least (\d+)", error.value.expected)
    assert least
    assert trim_vocabulary(model, lambda: TEXTS, languages=2, size=int(least[1]), where=where) > 0
    assert len(model.tokenizer) == int(least[1])
