"""Scoring models on MTEB's tasks with its own evaluators, in its own result files."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from distill.encode import speed_up
from distill.errors import DistillError
from distill.evaluate import Score
from distill.files import disk_errors, full_disk_errors
from distill.models import encoder_digest, load_model
from distill.mteb_tasks import quiet_mteb, subset_pairs
from distill.progress import progress
from distill.recipe.values import is_path

if TYPE_CHECKING:
    from mteb import AbsTask, ResultCache, TaskResult
    from mteb.models import ModelMeta
    from sentence_transformers import SentenceTransformer

log = logging.getLogger("distill")


@dataclass(frozen=True)
class MtebModel:
    """A model under the name of its result files.

    Attributes:
        column: its name in tables.
        name: owner and name as MTEB wants them; `local/NAME` for a folder.
        revision: commit on the Hub, or a digest of all that its vectors and scores depend on.
        model: the model.
    """

    column: str
    name: str
    revision: str
    model: SentenceTransformer


@dataclass(frozen=True)
class Failure:
    """A task that gave a model no score, and why."""

    task: str
    model: str
    reason: str


@dataclass(frozen=True)
class MtebOutcome:
    """What scoring came to.

    Attributes:
        scores: suite is the task, pair its subset (see `subset_pairs`), metric MTEB's name of the task's main score,
            n the samples that MTEB's statistics give, 0 where they give none.
        failures: tasks without a score.
    """

    scores: list[Score]
    failures: list[Failure]


def load_mteb_model(column: str, source: str, *, device: str = "cpu") -> MtebModel:
    """Return a model of a Hub id or a folder, with the identity of its results.

    Raises:
        ModelError: there is no such model or it cannot be read.
    """
    model = load_model("model", source, device=device)
    name, revision = identity(model, source, column)
    speed_up(model)
    return MtebModel(column, name, revision, model)


def identity(model: SentenceTransformer, source: str, label: str) -> tuple[str, str]:
    """Return name and revision under which a model's results are kept.

    A model of the Hub keeps its name and commit. That of a folder is called by its label, and its revision is a
    digest of weights, tokenizer, prompts, length and similarity: a student trained further has another one. The card of
    a folder is not asked: a student's may name the model it was made from.
    """
    commit = getattr(getattr(getattr(model[0], "model", None), "config", None), "_commit_hash", None)
    if commit and not Path(source).is_dir() and not is_path(source):
        return source, str(commit)
    digest = hashlib.sha256(f"{encoder_digest(model)} {model.similarity_fn_name}".encode()).hexdigest()
    plain = re.sub(r"[^\w.-]", "-", label)
    return f"local/{plain}", digest[:32]


def score_tasks(models: Sequence[MtebModel], tasks: Sequence[AbsTask], output: Path) -> MtebOutcome:
    """Return the scores of some models on some tasks; results that lie in a folder already are read from there.

    Prompts, length and similarity are the model's own. A task that cannot be scored does not keep others from it.

    Args:
        models: the models; those that share name and revision share results.
        tasks: tasks of MTEB, restricted to the subsets to score.
        output: folder of MTEB's result files, laid out as its `ResultCache` reads them.
    """
    from mteb import ResultCache

    with disk_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    cache = ResultCache(output)
    wrappers = [(model, _wrapped(model)) for model in models]
    scores: list[Score] = []
    failures: list[Failure] = []
    log.info("results of MTEB: %s", cache.cache_path / "results")
    with quiet_mteb(), progress("tasks of MTEB", len(tasks), "tasks") as update:
        for done, task in enumerate(tasks, start=1):
            outcome = _score_task(task, wrappers, cache)
            scores += outcome.scores
            failures += outcome.failures
            update(done, task.metadata.name)
    return MtebOutcome(scores, failures)


def _score_task(task: AbsTask, wrappers: Sequence[tuple[MtebModel, Any]], cache: ResultCache) -> MtebOutcome:
    """Return the scores of all models on one task; its data are loaded once, and only if a score is missing."""
    import mteb

    scores: list[Score] = []
    failures: list[Failure] = []
    unreadable = ""
    for model, wrapper in wrappers:
        place = f"{task.metadata.name}: {model.column}"
        stored = _stored(task, wrapper.mteb_model_meta, cache, place)
        reason = ""
        missing = stored is None or stored.get_missing_evaluations(task)
        if missing and not task.data_loaded and not task.is_aggregate:
            unreadable = reason = unreadable or _load(task)
        if not reason:
            try:
                with full_disk_errors(cache.cache_path):
                    result = mteb.evaluate(
                        wrapper,
                        task,
                        cache=cache,
                        overwrite_strategy="only-missing" if stored else "always",
                        co2_tracker=False,
                        show_progress_bar=False,
                    )
            except DistillError:
                raise
            except Exception as error:  # whatever evaluators of others can raise
                log.debug("%s", place, exc_info=True)
                reason = _reason(error)
            else:
                failures += [
                    Failure(e.task_name, model.column, _first_line(e.exception)) for e in result.exceptions or ()
                ]
                scores += [score for found in result.task_results for score in task_scores(found, task, model.column)]
        if reason:
            failures.append(Failure(task.metadata.name, model.column, reason))
    if task.data_loaded:
        task.unload_data()
    return MtebOutcome(scores, failures)


def _load(task: AbsTask) -> str:
    """Load the data of a task and return why that is not possible, an empty string if it is."""
    try:
        task.load_data()
        return ""
    except Exception as error:  # whatever data sets and their loaders can raise
        log.debug("%s", task.metadata.name, exc_info=True)
        return f"its data {task.metadata.dataset['path']} cannot be loaded: {_reason(error)}"


def _stored(task: AbsTask, meta: ModelMeta, cache: ResultCache, place: str) -> TaskResult | None:
    """Return the results of a model on a task that can be used, and say what is used and what cannot be."""
    path = cache.get_task_result_path(task.metadata.name, meta)
    if not path.is_file():
        return None
    result = _read(path)
    if isinstance(result, str):
        log.warning("%s: %s is damaged and computed again: %s", place, path, result)
        return None
    if not result.is_mergeable(task):
        log.warning(
            "%s: the results in %s are of other data (%s): computed again", place, path, result.dataset_revision
        )
        return None
    wanted = len(task.eval_splits) * len(task.hf_subsets)
    missing = sum(map(len, result.get_missing_evaluations(task).values()))
    if missing < wanted:
        log.info("%s: %d of %d results are there already", place, wanted - missing, wanted)
    return result


def _read(path: Path) -> TaskResult | str:
    """Return the results in a file, or what is wrong with it."""
    from mteb import TaskResult

    try:
        return TaskResult.from_disk(path)
    except Exception as error:  # JSON, pydantic and, for old files, any lookup error
        return _reason(error)


def task_scores(result: TaskResult, task: AbsTask, column: str) -> list[Score]:
    """Return the main score of each chosen subset of a task: the mean over its splits, as MTEB's own tables have it.

    A subset that lacks a split is left out.
    """
    scores = []
    pairs, sizes = subset_pairs(task), _sizes(task)
    found = {
        (split, entry["hf_subset"]): entry["main_score"] for split, part in result.scores.items() for entry in part
    }
    for subset in task.hf_subsets:
        value = _mean([found.get((split, subset)) for split in task.eval_splits])
        if value is not None:
            scores.append(
                Score(
                    suite=task.metadata.name,
                    pair=pairs[subset],
                    metric=task.metadata.main_score,
                    model=column,
                    value=value,
                    n=sizes.get(subset, 0),
                )
            )
    return scores


def _sizes(task: AbsTask) -> dict[str, int]:
    """Return the number of samples of each chosen subset over all splits, 0 where MTEB's statistics do not give it."""
    sizes = dict.fromkeys(task.hf_subsets, 0)
    for split in task.eval_splits:
        statistics: dict[str, Any] = dict((task.metadata.descriptive_stats or {}).get(split, {}))
        by_subset = statistics.get("hf_subset_descriptive_stats") or {"default": statistics}
        for subset in task.hf_subsets:
            sizes[subset] += by_subset.get(subset, {}).get("num_samples") or 0
    return sizes


