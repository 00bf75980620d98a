"""Corpora: what is read, held out, kept apart and cached."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distill.corpora import Corpus, SentenceFilter, load_corpora
from distill.corpora.load import DEV_ROWS
from distill.corpora.sources import corpus_sources
from distill.duplicates import normal_form
from distill.errors import DataError, StorageError
from distill.recipe import CorpusSection, Recipe, load_recipe

Pairs = Sequence[tuple[str, str]]
NOTHING = SentenceFilter()
PAIRS = [(f"Sentence number {n}.", f"Речення номер {n}.") for n in range(200)]


def write_tsv(path: Path, pairs: Pairs) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("english\tnon_english\n" + "".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    return path


def recipe(folder: Path, **corpora: dict[str, Any]) -> Recipe:
    path = folder / "recipe.yaml"
    student, teacher = {"kind": "transplant"}, {"model": "a/b"}
    document = {"name": "x", "teacher": teacher, "student": student, "cleaning": "off", "corpora": corpora}
    path.write_text(json.dumps(document))
    return load_recipe(path)


def load(folder: Path, pairs: Pairs = PAIRS, held_out: SentenceFilter = NOTHING, **options: Any) -> Corpus:
    """Return the corpus of one file."""
    write_tsv(folder / "a.tsv", pairs)
    (corpus,) = load_corpora(recipe(folder, mine={"files": "a.tsv", "languages": ["uk"], **options}), held_out)
    return corpus


def texts(corpus: Corpus, split: str) -> list[tuple[str, str]]:
    rows = corpus.train if split == "train" else corpus.dev
    return [pair for batch in corpus.batches(rows) for pair in zip(*batch, strict=True)]


def cache_folders(cache: Path) -> list[Path]:
    return sorted((cache / "corpora").glob("*"))


# what is read


def test_every_row_is_read_once(tmp_path: Path) -> None:
    corpus = load(tmp_path, dev_rows=0)
    assert texts(corpus, "train") == PAIRS
    reasons = ("malformed", "in a test set", "near a test set", "over max_rows", "dev rows not used", "shared with dev")
    assert corpus.counts == {"read": 200, **dict.fromkeys(reasons, 0), "train": 200, "dev": 0}
    assert corpus.label == "mine en-uk"
    assert corpus.public_source == "a.tsv"


def test_several_files_are_one_corpus(tmp_path: Path) -> None:
    write_tsv(tmp_path / "1.tsv", PAIRS[:3])
    write_tsv(tmp_path / "2.tsv", PAIRS[3:5])
    (corpus,) = load_corpora(recipe(tmp_path, mine={"files": "*.tsv", "languages": "uk", "dev_rows": 0}), NOTHING)
    assert texts(corpus, "train") == PAIRS[:5]


def test_the_bundled_corpus_has_a_column_for_each_language(tmp_path: Path) -> None:
    corpora = load_corpora(recipe(tmp_path, everyday={"bundled": "everyday", "languages": ["uk", "nb"]}), NOTHING)
    ukrainian, norwegian = corpora
    assert (ukrainian.language, norwegian.language) == ("uk", "nb")
    assert ukrainian.rows["english"][:50] == norwegian.rows["english"][:50]
    assert ukrainian.rows["non_english"][:50] != norwegian.rows["non_english"][:50]


def test_max_rows_takes_rows_from_the_whole_corpus(tmp_path: Path) -> None:
    corpus = load(tmp_path, max_rows=5, dev_rows=0)
    assert corpus.train.tolist() == [0, 49, 99, 149, 199]
    assert corpus.counts["over max_rows"] == 195


def test_malformed_rows_are_counted_and_the_first_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tsv(tmp_path / "a.tsv", PAIRS)
    with (tmp_path / "a.tsv").open("ab") as file:
        file.write(b"no translation\n" + b"bl\xe5\tbl\xe5\n")
    wanted = recipe(tmp_path, mine={"files": "a.tsv", "languages": ["uk"], "dev_rows": 0})
    for _ in range(2):  # read, then from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING, "distill"):
            (corpus,) = load_corpora(wanted, NOTHING)
        assert (corpus.counts["read"], corpus.counts["malformed"], len(corpus.train)) == (202, 2, 200)
        assert corpus.cleaning.malformed.count == 2
        assert caplog.messages == [
            f"corpora.mine (en-uk): malformed rows: 2; the first: {tmp_path}/a.tsv:202: 1 fields, expected 2 as in the "
            f"first line; {tmp_path}/a.tsv:203: not UTF-8: byte 0xe5 at column 3"
        ]


def test_a_file_of_which_too_much_is_malformed_is_an_error(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", PAIRS)
    path.write_text(path.read_text() + "no translation\n" * 3)
    options = {"files": "a.tsv", "languages": ["uk"]}
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load_corpora(recipe(tmp_path, mine=options), NOTHING)
        assert caught.value.where == f"{path}:202"
        assert "3 of the first 203 rows are malformed, 1.5%" in caught.value.found
        assert "corpora.mine.max_malformed" in caught.value.hint
        load_corpora(recipe(tmp_path, mine={**options, "max_malformed": 0.02}), NOTHING)


def test_a_long_file_that_is_malformed_is_not_read_to_its_end(tmp_path: Path, private_cache: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", PAIRS)
    path.write_text(path.read_text() + "no translation\n" * 50_000)
    with pytest.raises(DataError, match=r"of the first [12]\d,\d\d\d rows are malformed"):
        load_corpora(recipe(tmp_path, mine={"files": "a.tsv", "languages": ["uk"]}), NOTHING)
    assert cache_folders(private_cache) == []


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows in "):
        load(tmp_path, [])


def test_a_corpus_of_test_sentences_only_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no rows left to train on from .*: 200 read, 200 in a test set"):
        load(tmp_path, held_out=SentenceFilter({"suite": [english for english, _ in PAIRS]}))


# held-out sentences


@pytest.mark.parametrize(
    "text", ["SENTENCE  number 7", "«sentence number 7»!", "речення номер 7", "Ｓentence number 7."]
)
def test_test_sentences_are_removed_on_both_sides_and_counted(tmp_path: Path, text: str) -> None:
    corpus = load(tmp_path, held_out=SentenceFilter({"suite": [text, "Not in the corpus."]}), dev_rows=20)
    assert corpus.counts["in a test set"] == 1
    assert PAIRS[7] not in texts(corpus, "train") + texts(corpus, "dev")
    assert corpus.counts["train"] + corpus.counts["dev"] == 199 - corpus.counts["near a test set"]


@given(st.text(st.characters(max_codepoint=0x52F)))
def test_the_normal_form_is_final_and_empty_for_blanks_only(text: str) -> None:
    form = normal_form(text)
    assert normal_form(form) == form
    assert bool(form) == bool(text.strip())


def test_texts_of_punctuation_alone_are_told_apart() -> None:
    assert SentenceFilter({"suite": ["?!"]}).find(["?!", "…", ""]).texts.tolist() == [0]


# dev rows


NUMBERS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=80)


@settings(max_examples=40, deadline=None)
@given(NUMBERS, NUMBERS, st.integers(1, 20))
def test_dev_rows_share_no_sentence_with_training(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[int, int]], second: list[tuple[int, int]], wanted: int
) -> None:
    folder = tmp_path_factory.mktemp("corpora")
    for name, numbers in (("a", first), ("b", second)):
        write_tsv(folder / f"{name}.tsv", [(f"Word {left}.", f"Слово {right}.") for left, right in numbers])
    sections = {name: {"files": f"{name}.tsv", "languages": ["uk"], "dev_rows": wanted} for name in ("a", "b")}
    try:
        corpora = load_corpora(recipe(folder, **sections), NOTHING)
    except DataError:
        assume(False)  # nothing left to train on
    for side in (0, 1):
        dev = {pair[side] for corpus in corpora for pair in texts(corpus, "dev")}
        assert not dev & {pair[side] for corpus in corpora for pair in texts(corpus, "train")}
    for corpus in corpora:
        assert len(corpus.dev) <= wanted
        assert sum(corpus.counts.values()) == 2 * corpus.counts["read"]


def test_dev_rows_are_chosen_by_their_text_not_by_their_order(tmp_path: Path) -> None:
    shuffled = random.Random(0).sample(PAIRS, len(PAIRS))
    here = set(texts(load(tmp_path, dev_rows=20), "dev"))
    there = set(texts(load(tmp_path, shuffled, dev_rows=20), "dev"))
    assert here == there
    assert len(here) == 20


def test_two_per_cent_are_held_out_if_nothing_is_said(tmp_path: Path) -> None:
    corpus = load(tmp_path)
    assert len(corpus.dev) == 4
    assert len(corpus.train) == 196


def test_a_corpus_smaller_than_its_dev_rows_is_halved_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "distill"):
        corpus = load(tmp_path, PAIRS[:10], dev_rows=20)
    assert (len(corpus.train), len(corpus.dev)) == (5, 5)
    assert "only 10 sentences, half of them are held out, not 20" in caplog.text


def test_a_dev_file_is_used_and_what_it_shares_is_not_trained_on(tmp_path: Path) -> None:
    write_tsv(tmp_path / "c" / "en-uk" / "train.tsv", PAIRS)
    dev = [*PAIRS[:3], *((f"Dev {n}.", f"Дев {n}.") for n in range(400))]
    write_tsv(tmp_path / "c" / "en-uk" / "dev.tsv", dev)
    (corpus,) = load_corpora(recipe(tmp_path, mine={"folder": "c", "languages": ["uk"]}), NOTHING)
    assert len(corpus.dev) == DEV_ROWS
    assert set(texts(corpus, "dev")) <= set(dev)
    assert corpus.counts["shared with dev"] == len(set(texts(corpus, "dev")) & set(PAIRS)) > 0
    assert not set(texts(corpus, "dev")) & set(texts(corpus, "train"))


@pytest.mark.parametrize(("corpora", "held_out"), [(3, 300), (20, 150), (40, 100)])
def test_of_many_corpora_fewer_rows_are_held_out(tmp_path: Path, corpora: int, held_out: int) -> None:
    write_tsv(tmp_path / "c" / "en-uk" / "train.tsv", PAIRS)
    write_tsv(tmp_path / "c" / "en-uk" / "dev.tsv", [(f"Dev {n}.", f"Дев {n}.") for n in range(400)])
    sections = {f"c{n}": {"folder": "c", "languages": ["uk"], "cleaning": "off"} for n in range(corpora)}
    found = load_corpora(recipe(tmp_path, **sections), NOTHING)
    assert {len(corpus.dev) for corpus in found} == {held_out}


def test_training_rows_of_other_corpora_and_languages_are_kept_from_dev_too(tmp_path: Path) -> None:
    write_tsv(tmp_path / "c" / "en-uk" / "train.tsv", PAIRS)
    write_tsv(tmp_path / "c" / "en-da" / "train.tsv", [(english, f"Dansk {n}") for n, (english, _) in enumerate(PAIRS)])
    corpora = {
        "one": {"folder": "c", "languages": ["uk"], "dev_rows": 20},
        "two": {"folder": "c", "languages": ["da"], "dev_rows": 0},
    }
    first, second = load_corpora(recipe(tmp_path, **corpora), NOTHING)
    dev = {english for english, _ in texts(first, "dev")}
    assert len(dev) == 20
    assert not dev & {english for english, _ in texts(second, "train")}
    assert second.counts["shared with dev"] == 20


def test_no_dev_rows_if_none_are_wanted(tmp_path: Path) -> None:
    write_tsv(tmp_path / "c" / "en-uk" / "train.tsv", PAIRS)
    write_tsv(tmp_path / "c" / "en-uk" / "dev.tsv", PAIRS[:3])
    (corpus,) = load_corpora(recipe(tmp_path, mine={"folder": "c", "languages": ["uk"], "dev_rows": 0}), NOTHING)
    assert (len(corpus.train), len(corpus.dev)) == (200, 0)


# the cache


def test_a_source_is_read_once(tmp_path: Path, private_cache: Path) -> None:
    load(tmp_path)
    (folder,) = cache_folders(private_cache)
    before = (folder / "rows.arrow").stat()
    load(tmp_path)
    assert cache_folders(private_cache) == [folder]
    after = (folder / "rows.arrow").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_changed_source_is_read_again(tmp_path: Path) -> None:
    load(tmp_path, dev_rows=0)
    assert texts(load(tmp_path, PAIRS[:7], dev_rows=0), "train") == PAIRS[:7]


def test_a_moved_source_is_not_read_again(tmp_path: Path, private_cache: Path) -> None:
    load(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    load(tmp_path / "elsewhere")
    assert len(cache_folders(private_cache)) == 1


def _flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "rows.arrow").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "rows.arrow").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        _flip_a_byte,
        lambda folder: (folder / "rows.arrow").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text('{"rows": '),
        lambda folder: (folder / "manifest.json").write_text("[]"),
    ],
    ids=["flipped byte", "no rows", "no manifest", "cut manifest", "other manifest"],
)
def test_damaged_rows_are_read_again_and_told(
    tmp_path: Path, private_cache: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    load(tmp_path)
    (folder,) = cache_folders(private_cache)
    damage(folder)
    with caplog.at_level(logging.WARNING, "distill"):
        corpus = load(tmp_path, dev_rows=0)
    assert texts(corpus, "train") == PAIRS
    assert "damaged and are made again" in caplog.text
    assert cache_folders(private_cache) == [folder]


def test_two_readers_at_once_agree(tmp_path: Path, private_cache: Path) -> None:
    write_tsv(tmp_path / "a.tsv", PAIRS * 50)
    wanted = recipe(tmp_path, mine={"files": "a.tsv", "languages": ["uk"], "dev_rows": 0})
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: load_corpora(wanted, NOTHING)[0], range(2)))
    assert [len(corpus.train) for corpus in found] == [10_000, 10_000]
    assert len(cache_folders(private_cache)) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_CACHE", "/dev/null/cache")
    with pytest.raises(StorageError, match=r"/dev/null/cache/corpora/.*cannot be written: Not a directory"):
        load(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.tsv", PAIRS).chmod(0)
    with pytest.raises(DataError, match=r"a\.tsv: cannot be read: Permission denied"):
        load_corpora(recipe(tmp_path, mine={"files": "a.tsv", "languages": ["uk"]}), NOTHING)


# data sets on the Hub; `datasets` reads a folder of the same form the same way


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    folder = tmp_path / "data-set"
    folder.mkdir()
    columns = {"english": [a for a, _ in PAIRS], "non_english": [b for _, b in PAIRS], "id": list(range(200))}
    pq.write_table(pa.table(columns), folder / "train.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: en-uk\n  data_files:\n  - split: train\n    path: train.parquet\n---\n"
    )
    return folder


def hub_section(folder: Path, **options: Any) -> CorpusSection:
    section = CorpusSection.model_validate({"hub": "owner/name", "languages": ["uk"], **options})
    return section.model_copy(update={"hub": str(folder)})


def moses(folder: Path, name: str, pairs: Pairs) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{code}" for code in ("en", "uk")]
    for side, path in enumerate(paths):
        path.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return paths


def test_a_corpus_is_read_from_any_kind_of_file(tmp_path: Path) -> None:
    units = "".join(
        f'<tu><tuv xml:lang="en-GB"><seg>{a}</seg></tuv><tuv xml:lang="UK"><seg>{b}</seg></tuv></tu>' for a, b in PAIRS
    )
    (tmp_path / "a.tmx.gz").write_bytes(gzip.compress(f"<tmx><body>{units}</body></tmx>".encode()))
    names = moses(tmp_path, "News.en-uk", PAIRS)
    with zipfile.ZipFile(tmp_path / "en-uk.txt.zip", "w") as archive:
        for path in names:
            archive.write(path, path.name)
    (tmp_path / "ukr.txt").write_text("".join(f"{a}\t{b}\tCC-BY\n" for a, b in PAIRS), encoding="utf-8")
    languages = "".join(f"Satz.\t{b}\t{a}\n" for a, b in PAIRS)
    (tmp_path / "talks.tsv").write_text("de\tukr\ten\n" + languages, encoding="utf-8")
    moses(tmp_path / "folder" / "en-ua", "train", PAIRS[:150])
    moses(tmp_path / "folder" / "en-ua", "dev", PAIRS[150:])
    patterns = ("a.tmx.gz", "en-uk.txt.zip", "ukr.txt", "talks.tsv", "News.en-uk.en", "*.uk", "News.en-uk.*")
    sections: dict[str, dict[str, Any]] = {f"c{n}": {"files": name} for n, name in enumerate(patterns)}
    sections["in_folder"] = {"folder": "folder"}
    written = recipe(tmp_path, **{name: {"languages": ["uk"], **section} for name, section in sections.items()})
    for name, section in written.corpora.items():
        splits = corpus_sources(name, section, "uk").values()
        rows = [zip(*batch.columns.values(), strict=True) for source in splits for batch in source.batches()]
        assert [pair for batch in rows for pair in batch] == PAIRS, name


def test_what_a_moses_corpus_depends_on_are_both_files(tmp_path: Path) -> None:
    written = recipe(tmp_path, mine={"files": str(moses(tmp_path, "a", PAIRS)[0]), "languages": ["uk"]})
    before = corpus_sources("mine", written.corpora["mine"], "uk")["train"]
    (tmp_path / "a.uk").write_text("Раз.\n" * len(PAIRS), encoding="utf-8")
    after = corpus_sources("mine", written.corpora["mine"], "uk")["train"]
    assert before.identity != after.identity


def test_rows_of_a_data_set_are_read_and_a_missing_dev_split_is_none(
    data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    asked = Mock(wraps=datasets.load_dataset_builder)
    monkeypatch.setattr(datasets, "load_dataset_builder", asked)
    sources = corpus_sources("corpora.x (en-uk)", hub_section(data_set, config="en-uk"), "uk")
    rows = [pair for batch in sources["train"].batches() for pair in zip(*batch.columns.values(), strict=True)]
    assert rows == PAIRS
    assert list(sources) == ["train"]
    assert asked.call_count == 1  # the Hub is asked what the set has once, not for each split


def test_nested_translations_of_a_data_set_are_found(data_set: Path) -> None:
    nested: list[dict[str, Any]]
    nested = [{"id": str(n), "translation": {"en": a, "ukr": b}} for n, (a, b) in enumerate([*PAIRS, ("Alone.", None)])]
    nested.append({"id": "none", "translation": None})
    pq.write_table(pa.Table.from_pylist(nested), data_set / "train.parquet")
    source = corpus_sources("corpora.x (en-uk)", hub_section(data_set), "uk")["train"]
    [batch] = source.batches()
    assert list(zip(*batch.columns.values(), strict=True)) == PAIRS
    assert batch.one_sided == 2


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"columns": {"english": "en"}}, "no column 'en'"),
        ({"columns": {"english": "id"}}, "column 'id' holds int64"),
        ({"config": "uk-en"}, "no configuration 'uk-en'"),
        ({"split": "everything"}, "everything"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(data_set: Path, options: dict[str, Any], found: str) -> None:
    with pytest.raises(DataError) as caught:
        corpus_sources("corpora.x (en-uk)", hub_section(data_set, **options), "uk")
    assert caught.value.where == f"corpora.x (en-uk): {data_set}"
    assert found in caught.value.found


def test_a_data_set_without_a_network_is_an_error() -> None:
    section = CorpusSection.model_validate({"hub": "nobody/nothing", "languages": ["uk"]})
    with pytest.raises(DataError, match=r"the Hub cannot be reached(.|\n)*HF_HUB_OFFLINE"):
        corpus_sources("corpora.x (en-uk)", section, "uk")
