"""The command line in processes of its own, so that tests can kill it.

One process imports everything, loads the tables of languages and letters, and forks a child for each command: a
command then starts at once.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Moment:
    """A moment in a process's life: a Python audit event on a path.

    Attributes:
        event: name of the event, such as `os.mkdir` or `os.rename`.
        path: regular expression that the event's first argument matches.
        number: how many such events came before, and this one.
        signal: what the process gets then; SIGKILL cannot be caught.
    """

    event: str
    path: str
    number: int = 1
    signal: int = signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (-9 if killed) and what it wrote."""

    code: int
    output: str
    errors: str


class CommandServer:
    """A process that runs `distill` commands in children of its own.

    Args:
        environment: variables set before anything is imported.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},  # more are slower on tiny models
            text=True,
        )

    def run(self, *arguments: str | Path, kill_at: Moment | None = None, disk_bytes: int | None = None) -> Ended:
        """Run one command to its end, or until it is killed at a moment, and return how it ended.

        With `disk_bytes`, no file can grow beyond that size, as if the disk were full.
        """
        with tempfile.TemporaryDirectory() as folder:
            request = {
                "arguments": [str(argument) for argument in arguments],
                "environment": {"DISTILL_CACHE": os.environ["DISTILL_CACHE"]},
                "folder": folder,
                "kill_at": kill_at and asdict(kill_at),
                "disk_bytes": disk_bytes,
            }
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = json.loads(self._process.stdout.readline())
            output, errors = ((Path(folder) / name).read_text(encoding="utf-8") for name in ("output", "errors"))
        return Ended(code, output, errors)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def commands(environment: Mapping[str, str]) -> Iterator[CommandServer]:
    """Give what runs `distill` commands on the CPU, with further variables set."""
    server = CommandServer({**environment, "ACCELERATE_USE_CPU": "1"})
    try:
        yield server
    finally:
        server.close()


def serve() -> None:
    """Run the commands that come on standard input, one JSON object a line, and answer with their exit codes."""
    import sentence_transformers.sentence_transformer.modules
    import tensorboard
    import torch.utils.tensorboard
    import transformers.models.bert.modeling_bert

    import distill.cli
    import distill.pipeline
    import distill.plan
    from distill import identify, scripts

    _ = (sentence_transformers, tensorboard, torch, transformers, distill)
    identify.labels()  # these and the next take a second each
    scripts.kinds(np.zeros(1, np.uint32))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _run(
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    kill_at: dict[str, object] | None,
    disk_bytes: int | None,
) -> None:
    """Turn this process into one command; does not return."""
    from distill.cli import main

    os.environ.update(environment)
    for descriptor, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT), descriptor)
    if disk_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (disk_bytes, resource.RLIM_INFINITY))
    if kill_at:
        _kill_at(Moment(**kill_at))  # type: ignore[arg-type]
    sys.argv = ["distill", *arguments]
    main(arguments, prog_name="distill")


def _kill_at(moment: Moment) -> None:
    """Send this process a signal when a moment comes."""
    pattern, left = re.compile(moment.path), moment.number

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == moment.event and pattern.search(str(arguments[0])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), moment.signal)

    sys.addaudithook(watch)


if __name__ == "__main__":
    serve()
