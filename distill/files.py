"""Files that are either whole or not there: atomic writes, checksums, and a full disk explained."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash
from safetensors import SafetensorError

from distill.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
FULL_MESSAGE = re.compile(
    r"requested and \d+ written|PytorchStreamWriter failed writing|unexpected pos \d+ vs \d+"
    rf"|os error ({'|'.join(map(str, FULL))})\b"
)
"""How numpy, torch and safetensors report a full disk: they give no errno."""


def shipped_folder(name: str) -> Path:
    """Return a folder of `eval/` that ships with the program: inside the package, or beside it in a checkout."""
    package = Path(__file__).parent
    root = package / "eval" if (package / "eval").is_dir() else package.parent / "eval"
    return root / name


@contextmanager
def full_disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk into a `StorageError` that names `path`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if getattr(error, "errno", None) not in FULL and not FULL_MESSAGE.search(str(error)):
            raise
        raise StorageError(
            str(path),
            "the disk is full",
            hint="free some space (`distill cache ls` shows the stores) and start again with --resume",
        ) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a `StorageError` that names `path`."""
    try:
        with full_disk_errors(path):
            yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise StorageError(str(path), f"cannot be written: {error.strerror}", hint="choose another folder") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, even after a crash."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write to, which gets the name `path` when all is in it; `path` is not there yet."""
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    temporary.mkdir(parents=True)
    try:
        yield temporary
        sync_files(temporary)
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_checksum(path: Path) -> str:
    """Return the XXH3-128 checksum of a file."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    sync_folder(path)


def sync_files(folder: Path) -> None:
    """Make the content of all files below a folder durable."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
