"""`distill translate`: machine-translated test sets from the command line, killed, resumed and reviewed."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import CommandServer, Ended, Moment
from hub import Hub
from translators import Endpoint, save_marian

from distill.testsets import load_suites

ROWS = [
    ("4.5", "A dog runs in the park.", "The dog is running through the park."),
    ("0", "A woman cooks dinner.", "A dog runs in the park."),
    ("2.25", "He did not buy 25 apples.", "He bought no apples."),
    ("1", "The cat sleeps.", "The cat sleeps on the mat in the kitchen."),
    ("3", "Two men play chess in a café.", "Men are playing a game."),
    ("5", "It rains.", "It is raining."),
]
DISTINCT = list(dict.fromkeys(text for _, *pair in ROWS for text in pair))
TEXT_OF_PAIR = list(dict.fromkeys(two for _, _, two in ROWS))
ASKED = list(dict.fromkeys(TEXT_OF_PAIR + DISTINCT))
"""In the order in which they are asked for, for en-uk and then uk-uk."""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of one English set."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = ["score\tsentence1\tsentence2", *("\t".join(row) for row in ROWS)]
    (folder / "en-en.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def server() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(scope="session")
def marian(tmp_path_factory: pytest.TempPathFactory, everyday_rows: list[dict[str, str]]) -> Path:
    """Folder of a tiny untrained Marian model that knows two languages."""
    texts = [row[code] for row in everyday_rows[:400] for code in ("en", "uk", "da")]
    return save_marian(tmp_path_factory.mktemp("translators") / "marian", texts, [">>ukr<<", ">>eng<<"])


def endpoint_options(server: Endpoint) -> list[str]:
    return ["--engine", "openai:shouter", "--base-url", server.url, "--concurrency", "1"]


def succeed(ended: Ended) -> Ended:
    assert ended.code == 0, ended.errors
    return ended


def read(folder: Path, pair: str) -> tuple[list[str], dict[str, Any]]:
    return (folder / f"{pair}.tsv").read_text(encoding="utf-8").splitlines(), json.loads(
        (folder / f"{pair}.json").read_text(encoding="utf-8")
    )


def files(folder: Path) -> dict[str, Any]:
    """Return the content of a set's files, manifests without their date."""
    content: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in content:
        if name.endswith(".json"):
            content[name] = {**json.loads(content[name]), "date": ""}
    return content


