"""The journal of translations: nothing is translated twice, whatever happened before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from distill.errors import DataError, RunError
from distill.translate.engine import Engine, Translation
from distill.translate.journal import journal_path, open_journal, translate_all

IDENTITY = {"engine": "test", "model": "shouter", "source": "en", "target": "uk"}


class Shouter:
    """Translates two texts at a time by shouting, and notes what it is given."""

    def __init__(self, fail_at: int = -1) -> None:
        self.given: list[list[str]] = []
        self._fail_at = fail_at
        self.engine = Engine(IDENTITY, self._batches, self._translate)

    def _batches(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(range(i, min(i + 2, len(texts)))) for i in range(0, len(texts), 2)]

    def _translate(self, texts: Sequence[str]) -> list[Translation]:
        if len(self.given) == self._fail_at:
            raise RuntimeError("power cut")
        self.given.append(list(texts))
        return [Translation(text.upper(), cut=text == "d") for text in texts]


def test_each_distinct_text_is_translated_once(tmp_path: Path) -> None:
    shouter = Shouter()
    found, started = translate_all(shouter.engine, ["a", "b", "a", "c", "b"], tmp_path, "")
    assert {text: one.text for text, one in found.items()} == {"a": "A", "b": "B", "c": "C"}
    assert shouter.given == [["a", "b"], ["c"]]
    again = Shouter()
    assert translate_all(again.engine, ["c", "d"], tmp_path, "")[0] == {
        "c": Translation("C"), "d": Translation("D", cut=True),
    }  # fmt: skip
    assert again.given == [["d"]]
    assert translate_all(Shouter().engine, ["a"], tmp_path, "")[1] == started


def test_a_resumed_run_makes_the_same_requests(tmp_path: Path) -> None:
    texts = list("abcdefg")
    killed, resumed, whole = Shouter(fail_at=2), Shouter(), Shouter()
    with pytest.raises(RuntimeError):
        translate_all(killed.engine, texts, tmp_path / "one", "")
    found, _ = translate_all(resumed.engine, texts, tmp_path / "one", "")
    assert found == translate_all(whole.engine, texts, tmp_path / "two", "")[0]
    assert killed.given + resumed.given == whole.given


def test_another_engine_has_another_journal(tmp_path: Path) -> None:
    translate_all(Shouter().engine, ["a"], tmp_path, "")
    assert open_journal(tmp_path, {**IDENTITY, "model": "whisperer"}).get("a") is None


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_last_line_that_a_kill_cut_short_is_translated_again(tmp_path: Path, cut: int) -> None:
    translate_all(Shouter().engine, list("abcd"), tmp_path, "")
    path = journal_path(tmp_path, IDENTITY)
    path.write_bytes(path.read_bytes()[:-cut])
    again = Shouter()
    found, _ = translate_all(again.engine, list("abcd"), tmp_path, "")
    assert found["d"] == Translation("D", cut=True)
    assert again.given == [["c", "d"]]
    assert translate_all(Shouter(fail_at=0).engine, list("abcd"), tmp_path, "")[0] == found


def test_a_head_that_a_kill_cut_short_starts_anew(tmp_path: Path) -> None:
    journal_path(tmp_path, IDENTITY).write_bytes(b'{"identity": {"engi')
    assert translate_all(Shouter().engine, ["a"], tmp_path, "")[0] == {"a": Translation("A")}


def test_damage_in_the_middle_is_named_with_its_line(tmp_path: Path) -> None:
    translate_all(Shouter().engine, list("abcd"), tmp_path, "")
    path = journal_path(tmp_path, IDENTITY)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"[[1", *lines[2:]]))
    with pytest.raises(DataError) as caught:
        translate_all(Shouter().engine, list("abcd"), tmp_path, "")
    assert caught.value.where == f"{path}:2"


def test_two_processes_do_not_translate_the_same(tmp_path: Path) -> None:
    with (
        FileLock(journal_path(tmp_path, IDENTITY).with_suffix(".lock")),
        pytest.raises(RunError, match="another process"),
    ):
        translate_all(Shouter().engine, ["a"], tmp_path, "")


def test_any_text_can_be_stored(tmp_path: Path) -> None:
    texts = ["line\nend", 'quote"', "\ud800 alone", "\u2028"]
    translate_all(Shouter().engine, texts, tmp_path, "")
    found, _ = translate_all(Shouter(fail_at=0).engine, texts, tmp_path, "")
    assert [found[text].text for text in texts] == [text.upper() for text in texts]
