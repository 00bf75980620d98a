"""Peak memory and speed of reading a large TMX and a large TSV file, each part of the work in a process of its own.

The files are made of the bundled corpus's pairs with a running number. Parts: `bytes` reads the file only, `lines`
splits and decodes it, `xml` parses it without looking at it, `rows` is what a corpus is read with.

Usage: python eval/bench/reading.py [--gigabytes 5] [--folder FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape

from distill.corpora.readers import open_rows
from distill.corpora.readers.streams import CHUNK_BYTES, Entry, line_blocks, open_stream
from distill.corpora.sources import bundled_file

TARGET_MIB = 500
ROWS_PER_WRITE = 10_000


def pairs() -> list[tuple[str, str]]:
    """Return the English and Ukrainian sides of the bundled corpus."""
    batches = open_rows(bundled_file("everyday", "train"), language="uk")
    return [pair for batch in batches for pair in zip(*batch.columns.values(), strict=True)]


def tsv_row(number: int, english: str, other: str) -> str:
    """Return a row of a TSV file."""
    return f"{english} {number}\t{other} {number}\n"


def tmx_row(number: int, english: str, other: str) -> str:
    """Return a unit as OPUS writes it."""
    sides = (("en", english), ("uk", other))
    texts = (f'      <tuv xml:lang="{tag}"><seg>{escape(text)} {number}</seg></tuv>\n' for tag, text in sides)
    return f"    <tu>\n{''.join(texts)}    </tu>\n"


TMX_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<tmx version="1.4">\n  <body>\n'
LAYOUTS: dict[str, tuple[str, Callable[[int, str, str], str], str]] = {
    ".tsv": ("english\tnon_english\n", tsv_row, ""),
    ".tmx": (TMX_HEAD, tmx_row, "  </body>\n</tmx>\n"),
}


def write(path: Path, size: float) -> None:
    """Write a file of about `size` bytes."""
    head, row, tail = LAYOUTS[path.suffix]
    known, number = pairs(), 0
    with path.open("wb") as file:
        file.write(head.encode())
        while file.tell() < size:
            rows = range(number, number + ROWS_PER_WRITE)
            file.write("".join(row(n, *known[n % len(known)]) for n in rows).encode())
            number += ROWS_PER_WRITE
        file.write(tail.encode())


def read_bytes(path: Path) -> int:
    """Read a file, and return 0."""
    with open_stream(Entry(path)) as stream:
        while stream.read(CHUNK_BYTES):
            pass
    return 0


def read_lines(path: Path) -> int:
    """Return the number of lines of a file."""
    with open_stream(Entry(path)) as stream:
        return sum(len(block.lines) for block in line_blocks(stream))


def read_xml(path: Path) -> int:
    """Parse an XML file, and return 0."""
    parser = expat.ParserCreate()
    with open_stream(Entry(path)) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            parser.Parse(chunk, False)
    return 0


def read_rows(path: Path) -> int:
    """Return the number of rows of a file."""
    return sum(len(batch.lines) for batch in open_rows(path, language="uk"))


PARTS: dict[str, Callable[[Path], int]] = {"bytes": read_bytes, "lines": read_lines, "xml": read_xml, "rows": read_rows}


def measure(path: Path, part: str) -> None:
    """Print the figures of reading a file in this process."""
    began, processor = time.perf_counter(), time.process_time()
    rows = PARTS[part](path)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    status = Path("/proc/self/status").read_text(encoding="ascii")  # ru_maxrss would count the parent's memory too
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    megabytes = path.stat().st_size / 1e6
    figures = {"rows": rows, "peak MiB": round(peak), "MB/s": round(megabytes / seconds)}
    print(json.dumps(figures | {"MB per processor second": round(megabytes / processor)}))


def main() -> None:
    """Write both files, read each in child processes, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5, help="size of each file (default 5)")
    parser.add_argument(
        "--folder", type=Path, help="where the files are made, one at a time (default: a temporary one)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        measure(options.file, options.part)
        return
    figures: dict[str, object] = {"gigabytes": options.gigabytes, "target MiB": TARGET_MIB}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for suffix, parts in ((".tsv", ("bytes", "lines", "rows")), (".tmx", ("bytes", "xml", "rows"))):
            path = Path(folder) / f"a{suffix}"
            write(path, options.gigabytes * 1e9)
            for part in parts:
                command = [sys.executable, __file__, "--part", part, "--file", str(path)]
                found = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                figures[f"{suffix} {part}"] = json.loads(found.stdout)
            path.unlink()
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