def fill_in(folder: Path, delimiter: str = ",", **decisions: tuple[str, str]) -> None:
    """Write decisions into the Ukrainian review file, by the first word of the source."""
    path = folder / "uk.review.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["status"], row["corrected"] = decisions.get(row["source"].split()[0], ("", ""))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def test_a_set_is_made_through_an_endpoint(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "sets" / "mine"
    command = ["translate", "--suite", str(suite), "--to", "ua", *endpoint_options(server), "--out", str(out)]
    ended = succeed(distill.run(*command, "--back-engine", "openai:shouter", "--licence", "CC0"))
    assert "ua means uk" in ended.errors
    lines, manifest = read(out, "en-uk")
    assert lines == ["score\tsentence1\tsentence2", *(f"{s}\t{one}\t{two.upper()}" for s, one, two in ROWS)]
    lines, _ = read(out, "uk-uk")
    assert lines[1:] == [f"{s}\t{one.upper()}\t{two.upper()}" for s, one, two in ROWS]
    forward = [body for _, body in server.requests if "into Ukrainian" in body["messages"][0]["content"]]
    assert Counter(body["messages"][1]["content"] for body in forward) == Counter(DISTINCT)
    assert {found.pair for found in load_suites([str(out / f"{pair}.tsv") for pair in ("en-uk", "uk-uk")], None)} == {
        "en-uk", "uk-uk",
    }  # fmt: skip
    assert manifest["engine"] == "openai"
    assert (manifest["model"], manifest["revision"]) == ("shouter", "shouting-2026")
    assert "English into Ukrainian" in manifest["prompt"]
    assert manifest["parameters"] == {"base_url": server.url, "temperature": 0.0}
    assert manifest["source"]["suite"] == "mine"
    assert (manifest["source"]["pair"], manifest["source"]["licence"]) == ("en-en", "CC0")
    assert (manifest["rows"], manifest["sentences"]) == (6, len(TEXT_OF_PAIR))
    assert manifest["quality"]["flagged"]["copy"] == len(TEXT_OF_PAIR)  # shouted English
    assert manifest["quality"]["flagged"]["script"] == len(TEXT_OF_PAIR)
    assert manifest["quality"]["bleu"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert "nw:2" in manifest["quality"]["chrf"]["signature"]
    assert "not reviewed" in manifest["note"]
    assert manifest["note"] in ended.output


@pytest.mark.parametrize("number", [2, 5, 9])
def test_an_endpoint_is_asked_for_nothing_twice_after_a_kill(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path, number: int
) -> None:
    command = ["translate", "--suite", str(suite), "--pairs", "en-uk,uk-uk", *endpoint_options(server), "--out"]
    killed, whole = tmp_path / "killed" / "mine", tmp_path / "whole" / "mine"
    assert distill.run(*command, killed, kill_at=Moment("open", r"en-uk\.\w+\.jsonl$", number + 1)).code == -9
    asked = list(server.asked)
    assert asked == ASKED[:number]  # the answer to the last was there, and not yet in the journal
    server.asked.clear()
    assert (
        f"{number - 1} of {len(ASKED)} sentences were translated before"
        in succeed(distill.run(*command, killed)).errors
    )
    assert server.asked == ASKED[number - 1 :]
    server.asked.clear()
    succeed(distill.run(*command, killed))
    assert server.asked == []
    succeed(distill.run(*command, whole))
    assert files(killed) == files(whole)


@pytest.mark.parametrize("number", [2, 3])
def test_a_model_translates_nothing_twice_after_a_kill(
    distill: CommandServer, suite: Path, marian: Path, tmp_path: Path, number: int
) -> None:
    # Long sentences: with 512 source tokens a batch, several batches.
    rows = [f"{i % 6}\t{'The dog runs in the park. ' * i}\t{'A cat sleeps there. ' * i}" for i in range(1, 13)]
    (suite / "en-en.tsv").write_text("\n".join(["score\tsentence1\tsentence2", *rows]) + "\n", encoding="utf-8")
    command = ["translate", "--suite", str(suite), "--pairs", "en-uk,uk-uk", "--beams", "2"]
    command += ["--engine", f"marian:{marian}", "--back-engine", f"marian:{marian}", "--out"]
    killed, whole = tmp_path / "killed" / "mine", tmp_path / "whole" / "mine"
    succeed(distill.run(*command, whole))
    assert distill.run(*command, killed, kill_at=Moment("open", r"en-uk\.\w+\.jsonl$", number + 1)).code == -9
    (journal,) = (killed / ".translate").glob("en-uk.*.jsonl")
    before = journal.read_bytes()
    assert before.count(b"\n") == number  # the head and all batches but the one in flight
    succeed(distill.run(*command, killed))
    assert journal.read_bytes().startswith(before)
    assert files(killed) == files(whole)
    (other,) = (whole / ".translate").glob("en-uk.*.jsonl")
    assert journal.read_bytes().split(b"\n")[1:] == other.read_bytes().split(b"\n")[1:]
    keys = [row[0] for line in journal.read_text(encoding="utf-8").splitlines()[1:] for row in json.loads(line)]
    assert len(keys) == len(set(keys)) == 24
    assert len(journal.read_text(encoding="utf-8").splitlines()) > number
    started = json.loads(before.splitlines()[0])["started"]
    assert read(killed, "en-uk")[1]["date"] == started


def test_a_model_comes_from_the_hub(suite: Path, marian: Path, tmp_path: Path) -> None:
    hub = Hub()
    hub.add_model("owner/opus-mt-en-uk", marian, revision="v1")
    server = CommandServer({**hub.environment, "HF_HOME": str(tmp_path / "hf"), "ACCELERATE_USE_CPU": "1"})
    command = ["translate", "--suite", str(suite), "--pairs", "en-uk", "--out", str(tmp_path / "out")]
    try:
        succeed(server.run(*command, "--beams", "1", "--engine", "marian:owner/opus-mt-{from}-{to}@v1"))
        missing = server.run(*command, "--engine", "marian:owner/opus-mt-en-uk@v2")
    finally:
        server.close()
        hub.stop()
    _, manifest = read(tmp_path / "out", "en-uk")
    assert manifest["model"] == "owner/opus-mt-en-uk"
    assert manifest["revision"] == hashlib.sha1(b"models/owner/opus-mt-en-uk@v1").hexdigest()
    assert manifest["parameters"]["beams"] == 1
    assert missing.code == 2
    assert "no such revision" in missing.errors


def test_a_review_is_applied_and_can_be_changed(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "mine-uk"
    command = [
        "translate",
        "--suite",
        str(suite),
        "--pairs",
        "en-uk,uk-uk",
        *endpoint_options(server),
        "--out",
        str(out),
    ]
    succeed(distill.run(*command))
    fill_in(out, It=("ok", ""), He=("fix", "Він не купив яблук."), Two=("drop", ""))
    before = files(out)
    accept = ["translate", "accept", str(out), "--reviewer", "Olena"]
    assert "uk: 2 ok, 2 fixed, 1 dropped, 6 not reviewed" in succeed(distill.run(*accept)).output
    lines, manifest = read(out, "en-uk")
    assert lines[3] == "2.25\tHe did not buy 25 apples.\tВін не купив яблук."
    assert len(lines) == 7  # the dropped sentence is English here
    lines, both = read(out, "uk-uk")
    assert len(lines) == 6
    assert not [line for line in lines if "CHESS" in line]
    review = manifest["review"]
    assert review["reviewer"] == "Olena"
    assert {name: review[name] for name in ("ok", "fixed", "dropped", "not_reviewed")} == {
        "ok": 1, "fixed": 1, "dropped": 0, "not_reviewed": 4,
    }  # fmt: skip
    assert both["rows"] == 5
    assert "1 ok, 1 fixed, 4 not reviewed" in manifest["note"]
    reviewed = files(out)
    succeed(distill.run(*accept))
    assert files(out) == reviewed  # a second time changes nothing, the date neither
    succeed(distill.run(*command))
    assert files(out)["en-uk.tsv"] == reviewed["en-uk.tsv"]  # made anew, the review stays
    assert "Він не купив яблук." in (out / "uk.review.csv").read_text(encoding="utf-8-sig")
    fill_in(out)
    succeed(distill.run("translate", "accept", out / "uk.review.csv"))
    assert files(out)["en-uk.tsv"] == before["en-uk.tsv"]  # all decisions taken back


@pytest.mark.parametrize(
    ("decision", "found"),
    [
        (("fixed", ""), "status 'fixed'"),
        (("fix", ""), "column corrected is empty"),
        (("", "Він"), "the status is empty"),
    ],
)
def test_a_malformed_review_changes_nothing(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path, decision: tuple[str, str], found: str
) -> None:
    out = tmp_path / "sets"
    command = ["translate", "--suite", str(suite), "--pairs", "en-uk", *endpoint_options(server), "--out", str(out)]
    succeed(distill.run(*command))
    fill_in(out, It=("ok", ""), Men=decision)
    before = files(out)
    ended = distill.run("translate", "accept", out)
    assert ended.code == 2
    number = next(i for i, line in enumerate((out / "uk.review.csv").read_text().splitlines(), 1) if "Men are" in line)
    assert f"uk.review.csv:{number}: " in ended.errors
    assert found in ended.errors
    assert files(out) == before


def test_translations_and_sources_of_a_review_stay_as_they_are(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "sets"
    command = ["translate", "--suite", str(suite), "--pairs", "en-uk", *endpoint_options(server), "--out", str(out)]
    succeed(distill.run(*command))
    path = out / "uk.review.csv"
    content = path.read_bytes()
    for old, found in ((b"IT IS RAINING.", "the translation of"), (b"It is raining.", "is no sentence of this set")):
        path.write_bytes(content.replace(old, b"Something else."))
        ended = distill.run("translate", "accept", out)
        assert ended.code == 2
        assert found in ended.errors
    path.write_bytes(content + content.splitlines(keepends=True)[-1])
    assert "a second row for" in distill.run("translate", "accept", out).errors
    fill = dict.fromkeys(("The", "A", "He", "Men", "It"), ("drop", ""))
    path.write_bytes(content)
    fill_in(out, **fill)
    assert "no row of en-uk would be left" in distill.run("translate", "accept", out).errors


def test_a_folder_of_translated_sets_is_a_suite_that_says_how_good_they_are(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path, tiny_teacher: Path
) -> None:
    out = tmp_path / "sets"
    command = ["translate", "--suite", str(suite), "--to", "uk", *endpoint_options(server), "--out", str(out)]
    succeed(distill.run(*command, "--back-engine", "openai:shouter"))
    found = load_suites([str(out)], None)
    assert [one.pair for one in found] == ["en-uk", "uk-uk"]
    assert [one.note for one in found] == [read(out, one.pair)[1]["note"] for one in found]
    assert "BLEU" in found[0].note
    scored = tmp_path / "scores.json"
    succeed(distill.run("eval", tiny_teacher, "--suite", out, "--json", scored))
    assert {score["pair"] for score in json.loads(scored.read_text())["scores"]} == {"en-uk", "uk-uk"}


def test_a_set_is_made_again_after_its_source_changed(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "sets"
    command = ["translate", "--suite", str(suite), "--to", "uk", *endpoint_options(server), "--out", str(out)]
    succeed(distill.run(*command))
    fill_in(out, It=("ok", ""), He=("fix", "Він не купив яблук."))
    succeed(distill.run("translate", "accept", out))
    source = suite / "en-en.tsv"
    content = source.read_text(encoding="utf-8")
    source.write_text(content.replace("It rains.", "It snows.").replace("A woman", "One woman"), encoding="utf-8")
    server.asked.clear()
    ended = succeed(distill.run(*command))
    assert server.asked == ["One woman cooks dinner.", "It snows."]
    assert "uk.review.csv: 1 reviewed sentences are in the set no more" in ended.errors
    assert read(out, "en-uk")[0][2:4] == [
        "0\tOne woman cooks dinner.\tA DOG RUNS IN THE PARK.",
        "2.25\tHe did not buy 25 apples.\tВін не купив яблук.",  # the other decisions stay
    ]
    assert "It rains." not in (out / "uk.review.csv").read_text(encoding="utf-8")
    assert "It rains." not in (out / ".translate" / "uk-uk.json").read_text(encoding="utf-8")


def test_a_review_without_a_decision_is_none_and_may_be_between_semicolons(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "sets"
    command = ["translate", "--suite", str(suite), "--to", "uk", *endpoint_options(server), "--out", str(out)]
    succeed(distill.run(*command))
    before = files(out)
    succeed(distill.run("translate", "accept", out))
    assert files(out) == before
    assert read(out, "en-uk")[1]["review"] is None
    fill_in(out, delimiter=";", One=("ok", ""), Two=("fix", "Двоє; грають, у шахи."))
    succeed(distill.run("translate", "accept", out))
    assert "Двоє; грають, у шахи." in read(out, "uk-uk")[0][5]
    assert read(out, "uk-uk")[1]["review"]["fixed"] == 1
    lines, manifest = read(out, "en-uk")  # has not this sentence
    assert lines[5] == "3\tTwo men play chess in a café.\tMEN ARE PLAYING A GAME."
    assert manifest["review"] is None
    assert manifest["note"].endswith("not reviewed")


def test_an_interrupted_translation_says_how_to_go_on(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    command = ["translate", "--suite", str(suite), "--to", "uk", *endpoint_options(server), "--out", str(tmp_path)]
    moment = Moment("open", r"en-uk\.\w+\.jsonl$", 4, signal=signal.SIGINT)
    ended = distill.run(*command, kill_at=moment)
    assert ended.code == 130
    assert ended.errors.endswith("interrupted; the same command goes on from here\n")
    assert "Traceback" not in ended.errors


def test_a_declared_suite_comes_from_the_hub_and_names_its_source(
    suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    declaration = tmp_path / "scored.yaml"
    commit = "a" * 40
    declaration.write_text(
        f"description: Scored pairs.\nsets:\n  - kind: sts\n    hub: owner/scored\n    revision: {commit}\n"
        "    pairs: en-en\n    licence: CC BY 4.0\n    citation: Nobody (2026)\n"
    )
    columns = dict(zip(("score", "sentence1", "sentence2"), map(list, zip(*ROWS, strict=True)), strict=True))
    hub = Hub()
    hub.add_dataset("owner/scored", {"default": {"test": columns}}, revision=commit)
    command = ["translate", "--suite", str(declaration), "--pairs", "en-uk", *endpoint_options(server), "--out"]
    distill = CommandServer({**hub.environment, "HF_HOME": str(tmp_path / "hf")})
    try:
        succeed(distill.run(*command, tmp_path / "online"))
        hub.stop()
        ended = succeed(distill.run(*command, tmp_path / "offline", "--licence", "CC0"))
    finally:
        distill.close()
        hub.stop()
    assert "the Hub cannot be reached" in ended.errors
    found, other = (read(tmp_path / name, "en-uk")[1]["source"] for name in ("online", "offline"))
    assert (found["data"], found["revision"], found["licence"]) == ("owner/scored", commit, "CC BY 4.0")
    assert other == {**found, "licence": "CC0"}


def test_bitext_gets_a_translation_of_its_english_side(
    distill: CommandServer, server: Endpoint, tmp_path: Path
) -> None:
    suite = tmp_path / "news"
    suite.mkdir()
    (suite / "en-de.tsv").write_text("english\tnon_english\nA dog.\tEin Hund.\nA cat.\tEine Katze.\n")
    command = ["translate", "--suite", str(suite), *endpoint_options(server), "--out", str(tmp_path / "out")]
    assert "--from" in distill.run(*command, "--pairs", "en-uk").errors
    assert "from bitext only" in distill.run(*command, "--pairs", "uk-uk", "--from", "en-de").errors
    succeed(distill.run(*command, "--to", "uk", "--from", "en-de"))
    assert read(tmp_path / "out", "en-uk")[0] == ["english\tnon_english", "A dog.\tA DOG.", "A cat.\tA CAT."]


def test_one_engine_makes_all_sets_of_a_language(
    distill: CommandServer, suite: Path, server: Endpoint, tmp_path: Path
) -> None:
    options = ["--suite", str(suite), *endpoint_options(server), "--out", str(tmp_path / "out")]
    succeed(distill.run("translate", *options, "--pairs", "en-uk"))
    asked = len(server.asked)
    ended = distill.run("translate", *options, "--pairs", "uk-uk", "--temperature", "1")
    assert ended.code == 2
    assert "another parameters" in ended.errors
    assert len(server.asked) == asked
    succeed(distill.run("translate", *options, "--pairs", "uk-uk"))
    assert Counter(server.asked) == Counter(DISTINCT)  # only what en-uk had not


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--suite", "everyday"], "--pairs or --to"),
        (["--suite", "everyday", "--to", "uk", "--engine", "marain:x"], 'did you mean "marian"?'),
        (["--suite", "everyday", "--to", "uk", "--engine", "marian:./nothing"], "no"),
        (["--suite", "everyday", "--pairs", "en-en", "--engine", "openai:x"], "a language to translate into"),
        (["--suite", "nowhere", "--pairs", "en-uk", "--engine", "openai:x"], "no suite or file 'nowhere'"),
        (["--suite", "everyday", "--pairs", "en-uk", "--engine", "openai:x", "--prompt", "none"], "cannot be read"),
        (["--suite", "everyday", "--to", "uk", "--engine", "openai"], "say which model: openai:MODEL"),
        (["--suite", "everyday", "--to", "en", "--engine", "openai:x"], "--to: en"),
        (["accept", "nowhere"], "no review"),
    ],
)
def test_bad_input_is_explained(distill: CommandServer, tmp_path: Path, arguments: list[str], found: str) -> None:
    out = [] if "accept" in arguments else ["--out", str(tmp_path)]
    ended = distill.run("translate", *arguments, *out)
    assert ended.code == 2
    assert found in ended.errors
    assert "Traceback" not in ended.errors
