"""The recipes that come with the program, end to end: small sets and models stand on a Hub under the real names."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command import CommandServer
from hub import Hub
from tiny_models import make_tiny_model

from distill.cli import main
from distill.recipe import Recipe, load_recipe
from distill.recipe.weights import read_weights
from distill.train import learning_rate_factor

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
SHOP = RECIPES / "multitask-ru"
Table = Mapping[str, Sequence[Any]]

SMALL = ("training.precision=fp32", "student.max_tokens=32", "training.trackers=[]", "cleaning=off")
"""What lets any of the recipes train in seconds."""


def recipe(name: str, *overrides: str) -> Recipe:
    """Return a recipe that comes with the program."""
    return load_recipe(RECIPES / f"{name}.yaml", overrides)


def reworded(text: str) -> str:
    """Return a text that belongs to another as even a tiny model can learn: its words from last to first."""
    return " ".join(reversed(text.split()))


def pairs(texts: Sequence[str], first: str, second: str) -> Table:
    """Return texts and the same reworded, as a data set's columns."""
    return {first: texts, second: list(map(reworded, texts))}


def triplets(texts: Sequence[str], anchor: str = "anchor") -> Table:
    """Return texts, the same reworded, and their neighbours."""
    return {**pairs(texts[:-1], anchor, "positive"), "negative": texts[1:]}


def add_scandinavian(hub: Hub, texts: Mapping[str, Sequence[str]]) -> None:
    """Offer the sets of scandinavian-multi, with the columns that the real ones have."""

    def squad(language: str, rows: slice) -> Table:
        own = texts[language][rows]
        answers = [{"text": [text], "answer_start": [0]} for text in own]
        return {"id": list(map(str, range(len(own)))), **pairs(own, "question", "context"), "answers": answers}

    def paws(language: str, rows: slice) -> Table:
        own = texts[language][rows]
        labels = [n % 2 for n in range(len(own) - 1)]
        second = [reworded(own[n]) if label else own[n + 1] for n, label in enumerate(labels)]
        return {"id": range(len(labels)), "sentence1": own[:-1], "sentence2": second, "label": labels}

    parts = {"train": slice(60, 100), "val": slice(120, 132), "test": slice(132, 144)}
    nli = {split: triplets(texts["nb"][rows]) for split, rows in (("train", slice(0, 60)), ("dev", slice(240, 252)))}
    hub.add_dataset("Fremtind/all-nli-norwegian", {"default": nli})
    norquad = {"train": squad("nb", slice(144, 180)), "validation": squad("nb", slice(200, 212))}
    hub.add_dataset("ltg/norquad", {"default": norquad})
    facts = pairs(texts["nb"][264:310], "question_stem", "fact")
    choices = [{"label": ["A", "B"], "text": ["ja", "nei"]}] * len(facts["fact"])
    hub.add_dataset("ltg/noropenbookqa", {"nb": {"train": {**facts, "choices": choices}}, "nn": {"train": facts}})
    scandi = {
        config: {split: squad(language, rows) for split, rows in parts.items()}
        for config, language in (("da", "da"), ("sv", "sv"), ("no", "nb"))
    }
    hub.add_conversion("alexandrainst/scandi-qa", scandi)
    nordic: dict[str, list[Any]] = {name: [] for name in ("query", "positive", "negative", "instruction", "language")}
    for name, language in (("danish", "da"), ("swedish", "sv"), ("norwegian", "nb")):
        found = triplets(texts[language][330:361], "query")
        number = len(found["query"])
        for column in ("query", "positive"):
            nordic[column] += found[column]
        nordic["negative"] += [text if n % 2 else None for n, text in enumerate(found["negative"])]
        nordic["instruction"] += ["Find the text"] * number
        nordic["language"] += [name] * number
    hub.add_dataset("DDSC/nordic-embedding-training-data", {"default": {"train": nordic}})
    english = {"train": paws("en", slice(0, 60)), "validation": paws("en", slice(60, 80))}
    hub.add_dataset("google-research-datasets/paws-x", {"en": english, "de": english})
    bokmaal = {"train": paws("nb", slice(430, 490)), "validation": paws("nb", slice(490, 510))}
    hub.add_conversion("NbAiLab/norwegian-paws-x", {"nb": bokmaal})


