"""Declarations of suites, and local test sets in all formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from distill.cli import main
from distill.errors import DataError, RecipeError
from distill.testsets import (
    COMMAND_LINE,
    ClassificationSet,
    RetrievalSet,
    StsSet,
    hub_sets,
    list_suites,
    load_suites,
    read_declaration,
    read_test_file,
)

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"

DECLARATION = """\
description: Mine.
sets:
  - kind: sts
    file: "{pair}.tsv"
    languages: {en: eng, uk: ukr}
    pairs: [en-uk]
    licence: CC0-1.0
    citation: none
"""


def write(path: Path, content: str | list[dict[str, Any]]) -> Path:
    """Write a text, or rows in the format of the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    else:
        separator = {".tsv": "\t", ".csv": ","}[path.suffix]
        lines = [separator.join(content[0]), *(separator.join(map(str, row.values())) for row in content)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# Declarations


def test_the_shipped_declarations_say_where_they_are_from() -> None:
    suites = list_suites()
    assert set(suites) == {
        "everyday", "flores", "nordic", "ntrex", "retrieval", "sts17", "stsb", "tatoeba", "ukrainian"
    }  # fmt: skip
    for declaration in suites.values():
        for section in declaration.sets:
            assert bool(section.hub) == bool(section.revision)
            assert bool(section.hub) == bool(section.mteb)
            assert section.all_pairs()
    assert suites["sts17"].sets[0].all_pairs()[:2] == ("en-en", "en-ar")
    assert "en-uk" in suites["ntrex"].sets[0].all_pairs()


@pytest.mark.slow
def test_data_sets_and_revisions_are_those_of_mteb() -> None:
    mteb = pytest.importorskip("mteb")
    for declaration in list_suites().values():
        for section in declaration.sets:
            if not section.mteb:
                continue
            metadata = mteb.get_task(section.mteb).metadata
            assert (section.hub, section.revision) == (metadata.dataset["path"], metadata.dataset["revision"])
            assert section.split in metadata.eval_splits
            subsets = " ".join(metadata.eval_langs)
            for code, name in section.languages.items():
                assert name in subsets, f"{section.mteb} has no {code} ({name})"


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("kind: sts", "kind: stss", "3: sets.0.kind", "found 'stss' … did you mean \"sts\"?"),
        ("    pairs", "    pair", "6: sets.0.pair", 'unknown key "pair" … did you mean "pairs"?'),
        ("    citation: none\n", "", "3: sets.0", '"citation" is missing'),
        ("description: Mine.\n", "", "1: suite", '"description" is missing'),
        ('file: "{pair}.tsv"', "hub: a/b", "3: sets.0", '"revision" is missing … full commit'),
        ('file: "{pair}.tsv"', "hub: a/b\n    revision: main", "5: sets.0.revision", "found 'main'"),
        ('file: "{pair}.tsv"', "bundled: a.tsv\n    file: b.tsv", "3: sets.0", "file and bundled given"),
        ('file: "{pair}.tsv"', "file: b.tsv\n    config: x", "5: sets.0.config", "not from the Hub"),
        ('file: "{pair}.tsv"', 'file: "{pairs}.tsv"', "4: sets.0.file", "did you mean \"pair\"?"),
        ("[en-uk]", "[en-uc]", "6: sets.0.pairs.0", "'uc' is not a language code"),
        ("[en-uk]", "[en-da]", "6: sets.0.pairs.0", "'da' is not among `languages`"),
        ("[en-uk]", "[en-ua]", "6: sets.0.pairs.0", "found 'en-ua' … 'en-uk'"),
        ("{en: eng, uk: ukr}", "{}", "6: sets.0.pairs.0", "found 'xx-xx'"),
        ("uk: ukr", "ua: ukr", "5: sets.0.languages.ua", "found 'ua' … 'uk'"),
        ("    pairs", "    score_range: [5, 0]\n    pairs", "6: sets.0.score_range", "found [5.0, 0.0]"),
        ("    pairs", "    swapped: uk-en\n    pairs", "6: sets.0.swapped", "'uk-en' is not among `pairs`"),
        ("    pairs", "    columns: {text: a}\n    pairs", "6: sets.0.columns.text", 'unknown key "text"'),
        ("sets:", "sets: 3\nothers:", "2: sets", "found 3"),
        ("Mine.", "'Mine", "9", "malformed YAML"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_declaration_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, where: str, says: str
) -> None:
    text = DECLARATION.replace("[en-uk]", "[xx-xx]") if "xx-xx" in says else DECLARATION
    path = write(tmp_path / "mine.yaml", text.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        read_declaration(path)
    found = str(caught.value)
    assert f"{path}:{where}" in found
    found = found[found.index(f"{path}:{where}") :]
    for part in says.split(" … "):
        assert part in found
        found = found[found.index(part) :]


def test_a_suite_of_two_sets_of_one_kind_and_pair_needs_names(tmp_path: Path) -> None:
    section = DECLARATION.partition("sets:\n")[2]
    path = write(tmp_path / "mine.yaml", DECLARATION + section)
    with pytest.raises(RecipeError, match="a second sts set for en-uk"):
        read_declaration(path)
    read_declaration(write(path, DECLARATION + section.replace("- kind", "- name: b\n    kind")))


def test_a_declaration_of_the_users_own_reads_the_files_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", DECLARATION)
    write(tmp_path / "eng-ukr.tsv", "score\tsentence1\tsentence2\n4\tA dog.\tСобака.\n1\tB\tБ\n")
    [found] = load_suites([str(path)], ["uk"])
    assert found == StsSet("mine", "en-uk", ("A dog.", "B"), ("Собака.", "Б"), (4.0, 1.0))
    write(tmp_path / "eng-ukr.tsv", "score\tsentence1\tsentence2\n6\tA dog.\tСобака.\n")
    with pytest.raises(DataError, match=r"eng-ukr.tsv:2: score '6'\n  expected: a number from 0 to 5"):
        load_suites([str(path)], ["uk"])
    assert hub_sets([str(path), "everyday", "sts17"]) == ["mteb/sts17-crosslingual-sts"]


# Local files


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet", ".jsonl"])
def test_scored_pairs_and_translations_in_all_formats(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"score": 5, "sentence1": "A dog.", "sentence2": "Собака."},
        {"score": 0.5, "sentence1": "B", "sentence2": "Б"},
    ]
    sts = read_test_file(write(tmp_path / "mine" / f"en-uk{suffix}", rows))
    assert sts == StsSet("mine", "en-uk", ("A dog.", "B"), ("Собака.", "Б"), (5.0, 0.5))
    pairs = [{"english": "A dog.", "non_english": "Собака."}]
    bitext = read_test_file(write(tmp_path / "bitext" / f"en-uk{suffix}", pairs))
    assert (bitext.kind, bitext.first, bitext.second) == ("bitext", ("A dog.",), ("Собака.",))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_blank_score_is_refused_with_its_row(tmp_path: Path, suffix: str) -> None:
    rows = [{"score": score, "sentence1": "A", "sentence2": "Б"} for score in (1.0, None)]
    path = write(tmp_path / f"en-uk{suffix}", rows)
    with pytest.raises(DataError) as caught:
        read_test_file(path)
    assert str(caught.value) == f"{path}:2: no score\n  expected: a number from 0 to 5"


def test_a_mistyped_column_offers_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "en-uk.csv", [{"scores": 1, "sentence1": "A", "sentence2": "Б"}])
    with pytest.raises(DataError, match=r'columns scores, sentence1, sentence2\n(.|\n)*did you mean "score"'):
        read_test_file(path)


