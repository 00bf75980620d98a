"""The tasks of which `distill.cleaning.shards` is made up; each writes one file or folder, unless it is there."""

from __future__ import annotations

import io
import itertools
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from distill.cleaning.across import AcrossRules, Flags, first_rows, row_forms, too_many
from distill.cleaning.minhash import (
    BANDS,
    Candidates,
    decide,
    join_candidates,
    may_be_near,
    shared_keys,
    sketch,
    sorted_keys,
)
from distill.duplicates import SHORTEST, Numbers, normal_form
from distill.errors import DataError
from distill.files import disk_errors, write_atomically
from distill.store import text_keys

COLUMNS = ("english", "non_english")
VERSION = 1
"""Part of the names of all files; to be raised when the same input would give other rows."""

ROWS_PER_GROUP = 100_000
_KEY = b"distill.cleaning"
_ROW_BITS = 32


@dataclass(frozen=True)
class RowRules:
    """What is done to single rows; functions of a module, or `functools.partial` of them, for other processes.

    Attributes:
        repair: gives English and other texts as they should be.
        drop: of repaired English and other texts, the rows to drop by rule; a row counts for the first.
        identity: what the results of both depend on, for the names of files.
    """

    repair: Callable[[Sequence[str], Sequence[str]], tuple[Sequence[str], Sequence[str]]]
    drop: Callable[[Sequence[str], Sequence[str]], Mapping[str, Flags]]
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """Shards to clean.

    Attributes:
        shards: parquet files with columns `english` and `non_english`, in the order in which duplicates are looked for.
        out: the folder of the cleaned shards.
        rules: for single rows.
        across: for rows of all shards.
        keys: for each shard, a hash of what its rows depend on.
        starts: the number of each shard's first row among those left by `rules`, and the number of all.
    """

    shards: tuple[Path, ...]
    out: Path
    rules: RowRules
    across: AcrossRules
    keys: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def work(self) -> Path:
        """The folder of everything that is not a cleaned shard."""
        return self.out / ".work"

    @property
    def digest(self) -> str:
        """A hash of what the cleaned shards depend on."""
        return digest([self.keys, asdict(self.across)])

    def prepared(self, number: int) -> Path:
        """Return the folder of a shard's rows, keys and sketches."""
        return self.work / f"{number:05d}-{self.keys[number]}"

    def file(self, stage: str, number: int) -> Path:
        """Return the file that a task of a stage writes."""
        return self.work / self.digest / f"{stage}-{number:05d}.npz"

    def cleaned(self, number: int) -> Path:
        """Return the file of a cleaned shard."""
        return self.out / f"{number:05d}-{self.shards[number].stem}.parquet"


def clean_rows(table: pa.Table, rules: RowRules) -> tuple[pa.Table, dict[str, int]]:
    """Return the repaired rows that the rules for single rows leave, and how many each rule dropped."""
    repaired = rules.repair(*(table[column].to_pylist() for column in COLUMNS))
    left = np.ones(table.num_rows, bool)
    counts = {}
    for rule, flags in rules.drop(*repaired).items():
        counts[rule] = int((left & flags).sum())
        left &= ~flags
    columns = {name: pa.array(texts, pa.string()) for name, texts in zip(COLUMNS, repaired, strict=True)}
    return pa.table(columns).filter(pa.array(left)), counts


def prepare(job: Job, number: int) -> None:
    """Write a shard's rows, its keys sorted by English key, its band keys sorted within each band, and sketches."""
    folder = job.prepared(number)
    if folder.is_dir():
        return
    table, counts = clean_rows(_read_shard(job.shards[number]), job.rules)
    english, other = (table[column].to_pylist() for column in COLUMNS)
    forms = row_forms([english, other])
    keys = text_keys([normal_form(text) for text in english])
    rows = text_keys(list(map("\n".join, zip(english, other, strict=True))) if job.across.exact else forms)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    arrays: dict[str, npt.NDArray[Any]] = {"english": keys[order].T, "rows": rows[order].T, "order": order}
    if job.across.near_duplicates is not None:
        sketches = sketch(forms)
        long_enough = np.flatnonzero(sketches.sizes >= SHORTEST)
        sorted_bands = [sorted_keys(sketches.bands[long_enough, band], long_enough) for band in range(BANDS)]
        arrays |= {"bands": np.array([keys for keys, _ in sorted_bands])}
        arrays |= {"band_rows": np.array([rows for _, rows in sorted_bands])}
        arrays |= {"sizes": sketches.sizes, "bitmaps": sketches.bitmaps}
    temporary = folder.with_name(f"tmp-{uuid.uuid4().hex}")
    with disk_errors(folder):
        temporary.mkdir()
        pq.write_table(table, temporary / "rows.parquet")
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", np.ascontiguousarray(array))
        read = table.num_rows + sum(counts.values())
        (temporary / "counts.json").write_text(json.dumps({"read": read, "dropped": counts, "left": table.num_rows}))
        temporary.rename(folder)