def add_english(hub: Hub, english: Sequence[str], everyday_rows: list[dict[str, str]]) -> None:
    """Offer the sets of minilm-1b and bridging, with the columns that their recipes name and texts of their own."""
    sources: dict[str, dict[str | None, Table]] = defaultdict(dict)
    for name in ("minilm-1b", "bridging"):
        for place, corpus in enumerate(recipe(name).corpora.values()):
            own = english[20 * place : 20 * place + 40]
            if corpus.rows == "parallel":
                rows = [(row["en"], row["uk"]) for row in everyday_rows[100 * place : 100 * place + 100]]
                hub.add_parallel_sentences(corpus.source, {"en-uk": {"train": rows[:-16], "dev": rows[-16:]}})
                continue
            called = {"anchor": "anchor", "positive": "positive", **corpus.columns.names()}
            table = triplets(own, str(called["anchor"])) if corpus.rows == "triplets" else pairs(own, *called.values())
            topics = [f"{n % 2}" for n in range(len(next(iter(table.values()))))]
            sources[corpus.source][corpus.config] = {**table, "topic": topics}
    for source, configs in sources.items():
        hub.add_dataset(source, {config or "pair": {"train": table} for config, table in configs.items()})


@pytest.fixture(scope="module")
def hub(
    tiny_teacher: Path, everyday_rows: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """Return a Hub with everything that the recipes name."""
    texts = {code: [row[code] for row in everyday_rows] for code in ("en", "da", "sv", "nb")}
    russian = [text for path in SHOP.rglob("*.csv") for row in csv.reader(path.open(encoding="utf-8")) for text in row]
    hub = Hub()
    families = {
        tiny_teacher: ("sentence-transformers/all-MiniLM-L12-v2", "microsoft/MiniLM-L12-H384-uncased"),
        make_tiny_model(tmp_path_factory.mktemp("nordic"), [text for own in texts.values() for text in own]): (
            "NbAiLab/nb-sbert-base",
            "NbAiLab/nb-bert-base",
        ),
        make_tiny_model(tmp_path_factory.mktemp("russian"), russian): (
            "sergeyzh/rubert-tiny-turbo",
            "cointegrated/rubert-tiny2",
        ),
    }
    for folder, (teacher, student) in families.items():
        hub.add_model(teacher, folder)
        hub.add_model(student, folder.parent / "plain")
    add_scandinavian(hub, texts)
    add_english(hub, texts["en"], everyday_rows)
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def distill(asking_hub: CommandServer) -> CommandServer:
    """Return what runs `distill` commands that ask that Hub."""
    return asking_hub


@pytest.fixture
def run(distill: CommandServer, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that runs a recipe with overrides and returns the run's directory."""

    def run(name: str, *overrides: str) -> Path:
        held_out = [f"corpora.{corpus}.dev_rows=6" for corpus in recipe(name).corpora]
        options = [f"--set={text}" for text in (f"runs={tmp_path}", *SMALL, *held_out, *overrides)]
        ended = distill.run("run", RECIPES / f"{name}.yaml", *options)
        assert ended.code == 0, ended.errors
        return tmp_path / name

    return run


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind in a run's log."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def assert_all_learnt(run: Path, objectives: Sequence[str]) -> set[str]:
    """Check that the dev loss of every objective fell, and that there are scores; return the names of the dev sets."""
    first, *_, last = events(run, "dev")
    assert first["sets"].keys() == last["sets"].keys()
    for objective in objectives:
        before, after = (
            sum(loss for name, loss in event["sets"].items() if name.startswith(f"{objective}: "))
            for event in (first, last)
        )
        assert 0 < after < before, objective
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert {score["model"] for score in scores} == {"teacher", "untrained", "student"}
    assert (run / "model" / "model.safetensors").is_file()
    return set(last["sets"])


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_after_its_file(path: Path, tmp_path: Path) -> None:
    if "shared/data" in path.read_text() and not (ROOT.parent / "shared" / "data").is_dir():
        pytest.skip("its corpora, ../shared/data, are not there")
    made = ("student.model", "evaluation.baselines.before") if path.stem == "add-sv" else ()  # by a run of ua-laptop
    overrides = [f"{key}={tmp_path}" for key in made]
    checked = CliRunner().invoke(main, ["check", str(path), *(f"--set={text}" for text in overrides)])
    assert checked.exit_code == 0, checked.output
    assert load_recipe(path, overrides).name == path.stem


def test_scandinavian_multi(run: Callable[..., Path]) -> None:
    made = run(
        "scandinavian-multi",
        "training.learning_rate=3e-3",
        "training.batch_size=8",
        "training.max_steps=70",
        "training.evaluate_every=14",
        "training.early_stopping={patience: 2, min_delta: 10}",  # nothing improves by so much
        "evaluation.suites=[everyday]",
        "evaluation.every=35",
    )
    sets = assert_all_learnt(made, ["nli", "qa", "retrieval", "paraphrases"])
    assert sets == {
        "nli: nli nb",
        *(
            f"qa: {name}"
            for name in ("norquad nb", "noropenbookqa nb", "scandi-qa-nb nb", "scandi-qa da", "scandi-qa sv")
        ),
        *(f"retrieval: nordic-{code} {code}{rest}" for code in ("nb", "da", "sv") for rest in ("", "/pairs")),
        "paraphrases: paws-x en",
        "paraphrases: paws-x-nb nb",
    }
    for event in events(made, "dev"):
        assert event["loss"] == pytest.approx(sum(event["sets"].values()) / len(sets))
    counts = events(made, "corpora")[0]["corpora"]
    assert counts["nordic-da da"]["read"] == 30
    assert [event["step"] for event in events(made, "dev")] == [14, 28, 42]
    assert "stopped early" in (made / "report.md").read_text()
    best = min(events(made, "dev"), key=lambda event: event["loss"])  # which one hangs on the last bits of the losses
    assert [event["step"] for event in events(made, "scores")] == [35, best["step"]]


def test_minilm_1b(run: Callable[..., Path]) -> None:
    made = run(
        "minilm-1b",
        "training.learning_rate=3e-3",
        "training.warmup=0",
        "training.batch_size=16",
        "training.micro_batch_size=8",
        "training.epochs=20",
        "training.max_steps=24",
        "training.evaluate_every=3",  # the first before all is learnt, or only chance is left to compare
        "evaluation.suites=[everyday]",
        "evaluation.every=null",
    )
    sets = assert_all_learnt(made, ["pairs", "triplets"])
    assert len(sets) == 26


def test_the_weights_of_minilm_1b_are_of_all_its_data_sets() -> None:
    loaded = recipe("minilm-1b")
    entries = read_weights(RECIPES / "minilm-1b" / "data_config.json")
    weights = loaded.mixture_with_weights().sampling.weights  # type: ignore[union-attr]
    assert len(entries) == 27
    assert [entry.name for entry in entries if not entry.weight] == ["searchQA_top5_snippets.jsonl.gz"]
    assert weights.keys() == loaded.corpora.keys()  # type: ignore[union-attr]
    smoke = recipe("minilm-1b-smoke").mixture.sampling.weights  # type: ignore[union-attr]
    assert smoke == {name: weights[name] for name in smoke}  # type: ignore[index, union-attr]
    rates = [learning_rate_factor(step, 540_000, loaded.training) for step in range(510)]
    assert rates.index(max(rates)) == pytest.approx(500, abs=2)


def test_minilm_1b_smoke(run: Callable[..., Path]) -> None:
    made = run("minilm-1b-smoke", "training.learning_rate=3e-3", "training.epochs=20", "training.evaluate_every=3")
    assert len(assert_all_learnt(made, ["pairs", "triplets"])) == 6
    assert events(made, "train")[-1]["step"] == 50


BRIDGING = (
    "teacher={model: sentence-transformers/all-MiniLM-L12-v2}",
    "student.vocabulary={size: 600}",
    "training.learning_rate={body: 3e-3, embeddings: 3e-3}",
    "training.batch_size=16",
    "training.pad_to=[8, 16, 32]",
    "training.epochs=9",
    "training.max_steps=45",
    "training.evaluate_every=15",
    "objectives.questions.false_negatives=null",  # to an untrained teacher all texts are alike
    "evaluation.suites=[everyday]",
)


def test_bridging(run: Callable[..., Path]) -> None:
    made = run("bridging", *BRIDGING, "objectives.questions.scale.steps=30")
    sets = assert_all_learnt(made, ["questions", "translations"])
    assert sets == {
        *(f"questions: {name} en" for name in ("gooaq", "nq", "hard")),
        *(f"translations: {name} en-uk" for name in ("talks", "tatoeba")),
    }


def test_bridging_in_its_other_forms(run: Callable[..., Path]) -> None:
    made = run(
        "bridging",
        *BRIDGING,
        "objectives.questions.scale={learnable: 20}",
        "objectives.translations={loss: contrastive, symmetric: true, margin: 0.3}",
        "corpora.gooaq.columns.domain=topic",
        "mixture.sampling={kind: temperature, temperature: 3}",
        "mixture.cluster_by=domain",
    )
    sets = assert_all_learnt(made, ["questions"])
    assert {"translations: talks en-uk", "translations: tatoeba en-uk"} < sets
    assert json.loads((made / "model" / "heads.json").read_text())["scales"]["questions"] != 20


@pytest.mark.parametrize(
    "override",
    [
        "mixture.sampling=equal",
        "mixture.sampling={kind: capped, cap: 100000}",
        "objectives.questions.scale=20",
        "objectives.questions.margin=0.0",
        "objectives.translations={loss: contrastive, symmetric: true, margin: 0.3}",
    ],
)
def test_every_technique_of_bridging_is_one_key(override: str) -> None:
    assert recipe("bridging", override).fingerprint() != recipe("bridging").fingerprint()


def share_found(model: Path, rows: Sequence[Mapping[str, str]]) -> float:
    """Return the share of anchors whose nearest positive is their own."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")
    anchors, positives = (loaded.encode([row[column] for row in rows]) for column in ("anchor", "positive"))
    return float(((anchors @ positives.T).argmax(axis=1) == range(len(rows))).mean())


def test_multitask_ru(run: Callable[..., Path], distill: CommandServer, tmp_path: Path) -> None:
    learning_rate = "training.learning_rate={body: 3e-3, embeddings: 3e-3, heads: 1e-2}"
    made = run("multitask-ru", learning_rate, "training.select=last", "student.pooling=mean")
    scores = json.loads((made / "scores.json").read_text())["scores"]
    tasks = {score["suite"].removeprefix("tasks/") for score in scores if score["model"] == "student"}
    assert len(tasks) == 11
    assert tasks > {"brands", "intents", "ranking"}
    assert {name.partition(":")[0] for name in events(made, "dev")[-1]["sets"]} == {
        "search",
        "alike",
        "topic",
        "review",
    }

    read = {path.stem: list(csv.DictReader(path.open(encoding="utf-8"))) for path in (SHOP / "train").glob("*.csv")}
    for name in ("brands", "queries", "questions"):
        before, after = (share_found(made / model, read[name]) for model in ("untrained", "model"))
        assert after > before + 0.2, name

    described = json.loads((made / "model" / "heads.json").read_text())["heads"]
    assert described["review"]["labels"] == ["плохо", "хорошо"]
    assert len(described["topic"]["labels"]) == 6
    texts = tmp_path / "texts.txt"
    for head, rows, chance in (("topic", read["topics"], 1 / 6), ("review", read["reviews"], 1 / 2)):
        texts.write_text("\n".join(row["text"] for row in rows), encoding="utf-8")
        answered = distill.run("predict", made, "--head", head, texts)
        assert answered.code == 0, answered.errors
        found = [line.split("\t")[0] for line in answered.output.splitlines()]
        right = sum(label == row["label"] for label, row in zip(found, rows, strict=True))
        assert right / len(rows) > chance + 0.2