def test_a_manifest_beside_a_translated_set_becomes_its_note(tmp_path: Path) -> None:
    path = write(tmp_path / "en-uk.tsv", "score\tsentence1\tsentence2\n4\tA dog.\tСобака.\n1\tB\tБ\n")
    said = "machine-translated by opus-mt-en-uk; 3 of 9 sentences flagged; not reviewed"
    for content, note in (({"model": "opus-mt-en-uk", "note": said}, said), ({"quality": None}, "")):
        write(tmp_path / "en-uk.json", json.dumps(content))
        assert read_test_file(path).note == note
        assert [found.note for found in load_suites([str(tmp_path)], None)] == [note]
    for name in ("uk.review.csv", ".hidden.tsv"):
        write(tmp_path / name, "status,row")
    assert [found.pair for found in load_suites([str(tmp_path)], None)] == ["en-uk"]
    write(tmp_path / "en-uk.json", "[")
    with pytest.raises(DataError, match=r"en-uk\.json: cannot be read"):
        read_test_file(path)


QUERIES = [{"_id": "q1", "text": "Де?"}, {"_id": 2, "text": "Хто?"}, {"_id": "q3", "text": "?"}]
CORPUS = [{"_id": "d1", "title": "Kyiv", "text": "A city."}, {"_id": "d2", "title": "", "text": "A man."}]
QRELS = [
    {"query-id": 2, "corpus-id": "d2", "score": 2},
    {"query-id": "q1", "corpus-id": "d1", "score": 1},
    {"query-id": "q1", "corpus-id": "d2", "score": 0},
]


