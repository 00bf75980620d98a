"""A language added to a trained student."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from command import CommandServer

from distill.files import file_checksum

TRAINING: dict[str, Any] = {"batch_size": 16, "epochs": 1, "learning_rate": 3e-3, "precision": "fp32", "trackers": []}


def test_a_language_is_added_to_a_trained_student(
    distill: CommandServer,
    write_recipe: Callable[..., Path],
    tsv_corpus: Path,
    everyday_rows: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    from sentence_transformers import SentenceTransformer

    corpora = {code: {"folder": str(tsv_corpus), "languages": [code], "dev_rows": 20} for code in ("uk", "da")}
    student = {"kind": "transplant", "vocabulary": {"size": 800}, "max_tokens": 32}
    common: dict[str, Any] = {"training": TRAINING, "evaluation": {"suites": []}}

    def run(name: str, **sections: Any) -> Path:
        ended = distill.run("run", write_recipe(name=name, **common, **sections))
        assert ended.code == 0, ended.errors
        return tmp_path / "runs" / name

    earlier = run("earlier", student=student, corpora={"uk": corpora["uk"]}) / "model"
    folder = run(
        "more",
        student={**student, "model": str(earlier), "add": "da"},
        corpora=corpora,
        objectives={"new": {"loss": "mse", "corpora": "da"}, "known": {"loss": "mse", "corpora": "uk"}},
        mixture={"sampling": {"kind": "weighted", "weights": {"new": 0.7, "known": 0.3}}},
    )
    dev = [event for event in map(json.loads, (folder / "log.jsonl").open()) if event["event"] == "dev"]
    assert dev[-1]["sets"]["new: da en-da"] < dev[0]["sets"]["new: da en-da"]
    before, untrained, trained = (
        SentenceTransformer(str(path), device="cpu") for path in (earlier, folder / "untrained", folder / "model")
    )
    ukrainian, danish = ([row[code] for row in everyday_rows[:200]] for code in ("uk", "da"))
    assert np.allclose(untrained.encode(ukrainian), before.encode(ukrainian), atol=1e-6)
    assert not np.allclose(untrained.encode(danish), before.encode(danish), atol=1e-2)
    assert before.tokenizer.get_vocab().items() < trained.tokenizer.get_vocab().items()
    card = (folder / "model" / "README.md").read_text()
    pieces = [f"{len(model.tokenizer):,}" for model in (before, trained)]
    assert f"| vocabulary | {' → '.join(pieces)} pieces |" in card
    digests = json.loads((folder / "data.json").read_text())["models"]
    assert digests["student.model"] == file_checksum(earlier / "model.safetensors")
    assert "model: model" in card  # the earlier student without this machine's folders
    assert str(tmp_path) not in card
