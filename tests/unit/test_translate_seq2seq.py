"""Translating with sequence-to-sequence models: tiny untrained ones of each family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from translators import save_m2m100, save_marian, save_nllb

from distill.errors import ModelError
from distill.translate.engine import Engine
from distill.translate.seq2seq import FIRST_TOKEN, PREFIX_TOKEN, _batches, _language_tokens, seq2seq_engine

SENTENCES = ["A dog runs.", "The cat sleeps on the mat in the kitchen.", "A dog eats.", "No."]


@pytest.fixture(scope="session")
def texts(everyday_rows: list[dict[str, str]]) -> list[str]:
    return [row[code] for row in everyday_rows[:400] for code in ("en", "uk", "da")]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> dict[str, Path]:
    """Folders of tiny models of each family."""
    folder = tmp_path_factory.mktemp("translators")
    return {
        "marian": save_marian(folder / "marian", texts, source_lang="eng", target_lang="ukr"),
        "multi": save_marian(folder / "multi", texts, [">>ukr<<", ">>rus<<", ">>nob<<"], target_lang="zle"),
        "m2m100": save_m2m100(folder / "m2m100", texts),
        "nllb": save_nllb(folder / "nllb", texts),
    }


@pytest.fixture
def engine(models: dict[str, Path]) -> Callable[..., Engine]:
    def make(name: str, target: str = "uk", beams: int = 2) -> Engine:
        return seq2seq_engine(str(models[name]), None, source="en", target=target, beams=beams, where="--engine")

    return make


@pytest.mark.parametrize("name", ["marian", "multi", "m2m100", "nllb"])
def test_each_family_translates_as_its_own_generate_does(
    name: str, models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models[name])
    model = AutoModelForSeq2SeqLM.from_pretrained(models[name]).eval()
    options = {}
    if name == "m2m100":
        tokenizer.src_lang, options = "en", {"forced_bos_token_id": tokenizer.get_lang_id("uk")}
    if name == "nllb":
        tokenizer.src_lang = "eng_Latn"
        options = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids("ukr_Cyrl")}
    prefix, lengths = ">>ukr<< " if name == "multi" else "", []
    for sentence in SENTENCES:
        inputs = tokenizer(prefix + sentence, return_tensors="pt")
        new = min(2 * inputs["input_ids"].shape[1] + 24, 63)
        with torch.inference_mode():
            found = model.generate(**inputs, num_beams=2, do_sample=False, max_new_tokens=new, **options)
        expected = tokenizer.batch_decode(found, skip_special_tokens=True)[0].removeprefix("__uk__").strip()
        assert engine(name).translate([sentence])[0].text == expected
        lengths.append(len(expected))
    assert max(lengths) > 0  # an untrained model may end at once, but not always


@pytest.mark.parametrize("name", ["multi", "m2m100", "nllb"])
def test_the_target_language_changes_the_translation(name: str, engine: Callable[..., Engine]) -> None:
    assert engine(name, "uk").translate(SENTENCES) != engine(name, "ru").translate(SENTENCES)


def test_norwegian_is_found_by_each_of_its_codes(engine: Callable[..., Engine]) -> None:
    for name in ("multi", "m2m100", "nllb"):  # >>nob<<, __no__, nob_Latn
        assert engine(name, "nb").identity["target"] == "nb"


@pytest.mark.parametrize("name", ["multi", "nllb"])
def test_a_language_that_the_model_does_not_know_is_an_error(name: str, engine: Callable[..., Engine]) -> None:
    with pytest.raises(ModelError, match="does not know the language tlh") as caught:
        engine(name, "tlh")
    assert "be" in caught.value.expected if name == "nllb" else caught.value.expected == "one of nb, ru, uk"
    if name == "multi":
        with pytest.raises(ModelError, match="the nearest that it knows is nb"):
            engine(name, "da")


def test_a_model_for_another_pair_is_an_error(engine: Callable[..., Engine]) -> None:
    with pytest.raises(ModelError, match="its target_lang is ukr"):
        engine("marian", "da")


def test_names_of_languages_of_all_families_are_understood() -> None:
    tokens = ["zho_Hant", "zho_Hans", "lvs_Latn", "pes_Arab", "eng_Latn", "arb_Arab", "hello", "▁the_Latn"]
    assert _language_tokens(tokens, FIRST_TOKEN) == {
        "zh": "zho_Hans", "lv": "lvs_Latn", "fa": "pes_Arab", "en": "eng_Latn", "ar": "arb_Arab",
    }  # fmt: skip
    assert _language_tokens(["__uk__", "__no__"], FIRST_TOKEN) == {"uk": "__uk__", "nb": "__no__"}
    assert _language_tokens(["uk_UA", "en_XX"], FIRST_TOKEN) == {"uk": "uk_UA", "en": "en_XX"}
    assert _language_tokens(["<2uk>", "<2zh_Hant>", "</s>"], PREFIX_TOKEN) == {"uk": "<2uk>", "zh": "<2zh_Hant>"}


def test_batches_hold_all_rows_once_within_the_budget() -> None:
    lengths = [5, 900, 3, 3, 12, 7, 7, 1]
    batches = _batches(lengths, 24)
    assert sorted(row for batch in batches for row in batch) == list(range(8))
    assert batches[0] == [1]  # longer than the budget: alone
    assert all(len(batch) * max(lengths[row] for row in batch) <= 24 for batch in batches[1:])


def test_what_meets_the_length_limit_is_marked(engine: Callable[..., Engine]) -> None:
    long = " ".join(["The cat sleeps on the mat in the kitchen."] * 20)
    assert engine("marian").translate([long])[0].cut


def test_a_model_with_pickled_weights_only_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(models["marian"], folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="a pickle can run code"):
        seq2seq_engine(str(folder), None, source="en", target="uk", beams=1, where="--engine")


def test_the_revision_of_a_folder_is_a_hash_of_its_weights(engine: Callable[..., Engine]) -> None:
    assert engine("marian").identity["revision"] != engine("multi").identity["revision"]
    assert engine("marian").identity == engine("marian").identity
