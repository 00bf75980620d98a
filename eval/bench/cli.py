"""How long `distill --help` and `distill check` take, as whole processes.

Usage: python eval/bench/cli.py [--repeats 7] [--json FILE]
"""

from __future__ import annotations

import subprocess
import sys
import time

from common import ROOT, finish, spread, start

COMMANDS = {"distill --help": ["--help"], "distill check": ["check", str(ROOT / "recipes" / "quickstart.yaml")]}


def main() -> None:
    """Time each command several times, after one run to warm up."""
    options = start(__doc__ or "")
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(options.repeats + 1):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "distill", *arguments], check=True, capture_output=True)
            if number:
                seconds[name].append(time.perf_counter() - began)
    finish(options, {f"{name} (seconds)": spread(values) for name, values in seconds.items()})


if __name__ == "__main__":
    main()
