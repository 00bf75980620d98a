"""The run directory: everything one run made, found again after a kill."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from distill.errors import RunError
from distill.files import disk_errors, file_checksum, sync_file, sync_folder, write_atomically
from distill.recipe import Recipe

log = logging.getLogger("distill")

Mode = Literal["new", "resume", "fresh"]
CHECKPOINT = re.compile(r"step-(\d+)$")


@dataclass(frozen=True)
class RunDirectory:
    """A folder `runs/NAME` and what stands where in it.

    Attributes:
        path: the folder.
        writable: whether this process writes; only the main one of a run does.
    """

    path: Path
    writable: bool = True

    @classmethod
    def open(cls, recipe: Recipe, *, mode: Mode = "new", command: str = "", writable: bool = True) -> RunDirectory:
        """Return the directory of a recipe's run, made if need be.

        Args:
            recipe: the recipe.
            mode: new: there must be no run yet; resume: go on with one, or start; fresh: move an old one aside.
            command: the command line, for the record.
            writable: whether this process writes.

        Raises:
            RunError: the directory holds a run of another recipe, or one that was not asked to be resumed.
        """
        run = cls(recipe.runs / recipe.name, writable)
        if not writable:
            return run
        with disk_errors(run.path):
            if mode == "fresh" and run.path.exists():
                aside = run.path.with_name(f"{run.path.name}.{time.strftime('%Y%m%d-%H%M%S')}")
                run.path.rename(aside)
                log.info("the old run is now in %s", aside)
            if run.has_progress():
                run._check(recipe, mode)
            run.path.mkdir(parents=True, exist_ok=True)
        if not run.has_progress():
            run.write_json("run.json", {"fingerprint": recipe.fingerprint(), "command": command, "started": _now()})
        run.write_json("recipe.json", recipe.identity())
        return run

    def has_progress(self) -> bool:
        """Return whether a run got as far as a student; before that nothing is worth keeping."""
        return (self.path / "run.json").exists() and self.untrained.exists()

    def lock(self) -> FileLock:
        """Return a lock that is held, and released when this process ends.

        Raises:
            RunError: another process runs in this directory.
        """
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                str(self.path),
                "another process is running in this directory",
                hint="wait for it, or give this run another name: --set name=…",
            ) from None
        return lock

    @property
    def model(self) -> Path:
        """Folder of the finished model."""
        return self.path / "model"

    @property
    def untrained(self) -> Path:
        """Folder of the student before its first step."""
        return self.path / "untrained"

    @property
    def best(self) -> Path:
        """Folder of the weights with the lowest dev loss so far."""
        return self.path / "best"

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Return complete checkpoints as (step, folder), oldest first."""
        found = []
        for folder in (self.path / "checkpoints").glob("step-*"):
            match = CHECKPOINT.search(folder.name)
            if match and (folder / "state.json").is_file():
                found.append((int(match[1]), folder))
        return sorted(found)

    def newest_checkpoint(self) -> tuple[int, Path] | None:
        """Return step and folder of the newest checkpoint whose files are intact, None if there is none."""
        for step, folder in reversed(self.checkpoints()):
            try:
                sums = json.loads((folder / "state.json").read_text())["files"]
                if all(file_checksum(folder / name) == checksum for name, checksum in sums.items()):
                    return step, folder
            except (OSError, ValueError, KeyError):
                pass
            log.warning("%s is damaged; an older checkpoint is used", folder)
        return None

    def commit_checkpoint(self, temporary: Path, step: int, state: Mapping[str, Any], keep: int) -> None:
        """Give a written checkpoint its name, with checksums of its files, and remove all but the newest `keep`."""
        files = {path.name: file_checksum(path) for path in sorted(temporary.iterdir()) if path.is_file()}
        for name in files:
            sync_file(temporary / name)
        write_atomically(temporary / "state.json", json.dumps({**state, "files": files}).encode())
        final = self.path / "checkpoints" / f"step-{step:08d}"
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        sync_folder(final.parent)
        for _, old in self.checkpoints()[:-keep]:
            shutil.rmtree(old)

    def log(self, event: str, **values: Any) -> None:
        """Append one line to `log.jsonl`."""
        if self.writable:
            with disk_errors(self.path), (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, "time": _now(), **values}) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """Return the events logged so far; a line cut short by a kill is left out."""
        events = []
        try:
            for line in (self.path / "log.jsonl").read_text(encoding="utf-8").splitlines():
                try:
                    events.append(json.loads(line))
                except ValueError:
                    continue
        except FileNotFoundError:
            pass
        return events

    def forget_after(self, step: int) -> None:
        """Remove from the log what was logged after a step, before training goes on from it."""
        events = [event for event in self.read_log() if event.get("step", 0) <= step]
        content = "".join(json.dumps(event) + "\n" for event in events)
        write_atomically(self.path / "log.jsonl", content.encode())

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        if self.writable:
            write_atomically(self.path / name, json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return a JSON file of this run, None if there is none."""
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_text(self, name: str, content: str) -> None:
        """Write a text file atomically."""
        if self.writable:
            write_atomically(self.path / name, content.encode())

    def temporary(self, name: str) -> Path:
        """Return an empty folder beside the final one, to be renamed when whole."""
        folder = self.path / f".tmp-{name}"
        if self.writable:
            with disk_errors(folder):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
        return folder

    def publish(self, temporary: Path, final: Path) -> None:
        """Put a whole folder in the place of an older one."""
        for path in temporary.rglob("*"):
            if path.is_file():
                sync_file(path)
        if final.exists():
            old = self.temporary("old")
            final.rename(old / "folder")
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
        sync_folder(self.path)

    def _check(self, recipe: Recipe, mode: Mode) -> None:
        record = self.read_json("run.json") or {}
        if record.get("fingerprint") != recipe.fingerprint():
            raise RunError(
                str(self.path),
                "this directory holds a run of another recipe" + self._difference(recipe),
                hint="use --fresh to move it aside and start anew, or another name: --set name=…",
            )
        if mode == "new":
            state = "a finished run" if (self.path / "scores.json").exists() else "an unfinished run"
            raise RunError(
                str(self.path),
                f"this directory holds {state} of this recipe",
                hint="--resume goes on with it (or shows it, if finished); --fresh moves it aside and starts anew",
            )

    def _difference(self, recipe: Recipe) -> str:
        """Return the first keys in which the run's recipe differs, for the message."""
        old, new = _flat(self.read_json("recipe.json") or {}), _flat(recipe.identity())
        different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        shown = ", ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} here" for key in different[:3])
        return f" ({shown})" if shown else ""


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for key, sub in value.items() for k, v in _flat(sub, f"{prefix}.{key}" if prefix else key).items()}
    return {prefix: value}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
