"""MTEB's tasks by name, benchmark, language and pair. Nothing is downloaded: only their descriptions are read."""

from __future__ import annotations

import logging
import sys

import mteb
import pytest

from distill.errors import DistillError
from distill.mteb_tasks import COMMA, language_of, mteb_codes, select_tasks, subset_pairs


def names(tasks: list[mteb.AbsTask]) -> list[str]:
    return [task.metadata.name for task in tasks]


def test_a_comma_in_parentheses_belongs_to_the_name() -> None:
    found = COMMA.split("STS17,MTEB(Scandinavian, v1), Tatoeba,MTEB(eng, v2)")
    assert found == ["STS17", "MTEB(Scandinavian, v1)", " Tatoeba", "MTEB(eng, v2)"]
    for benchmark in mteb.get_benchmarks():
        assert COMMA.split(benchmark.name) == [benchmark.name]


@pytest.mark.parametrize(
    ("code", "known"),
    [("uk", ["ukr"]), ("da", ["dan"]), ("sv", ["swe"]), ("nb", ["nob", "nor"]), ("de", ["deu"]), ("nn", ["nno"])],
)
def test_languages_of_this_program_are_found_in_mteb(code: str, known: list[str]) -> None:
    assert sorted(mteb_codes(code)) == known
    assert {language_of(f"{iso}-Latn") for iso in known} == {code}


def test_members_of_macrolanguages_are_their_language() -> None:
    assert {"cmn", "zho"} <= set(mteb_codes("zh"))
    assert {"ekk", "est"} <= set(mteb_codes("et"))
    assert language_of("prs-Arab") == "prs"


def test_the_scandinavian_benchmark() -> None:
    tasks = select_tasks("STS17,MTEB(Scandinavian, v1)")
    assert names(tasks)[0] == "STS17"
    assert len(tasks) == 29
    norwegian = {"NorQuadRetrieval", "SNLRetrieval", "SNLHierarchicalClusteringP2P", "SNLHierarchicalClusteringS2S"}
    assert norwegian <= set(names(tasks))
    massive = next(task for task in tasks if task.metadata.name == "MassiveIntentClassification")
    assert subset_pairs(massive) == {"da": "da-da", "nb": "nb-nb", "sv": "sv-sv"}
    assert names(select_tasks(",".join(sorted(norwegian)))) == sorted(norwegian)


def test_a_name_given_twice_is_one_task_and_a_benchmark_stays_as_it_is() -> None:
    benchmark = mteb.get_benchmark("MTEB(Scandinavian, v1)")
    before = {task.metadata.name: list(task.hf_subsets) for task in benchmark.tasks}
    tasks = select_tasks("MTEB(Scandinavian, v1),ScalaClassification,MassiveIntentClassification", pairs=["da-da"])
    assert len(names(tasks)) == len(set(names(tasks)))
    massive = next(task for task in tasks if task.metadata.name == "MassiveIntentClassification")
    assert massive.hf_subsets == ["da"]
    assert {task.metadata.name: list(task.hf_subsets) for task in benchmark.tasks} == before


def test_pairs_restrict_the_subsets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "distill"):
        tasks = select_tasks("STS17,Tatoeba,NorQuadRetrieval", pairs=["en-de", "uk-en", "de-de"])
    assert {task.metadata.name: subset_pairs(task) for task in tasks} == {
        "STS17": {"en-de": "en-de"},
        "Tatoeba": {"deu-eng": "de-en", "ukr-eng": "uk-en"},
    }
    assert "left out, no subset in en-de, uk-en, de-de: NorQuadRetrieval" in caplog.text


def test_all_tasks_of_a_language() -> None:
    tasks = select_tasks(None, ["uk"])
    assert {"Tatoeba", "UkrSedUASmallSTSv1", "NTREXBitextMining", "SIB200ClusteringS2S"} <= set(names(tasks))
    for task in tasks:
        assert set(task.modalities) == {"text"}
        assert all(set(pair.split("-")) <= {"en", "uk"} for pair in subset_pairs(task).values()), task.metadata.name
    ntrex = next(task for task in tasks if task.metadata.name == "NTREXBitextMining")
    assert subset_pairs(ntrex) == {"eng_Latn-ukr_Cyrl": "en-uk", "ukr_Cyrl-eng_Latn": "uk-en"}
    both = {task.metadata.name: task for task in select_tasks("Tatoeba,NTREXBitextMining,STS17", ["uk", "da"])}
    assert sorted(both) == ["NTREXBitextMining", "Tatoeba"]
    known = {"uk-en", "en-uk", "da-en", "en-da"}
    assert set(subset_pairs(both["NTREXBitextMining"]).values()) == known


def test_subsets_that_share_a_pair_keep_their_names() -> None:
    [task] = select_tasks("MultilingualSentimentClassification", ["zh", "de"])
    assert subset_pairs(task) == {"deu": "de-de", "zho": "zho", "cmn": "cmn"}
    [task] = select_tasks("NordicLangClassification", ["da"])
    assert subset_pairs(task) == {"default": "default"}


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("Tatoba", "Tatoeba"), ("STS17,MTEB(Scandinavia, v1)", "MTEB(Scandinavian, v1)"), ("", ""), ("STS17,", "")],
)
def test_an_unknown_name(given: str, nearest: str) -> None:
    with pytest.raises(DistillError, match="no task or benchmark") as caught:
        select_tasks(given)
    assert caught.value.where == "--mteb"
    assert nearest in caught.value.hint


def test_nothing_left() -> None:
    with pytest.raises(DistillError, match="no subset of STS17 is in en-uk") as caught:
        select_tasks("STS17", pairs=["en-uk"])
    assert "en-de" in caught.value.expected
    with pytest.raises(DistillError, match="MTEB has no") as caught:
        select_tasks(None, ["qq"])
    assert caught.value.where == "--languages"


def test_what_mteb_says_of_its_tasks_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "distill"):
        select_tasks("SIB200Classification")
    assert "--mteb: SIB200Classification is superseded by SIB200Classification.v" in caplog.text


def test_without_the_package_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(DistillError, match="the package mteb cannot be imported") as caught:
        select_tasks("STS17")
    assert "pip install" in caught.value.hint
