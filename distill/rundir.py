"""The run directory: everything one run made, found again after a kill."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from distill.errors import RunError
from distill.files import disk_errors, file_checksum, sync_file, sync_files, sync_folder, write_atomically
from distill.recipe import Recipe

log = logging.getLogger("distill")

Mode = Literal["new", "resume", "fresh"]
CHECKPOINT = re.compile(r"step-(\d+)$")
LEFTOVER = re.compile(r"\.tmp-.+|\..+\.[0-9a-f]{32}")
"""Names of what a killed process was writing: folders of `temporary` and files of `write_atomically`."""
BEST_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class RunDirectory:
    """A folder `runs/NAME` and what stands where in it.

    Attributes:
        path: the folder.
        writable: whether this process writes; only the main one of a run does.
        lock: held by the process that writes, until `close` or its end.
    """

    path: Path
    writable: bool = True
    lock: FileLock | None = None

    @classmethod
    def open(cls, recipe: Recipe, *, mode: Mode = "new", command: str = "", writable: bool = True) -> RunDirectory:
        """Return the directory of a recipe's run, made if need be.

        Args:
            recipe: the recipe.
            mode: new: there must be no run yet; resume: go on with one, or start; fresh: move an old one aside.
            command: the command line, for the record.
            writable: whether this process writes.

        Raises:
            RunError: the directory holds a run of another recipe, or one that was not asked to be resumed, or
                another process runs in it.
        """
        path = recipe.runs / recipe.name
        if not writable:
            return cls(path, writable)
        with disk_errors(path):
            run = cls(path, writable, _locked(path))
            try:
                if mode == "fresh" and any(entry.name != "lock" for entry in path.iterdir()):
                    run = run._moved_aside()
                run._prepare(recipe, mode, command)
            except BaseException:
                run.close()
                raise
        return run

    def close(self) -> None:
        """Let other processes run in this directory; a run that got nowhere leaves nothing behind."""
        if self.lock:
            if not self.has_progress():
                self._remove()
            self.lock.release()

    def has_progress(self) -> bool:
        """Return whether a run got as far as a student; before that nothing is worth keeping."""
        return (self.path / "run.json").exists() and self.untrained.exists()

    def check(self, recipe: Recipe, mode: Mode) -> None:
        """Check that a run of a recipe may be started here, or gone on with; nothing is written.

        Raises:
            RunError: the directory holds a run of another recipe, or one that was not asked to be resumed.
        """
        if mode == "fresh" or not self.has_progress():
            return
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

    def check_data(self, digests: Mapping[str, str], models: Mapping[str, str]) -> None:
        """Record what the corpora and test sets hold and which models it is made from, or check that they are the same.

        Args:
            digests: label of a corpus or test set → hash of its rows.
            models: key of the recipe → hash of the model's weights; a model that is gone is not compared.

        Raises:
            RunError: one has changed since.
        """
        if not self.writable:
            return
        before = self.read_json("data.json")
        if before is None:
            self.write_json("data.json", {**digests, "models": models})
            return
        before_models = before.pop("models", {})
        other = [key for key in models if before_models.get(key, models[key]) != models[key]]
        if other:
            raise RunError(
                str(self.path),
                f"this run began with another {' and '.join(other)}, of the same name",
                hint="--fresh moves it aside and starts anew with the model of now",
            )
        changed = [label for label in {**before, **digests} if before.get(label) != digests.get(label)]
        if changed:
            raise RunError(
                str(self.path),
                f"this run began with other rows of {', '.join(changed)}",
                hint="--fresh moves it aside and starts anew with the rows of now",
            )

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
        return next(self.intact_checkpoints(), None)

    def intact_checkpoints(self) -> Iterator[tuple[int, Path]]:
        """Yield step and folder of the checkpoints whose files are intact, newest first."""
        for step, folder in reversed(self.checkpoints()):
            try:
                sums = json.loads((folder / "state.json").read_text())["files"]
                if all(file_checksum(folder / name) == checksum for name, checksum in sums.items()):
                    yield step, folder
                    continue
            except (OSError, ValueError, KeyError):
                pass
            log.warning("%s is damaged and is left out", folder)

    def commit_checkpoint(self, temporary: Path, step: int, state: Mapping[str, Any]) -> None:
        """Give a written checkpoint its name, with checksums of its files; the best weights so far are part of it."""
        best = self.best / BEST_WEIGHTS
        if best.exists():
            _link(best, temporary / f"best-{BEST_WEIGHTS}")
        files = {path.name: file_checksum(path) for path in sorted(temporary.iterdir()) if path.is_file()}
        for name in files:
            sync_file(temporary / name)
        write_atomically(temporary / "state.json", json.dumps({**state, "files": files}).encode())
        final = self.path / "checkpoints" / f"step-{step:08d}"
        final.parent.mkdir(exist_ok=True)
        temporary.rename(final)
        sync_folder(final.parent)

    def prune_checkpoints(self, keep: int) -> None:
        """Remove all checkpoints but the newest `keep`, and what is left of some."""
        kept = [folder for _, folder in self.checkpoints()[-keep:]]
        for folder in (self.path / "checkpoints").glob("step-*"):
            if folder not in kept:
                shutil.rmtree(folder)

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

    def rewind(self, step: int, checkpoint: Path | None) -> None:
        """Go back to a checkpoint, or to the start: what was logged, kept as best or checkpointed later is removed."""
        for later, folder in self.checkpoints():
            if later > step:  # it is damaged
                shutil.rmtree(folder)
        events = [event for event in self.read_log() if event.get("step", 0) <= step]
        content = "".join(json.dumps(event) + "\n" for event in events)
        write_atomically(self.path / "log.jsonl", content.encode())
        best = checkpoint / f"best-{BEST_WEIGHTS}" if checkpoint else None
        if best and best.exists():
            temporary = self.temporary("best")
            _link(best, temporary / BEST_WEIGHTS)
            self.publish(temporary, self.best)
        elif self.best.exists():
            shutil.rmtree(self.best)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        if self.writable:
            write_atomically(self.path / name, json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return a JSON file of this run, None if there is none.

        Raises:
            RunError: it is damaged.
        """
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunError(
                str(self.path / name), f"is damaged: {error}", hint="--fresh moves this run aside and starts anew"
            ) from error

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
        sync_files(temporary)
        if final.exists():
            old = self.temporary("old")
            final.rename(old / "folder")
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
        sync_folder(self.path)

    def _prepare(self, recipe: Recipe, mode: Mode, command: str) -> None:
        """Check the directory, clear what a killed process left half-written, and record the recipe."""
        self.check(recipe, mode)
        self._remove_leftovers()
        if not self.has_progress():
            (self.path / "log.jsonl").unlink(missing_ok=True)
            places = {"teacher": recipe.teacher.model, "suites": list(recipe.evaluation.suites)}
            start = {"fingerprint": recipe.fingerprint(), "command": command, **places}
            self.write_json("run.json", {**start, "started": _now()})
        self.write_json("recipe.json", recipe.identity())

    def _remove(self) -> None:
        """Remove what this class wrote before there was a student, and the folder if nothing else is in it."""
        self._remove_leftovers()
        for name in ("run.json", "recipe.json", "cleaning.json", "log.jsonl", "lock"):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left half-written."""
        for entry in self.path.glob(".*"):
            if LEFTOVER.fullmatch(entry.name):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _moved_aside(self) -> RunDirectory:
        """Give the folder another name, and return a new one in its place."""
        stem = aside = self.path.with_name(f"{self.path.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        number = 1
        while aside.exists():
            number += 1
            aside = stem.with_name(f"{stem.name}-{number}")
        self.path.rename(aside)
        self.close()
        log.info("the old run is now in %s", aside)
        return RunDirectory(self.path, self.writable, _locked(self.path))

    def _difference(self, recipe: Recipe) -> str:
        """Return the first keys in which the run's recipe differs, for the message."""
        old, new = _flat(self.read_json("recipe.json") or {}), _flat(recipe.identity())
        different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        shown = ", ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} here" for key in different[:3])
        return f" ({shown})" if shown else ""


def _locked(path: Path) -> FileLock:
    """Return a lock on a folder, made if need be, that is held.

    Raises:
        RunError: another process holds it, or there is a file of that name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RunError(
            str(path),
            "there is a file in the way",
            hint="choose another folder: --set runs=…",
        ) from None
    lock = FileLock(path / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            str(path),
            "another process is running in this directory",
            hint="wait for it, or give this run another name: --set name=…",
        ) from None
    return lock


def _link(source: Path, target: Path) -> None:
    """Make a file appear in a second folder without a copy, where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for key, sub in value.items() for k, v in _flat(sub, f"{prefix}.{key}" if prefix else key).items()}
    return {prefix: value}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
