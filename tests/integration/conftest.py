"""Fixtures: the command line in processes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command import CommandServer


@pytest.fixture(scope="session")
def distill() -> Iterator[CommandServer]:
    """Return what runs `distill` commands in processes of their own, on the CPU."""
    server = CommandServer({"ACCELERATE_USE_CPU": "1"})
    yield server
    server.close()