def retrieval(folder: Path, suffix: str, **parts: list[dict[str, Any]]) -> Path:
    for name, rows in ({"queries": QUERIES, "corpus": CORPUS, "qrels": QRELS} | parts).items():
        texts = [
            {key: str(value) if suffix == ".parquet" and "id" in key else value for key, value in row.items()}
            for row in rows
        ]
        write(folder / f"{name}{suffix}", texts)
    return folder


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".jsonl"])
def test_a_folder_of_queries_corpus_and_qrels_is_a_retrieval_set(tmp_path: Path, suffix: str) -> None:
    retrieval(tmp_path / "mine" / "uk-en", suffix)
    expected = RetrievalSet("mine", "uk-en", ("Де?", "Хто?"), ("Kyiv A city.", "A man."), ((0, 0, 1.0), (1, 1, 2.0)))
    assert load_suites([str(tmp_path / "mine")], ["uk"]) == [expected]
    assert load_suites([str(tmp_path / "mine" / "uk-en")], None) == [expected]
    with pytest.raises(DataError, match="no test set for en-uk"):  # queries and documents are not alike
        load_suites([str(tmp_path / "mine")], None, ["en-uk"])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"qrels": [{**QRELS[0], "corpus-id": "d9"}]}, "qrels.jsonl:1: id 'd9'\n  expected: an _id of {}/corpus.jsonl"),
        ({"qrels": [QRELS[0], {**QRELS[0], "query-id": "q9"}]}, "qrels.jsonl:2: id 'q9'"),
        ({"qrels": [{**QRELS[0], "score": "high"}]}, "qrels.jsonl:1: score 'high'\n  expected: a grade"),
        ({"qrels": [QRELS[2]]}, "qrels.jsonl: no relevant document"),
        ({"qrels": []}, "qrels.jsonl: no rows"),
        ({"queries": [QUERIES[0], QUERIES[0]]}, "queries.jsonl:2: id 'q1' a second time, first at {}/queries.jsonl:1"),
        ({"corpus": [{**CORPUS[0], "text": " "}, CORPUS[1]]}, "corpus.jsonl:1: column text is empty"),
        ({"queries": [{"id": "q1", "text": "Де?"}]}, "queries.jsonl:1: no key '_id'"),
        ({"queries": [{"_id": None, "text": "Де?"}]}, "queries.jsonl:1: no id"),
    ],
)  # fmt: skip
def test_a_malformed_retrieval_set_is_refused_with_its_row(
    tmp_path: Path, parts: dict[str, list[dict[str, Any]]], message: str
) -> None:
    folder = retrieval(tmp_path / "uk-en", ".jsonl", **parts)
    with pytest.raises(DataError) as caught:
        load_suites([str(folder)], None)
    assert f"{folder}/{message}".replace("{}", str(folder)) in str(caught.value)


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = retrieval(tmp_path / "uk-en", ".jsonl")
    (folder / "qrels.jsonl").unlink()
    with pytest.raises(DataError, match=r"no qrels file among corpus\.jsonl, queries\.jsonl"):
        load_suites([str(folder)], None)


TRAIN = "text\tlabel\nGood.\t1\nBad.\t0\n"


def test_train_and_test_files_are_a_classification_set(tmp_path: Path) -> None:
    write(tmp_path / "mine/en-uk/train.tsv", TRAIN)
    write(tmp_path / "mine/en-uk/test.jsonl", [{"text": "Добре.", "label": 1}])
    expected = ClassificationSet("mine", "en-uk", ("Good.", "Bad."), ("1", "0"), ("Добре.",), ("1",))
    assert load_suites([str(tmp_path / "mine")], ["uk"]) == [expected]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN, "text\tlabel\nSo so.\t2\n", "test.tsv:2: label '2', which no text of"),
        (TRAIN, "text\tlabel\nSo so.\t\n", "test.tsv:2: column label is empty"),
        ("text\tlabel\nGood.\t1\n", TRAIN, "train.tsv: all texts have the label '1'"),
        (TRAIN, "text\tlabels\nSo so.\t2\n", 'did you mean "labels"'),
        (TRAIN, "text\tlabel\n", "test.tsv: no rows"),
    ],
)
def test_a_malformed_classification_set_is_refused(tmp_path: Path, train: str, test: str, message: str) -> None:
    write(tmp_path / "uk-uk/train.tsv", train)
    write(tmp_path / "uk-uk/test.tsv", test)
    with pytest.raises(DataError) as caught:
        load_suites([str(tmp_path / "uk-uk")], None)
    assert message in str(caught.value)


# Choosing


def test_a_pair_that_no_suite_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"no test set for en-uk\n  expected: one of en-en, en-ar"):
        load_suites(["sts17"], None, ["en-uk"])  # known without a look at the Hub


def test_a_suite_that_lacks_a_pair_others_have_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "mine/en-uk.tsv", "english\tnon_english\nA dog.\tСобака.\n")
    load_suites(["everyday", str(tmp_path / "mine")], None, ["en-da"])
    assert "mine has no test set for en-da" in caplog.text


