"""`distill mine` from the command line, with a small real model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import CommandServer, Ended


@pytest.fixture
def pairs(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> Path:
    """A file of 60 pairs, one of them equal to another but for its case."""
    rows = [(row["en"], row["da"]) for row in everyday_rows[:59]]
    rows.append((rows[0][0], rows[1][1].upper()))
    path = tmp_path / "pairs.tsv"
    path.write_text("question\tanswer\n" + "".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
    return path


@pytest.fixture
def topics(tmp_path: Path, everyday_rows: list[dict[str, str]]) -> Path:
    path = tmp_path / "topics.jsonl"
    rows = ({"text": row["en"], "topic": row["topic"]} for row in everyday_rows[:200])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def succeed(ended: Ended) -> Ended:
    assert ended.code == 0, ended.errors
    return ended


COLUMNS = ("--anchor", "question", "--positive", "answer")


@pytest.mark.parametrize("by", ["bm25", "dense", "bm25,dense"])
def test_negatives(distill: CommandServer, pairs: Path, tiny_teacher: Path, tmp_path: Path, by: str) -> None:
    out = tmp_path / "mined.parquet"
    options = ("--by", by, "--model", tiny_teacher, "--count", "2", "--relative-margin", "0.01", *COLUMNS)
    ended = succeed(distill.run("mine", "negatives", pairs, "--out", out, *options))
    table = pq.read_table(out).to_pylist()
    assert [(row["anchor"], row["positive"]) for row in table] == [
        tuple(line.split("\t")) for line in pairs.read_text(encoding="utf-8").splitlines()[1:]
    ]
    filled = [row for row in table if row["negative"]]
    assert filled
    for row in filled:
        assert row["judge"] <= row["judge_positive"] * 0.99 + 1e-4
        assert any(row.get(f"{search}_rank") for search in by.split(","))
    assert {f"{search}_{part}" for search in by.split(",") for part in ("rank", "score")} <= set(table[0])
    assert not {table[0]["positive"].casefold(), table[59]["positive"].casefold()} & {
        str(table[row][name]).casefold() for row in (0, 59) for name in ("negative", "negative_2")
    }
    without = sum(row["negative"] is None for row in table)
    assert f"{without} without" in ended.output
    again = succeed(distill.run("mine", "negatives", pairs, "--out", tmp_path / "again.parquet", *options))
    assert "vectors:" not in again.errors
    assert pq.read_table(tmp_path / "again.parquet").to_pylist() == table


def test_negatives_from_a_corpus(distill: CommandServer, pairs: Path, topics: Path, tiny_teacher: Path) -> None:
    out = pairs.with_name("mined.tsv")
    options = ("--corpus", topics, "--model", tiny_teacher, "--relative-margin", "0", "--choose", "random")
    succeed(distill.run("mine", "negatives", pairs, "--out", out, *options, *COLUMNS))
    passages = {json.loads(line)["text"] for line in topics.read_text(encoding="utf-8").splitlines()}
    with out.open(encoding="utf-8") as file:
        mined = [row["negative"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert set(mined) - {""} <= passages
    assert any(mined)


def test_duplicates(distill: CommandServer, tiny_teacher: Path, tmp_path: Path) -> None:
    names = tmp_path / "brands.csv"
    names.write_text("name\nPhilips\nНестле\nNike\nФилипс\nNestlé\nNike\n", encoding="utf-8")
    out = tmp_path / "pairs.jsonl"
    ended = succeed(distill.run("mine", "duplicates", names, "--out", out, "--model", tiny_teacher, "--least", "0.2"))
    assert "of 5 names (1 stood there again)" in ended.output
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert found[0]["rank"] == 1
    succeed(distill.run("mine", "duplicates", names, "--out", out))
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(row["name_1"], row["name_2"]) for row in found] == [("Нестле", "Nestlé"), ("Philips", "Филипс")]


def test_triplets_are_mined_reviewed_and_accepted(
    distill: CommandServer, topics: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "talks.jsonl"
    command = ("mine", "triplets", topics, "--category", "topic", "--out", out, "--model", tiny_teacher)
    options = ("--per-category", "6", "--by", "bm25,dense")
    ended = succeed(distill.run(*command, *options))
    review = tmp_path / "talks.review.csv"
    assert f"distill mine accept {review}" in ended.output
    assert "no row would be left" in distill.run("mine", "accept", review).errors
    with review.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["margin"]) for row in rows] == sorted(float(row["margin"]) for row in rows)
    assert all(row["category"] != row["negative_category"] for row in rows)
    rows[0]["decision"], rows[0]["fixed_negative"] = "fix", "A better one."
    rows[1]["decision"] = "drop"
    with review.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    succeed(distill.run(*command, *options, "--auto-keep", "-1"))
    ended = succeed(distill.run("mine", "accept", tmp_path))
    assert f"{out}: {len(rows) - 1} rows (1 fixed); 1 dropped, 0 not reviewed" in ended.output
    data = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert "A better one." in {row["negative"] for row in data}
    assert rows[1]["id"] not in {row["id"] for row in data}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("negatives", "pairs.tsv", "--out", "x.tsv", "--by", "bm26"), 'did you mean "bm25"?'),
        (("negatives", "pairs.tsv", "--out", "x.csv"), "unknown format '.csv'"),
        (("negatives", "pairs.tsv", "--out", "pairs.tsv", *COLUMNS), "is the file that is read"),
        (("negatives", "pairs.tsv", "--out", "x.tsv"), "name the columns with --anchor, --positive"),
        (("negatives", "none.tsv", "--out", "x.tsv"), "no such file"),
        (("negatives", "pairs.tsv", "--out", "no/x.tsv", *COLUMNS), "no folder"),
        (("negatives", "pairs.tsv", "--out", "x.tsv", *COLUMNS, "--model", "./none"), "no such folder"),
        (("triplets", "pairs.tsv", "--category", "answer", "--text", "question", "--out", "x.tsv"), "two categories"),
        (("accept", "pairs.tsv"), "no review"),
    ],
)
def test_mistakes_are_explained(
    distill: CommandServer,
    pairs: Path,
    tiny_teacher: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    places = [pairs.parent / part if part.endswith((".tsv", ".csv")) else part for part in arguments]
    if arguments[0] == "triplets":
        places += ["--model", tiny_teacher]
    ended = distill.run("mine", *places)
    assert ended.code == 2
    assert message in ended.errors
    assert "Traceback" not in ended.errors