def match(job: Job, part: int) -> None:
    """Write the duplicates and the translations too many among the rows of a range of English keys."""
    if job.file("match", part).is_file():
        return
    english, rows, numbers = [], [], []
    for number in range(len(job.shards)):
        keys = _array(job, number, "english")
        here = _range(keys[0], part, len(job.shards))
        english.append(keys[:, here].T)
        rows.append(_array(job, number, "rows")[:, here].T)
        numbers.append(_array(job, number, "order")[here] + job.starts[number])
    joined = np.concatenate(numbers)
    order = np.argsort(joined)
    joined, keys = joined[order], np.concatenate(english)[order]
    same = np.zeros(len(joined), bool)
    if job.across.duplicates:
        same = first_rows(np.concatenate(rows)[order]) != np.arange(len(joined))
    left = np.flatnonzero(~same)
    many = left[:0]
    if job.across.translations is not None:
        many = left[too_many(keys[left], job.across.translations)]
    _save(job.file("match", part), duplicates=joined[same], translations=joined[many])


def link(job: Job, part: int) -> None:
    """Write the candidates of near-duplicates of a range of band keys."""
    if job.file("link", part).is_file():
        return
    assert job.across.near_duplicates is not None
    left = [~_dropped(job, number, "match") for number in range(len(job.shards))]
    parts = [Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))]
    bands, band_rows = ([_array(job, n, name) for n in range(len(job.shards))] for name in ("bands", "band_rows"))
    for band in range(BANDS):
        keys, rows = [], []
        for number in range(len(job.shards)):
            ordered = bands[number][band]
            here = _range(ordered, part, len(job.shards))
            own = band_rows[number][band, here]
            keys.append(ordered[here][left[number][own]])
            rows.append(own[left[number][own]] + job.starts[number])
        joined, numbers = np.concatenate(keys), np.concatenate(rows)
        order = np.lexsort((numbers, joined))
        joined, numbers = joined[order], numbers[order]
        shared, buckets = shared_keys(joined)
        joined, numbers = joined[shared], numbers[shared]
        sizes, bitmaps = (_gather(job, name, numbers) for name in ("sizes", "bitmaps"))
        linked, leads = may_be_near(buckets, sizes, bitmaps, job.across.near_duplicates)
        names = joined[linked].astype(np.int64) | band << _ROW_BITS
        parts.append(Candidates(numbers[linked], names, leads[linked]))
    found = join_candidates(parts)
    _save(job.file("link", part), rows=found.rows, buckets=found.buckets, leads=found.leads)


def group(job: Job) -> None:
    """Write the candidates in as many groups as there are shards, and the groups of each shard's rows.

    No two groups share a bucket.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if all(job.file("group", number).is_file() for number in range(len(job.shards))):
        return
    parts = []
    count = 0
    for number in range(len(job.shards)):
        part = np.load(job.file("link", number))
        parts.append(Candidates(part["rows"], part["buckets"] + count, part["leads"]))
        count += len(part["rows"])
    found = join_candidates(parts)
    rows, at = np.unique(found.rows, return_inverse=True)
    buckets = len(rows) + found.buckets
    nodes = len(rows) + len(found.rows)
    links = coo_array((np.ones(len(at), bool), (at, buckets)), shape=(nodes, nodes))
    component = connected_components(links, directed=False)[1][: len(rows)]
    sizes = np.bincount(component, minlength=1)
    group = ((np.cumsum(sizes) - sizes) * len(job.shards) // max(1, len(rows)))[component]
    for number in range(len(job.shards)):
        here = group[at] == number
        start, end = np.searchsorted(rows, job.starts[number : number + 2])
        _save(
            job.file("group", number),
            shard_rows=rows[start:end],
            shard_groups=group[start:end],
            rows=found.rows[here],
            buckets=found.buckets[here],
            leads=found.leads[here],
        )


def scatter(job: Job, number: int) -> None:
    """Write the texts of a shard's candidates by group."""
    if job.file("texts", number).is_file():
        return
    found = np.load(job.file("group", number))
    rows, group = found["shard_rows"], found["shard_groups"]
    order = np.argsort(group, kind="stable")
    table = pq.read_table(job.prepared(number) / "rows.parquet").take(rows[order] - job.starts[number])
    forms = row_forms([table[column].to_pylist() for column in COLUMNS])
    batch = pa.record_batch({"row": rows[order], "form": pa.array(forms, pa.large_string())})
    cuts = np.searchsorted(group[order], np.arange(len(job.shards) + 1)).tolist()
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        for cut, after in itertools.pairwise(cuts):
            writer.write_batch(batch.slice(cut, after - cut))
    write_atomically(job.file("texts", number), sink.getvalue())


