"""`distill eval --mteb`: scoring models on MTEB's tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from distill.cli.hub import go_offline_if_cut_off, quiet_libraries
from distill.cli.output import show, write_json

HOME_OF_THE_DATA = "mteb/"
"""Where most of MTEB's data sets lie on the Hub."""


def evaluate_on_mteb(
    sources: Mapping[str, str],
    names: str | None,
    languages: str | None,
    pairs: Sequence[str] | None,
    *,
    output: Path,
    files: tuple[Path | None, Path | None],
) -> int:
    """Score models on MTEB, print the table and return the exit code: 1 if a task gave no score.

    Published results of models of the Hub stand beside their own where MTEB's cache has them.

    Args:
        sources: column → folder or Hub id.
        names: tasks and benchmarks, all of the languages if None.
        languages: codes between commas, all of the tasks if None.
        pairs: language pairs to score, None for all.
        output: folder of MTEB's result files.
        files: where to write the scores as JSON and as Markdown, None for nowhere.
    """
    from distill.languages import parse_language

    codes = [parse_language(code, where="--languages") for code in languages.split(",")] if languages else None
    os.environ.setdefault("TQDM_DISABLE", "1")  # MTEB shows bars of its own; read when tqdm is imported
    go_offline_if_cut_off([*sources.values(), HOME_OF_THE_DATA])
    quiet_libraries()
    from accelerate import PartialState

    from distill.mteb_scores import load_mteb_model, mteb_markdown, mteb_table, published_scores, score_tasks
    from distill.mteb_tasks import select_tasks

    tasks = select_tasks(names, codes, pairs)
    loaded = [load_mteb_model(column, source, device=str(PartialState().device)) for column, source in sources.items()]
    outcome = score_tasks(loaded, tasks, output)
    on_the_hub = [model.name for model in loaded if not model.name.startswith("local/")]
    scores = [*outcome.scores, *published_scores(on_the_hub, tasks)]
    if scores:
        show(mteb_table(scores))
    json_file, markdown_file = files
    if json_file:
        write_json(json_file, {"scores": [score.as_dict() for score in scores]})
    if markdown_file:
        markdown_file.write_text(mteb_markdown(scores) + "\n", encoding="utf-8")
    for failure in outcome.failures:
        click.echo(f"not scored: {failure.task}, {failure.model}: {failure.reason}", err=True)
    return 1 if outcome.failures else 0
