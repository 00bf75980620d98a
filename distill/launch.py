"""Several processes on one machine: `distill run --processes N`.

The processes find each other as torchrun's do (`RANK`, `WORLD_SIZE`, `MASTER_ADDR`, …). Each hands an error over in
a file, so that the one shown is the one that began it and not the lost connections that followed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distill.errors import DistillError

ERROR_FILE = "DISTILL_ERROR_FILE"
"""Environment variable: where a process that `launch` started writes the error it ends with."""

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Failure:
    """How a process failed.

    Attributes:
        rank: number of the process.
        code: its exit code, negative for a signal.
        error: what the user can mend; None for anything else.
        output: a traceback, or what the process wrote last.
        when: time at which it wrote its error; infinite if it wrote none.
    """

    rank: int
    code: int
    error: DistillError | None
    output: str
    when: float


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `distill` with some arguments in several processes that train together, and return the exit code.

    The first process to fail ends all; they also end with this one, however it ends.

    Raises:
        DistillError: the one that a process ended with.
    """
    with tempfile.TemporaryDirectory(prefix="distill-") as folder, _terminated_like_interrupted():
        workers = _start(arguments, processes, Path(folder))
        try:
            failed = _wait(workers)
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
        if not failed:
            return 0
        failure = first_failure([_failure(rank, code, Path(folder)) for rank, code in failed.items()])
    if failure.error:
        raise failure.error
    if failure.code < 0:
        name = signal.Signals(-failure.code).name
        hint = ": perhaps the memory is full" * (failure.code == -signal.SIGKILL)
        print(f"process {failure.rank} of {processes} was ended by {name}{hint}", file=sys.stderr)
    sys.stderr.write(failure.output)
    return failure.code if failure.code > 0 else 128 - failure.code


def first_failure(failures: Sequence[Failure]) -> Failure:
    """Return the failure that caused the others, which lost their connection to that process.

    An error of the user's comes before all, then a process ended by a signal, then the earliest traceback.
    """
    return min(failures, key=lambda failure: (failure.error is None, failure.code > 0, failure.when, failure.rank))


@contextmanager
def launched() -> Iterator[None]:
    """In a process that `launch` started: end with the one that started it, and hand an error over to it.

    Does nothing in any other process.
    """
    path = os.environ.get(ERROR_FILE)
    if path is None:
        yield
        return
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    try:
        yield
    except DistillError as error:
        _hand_over(Path(path), {"error": [error.where, error.found, error.expected, error.hint]})
        sys.exit(2)
    except Exception:
        _hand_over(Path(path), {"traceback": traceback.format_exc()})
        sys.exit(1)


def _hand_over(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _end_with_standard_input() -> None:
    """End this process when the other end of its standard input is closed: when the process that started it is gone."""
    while os.read(0, 1):
        pass
    os._exit(1)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM, which batch systems send, as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(arguments: Sequence[str], processes: int, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start the processes; the first writes to this one's output, the others' errors go to files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // processes)
    shared = {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    # Ctrl-C reaches every process of a terminal: this one ends the others.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    workers = []
    try:
        for rank in range(processes):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), ERROR_FILE: str(_error_file(folder, rank))}
            with _output_file(folder, rank).open("wb") as output:
                workers.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "distill", *arguments],
                        env={**shared, **own},
                        stdin=subprocess.PIPE,
                        stdout=None if rank == 0 else subprocess.DEVNULL,
                        stderr=None if rank == 0 else output,
                    )
                )
    finally:
        signal.signal(signal.SIGINT, before)
    return workers


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> dict[int, int]:
    """Wait until all processes have ended well or some have failed; return the codes of those by rank."""
    while True:
        codes = [worker.poll() for worker in workers]
        failed = {rank: code for rank, code in enumerate(codes) if code}
        if failed or all(code == 0 for code in codes):
            return failed
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _failure(rank: int, code: int, folder: Path) -> Failure:
    """Return what a failed process left behind."""
    path = _error_file(folder, rank)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        when = path.stat().st_mtime
    except (OSError, ValueError):
        output = _output_file(folder, rank).read_text(encoding="utf-8", errors="replace")
        return Failure(rank, code, None, output, float("inf"))
    if "error" in content:
        where, found, expected, hint = content["error"]
        return Failure(rank, code, DistillError(where, found, expected=expected, hint=hint), "", when)
    return Failure(rank, code, None, content["traceback"], when)


def _error_file(folder: Path, rank: int) -> Path:
    return folder / f"error-{rank}.json"


def _output_file(folder: Path, rank: int) -> Path:
    return folder / f"output-{rank}.txt"