def test_sides_are_swapped_where_the_pair_is_asked_for_the_other_way() -> None:
    there = load_suites(["everyday"], None, ["en-da"])
    back = load_suites(["everyday"], None, ["da-en"])
    for kind in ("bitext", "sts"):
        one, other = (next(found for found in sets if found.kind == kind) for sets in (there, back))
        assert (other.pair, other.first, other.second) == ("da-en", one.second, one.first)


@pytest.mark.parametrize(("rows", "found"), [("3\tA\tБ\n", "1 row"), ("3\tA\tБ\n3\tB\tВ\n", "all scores are 3.0")])
def test_scores_that_no_correlation_can_be_had_of_are_refused(tmp_path: Path, rows: str, found: str) -> None:
    path = write(tmp_path / "en-uk.tsv", "score\tsentence1\tsentence2\n" + rows)
    with pytest.raises(DataError, match=f"{found}\n  expected: at least two rows with different scores"):
        read_test_file(path)


def test_messages_name_the_options_of_the_command_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "mine/en-ua.tsv", "english\tnon_english\nA dog.\tСобака.\n")
    mine = str(tmp_path / "mine")
    for names, pairs, message in (
        (["everyday,bad/bit1"], None, r"^--suite: no suite(.|\n)*give --suite once for each"),
        ([" "], None, "^--suite: an empty name"),
        ([mine, "sts17"], ["en-da"], r"^--pairs: no test set for en-da\n.*one of en-uk \(mine\); .*3 more \(sts17\)"),
    ):
        with pytest.raises(DataError, match=message):
            load_suites(names, None, pairs, options=COMMAND_LINE)
    with pytest.raises(DataError, match=r"^evaluation.suites: (.|\n)*give a list: suites: \[everyday, mine\]"):
        load_suites(["everyday,mine"], None)
    caplog.clear()
    load_suites(["everyday", mine], None, ["en-da"], options=COMMAND_LINE)
    assert "--suite: mine has no test set for en-da" in caplog.messages
    caplog.clear()
    load_suites([mine], None)
    assert [message.split(": ")[1] for message in caplog.messages] == ["ua means uk"]


def test_a_wrong_name_is_told_with_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a/name.tsv", TRAIN)
    write(tmp_path / "b/name/test.tsv", TRAIN)
    for suite, file in (("a", "a/name.tsv"), ("b", "b/name/test.tsv")):
        with pytest.raises(DataError) as caught:
            load_suites([str(tmp_path / suite)], None)
        assert caught.value.where == str(tmp_path / file)
        assert caught.value.found == "'name' is not a language pair"


def test_a_missing_column_of_a_suite_is_not_sought_in_a_recipe(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", DECLARATION)
    write(tmp_path / "eng-ukr.tsv", "a\tb\n1\t2\n")
    with pytest.raises(DataError) as caught:
        load_suites([str(path)], None)
    assert caught.value.hint == f"set {path}: sets.0.columns"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared evaluation data is not beside this checkout")
@pytest.mark.parametrize(
    ("folder", "kind", "pair", "rows"),
    [
        ("sts/sts17", "sts", "en-en", 250),
        ("sts/stsb-dev", "sts", "sv-en", 1500),
        ("bitext/ntrex", "bitext", "en-uk", 1997),
        ("bitext/tatoeba", "bitext", "en-da", 1000),
    ],
)
def test_the_shared_files_load(folder: str, kind: str, pair: str, rows: int) -> None:
    [found] = load_suites([str(SHARED / folder)], None, [pair])
    assert (found.kind, found.pair, len(found.texts())) == (kind, pair, 2 * rows)


# The command, the wheel


@pytest.fixture
def run() -> Callable[..., str]:
    return lambda *arguments: CliRunner().invoke(main, ["suites", *arguments], catch_exceptions=False).output


def test_suites_are_listed_and_shown(run: Callable[..., str], tmp_path: Path) -> None:
    listed = run()
    assert all(name in listed for name in list_suites())
    assert max(map(len, listed.splitlines())) <= 80
    assert "en-xx (45 languages)" in listed
    assert "CC BY" not in listed
    shown = run("sts17")
    assert "faeb762787bd10488a50c8b5be4a3b82e411949c" in shown
    assert "doi:10.18653/v1/S17-2001" in shown
    assert "Mine." in run(str(write(tmp_path / "mine.yaml", DECLARATION)))


def test_the_wheel_takes_the_declarations_along() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"eval/suites": "distill/eval/suites", "eval/testsets": "distill/eval/testsets"}
    assert all((ROOT / folder).is_dir() for folder in wheel["force-include"])
