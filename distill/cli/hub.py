"""The Hub and the libraries that ask it, before a command starts."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.recipe import Recipe

log = logging.getLogger("distill")

SECONDS_FOR_THE_HUB = 10.0


def hub_names(recipe: Recipe) -> list[str]:
    """Return the models and data sets that a recipe takes from the Hub, where they are not local folders."""
    from distill.testsets import hub_sets

    names = [corpus.hub for corpus in recipe.corpora.values() if corpus.hub] + hub_sets(recipe.evaluation.suites)
    names += recipe.evaluation.baselines.values()
    if recipe.student_model:
        names.append(recipe.student_model)
    if not (recipe.teacher.package and find_distribution(recipe.teacher.package)):
        names.append(recipe.teacher.model)
    return names


def find_distribution(name: str) -> bool:
    """Return whether a Python distribution is installed."""
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def go_offline_if_cut_off(names: Iterable[str]) -> None:
    """Tell the clients of the Hub not to ask it, if one of some names is to come from there and it does not answer.

    Left to themselves they ask again for half a minute for each file, also for those that are stored.
    """
    if all(Path(name).is_dir() for name in names):
        return
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session
    from huggingface_hub.utils import logging as hub_logging

    if constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS_FOR_THE_HUB)
    except Exception as error:  # its class depends on the HTTP library that huggingface_hub uses
        log.warning("the Hub cannot be reached (%s: %s): only what is stored here is used", constants.ENDPOINT, error)
        hub_logging.set_verbosity_error()
        constants.HF_HUB_OFFLINE = True
        os.environ["HF_HUB_OFFLINE"] = "1"  # for other processes of this run


def quiet_libraries() -> None:
    """Keep the progress bars and notices of libraries out of this program's output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
