"""The default repairs and row rules against OpusFilter's equivalent filters: rows per second and core.

Usage: python eval/bench/cleaning.py --opusfilter /path/to/python [--repeats 3] [--rows 20000] [--json FILE]

Needs ../shared/data, and the Python of an environment of its own with
`pip install opusfilter==3.3.1 "py3langid<0.4" pycld2`. OpusFilter runs with its default identifier, langid, with the
fastest that it supports, cld2, and then without its slowest filter. Its filters are those with an equivalent here;
encodings, entities, addresses and swapped sides have none, so this program does more. Times are processor seconds of
the same en-uk, en-sv and en-de rows, drawn from all corpora; loading is excluded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy: idle threads count as processor time

LANGUAGES = {"uk": "Cyrillic", "sv": "Latin", "de": "Latin"}


def filters(language: str, contender: str) -> list[dict[str, dict[str, object]]]:
    """Return OpusFilter's configuration."""
    identifier, _, without = contender.partition(" without ")
    wanted: list[dict[str, dict[str, object]]] = [
        {"LengthFilter": {"unit": "word", "min_length": 1, "max_length": 300}},
        {"LengthFilter": {"unit": "char", "min_length": 1, "max_length": 2000, "name": "char"}},
        {"LengthRatioFilter": {"unit": "char", "threshold": 2.2}},
        {"HtmlTagFilter": {}},
        {"SimilarityFilter": {"threshold": 0.75, "unit": "word", "lowercase": True}},
        {"CharacterScoreFilter": {"scripts": ["Latin", LANGUAGES[language]], "thresholds": [0.5, 0.5]}},
        {"LanguageIDFilter": {"id_method": identifier, "languages": ["en", language], "thresholds": [0, 0]}},
        {"TerminalPunctuationFilter": {}},
        {"NonZeroNumeralsFilter": {}},
        {"RepetitionFilter": {"threshold": 3}},
    ]
    return [one for one in wanted if without not in one]


def opusfilter(path: Path, contender: str) -> None:
    """Print the processor seconds that OpusFilter takes for the rows of a file, and the rows it keeps."""
    import logging

    from opusfilter.pipeline import FilterPipeline  # type: ignore[import-not-found]
    from opusfilter.preprocessors import WhitespaceNormalizer  # type: ignore[import-not-found]

    logging.disable(logging.CRITICAL)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (a progress bar for each filter)
    seconds, kept = 0.0, 0
    for language, rows in json.loads(path.read_text(encoding="utf-8")).items():
        pairs = list(zip(*rows, strict=True))
        pipeline = FilterPipeline.from_config(filters(language, contender))
        list(pipeline.filter(pairs[:20]))
        began = time.process_time()
        kept += len(list(pipeline.filter(WhitespaceNormalizer().process(pairs))))
        seconds += time.process_time() - began
    print(json.dumps({"seconds": seconds, "kept": kept}))


def own(path: Path) -> dict[str, float]:
    """Return the processor seconds that this program takes for the rows of a file, and the rows it keeps."""
    from distill.cleaning import Texts, applied, flags, repair
    from distill.recipe.cleaning import CleaningSection, merged

    section, seconds, kept = merged(CleaningSection(), None), 0.0, 0

    def clean(language: str, rows: list[list[str]]) -> int:
        sides = [repair(texts, section).texts for texts in rows]
        columns = [Texts(sides[0], "en"), Texts(sides[1], language)]
        dropped = [flags(rule, columns, section) for rule in applied(section, parallel=True)]
        return sum(not any(row) for row in zip(*dropped, strict=True))

    for language, rows in json.loads(path.read_text(encoding="utf-8")).items():
        clean(language, [texts[:20] for texts in rows])
        began = time.process_time()
        for start in range(0, len(rows[0]), 10_000):
            kept += clean(language, [texts[start : start + 10_000] for texts in rows])
        seconds += time.process_time() - began
    return {"seconds": seconds, "kept": kept}


def draw(count: int) -> dict[str, list[list[str]]]:
    """Return that many rows of each language, drawn from all corpora."""
    import pyarrow.parquet as pq
    from common import DATA

    drawn = {}
    for language in LANGUAGES:
        rows = []
        for path in sorted(DATA.glob(f"parallel/*/en-{language}/train.parquet")):
            table = pq.read_table(path)
            rows += zip(table["english"].to_pylist(), table["non_english"].to_pylist(), strict=True)
        drawn[language] = [list(side) for side in zip(*random.Random(0).sample(rows, count), strict=True)]
    return drawn


def main() -> None:
    """Time both in turns."""
    if len(sys.argv) == 4 and sys.argv[1] == "child":
        opusfilter(Path(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opusfilter", required=True, help="Python of an environment with OpusFilter")
    parser.add_argument("--repeats", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each language (default 20000)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    path = Path(tempfile.mkdtemp()) / "rows.json"
    path.write_text(json.dumps(draw(options.rows)), encoding="utf-8")
    total = options.rows * len(LANGUAGES)
    contenders = ("distill", "langid", "cld2", "cld2 without RepetitionFilter")
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    kept = {}
    for _ in range(options.repeats):
        for name, found in rates.items():
            if name == "distill":
                result = own(path)
            else:
                command = [options.opusfilter, __file__, "child", str(path), name]
                result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found.append(total / result["seconds"])
            kept[name] = result["kept"]
    figures: dict[str, object] = {"rows": total, "rows kept": kept}
    for name, found in rates.items():
        figures[f"rows per second, {name}"] = [round(rate) for rate in sorted(found)]
        if name != "distill":
            times = [ours / theirs for ours, theirs in zip(rates["distill"], found, strict=True)]
            figures[f"times OpusFilter with {name}"] = round(statistics.median(times), 1)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
