"""Choosing MTEB's tasks by name, benchmark, language and pair; languages in this program's codes.

MTEB: Muennighoff et al. 2022, arXiv 2210.07316; MMTEB: Enevoldsen et al. 2025, arXiv 2502.13595.
"""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import langcodes

from distill.errors import DistillError, nearest
from distill.languages import ALIASES

if TYPE_CHECKING:
    from mteb import AbsTask

log = logging.getLogger("distill")

COMMA = re.compile(r",(?![^()]*\))")
"""A comma that is not inside parentheses: `MTEB(Scandinavian, v1)` is one name."""


def select_tasks(
    names: str | None, languages: Sequence[str] | None = None, pairs: Sequence[str] | None = None
) -> list[AbsTask]:
    """Return tasks of MTEB, each restricted to the wanted subsets.

    Args:
        names: names of tasks and benchmarks between commas; None for all tasks of the languages that are text only.
        languages: codes such as uk. Kept are subsets of these languages, also together with English, and subsets of
            more than two languages with one of these among them.
        pairs: pairs such as en-uk; kept are subsets of these two languages in either order.

    Raises:
        DistillError: no such task or benchmark, or nothing is left of them.
    """
    _require_mteb()
    with quiet_mteb():
        if names is not None:
            found = [task for name in COMMA.split(names) for task in _tasks_called(name.strip())]
        else:
            found = _tasks_of_languages(languages or ())
        whole = _merge(found)
        tasks = [kept for task in whole if (kept := _restrict(task, languages, pairs))]
    if not tasks:
        there = Counter(pair for task in whole for pair in subset_pairs(task).values())
        raise DistillError(
            "--pairs" if pairs else "--languages",
            f"no subset of {names or 'any task of MTEB'} is in {', '.join(pairs or languages or ())}",
            expected=f"one of {', '.join(pair for pair, _ in there.most_common(20))}" if there else "",
        )
    left_out = [
        task.metadata.name for task in whole if task.metadata.name not in {kept.metadata.name for kept in tasks}
    ]
    if left_out:
        log.warning("left out, no subset in %s: %s", ", ".join(pairs or languages or ()), ", ".join(left_out))
    return tasks


def language_of(mteb_code: str) -> str:
    """Return this program's code for a language as MTEB writes it: uk for `ukr-Cyrl`, nb for `nob-Latn` and `nor`."""
    return _language_of(mteb_code.split("-")[0])


@cache
def _language_of(iso: str) -> str:
    code = langcodes.standardize_tag(iso, macro=True)  # MTEB names members of macrolanguages: cmn for zh, ekk for et
    return iso if "-" in code else ALIASES.get(code, code)


def mteb_codes(code: str) -> list[str]:
    """Return the ISO 639-3 codes under which MTEB knows a language, such as nob and nor for nb."""
    from mteb.languages import ISO_TO_LANGUAGE

    return [iso for iso in ISO_TO_LANGUAGE if language_of(iso) == code]


def subset_languages(task: AbsTask) -> dict[str, list[str]]:
    """Return the languages of each chosen subset of a task, in this program's codes and the task's order."""
    spoken = task.metadata.hf_subsets_to_langscripts
    return {
        subset: list(dict.fromkeys(language_of(code) for code in spoken.get(subset, ()))) for subset in task.hf_subsets
    }


def subset_pairs(task: AbsTask) -> dict[str, str]:
    """Return the pair of each chosen subset of a task: `en-uk`, `uk-uk` for one language.

    A subset of more languages, and one that shares its pair with another, keeps MTEB's name.
    """
    pairs = {
        subset: "-".join(codes * 2 if len(codes) == 1 else codes) if 0 < len(codes) < 3 else subset
        for subset, codes in subset_languages(task).items()
    }
    count = Counter(pairs.values())
    return {subset: pair if count[pair] == 1 else subset for subset, pair in pairs.items()}


@contextmanager
def quiet_mteb() -> Iterator[None]:
    """Keep MTEB's notices out of this program's output; what a user must know it says itself."""
    logger = logging.getLogger("mteb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _require_mteb() -> None:
    try:
        import mteb  # noqa: F401
    except ImportError as error:
        raise DistillError(
            "--mteb", f"the package mteb cannot be imported: {error}", hint='pip install "distill-multilingual[mteb]"'
        ) from error


def _tasks_called(name: str) -> list[AbsTask]:
    """Return the task, or the tasks of the benchmark, of a name."""
    import mteb
    from mteb.get_tasks import TASK_LIST

    try:
        task = mteb.get_task(name)
    except KeyError:
        pass
    else:
        if task.superseded_by:
            log.warning("--mteb: %s is superseded by %s", name, task.superseded_by)
        return [task]
    try:
        return list(mteb.get_benchmark(name).tasks)
    except KeyError:
        known = [*(task.metadata.name for task in TASK_LIST), *(found.name for found in mteb.get_benchmarks())]
        raise DistillError(
            "--mteb",
            f"no task or benchmark {name!r}",
            expected="names as MTEB writes them, such as STS17,Tatoeba or MTEB(Scandinavian, v1)",
            hint=nearest(name, known),
        ) from None


def _tasks_of_languages(languages: Sequence[str]) -> list[AbsTask]:
    """Return all tasks with text in some languages, and say what is left out for its sounds or images."""
    import mteb

    codes = [iso for code in languages for iso in mteb_codes(code)]
    if not codes:
        raise DistillError(
            "--languages", f"MTEB has no {', '.join(languages)}", expected="codes such as uk, nb, da or sv"
        )
    found = mteb.get_tasks(languages=codes)
    texts = [task for task in found if set(task.modalities) == {"text"}]
    if len(texts) < len(found):
        log.info("%d tasks with sounds or images are left out", len(found) - len(texts))
    return texts


def _merge(tasks: Sequence[AbsTask]) -> list[AbsTask]:
    """Return copies of tasks, each name once with the subsets of all; a benchmark's own tasks stay as they are."""
    merged: dict[str, AbsTask] = {}
    for task in tasks:
        kept = merged.setdefault(task.metadata.name, copy.copy(task))
        kept.hf_subsets = list(dict.fromkeys([*kept.hf_subsets, *task.hf_subsets]))
    return list(merged.values())


def _restrict(task: AbsTask, languages: Sequence[str] | None, pairs: Sequence[str] | None) -> AbsTask | None:
    """Return a task with its wanted subsets only, which are then all that is loaded; None if there are none."""
    two = [set(pair.split("-")) for pair in pairs] if pairs is not None else None

    def wanted(codes: set[str]) -> bool:
        if two is not None and codes not in two:
            return False
        return languages is None or bool(codes & set(languages) and (len(codes) > 2 or codes <= {"en", *languages}))

    keep = [subset for subset, codes in subset_languages(task).items() if wanted(set(codes))]
    return task.filter_languages(None, hf_subsets=keep) if keep else None