def decide_group(job: Job, part: int) -> None:
    """Write the near-duplicates of a group."""
    if job.file("decide", part).is_file():
        return
    assert job.across.near_duplicates is not None
    rows, forms = [], []
    for number in range(len(job.shards)):
        with pa.memory_map(str(job.file("texts", number))) as file:
            batch = pa.ipc.open_file(file).get_batch(part)
            rows.append(batch["row"].to_numpy().copy())
            forms += batch["form"].to_pylist()
    numbers = np.concatenate(rows)
    found = np.load(job.file("group", part))
    candidates = join_candidates(
        [Candidates(np.searchsorted(numbers, found["rows"]), found["buckets"], found["leads"])]
    )
    near = decide(
        candidates, sketch(forms), lambda own: [forms[row] for row in own.tolist()], job.across.near_duplicates
    )
    _save(job.file("decide", part), near_duplicates=numbers[near != np.arange(len(numbers))])


def write(job: Job, number: int) -> None:
    """Write a cleaned shard."""
    if is_cleaned(job, number):
        return
    table = pq.read_table(job.prepared(number) / "rows.parquet")
    left = np.ones(table.num_rows, bool)
    for stage in _stages(job):
        left &= ~_dropped(job, number, stage)
    table = table.filter(pa.array(left)).replace_schema_metadata({_KEY: job.digest})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_PER_GROUP)
    write_atomically(job.cleaned(number), sink.getvalue())


def is_cleaned(job: Job, number: int) -> bool:
    path = job.cleaned(number)
    return path.is_file() and (pq.read_schema(path).metadata or {}).get(_KEY) == job.digest.encode()


def _stages(job: Job) -> tuple[str, ...]:
    """Return the stages that drop rows."""
    return ("match",) if job.across.near_duplicates is None else ("match", "decide")


def merge(job: Job, stage: str) -> None:
    """Write what the tasks of a stage drop into one file, sorted."""
    if job.file(f"{stage}ed", 0).is_file():
        return
    parts = [dict(np.load(job.file(stage, number))) for number in range(len(job.shards))]
    merged = {rule: np.sort(np.concatenate([part[rule] for part in parts])) for rule in parts[0]}
    _save(job.file(f"{stage}ed", 0), **merged)


def _dropped_rows(job: Job, number: int, stage: str) -> dict[str, Numbers]:
    """Return the rows of a shard that a stage drops, by rule."""
    merged = np.load(job.file(f"{stage}ed", 0))
    first, end = job.starts[number : number + 2]
    found = {}
    for rule in merged:
        here = slice(*np.searchsorted(merged[rule], [first, end]))
        found[rule] = merged[rule][here] - first
    return found


def _dropped(job: Job, number: int, stage: str) -> Flags:
    flags = np.zeros(job.starts[number + 1] - job.starts[number], bool)
    for rows in _dropped_rows(job, number, stage).values():
        flags[rows] = True
    return flags


def counts_of(job: Job, number: int, prepared: Mapping[str, Any]) -> dict[str, int]:
    """Return a shard's rows read, dropped by rule and kept."""
    across = {rule: len(rows) for stage in _stages(job) for rule, rows in _dropped_rows(job, number, stage).items()}
    return {"read": prepared["read"], **prepared["dropped"], **across, "kept": prepared["left"] - sum(across.values())}


def _read_shard(path: Path) -> pa.Table:
    """Return the two columns of a shard; a text that is not there is empty, as in corpora."""
    try:
        types = {field.name: str(field.type) for field in pq.read_schema(path)}
        missing = [column for column in COLUMNS if column not in types]
        if missing:
            raise DataError(str(path), f"no column {' or '.join(missing)}", expected=f"columns {' and '.join(COLUMNS)}")
        for column in COLUMNS:
            if "string" not in types[column] and types[column] != "null":
                raise DataError(str(path), f"column {column!r} holds {types[column]}", expected="text")
        table = pq.read_table(path, columns=list(COLUMNS)).cast(pa.schema([(name, pa.string()) for name in COLUMNS]))
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(str(path), f"cannot be read: {first}", expected="a whole parquet file in UTF-8") from error
    return pa.table({name: pc.fill_null(table[name], "") for name in COLUMNS})


def _array(job: Job, number: int, name: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(job.prepared(number) / f"{name}.npy", mmap_mode="r")
    return array


def _gather(job: Job, name: str, rows: Numbers) -> npt.NDArray[Any]:
    """Return one of the arrays of all shards at some rows."""
    shard = np.searchsorted(job.starts, rows, side="right") - 1
    like = _array(job, 0, name)
    out = np.empty((len(rows), *like.shape[1:]), like.dtype)
    for number in np.unique(shard).tolist():
        here = shard == number
        out[here] = _array(job, number, name)[rows[here] - job.starts[number]]
    return out


def _range(ordered: npt.NDArray[Any], part: int, parts: int) -> slice:
    """Return where the keys of one of several equal ranges of keys stand among sorted ones."""
    space = int(np.iinfo(ordered.dtype).max) + 1
    first, end = (
        np.searchsorted(ordered, ordered.dtype.type(min(n * space // parts, space - 1))) for n in (part, part + 1)
    )
    return slice(int(first), len(ordered) if part + 1 == parts else int(end))


def digest(value: object) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True).encode())


def _save(path: Path, **arrays: npt.NDArray[Any]) -> None:
    sink = io.BytesIO()
    np.savez(sink, **arrays)  # type: ignore[arg-type]
    write_atomically(path, sink.getvalue())
