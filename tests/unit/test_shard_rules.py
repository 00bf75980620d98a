"""Shards cleaned by the rules of a recipe hold the rows that a run of the recipe would keep."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from distill.cli import main
from distill.corpora import SentenceFilter, load_corpora
from distill.recipe import load_recipe

SENTENCES = [
    ("The old man walked slowly along the river.", "Старий чоловік повільно йшов уздовж річки."),
    ("<i>Nobody knew</i> where the key was.", "Ніхто не знав, де лежить ключ."),
    ("There are 15 apples in this basket.", "У цьому кошику 51 яблуко."),
    ("She bought a new coat for the winter.", "She bought a new coat for the winter."),
    ("My brother has never been to the sea.", ""),
    ("I have not seen your sister for a year.", None),
    ("What time does the train leave today?", "О котрій годині сьогодні відходить потяг?"),
    ("what time does the train leave today", "О котрій годині сьогодні відходить потяг"),
    ("We had to wait for almost three hours.", "Нам довелося чекати майже три години."),
]


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(3):
        rows = SENTENCES[number * 2 :] + SENTENCES[:number]
        paths.append(tmp_path / f"part-{number}.parquet")
        pq.write_table(pa.table({"english": [e for e, _ in rows], "non_english": [o for _, o in rows]}), paths[-1])
    return paths


@pytest.mark.parametrize(("cleaning", "left"), [({}, 4), ({"duplicates": {"form": "exact"}}, 5)])
def test_shards_hold_what_a_run_would_keep(
    tmp_path: Path, shards: list[Path], cleaning: dict[str, object], left: int
) -> None:
    document = {
        "cleaning": cleaning,
        "name": "x",
        "teacher": {"model": "a/b"},
        "student": {"kind": "transplant"},
        "corpora": {"all": {"files": "part-*.parquet", "languages": "uk", "dev_rows": 0}},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(document))
    out = tmp_path / "clean"
    options = ["--out", str(out), "--language", "uk", "--processes", "1", "--recipe", str(tmp_path / "r.yaml")]
    result = CliRunner().invoke(main, ["data", "clean", *map(str, shards), *options])
    assert result.exit_code == 0, result.output
    cleaned = [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    (corpus,) = load_corpora(load_recipe(tmp_path / "r.yaml"), SentenceFilter())
    kept = [row for batch in corpus.batches(corpus.train) for row in zip(*batch, strict=True)]
    assert [(row["english"], row["non_english"]) for row in cleaned] == kept
    assert len(kept) == left
    assert f"kept:{len(kept):>26,}"[:5] in result.output
    counts = json.loads((out / "cleaning.json").read_text())["shards"]
    totals = {name: sum(shard.get(name, 0) for shard in counts.values()) for name in corpus.cleaning.dropped}
    assert totals == {name: tally.count for name, tally in corpus.cleaning.dropped.items()}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--language", "xx"], "'xx' is not a language code"),
        (["--language", "uk", "--recipe", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, shards: list[Path], options: list[str], says: str) -> None:
    result = CliRunner().invoke(main, ["data", "clean", str(shards[0]), "--out", str(tmp_path / "o"), *options])
    assert result.exit_code == 2
    assert says in result.output + result.stderr
    assert not (tmp_path / "o").exists()
