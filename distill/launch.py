"""Several processes on one machine: `distill run --processes N`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

GRACE_SECONDS = 3.0
"""After a failure, how long the other processes may take to end with an error of their own."""


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `distill` with some arguments in several processes that train together, and return the exit code.

    The first process to fail ends all, and its error is the one shown.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = max(1, (os.cpu_count() or 1) // processes)
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
    }
    errors = [None, *(tempfile.TemporaryFile() for _ in range(1, processes))]  # noqa: SIM115 - closed below
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "distill", *arguments],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=None if rank == 0 else subprocess.DEVNULL,
            stderr=errors[rank],
        )
        for rank in range(processes)
    ]
    try:
        failed = _wait(workers)
        if failed is None:
            return 0
        deadline = time.monotonic() + GRACE_SECONDS
        while workers[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        output = errors[failed]
        if output is not None and workers[0].poll() is None:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace"))
        return workers[failed].returncode or 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for output in errors[1:]:
            if output is not None:
                output.close()


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Return the rank of the first process that fails, None when all have ended well."""
    while True:
        codes = [worker.poll() for worker in workers]
        failed = next((rank for rank, code in enumerate(codes) if code), None)
        if failed is not None or all(code == 0 for code in codes):
            return failed
        time.sleep(0.1)
