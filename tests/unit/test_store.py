"""Stores: what goes in comes out, whatever else happens to the files or the processes that write them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.cli import main
from distill.errors import StorageError
from distill.store import (
    SECONDS_TO_LEFTOVER,
    Store,
    TokenStore,
    VectorStore,
    distinct_keys,
    list_stores,
    remove_stores,
    text_keys,
)

IDENTITY = {"model": "a model", "max_tokens": 128}
DIMENSION = 4
LONG_AGO = time.time() - 2 * SECONDS_TO_LEFTOVER
SPAWN = multiprocessing.get_context("spawn")

shard_texts = st.lists(st.lists(st.text(max_size=3), max_size=12), max_size=4)
few = settings(deadline=None, max_examples=20)  # each shard waits for the disk


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    """Return a vector of each text that no other text has."""
    return text_keys(texts)[:, :1].astype(np.float32) * np.arange(1, DIMENSION + 1, dtype=np.float32)


def tokens_of(text: str) -> list[int]:
    return [len(text), *text.encode()]


def ordered(texts: Iterable[str]) -> tuple[np.ndarray, list[str]]:
    """Return distinct texts in the order of their keys, and the keys."""
    given = list(texts)
    keys = text_keys(given)
    rows = distinct_keys(keys)
    return keys[rows], [given[row] for row in rows]


def append_vectors(store: VectorStore, texts: Iterable[str]) -> None:
    keys, distinct = ordered(texts)
    store.append(keys, {"vectors": vectors_of(distinct)})


def append_tokens(store: TokenStore, texts: Iterable[str]) -> None:
    keys, distinct = ordered(texts)
    store.append_tokens(keys, [tokens_of(text) for text in distinct])


def stored(store: Store, texts: Sequence[str]) -> list[bool]:
    return (store.find(text_keys(texts)) >= 0).tolist()


def check_vectors(store: VectorStore, texts: Sequence[str]) -> None:
    """Assert that all texts are stored with their vectors."""
    rows = store.find(text_keys(texts))
    assert (rows >= 0).all()
    assert np.array_equal(store.read(rows), vectors_of(texts))


@given(texts=st.lists(st.text()), surrogate=st.booleans())
def test_keys_are_equal_where_texts_are(texts: list[str], surrogate: bool) -> None:
    texts = [*texts, "\ud800"] if surrogate else texts
    keys = [tuple(key) for key in text_keys(texts).tolist()]
    assert len(set(zip(keys, texts, strict=True))) == len(set(keys)) == len(set(texts))


@given(numbers=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_distinct_keys_are_the_first_rows_in_order(numbers: list[tuple[int, int]]) -> None:
    keys = np.array(numbers, np.uint64).reshape(-1, 2)
    assert distinct_keys(keys).tolist() == [numbers.index(key) for key in sorted(set(numbers))]


@few
@given(shards=shard_texts, absent=st.lists(st.text(min_size=4, max_size=5), max_size=5))
def test_vectors_come_back_from_any_number_of_shards(shards: list[list[str]], absent: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = VectorStore(IDENTITY, Path(root))
        for texts in shards:  # one text may be in several shards, and a shard may be empty
            append_vectors(store, texts)
        texts = [text for shard in shards for text in shard]
        for reader in (store, VectorStore(IDENTITY, Path(root))):
            assert not any(stored(reader, absent))
            assert all(stored(reader, texts))
            if texts:
                check_vectors(reader, texts)


@few
@given(shards=shard_texts)
def test_tokens_come_back_from_any_number_of_shards(shards: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for texts in shards:
            append_tokens(TokenStore(IDENTITY, Path(root)), texts)
        store = TokenStore(IDENTITY, Path(root))
        texts = [text for shard in shards for text in shard]
        rows = store.find(text_keys(texts))
        assert [ids.tolist() for ids in store.read(rows)] == [tokens_of(text) for text in texts]
        assert store.lengths(rows).tolist() == [len(tokens_of(text)) for text in texts]


def test_another_identity_is_another_store() -> None:
    append_vectors(VectorStore(IDENTITY), ["one"])
    assert stored(VectorStore(IDENTITY), ["one"]) == [True]
    assert stored(VectorStore(dict(reversed(IDENTITY.items()))), ["one"]) == [True]
    assert stored(VectorStore({**IDENTITY, "max_tokens": 64}), ["one"]) == [False]
    assert stored(TokenStore(IDENTITY), ["one"]) == [False]


def test_rows_stay_valid_when_others_append() -> None:
    store = VectorStore(IDENTITY)
    append_vectors(store, ["a", "b"])
    rows = store.find(text_keys(["a", "b"]))
    append_vectors(VectorStore(IDENTITY), ["c", "d"])
    assert stored(store, ["c"]) == [False]
    append_vectors(store, ["e"])
    check_vectors(store, ["e", "c", "d", "a", "b"])
    assert sorted(store.find(text_keys(list("abcde")))) == list(range(5))
    assert np.array_equal(store.read(rows), vectors_of(["a", "b"]))


def append_many(root: Path, worker: int) -> None:
    store = VectorStore(IDENTITY, root)
    for shard in range(5):
        append_vectors(store, (f"{worker} {shard} {n}" for n in range(20)))


def test_several_processes_append_at_once(private_cache: Path) -> None:
    before = VectorStore(IDENTITY)
    append_vectors(before, ["first"])
    rows = before.find(text_keys(["first"]))
    workers = [SPAWN.Process(target=append_many, args=(private_cache, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    texts = [f"{worker} {shard} {n}" for worker in range(3) for shard in range(5) for n in range(20)]
    check_vectors(VectorStore(IDENTITY), [*texts, "first"])
    before.reload()
    check_vectors(before, [*texts, "first"])
    assert before.find(text_keys(["first"])).tolist() == rows.tolist()


def append_for_ever(root: Path) -> None:
    store = VectorStore(IDENTITY, root)
    for shard in range(1_000_000):
        append_vectors(store, (f"{shard} {n}" for n in range(500)))


def test_a_killed_process_leaves_a_whole_store(private_cache: Path) -> None:
    store = VectorStore(IDENTITY)
    worker = SPAWN.Process(target=append_for_ever, args=(private_cache,))
    worker.start()
    deadline = time.monotonic() + 60
    while len(list(store.folder.glob("*/keys.npy"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    shards = len(json.loads((store.folder / "manifest.json").read_text())["shards"])
    assert shards >= 2
    store.reload()
    check_vectors(store, [f"{shard} {n}" for shard in range(shards) for n in range(500)])
    append_vectors(store, ["after"])  # the lock died with its holder
    check_vectors(VectorStore(IDENTITY), ["after"])


def test_what_a_killed_append_leaves_is_ignored() -> None:
    store = VectorStore(IDENTITY)
    append_vectors(store, ["a"])
    shard = next(store.folder.glob("*/keys.npy")).parent
    for name in ("tmp-0", "not-in-the-manifest"):  # before it is renamed; before the manifest lists it
        (store.folder / name).mkdir()
        (store.folder / name / "keys.npy").write_bytes((shard / "keys.npy").read_bytes()[:50])
    check_vectors(VectorStore(IDENTITY), ["a"])


def test_a_full_disk_leaves_the_store_as_it_was() -> None:
    resource = pytest.importorskip("resource")
    store = VectorStore(IDENTITY)
    append_vectors(store, ["a"])
    before = sorted(os.listdir(store.folder))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StorageError, match="the disk is full"):
            append_vectors(store, map(str, range(5000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(os.listdir(store.folder)) == before
    append_vectors(store, ["b"])
    check_vectors(VectorStore(IDENTITY), ["a", "b"])


def flip_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("file", ["keys.npy", "lengths.npy", "starts.npy", "ids.npy"])
def test_a_flipped_byte_is_noticed_and_only_its_shard_is_computed_again(
    file: str, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    append_tokens(TokenStore(IDENTITY), ["a", "b"])
    damaged = next(TokenStore(IDENTITY).folder.glob(f"*/{file}"))
    append_tokens(TokenStore(IDENTITY), ["c"])
    flip_byte(damaged, place)

    store = TokenStore(IDENTITY)
    with caplog.at_level(logging.WARNING, logger="distill"):
        assert stored(store, ["a", "b", "c"]) == [False, False, True]
        assert stored(store, ["a", "b", "c"]) == [False, False, True]
    assert [record.getMessage().count("2 texts") for record in caplog.records] == [1]
    kept = store.find(text_keys(["c"]))
    append_tokens(store, ["a", "b"])
    for reader in (store, TokenStore(IDENTITY)):
        found = reader.read(reader.find(text_keys(["a", "b", "c"])))
        assert [ids.tolist() for ids in found] == [tokens_of(text) for text in "abc"]
    assert store.find(text_keys(["c"])).tolist() == kept.tolist()
    assert not damaged.parent.exists()


def test_a_lost_file_is_noticed() -> None:
    append_vectors(VectorStore(IDENTITY), ["a"])
    next(VectorStore(IDENTITY).folder.glob("*/vectors.npy")).unlink()
    assert stored(VectorStore(IDENTITY), ["a"]) == [False]


BROKEN_MANIFESTS = ["", '{"shards": [{"na', "[]", "{}", '{"shards": [{"name": "x"}]}', '{"shards": 3}']


@pytest.mark.parametrize("content", BROKEN_MANIFESTS)
def test_a_store_with_a_broken_manifest_is_filled_again(content: str, caplog: pytest.LogCaptureFixture) -> None:
    store = VectorStore(IDENTITY)
    append_vectors(store, ["a"])
    (store.folder / "manifest.json").write_text(content)
    assert [info.texts for info in list_stores()] == [0]
    with caplog.at_level(logging.WARNING, logger="distill"):
        again = VectorStore(IDENTITY)
    assert "manifest is damaged" in caplog.text
    assert stored(again, ["a"]) == [False]
    append_vectors(again, ["a", "b"])
    check_vectors(VectorStore(IDENTITY), ["a", "b"])


def cache(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["cache", *arguments])


@pytest.fixture
def two_stores() -> tuple[VectorStore, TokenStore]:
    vectors, tokens = VectorStore(IDENTITY), TokenStore({"tokenizer": "t"})
    append_vectors(vectors, map(str, range(1234)))
    append_tokens(tokens, ["a", "b"])
    return vectors, tokens


def test_stores_are_listed_largest_first_and_removed(two_stores: tuple[VectorStore, TokenStore]) -> None:
    vectors, tokens = two_stores
    large, small = list_stores()
    assert (large.kind, large.id, large.texts, large.identity) == ("vectors", vectors.folder.name, 1234, IDENTITY)
    assert (small.kind, small.id, small.texts) == ("tokens", tokens.folder.name, 2)
    assert large.bytes == sum(path.stat().st_size for path in vectors.folder.rglob("*") if path.is_file())
    assert large.bytes > 1234 * DIMENSION * 4
    assert remove_stores([large]) == large.bytes
    assert not vectors.folder.exists()
    assert list_stores() == [small]


def test_cache_ls_shows_what_is_there(two_stores: tuple[VectorStore, TokenStore], private_cache: Path) -> None:
    lines = cache("ls").output.splitlines()
    assert lines[0].split()[:4] == [two_stores[0].folder.name, "vectors", "1,234", "texts"]
    assert lines[0].endswith("a model")
    assert lines[-1].startswith("2 stores")
    assert lines[-1].endswith(str(private_cache))


@pytest.mark.parametrize(
    ("arguments", "left"), [(["--all"], []), (["--kind", "tokens"], ["vectors"]), (["ID"], ["tokens"])]
)
def test_cache_rm_removes_what_is_named(
    two_stores: tuple[VectorStore, TokenStore], arguments: list[str], left: list[str]
) -> None:
    vectors, _ = two_stores
    result = cache("rm", *(vectors.folder.name[:8] if a == "ID" else a for a in arguments))
    assert result.exit_code == 0
    assert f"{2 - len(left)} stores removed" in result.output
    assert [info.kind for info in list_stores()] == left


@pytest.mark.parametrize("arguments", [[], ["no-such-id"]])
def test_cache_rm_removes_nothing_it_was_not_asked_to(
    two_stores: tuple[VectorStore, TokenStore], arguments: list[str]
) -> None:
    result = cache("rm", *arguments)
    assert result.exit_code == 2
    assert "distill cache rm" in result.output
    assert len(list_stores()) == 2


def test_what_a_killed_append_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    store = VectorStore(IDENTITY, tmp_path)
    append_vectors(store, ["one"])
    for name in ("tmp-old", "unlisted", "tmp-new"):
        (store.folder / name).mkdir()
        (store.folder / name / "keys.npy").write_bytes(b"")
    for folder in (path for path in store.folder.iterdir() if path.is_dir() and path.name != "tmp-new"):
        os.utime(folder, (LONG_AGO, LONG_AGO))
    again = VectorStore(IDENTITY, tmp_path)
    assert stored(again, ["one"]) == [True]
    left = {path.name for path in store.folder.iterdir() if path.is_dir()}
    assert left == {"tmp-new", *(shard.folder.name for shard in again._shards)}


def test_a_store_that_was_killed_before_its_first_shard_can_be_removed(tmp_path: Path) -> None:
    store = VectorStore(IDENTITY, tmp_path)
    assert not list_stores(tmp_path)
    (store.folder / "tmp-killed").mkdir()
    (store.folder / "tmp-killed" / "keys.npy").write_bytes(b"half")
    stores = list_stores(tmp_path)
    assert [(store.kind, store.texts) for store in stores] == [("vectors", 0)]
    remove_stores(stores)
    assert not list_stores(tmp_path)
