"""Models as a user names them: Hub ids, folders, run directories, and the teacher of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill.errors import DistillError, ModelError, RunError
from distill.recipe import TeacherSection
from distill.recipe.values import is_path
from distill.rundir import RunDirectory

OF_A_RUN = ("teacher", "untrained")
"""Models that are named by their place in a run directory."""


def column_names(names: Sequence[str]) -> dict[str, str]:
    """Return column → model as the user names it; a folder's column is its name.

    Raises:
        DistillError: a model is named twice.
    """
    columns: dict[str, str] = {}
    for name in names:
        if name in columns.values():
            raise DistillError(name, "the model is named twice", expected="each model once")
        column = Path(name).resolve().name if Path(name).is_dir() else name.split("/")[-1]
        columns[name if column in columns else column] = name
    return columns


def model_source(name: str, run: Path | None) -> str:
    """Return the folder or Hub id of a model as a user names it.

    Args:
        name: a Hub id, the folder of a model, a run directory, or `teacher` or `untrained` of `run`.
        run: a run directory.

    Raises:
        DistillError: there is no such folder, or no run directory.
    """
    if name in OF_A_RUN:
        if run is None:
            raise RunError(name, "no run directory among the models, and none in --runs", hint="name a run directory")
        if name == "untrained":
            return str(run / "untrained")
        section = teacher_section(run)
        from distill.models import package_folder

        return str((package_folder(section.package) if section.package else None) or section.model)
    folder = model_folder(name)
    if is_path(str(folder)) and not folder.is_dir():
        raise ModelError(f"model: {name}", "no such folder", expected="a model's folder, a run directory or a Hub id")
    return str(folder) if folder.is_dir() else name


def named_run(names: Sequence[str], runs: Path) -> Path | None:
    """Return the run directory among some models; the latest run if a model of a run is named without one."""
    found = next((Path(name) for name in names if is_run(Path(name))), None)
    return latest_run(runs) if found is None and set(OF_A_RUN) & set(names) else found


def latest_run(runs: Path) -> Path:
    """Return the run directory whose model was finished last.

    Raises:
        RunError: there is none.
    """
    models = sorted(runs.glob("*/model"), key=lambda folder: folder.stat().st_mtime)
    if not models:
        raise RunError(str(runs), "no finished run", hint="name a model, or make one with distill run")
    return models[-1].parent


def is_run(path: Path) -> bool:
    """Return whether a folder is a run directory with a finished model."""
    return (path / "run.json").is_file() and (path / "model").is_dir()


def model_folder(name: str) -> Path:
    """Return the folder of a model that a user names: that of a run directory's student, or the name itself."""
    return Path(name) / "model" if is_run(Path(name)) else Path(name)


def teacher_section(path: Path) -> TeacherSection:
    """Return the teacher of a run directory.

    Raises:
        RunError: it is not known.
    """
    run = RunDirectory(path, writable=False)
    recipe, started = run.read_json("recipe.json"), run.read_json("run.json")
    if not recipe or not started:
        raise RunError(str(path), "no recipe.json or run.json", expected="a run directory")
    return TeacherSection(**{**recipe["teacher"], "model": started.get("teacher") or recipe["teacher"]["model"]})
