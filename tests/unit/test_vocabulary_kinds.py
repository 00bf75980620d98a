"""Vocabularies of teachers with BPE and Unigram tokenizers, and transplants and static students of such teachers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import bpe_tokenizer, make_tiny_encoder, unigram_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from distill.corpora import SentenceFilter, load_corpora
from distill.encode import encode
from distill.errors import ModelError
from distill.recipe import load_recipe
from distill.student import build_student, load_student, save_student
from distill.teacher import load_teacher
from distill.trimming import plain_tokenizer
from distill.vocabulary import Texts, add_words, count_strings, extended_tokenizer, kept_accents, replaced_tokenizer
from distill.vocabulary.bpe import CONTINUATION
from distill.vocabulary.build import ENGLISH, spellings

Rows = list[dict[str, str]]
CPU = torch.device("cpu")
KINDS = ["Roberta", "T5", "Albert", "DebertaV2"]
LANGUAGES = ["uk", "sv"]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of English teacher."""
    return str(request.param)


@pytest.fixture(scope="module")
def whole(kind: str, everyday_rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An English tokenizer of the kind, as transformers has it."""
    folder, english = tmp_path_factory.mktemp(kind), [row["en"] for row in everyday_rows]
    return bpe_tokenizer(folder, english) if kind == "Roberta" else unigram_tokenizer(folder, english, kind)


@pytest.fixture(scope="module")
def teacher(whole: Any) -> Tokenizer:
    """The tokenizer without transformers around it."""
    return plain_tokenizer(whole.backend_tokenizer)


def texts(rows: Rows, language: str) -> Texts:
    def iterate() -> Iterator[str]:
        return (row[language] for row in rows)

    return iterate


def extend(teacher: Tokenizer, rows: Rows, language: str, size: int = 1000, min_count: int = 2) -> Tokenizer:
    return extended_tokenizer(teacher, texts(rows, "en"), [texts(rows, language)], size=size, min_count=min_count)


def all_ids(tokenizer: Tokenizer, given: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(given)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_english_keeps_its_ids_and_the_language_needs_fewer_pieces(
    teacher: Tokenizer, everyday_rows: Rows, language: str
) -> None:
    new = extend(teacher, everyday_rows, language)
    ids = new.get_vocab()
    before = len(teacher.get_vocab())
    assert 500 < len(ids) - before <= 1000
    assert sorted(ids.values()) == list(range(len(ids)))
    english = [row["en"] for row in everyday_rows if ENGLISH.fullmatch(row["en"])]
    assert len(english) > 0.98 * len(everyday_rows)
    assert all_ids(new, english) == all_ids(teacher, english)
    others = [row[language] for row in everyday_rows]
    pieces = sum(len(encoding) for encoding in new.encode_batch(others, add_special_tokens=False))
    assert pieces < 0.5 * sum(map(len, others))
    unknown = {new.token_to_id("<unk>"), new.token_to_id("[UNK]")}
    for text, encoding in zip(others, new.encode_batch(others), strict=True):
        lost = [text[slice(*place)] for i, place in zip(encoding.ids, encoding.offsets, strict=True) if i in unknown]
        assert ENGLISH.fullmatch("".join(lost))  # what the teacher does not know in English either


@pytest.mark.parametrize(("language", "pairs"), [("uk", ["й и", "ї і"]), ("sv", ["å a", "ö o"])])
def test_letters_of_the_alphabet_keep_their_marks(
    teacher: Tokenizer, everyday_rows: Rows, language: str, pairs: list[str]
) -> None:
    new = extend(teacher, everyday_rows, language)
    for one, two in map(str.split, pairs):
        assert one in kept_accents(count_strings(texts(everyday_rows, language)()))
        assert new.encode(f"б{one}б").ids != new.encode(f"б{two}б").ids
        assert len(new.encode(one, add_special_tokens=False)) <= 2  # after a mark of the word's beginning


def test_english_words_keep_their_pieces_though_new_ones_would_fit_them_better(teacher: Tokenizer) -> None:
    english = ["The harbour.", "A zeppelin over the harbour."]
    others = ["zeppelin zeppelinen", "zeppelin harbour harbourens"] * 3
    old = all_ids(teacher, english)
    new = extended_tokenizer(teacher, lambda: english, [lambda: others], size=300, min_count=2)
    assert all_ids(new, english) == old
    given = "zeppelinen harbourens"
    assert len(new.encode(given).ids) < len(teacher.encode(given).ids)


@pytest.mark.parametrize("make", [extended_tokenizer, replaced_tokenizer])
def test_a_saved_tokenizer_gives_the_same_ids(
    teacher: Tokenizer, everyday_rows: Rows, tmp_path: Path, make: Callable[..., Tokenizer]
) -> None:
    new = make(teacher, texts(everyday_rows, "en"), [texts(everyday_rows, "uk")], size=900, min_count=2)
    new.save(str(tmp_path / "tokenizer.json"))
    given = [row[language] for row in everyday_rows[:300] for language in ("en", "uk")]
    assert all_ids(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), given) == all_ids(new, given)


def test_a_vocabulary_is_the_same_in_each_process(teacher: Tokenizer, everyday_rows: Rows, tmp_path: Path) -> None:
    teacher.save(str(tmp_path / "teacher.json"))
    sides = [[row[language] for row in everyday_rows[:300]] for language in ("en", "sv")]
    (tmp_path / "sides.json").write_text(json.dumps(sides))
    program = f"""
import json, sys
from tokenizers import Tokenizer
from distill.vocabulary import extended_tokenizer
english, other = json.load(open({str(tmp_path / "sides.json")!r}))
teacher = Tokenizer.from_file({str(tmp_path / "teacher.json")!r})
new = extended_tokenizer(teacher, lambda: english, [lambda: other], size=300, min_count=2)
sys.stdout.buffer.write(new.to_str().encode())
"""
    new = extended_tokenizer(teacher, lambda: sides[0], [lambda: sides[1]], size=300, min_count=2)
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.decode()
    assert json.loads(there) == json.loads(new.to_str())


def test_a_replaced_vocabulary_has_the_special_tokens_first(teacher: Tokenizer, everyday_rows: Rows) -> None:
    new = replaced_tokenizer(teacher, texts(everyday_rows, "en"), [texts(everyday_rows, "uk")], size=1500, min_count=2)
    special = [token["content"] for token in json.loads(teacher.to_str())["added_tokens"]]
    ids = new.get_vocab()
    assert sorted(ids.values()) == list(range(len(ids)))
    assert {ids[token] for token in special} == set(range(len(special)))
    assert 1000 < len(ids) - len(special) <= 1500 + 256  # bytes are not learnt
    before, after = teacher.encode("The cat."), new.encode("The cat.")
    assert (before.tokens[0] in special, before.tokens[-1]) == (after.tokens[0] in special, after.tokens[-1])
    assert [ids[token] for token in after.tokens] == after.ids
    assert {new.token_to_id("<unk>"), new.token_to_id("[UNK]")}.isdisjoint(new.encode("Їжак спить.").ids)


def test_frequent_words_become_pieces(teacher: Tokenizer, everyday_rows: Rows) -> None:
    plain = extend(teacher, everyday_rows, "sv", size=200)
    sides = (texts(everyday_rows, "en"), [texts(everyday_rows, "sv")])
    new = add_words(plain, *sides, most=50, min_count=2)
    assert plain.get_vocab().items() <= new.get_vocab().items()
    shorter = [len(new.encode(row["sv"]).ids) < len(plain.encode(row["sv"]).ids) for row in everyday_rows]
    assert np.mean(shorter) > 0.2
    assert add_words(plain, *sides, most=10_000, min_count=10**6).get_vocab() == plain.get_vocab()


@pytest.mark.parametrize("mode", ["extend", "replace"])
def test_a_transplant_of_such_a_teacher(
    whole: Any, tmp_path: Path, tsv_corpus: Path, write_recipe: Callable[..., Path], mode: str
) -> None:
    recipe = load_recipe(
        write_recipe(
            teacher={"model": str(make_tiny_encoder(tmp_path, whole))},
            student={"kind": "transplant", "vocabulary": {"size": 800, "mode": mode}, "max_tokens": 64},
            corpora={"small": {"folder": str(tsv_corpus), "languages": ["uk"], "dev_rows": 20}},
        )
    )
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    student = build_student(recipe.student, teacher, corpora, CPU)
    english = [text for text in corpora[0].texts("english", corpora[0].train) if text.isascii() and "'" not in text]
    same = np.allclose(encode(student, english), encode(teacher.model, english), atol=1e-5)
    assert same == (mode == "extend")
    ids = student.tokenizer.get_vocab()
    rows = student[0].model.get_input_embeddings().weight
    assert len(rows) == len(ids)
    if mode == "extend":  # "і" (and) occurs in dozens of the sentences, nearly always with "and"
        teachers = teacher.model[0].model.get_input_embeddings().weight
        own = rows[next(ids[piece] for piece in ("ĠÑĸ", "▁і") if piece in ids)]
        nearest = int(torch.nn.functional.cosine_similarity(own, teachers).argmax())
        assert teacher.model.tokenizer.convert_ids_to_tokens(nearest).strip("Ġ▁") == "and"
    save_student(student, tmp_path / "student")
    given = ["Їжак і кіт сплять.", "Et barn spiser æbler på gården.", "The cat sleeps."]
    loaded = load_student(tmp_path / "student", CPU)
    assert loaded.tokenizer(given)["input_ids"] == student.tokenizer(given)["input_ids"]
    assert np.array_equal(encode(loaded, given), encode(student, given))


def test_a_static_student_of_such_a_teacher(whole: Any, tmp_path: Path, write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(
        write_recipe(
            teacher={"model": str(make_tiny_encoder(tmp_path, whole))},
            student={"kind": "static", "vocabulary": {"size": 500, "words": 20}},
        )
    )
    teacher, corpora = load_teacher(recipe.teacher, CPU), load_corpora(recipe, SentenceFilter())
    student = build_student(recipe.student, teacher, corpora, CPU)
    save_student(student, tmp_path / "student")
    given = ["Їжак і кіт сплять.", "The cat sleeps."]
    assert np.array_equal(encode(load_student(tmp_path / "student", CPU), given), encode(student, given))
    assert np.isfinite(encode(student, given)).all()


def test_bytes_that_begin_no_letter() -> None:
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    later = {symbol for number in range(0x80, 0x800) for symbol in cut(chr(number))[0][0][1:]}
    assert later == CONTINUATION


def test_letters_of_bytes_are_merged_before_others(everyday_rows: Rows, tmp_path: Path) -> None:
    backend = bpe_tokenizer(tmp_path, [row["en"] for row in everyday_rows]).backend_tokenizer
    new = extend(plain_tokenizer(backend), everyday_rows, "uk", size=300)
    decode, ids = decoders.ByteLevel().decode, new.get_vocab()
    added = sorted(set(ids) - set(backend.get_vocab()), key=ids.__getitem__)
    bodies = [decode([piece]) for piece in added]
    whole = [len(body) == 1 for body in bodies]
    assert sorted(whole, reverse=True) == whole
    assert "\ufffd" not in "".join(bodies)
    counts: dict[str, int] = {}
    for row in everyday_rows:
        for letter in row["uk"].lower():
            counts[letter] = counts.get(letter, 0) + 1
    assert {letter for letter, n in counts.items() if n > 20 and letter.isalpha()} <= set(bodies)


def test_a_piece_inside_words_is_spelt_with_the_teachers_pieces() -> None:
    scores = [("<unk>", 0.0), ("▁pet", -2.0), ("pet", -3.0), ("p", -5.0), ("z", -5.0), ("i", -5.0), ("l", -5.0)]
    unigram = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=False))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    assert spellings(unigram, ["пет", "▁пет", "петзи", "Пет", "п", "пет🤗", "шпет"]) == {"пет": [2], "петзи": [2, 4, 5]}
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "pe", "pet"]
    bpe = Tokenizer(models.BPE({s: i for i, s in enumerate(symbols)}, [("p", "e"), ("pe", "t")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    written = {text: bpe.pre_tokenizer.pre_tokenize_str(text)[0][0] for text in ("пет", " пет", "Пет", "п", "петз")}
    assert spellings(bpe, written.values()) == {written["пет"]: [257], written["петз"]: [257, symbols.index("z")]}


@pytest.mark.parametrize(
    ("model", "cut", "message"),
    [
        (models.WordLevel({"<unk>": 0}, unk_token="<unk>"), pre_tokenizers.Whitespace(), "its tokenizer is WordLevel"),
        (models.BPE(), None, "does not cut texts into words"),
    ],
)
@pytest.mark.parametrize("make", [extended_tokenizer, replaced_tokenizer])
def test_a_teacher_of_another_kind_is_refused(
    make: Callable[..., Tokenizer], model: models.Model, cut: pre_tokenizers.PreTokenizer | None, message: str
) -> None:
    teacher = Tokenizer(model)
    if cut:
        teacher.pre_tokenizer = cut
    with pytest.raises(ModelError, match=message):
        make(teacher, lambda: ["a text"], [lambda: ["en tekst"]], size=10, min_count=1)
