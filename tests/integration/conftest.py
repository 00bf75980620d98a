"""Fixtures: the command line in processes of its own."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer, commands
from hub import Hub


@pytest.fixture(scope="session")
def distill() -> Iterator[CommandServer]:
    """Return what runs `distill` commands in processes of their own, on the CPU."""
    with commands({}) as server:
        yield server


@pytest.fixture(scope="module")
def asking_hub(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    """Return what runs commands that ask a module's Hub, its fixture `hub`, and have stored nothing from it yet."""
    home = str(tmp_path_factory.mktemp("hf-home"))
    with commands({**hub.environment, "HF_HOME": home, "MTEB_CACHE": home}) as server:
        yield server


@pytest.fixture
def mixed_sections(tmp_path: Path, tsv_corpus: Path, everyday_rows: list[dict[str, str]]) -> dict[str, Any]:
    """Corpora of all kinds of rows, and objectives of all losses on them, as a recipe's sections."""

    def files(name: str, kind: str, language: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
        path = tmp_path / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return {"files": str(path), "rows": kind, "languages": [language], "dev_rows": 8}

    en, uk, da = ([row[code] for row in everyday_rows[200:]] for code in ("en", "uk", "da"))
    # Every third triplet has one negative, every third two; the others are pairs.
    triplets = [
        (en[i], en[i + 1], en[i + 2] if i % 3 else "", en[i + 3] if i % 3 == 2 else "") for i in range(0, 240, 4)
    ]
    scored = [(uk[i], uk[i + 1], str(i % 6)) for i in range(60)]
    corpora = {
        "parallel": {"folder": str(tsv_corpus), "languages": ["uk", "da"], "dev_rows": 10},
        "triplets": files("triplets", "triplets", "en", ("anchor", "positive", "negative", "negative_2"), triplets),
        "scored": files(
            "scored",
            "scored",
            "uk",
            ("sentence1", "sentence2", "score"),
            scored,
        ),
        "topics": files(
            "topics", "labelled", "da", ("text", "label"), [(text, str(len(text) % 3)) for text in da[:80]]
        ),
    }
    corpora["triplets"]["columns"] = {"negative": ["negative", "negative_2"]}
    learnable = {"loss": "contrastive", "symmetric": True, "margin": 0.1, "scale": {"learnable": 10}}
    objectives = {
        "mse": {"loss": "mse", "english_share": 0.5},
        "cosine": {"loss": "cosine", "corpora": "parallel", "matryoshka": [32, 8]},
        "alike": {"loss": "mse", "english_share": 0.5, "similarity": {}, "weight": 0.5},
        "similarity": {"loss": "similarity", "corpora": ["parallel", "triplets"], "weight": 0.5},
        "contrastive": {**learnable, "false_negatives": {}},
        "scheduled": {"loss": "contrastive", "scale": {"from": 1, "to": 23, "steps": 10}, "corpora": "triplets"},
        "triplet": {"loss": "triplet"},
        "margins": {"loss": "margin_mse"},
        "order": {"loss": "scored", "score_range": [0, 5]},
        "scores": {"loss": "scored", "form": "cosine", "score_range": [0, 5]},
        "topic": {"loss": "classification", "hidden": 8, "matryoshka": [32, 16]},
    }
    return {"corpora": corpora, "objectives": objectives}
