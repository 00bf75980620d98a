"""Fixtures: a private cache, tiny models that load in milliseconds, small corpora, recipes."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from tiny_models import make_tiny_model

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

# The time of one example says nothing on a machine that does other work too.
settings.register_profile("distill", deadline=None)
settings.load_profile("distill")

ROOT = Path(__file__).resolve().parent.parent
EVERYDAY = ROOT / "distill" / "everyday"


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DISTILL_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def everyday_rows() -> list[dict[str, str]]:
    """Rows of the bundled training corpus."""
    with (EVERYDAY / "train.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory, everyday_rows: list[dict[str, str]]) -> Path:
    """Folder of an untrained English sentence-embedding model."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny-teacher"), [row["en"] for row in everyday_rows])


@pytest.fixture(scope="session")
def plain_encoder(tiny_teacher: Path) -> Path:
    """Folder of the tiny teacher's plain transformers model, without pooling."""
    return tiny_teacher.parent / "plain"


@pytest.fixture
def tsv_corpus(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> Path:
    """A folder corpus of 200 en-uk and 200 en-da rows in TSV, without dev files."""
    for language in ("uk", "da"):
        folder = tmp_path / "corpus" / f"en-{language}"
        folder.mkdir(parents=True)
        rows = "".join(f"{row['en']}\t{row[language]}\n" for row in everyday_rows[:200])
        (folder / "train.tsv").write_text("english\tnon_english\n" + rows, encoding="utf-8")
    return tmp_path / "corpus"


@pytest.fixture
def write_recipe(tmp_path: Path, tiny_teacher: Path, tsv_corpus: Path) -> Callable[..., Path]:
    """Return a function that writes a small recipe that trains in a second; keyword arguments replace sections."""

    def write(**sections: object) -> Path:
        import json

        recipe: dict[str, object] = {
            "name": "small",
            "runs": str(tmp_path / "runs"),
            "teacher": {"model": str(tiny_teacher)},
            "student": {"kind": "transplant", "vocabulary": {"size": 800}, "max_tokens": 32},
            "corpora": {"small": {"folder": str(tsv_corpus), "languages": ["uk", "da"], "dev_rows": 20}},
            "training": {
                "batch_size": 16,
                "epochs": 2,
                "learning_rate": 1e-3,
                "precision": "fp32",
                "evaluate_every": 10,
                "checkpoint_every": 5,
                "trackers": [],
            },
            "evaluation": {"suites": ["everyday"], "pairs": ["en-uk"]},
        }
        recipe.update(sections)
        path = tmp_path / "small.yaml"
        path.write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
        return path

    return write
