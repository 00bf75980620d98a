"""Progress of long work: a live bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.text import Text

log = logging.getLogger("distill")

SECONDS_BETWEEN_LINES = 10.0
SHARE_BETWEEN_LINES = 0.02
"""Lines come rarer in long work: this share of its duration so far lies between them."""

SECONDS_OF_SPEED = 600.0
"""The time left is told from the speed in this time."""

console = Console(stderr=True)


class LogHandler(logging.Handler):
    """Writes log lines to standard error, above a live bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        console.print(self.format(record), markup=False, highlight=False, emoji=False, soft_wrap=True)


def show_log() -> None:
    """Show what this program logs, notices and worse."""
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, LogHandler) for handler in log.handlers):
        log.addHandler(LogHandler())


class Update(Protocol):
    """Reports how much is done and a short note such as the loss."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int, unit: str, *, start: int = 0, show: bool = True) -> Iterator[Update]:
    """Yield a function that shows progress.

    Args:
        title: what is being done.
        total: how much there is to do.
        unit: what is counted, for the rate.
        start: how much was done before, and not at the rate of now.
        show: whether this process shows anything.
    """
    if not show or total <= 0:
        yield lambda done, note="": None
    elif console.is_terminal:
        yield from _bar(title, total, unit, start)
    else:
        yield from _lines(title, total, unit, start)


class TimeLeftColumn(ProgressColumn):
    """The time left, in words."""

    def render(self, task: Task) -> Text:
        """Return it, `?` before the first update."""
        return Text(f"{duration(inf if task.time_remaining is None else task.time_remaining)} left")


def _bar(title: str, total: int, unit: str, start: int) -> Iterator[Update]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeftColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began = time.monotonic()
    with Progress(*columns, console=console, speed_estimate_period=SECONDS_OF_SPEED) as bar:
        task = bar.add_task(title, total=total, completed=start, rate="", note="")

        def update(done: int, note: str = "") -> None:
            rate = (done - start) / max(time.monotonic() - began, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:,.1f} {unit}/s", note=note)

        yield update


def _lines(title: str, total: int, unit: str, start: int) -> Iterator[Update]:
    began = last = time.monotonic()

    def update(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < max(SECONDS_BETWEEN_LINES, SHARE_BETWEEN_LINES * (now - began)) and done < total:
            return
        last = now
        rate = (done - start) / max(now - began, 1e-9)
        left = (total - done) / rate if rate > 0 else inf
        log.info(
            "%s: %d/%d %s, %.1f %s/s, %s left%s",
            title,
            done,
            total,
            unit,
            rate,
            unit,
            duration(left),
            f", {note}" * bool(note),
        )

    yield update


def duration(seconds: float) -> str:
    """Return a duration such as `45 s`, `3 min 20 s` or `2 h 05 min`."""
    if seconds == inf:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
