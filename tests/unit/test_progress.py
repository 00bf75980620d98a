"""Progress on a real terminal and in a log file."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from distill.progress import duration, progress

WORK = """
import logging, time
from distill.progress import progress, show_log
show_log()
with progress("training", 2000, "steps", start=1000) as update:
    for done in range(1001, 2001):
        update(done, f"loss {1 / done:.4f}")
        if done == 1500:
            logging.getLogger("distill").warning("[bold]half[/bold] of it :cat: is done")
        time.sleep(0.0005)
"""


def on_a_terminal(columns: int) -> str:
    """Return what a terminal of some columns shows of the work, line by line, with what was written over."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", WORK], stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        written = b""
        while process.poll() is None or written[-1:] != b"\n":
            try:
                written += os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_bar_with_rate_time_left_and_loss_on_one_line(columns: int) -> None:
    lines = re.split(r"[\r\n]+", on_a_terminal(columns))
    assert max(map(len, lines)) <= columns
    bars = [line for line in lines if line.startswith("training")]
    running = re.compile(r"training [━╸╺ ]+ 1[0-9]{3}/2000 [\d,.]+ steps/s \d+ s left loss 0\.000\d")
    assert any(running.match(line) for line in bars), bars
    assert re.match(r"training ━+ 2000/2000 [\d,.]+ steps/s 0 s left loss 0\.0005", bars[-1])
    assert "[bold]half[/bold] of it :cat: is done" in [line.rstrip() for line in lines]


def test_a_file_gets_plain_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "distill"), progress("tokens", 10, "sentences", start=4) as update:
        for done in range(5, 11):
            update(done, "quick")
    assert len(caplog.messages) == 1  # in so short a time only the last
    assert re.fullmatch(r"tokens: 10/10 sentences, [\d.]+ sentences/s, 0 s left, quick", caplog.messages[0])


@pytest.mark.parametrize(("total", "show"), [(0, True), (10, False)])
def test_nothing_is_shown_where_there_is_nothing_to_do_or_another_process_shows_it(
    total: int, show: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "distill"), progress("tokens", total, "sentences", show=show) as update:
        update(total)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (float("inf"), "?")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
