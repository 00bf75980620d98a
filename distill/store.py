"""Content-addressed stores on disk: teacher vectors and tokens, each text computed once, ever.

A store is a folder of shards under one identity (what the payload depends on besides the text). A shard is a
folder of `.npy` files: `keys.npy`, sorted 128-bit hashes of the texts (n, 2), and the payload in the same
order. A shard is written under a temporary name, synced and renamed; the manifest that lists it, with a
checksum of every file, is replaced last. A killed run therefore leaves nothing half-written, and several
processes can append. A shard whose files do not match their checksums is dropped before it is read, so that
its texts are computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from filelock import FileLock

from distill.files import disk_errors, file_checksum, write_atomically

log = logging.getLogger("distill")

KINDS = ("vectors", "tokens", "corpora")

SECONDS_TO_LEFTOVER = 24 * 3600.0
"""Age from which an unfinished folder is taken for one that a killed process left."""

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


def cache_root() -> Path:
    """Return the folder of all stores: `$DISTILL_CACHE`, or `distill` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("DISTILL_CACHE") or Path(base) / "distill")


def text_keys(texts: Sequence[str]) -> Keys:
    """Return the 128-bit hashes of texts, shape (n, 2)."""
    digests = b"".join(xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass")) for text in texts)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def distinct_keys(keys: Keys) -> Rows:
    """Return the numbers of the rows at which each distinct key first stands, sorted by key."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[first]


class Shard:
    """One shard of a store, its arrays mapped into memory when first used."""

    def __init__(self, folder: Path, rows: int, files: Mapping[str, str]) -> None:
        self.folder, self.rows, self.files = folder, rows, files
        self.dropped = False
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._intact: bool | None = None

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return self._arrays[name]

    def intact(self) -> bool:
        """Return whether all files match their checksums (computed once)."""
        if self._intact is None:
            try:
                self._intact = all(file_checksum(self.folder / f) == c for f, c in self.files.items())
            except OSError:
                self._intact = False
        return self._intact

    def find(self, keys: Keys) -> Rows:
        """Return the row of each key, -1 where this shard lacks it."""
        own = self["keys"]
        place = np.searchsorted(own[:, 0], keys[:, 0])
        place = np.minimum(place, self.rows - 1)
        found = (own[place, 0] == keys[:, 0]) & (own[place, 1] == keys[:, 1])
        return np.where(found, place, -1)


class Store:
    """Shards of payload arrays by text key, under one identity.

    `append` and `find` are all a caller needs; `rows` that `find` returns stay valid for this object.
    """

    def __init__(self, kind: str, identity: Mapping[str, Any], root: Path | None = None) -> None:
        digest = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:20]
        self.folder = (root or cache_root()) / kind / digest
        self.kind, self.identity = kind, dict(identity)
        self._shards: list[Shard] = []
        self._starts = np.zeros(1, np.int64)
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / "lock")
        self.reload()
        remove_leftovers(self.folder, keep={shard.folder.name for shard in self._shards})

    def reload(self) -> None:
        """See what other processes have appended. Rows found before stay valid."""
        known = {shard.folder.name for shard in self._shards}
        for entry in self._manifest():
            if entry["name"] not in known:
                self._shards.append(Shard(self.folder / entry["name"], entry["rows"], entry["files"]))
        self._starts = np.cumsum([0, *(shard.rows for shard in self._shards)])

    def find(self, keys: Keys) -> Rows:
        """Return the store's row of each key (n,), -1 where it is not stored. Damaged shards are dropped."""
        rows = np.full(len(keys), -1, np.int64)
        for index, shard in enumerate(self._shards):
            wanted = np.flatnonzero(rows < 0)
            if not len(wanted) or not shard.rows or shard.dropped:
                continue
            if not shard.intact():
                self._drop(shard)
                continue
            place = shard.find(keys[wanted])
            rows[wanted] = np.where(place >= 0, place + self._starts[index], -1)
        return rows

    def append(self, keys: Keys, payload: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add one shard; `keys` (n, 2) are distinct and sorted, `payload` is in their order."""
        name = uuid.uuid4().hex
        temporary, final = self.folder / f"tmp-{name}", self.folder / name
        with disk_errors(self.folder):
            try:
                temporary.mkdir()
                files = {}
                for part, array in {"keys": keys, **payload}.items():
                    path = temporary / f"{part}.npy"
                    with path.open("wb") as file:
                        np.save(file, np.ascontiguousarray(array))
                        file.flush()
                        os.fsync(file.fileno())
                    files[path.name] = file_checksum(path)
                temporary.rename(final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            with self._lock:
                shards = [*self._manifest(), {"name": name, "rows": len(keys), "files": files}]
                self._write_manifest(shards)
        self.reload()

    def gather(self, part: str, rows: Rows) -> npt.NDArray[Any]:
        """Return the payload array `part` at `rows`, in their order; shape (n, …)."""
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        out: npt.NDArray[Any] | None = None
        for index in np.unique(shards):
            here = shards == index
            values = self._shards[index][part][rows[here] - self._starts[index]]
            if out is None:
                out = np.empty((len(rows), *values.shape[1:]), values.dtype)
            out[here] = values
        return np.empty(0) if out is None else out

    def locate(self, row: int) -> tuple[Shard, int]:
        """Return the shard that holds a row, and the row's place in it."""
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._shards[index], int(row - self._starts[index])

    def _manifest(self) -> list[dict[str, Any]]:
        """Return name, rows and file checksums of each shard; none if the manifest is not there or damaged."""
        try:
            shards = json.loads((self.folder / "manifest.json").read_text())["shards"]
            return [{key: shard[key] for key in ("name", "rows", "files")} for shard in shards]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            log.warning("%s: the manifest is damaged; the store is rebuilt", self.folder)
            return []

    def _write_manifest(self, shards: Sequence[Mapping[str, Any]]) -> None:
        content = {"kind": self.kind, "identity": self.identity, "shards": list(shards)}
        write_atomically(self.folder / "manifest.json", json.dumps(content, indent=1).encode())

    def _drop(self, shard: Shard) -> None:
        """Take a damaged shard out of the manifest; its rows stay counted so that other rows keep their numbers."""
        log.warning("%s: a damaged shard (%d texts) is dropped and computed again", shard.folder, shard.rows)
        shard.dropped = True
        with self._lock:
            self._write_manifest([entry for entry in self._manifest() if entry["name"] != shard.folder.name])
        shutil.rmtree(shard.folder, ignore_errors=True)


class VectorStore(Store):
    """Teacher vectors: payload `vectors` (n, dimension) in float32."""

    def __init__(self, identity: Mapping[str, Any], root: Path | None = None) -> None:
        super().__init__("vectors", identity, root)

    def read(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return vectors (n, dimension)."""
        return self.gather("vectors", rows)


class TokenStore(Store):
    """Token ids of texts: payload `lengths` (n,), `starts` (n,) and the joined `ids`."""

    def __init__(self, identity: Mapping[str, Any], root: Path | None = None) -> None:
        super().__init__("tokens", identity, root)

    def append_tokens(self, keys: Keys, tokens: Sequence[Sequence[int]]) -> None:
        """Add one shard of token ids; `keys` are distinct and sorted."""
        lengths = np.fromiter((len(t) for t in tokens), np.int32, len(tokens))
        ids = np.fromiter((i for t in tokens for i in t), np.int32, int(lengths.sum()))
        starts = np.cumsum(lengths, dtype=np.int64) - lengths
        self.append(keys, {"lengths": lengths, "starts": starts, "ids": ids})

    def lengths(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Return the number of tokens of each row (n,)."""
        return self.gather("lengths", rows)

    def read(self, rows: Rows) -> list[npt.NDArray[np.int32]]:
        """Return the token ids of each row."""
        out = []
        for row in rows:
            shard, place = self.locate(int(row))
            start = int(shard["starts"][place])
            out.append(shard["ids"][start : start + int(shard["lengths"][place])])
        return out


def remove_leftovers(folder: Path, *, keep: Container[str]) -> None:
    """Remove old folders that a killed process left under a name that no manifest lists."""
    oldest = time.time() - SECONDS_TO_LEFTOVER
    for path in folder.iterdir():
        if path.is_dir() and path.name not in keep and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class StoreInfo:
    """What `distill cache ls` shows of one store."""

    id: str
    kind: str
    identity: Mapping[str, Any]
    texts: int
    bytes: int
    folder: Path


def list_stores(root: Path | None = None) -> list[StoreInfo]:
    """Return all stores under the cache, largest first."""
    stores = []
    for folder in (root or cache_root()).glob("*/*"):
        if folder.parent.name not in KINDS or not folder.is_dir():
            continue
        manifest = folder / "manifest.json"
        try:
            content = json.loads(manifest.read_text())
            identity, texts = dict(content["identity"]), sum(shard["rows"] for shard in content["shards"])
        except FileNotFoundError:
            identity, texts = {"model": "unfinished"}, 0
        except (ValueError, KeyError, TypeError):
            identity, texts = {"model": "damaged"}, 0
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size or texts:
            stores.append(StoreInfo(folder.name, folder.parent.name, identity, texts, size, folder))
    return sorted(stores, key=lambda store: -store.bytes)


def remove_stores(stores: Sequence[StoreInfo]) -> int:
    """Delete stores and return the bytes freed."""
    for store in stores:
        with disk_errors(store.folder):
            shutil.rmtree(store.folder)
    return sum(store.bytes for store in stores)