def published_scores(names: Iterable[str], tasks: Sequence[AbsTask], cache_folder: Path | None = None) -> list[Score]:
    """Return what others published of models, as far as MTEB's cache on this machine has it; nothing is downloaded.

    Of a model's revisions the one with most of the tasks is taken. Damaged files and results on other data (another
    revision of a data set) are left out, and said to be.

    Args:
        names: Hub ids.
        tasks: tasks of MTEB, restricted to the subsets to show.
        cache_folder: MTEB's cache; its own place (`$MTEB_CACHE`) if None.
    """
    from mteb import ResultCache

    cache = ResultCache(cache_folder)
    by_name = {task.metadata.name: task for task in tasks}
    scores = []
    for name in names:
        files: dict[str, list[Path]] = {}
        for path in cache.get_cache_paths(models=[name], tasks=list(tasks), require_model_meta=False):
            files.setdefault(path.parent.name, []).append(path)
        revision = max(files, key=lambda found: (len(files[found]), found), default=None)
        if revision is None:
            log.warning(
                "published results of %s are not available: %s has none for these tasks; to get them all: "
                'python -c "import mteb; mteb.ResultCache().download_from_remote()"',
                name,
                cache.cache_path,
            )
            continue
        log.info("published results of %s are those of its revision %s", name, revision)
        for path in sorted(files[revision]):
            task, result = by_name[path.stem], _read(path)
            if isinstance(result, str):
                log.warning("%s is damaged and left out: %s", path, result)
            elif not result.is_mergeable(task):
                log.warning("%s is left out: it is of other data (%s)", path, result.dataset_revision)
            else:
                scores.extend(task_scores(result, task, f"{name} (published)"))
    return scores


