"""What `distill run` prints at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.cli.run import show_outcome
from distill.pipeline import Outcome


def test_values_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"command": "`distill run a.yaml --set 'evaluation.pairs=[en-uk,uk-uk]' --set name=:smile:`"}
    show_outcome(Outcome(Path("runs/[bold]/model"), [], facts))
    printed = capsys.readouterr().out
    assert f"command: {facts['command']}\n" in printed
    assert "runs/[bold]/model" in printed