def _wrapped(model: MtebModel) -> Any:
    """Return MTEB's own wrapper of a model, under the model's name and revision."""
    from mteb import SentenceTransformerEncoderWrapper

    with quiet_mteb():
        wrapper = SentenceTransformerEncoderWrapper(model.model)
        named = {"name": model.name, "revision": model.revision}
        wrapper.mteb_model_meta = wrapper.mteb_model_meta.model_copy(update=named)
    used = {*(wrapper.model_prompts or {}), model.model.default_prompt_name}
    if unknown := [name for name, prompt in model.model.prompts.items() if prompt and name not in used]:
        log.warning("%s: MTEB has no use for its prompts called %s", model.column, ", ".join(unknown))
    return wrapper


def _reason(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")


def mteb_table(scores: Sequence[Score]) -> Table:
    """Return main scores × 100 for the terminal: tasks as rows, models as columns, and the mean over tasks.

    The mean is shown for models that have all the scores of the table; it weighs each task alike, whatever its subsets.
    """
    models = list(dict.fromkeys(score.model for score in scores))
    table = Table(title="MTEB", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "pair", "main score"):
        table.add_column(column)
    for model in models:
        table.add_column(model, justify="right")
    for row in _rows(scores, models):
        table.add_row(*row)
    table.columns[0].no_wrap = True
    return table


def mteb_markdown(scores: Sequence[Score]) -> str:
    """Return the same as a Markdown table."""
    models = list(dict.fromkeys(score.model for score in scores))
    lines = [
        ["task", "pair", "main score", *models],
        ["---", "---", "---", *["---:"] * len(models)],
        *_rows(scores, models),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(scores: Sequence[Score], models: Sequence[str]) -> list[list[str]]:
    value = {(score.suite, score.pair, score.metric, score.model): score.value for score in scores}
    places = list(dict.fromkeys((score.suite, score.pair, score.metric) for score in scores))
    rows = [[*place, *(_cell(value.get((*place, model))) for model in models)] for place in places]
    means = []
    for model in models:
        tasks: dict[str, list[float | None]] = {}
        for place in places:
            tasks.setdefault(place[0], []).append(value.get((*place, model)))
        means.append(_mean([_mean(values) for values in tasks.values()]))
    several = len({task for task, _, _ in places}) > 1
    return [*rows, ["mean of tasks", "all", "", *map(_cell, means)]] if several else rows


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, None if a value is missing."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there and len(there) == len(values) else None


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
