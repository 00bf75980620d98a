"""What each choice of the transplant brings before training, as a Markdown table.

Usage: python eval/ablations/transplant.py [--languages uk de] [--variants default "IBM 1, directions apart" …]
       [--share 0.5] [--seeds 0 1] [--pieces 80000]        (needs ../shared/data)

A variant is the default with some constants or functions of the package replaced, or a setting of its vocabulary. With
a share below 1 each seed takes another sample of the pairs; a cell is then the mean ± half of what lies between the
lowest and the highest. Accuracy (from English / to English) and Spearman correlation in per cent; vectors of the
students come from bf16: 0.1 points of noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.csv as pa_csv
import torch
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from common import DATA, cell, load, recipe

from distill import alignment
from distill.encode import encode
from distill.metrics import pair_cosines, spearman
from distill.recipe import TransplantStudent
from distill.student import transplant

CORPORA: dict[str, dict[str, list[str]]] = {
    "uk": {name: ["uk"] for name in ("tatoeba", "news", "docs", "software")},
    "de": {name: ["de"] for name in ("multi30k", "tatoeba", "stsb")},
    "sv+da+nb": {
        "tatoeba": ["sv", "da", "nb"],
        "docs": ["sv", "da"],
        "software": ["sv", "da", "nb"],
        "stsb": ["sv"],
        "pud": ["sv"],
    },
    "all": {
        "tatoeba": ["uk", "sv", "da", "nb", "de", "fr", "cs"],
        "multi30k": ["de", "fr", "cs"],
        "stsb": ["sv", "de", "fr", "es", "it", "nl", "pl", "pt", "ru"],
        "news": ["uk"],
        "docs": ["uk", "sv", "da"],
        "software": ["uk", "sv", "da", "nb"],
        "pud": ["sv"],
    },
}
TEST_FILES = {
    "uk": ["bitext/ntrex/en-uk", "bitext/tatoeba/en-uk"],
    "de": ["bitext/ntrex/en-de", "bitext/tatoeba/en-de", "sts/stsb-dev/en-de"],
    "sv+da+nb": ["bitext/tatoeba/en-da", "sts/stsb-dev/en-sv"],
    "all": [
        "bitext/ntrex/en-uk",
        "bitext/ntrex/en-de",
        "bitext/tatoeba/en-da",
        "sts/stsb-dev/en-sv",
        "sts/stsb-dev/en-de",
        "sts/stsb-dev/en-ru",
    ],
}
ENGLISH = "sts/stsb-dev/en-en"


def directions_apart(links: alignment.Links, rounds: int) -> np.ndarray:
    """Return the expected counts of both directions fitted alone, joined by the geometric mean at the end."""
    return np.sqrt(
        one_direction(links.target_places, links.source, rounds)
        * one_direction(links.source_places, links.target, rounds)
    )


def one_direction(explains: sparse.csr_array, given: np.ndarray, rounds: int) -> np.ndarray:
    """Return expected counts of model 1 in one direction."""
    probability = counts = np.ones(len(given))
    for _ in range(rounds):
        counts = probability * (explains @ (1 / (explains.T @ probability)))
        probability = counts / np.bincount(given, counts)[given]
    return counts


def dice(links: alignment.Links, rounds: int) -> np.ndarray:
    """Return Dice coefficients to the power of three; `rounds` is not used."""
    together = np.diff(links.target_places.indptr)
    targets = np.bincount(links.target, links.target_places @ (1 / links.target_places.sum(axis=0)))[links.target]
    sources = np.bincount(links.source, links.source_places @ (1 / links.source_places.sum(axis=0)))[links.source]
    return (2 * together / (targets + sources)) ** 3


def co_occurrence(links: alignment.Links, rounds: int) -> np.ndarray:
    """Return in how many pairs two pieces stand; `rounds` is not used."""
    return np.diff(links.target_places.indptr).astype(float)


def together(languages: Iterable[list[tuple[list[int], list[int]]]], **sizes: int) -> sparse.csr_array:
    """Return the weights of all languages aligned as one."""
    return alignment.align([list(chain.from_iterable(languages))], **sizes)


def eflomal(languages: Iterable[list[tuple[list[int], list[int]]]], *, rounds: int, **sizes: int) -> sparse.csr_array:
    """Return the weights of the links that eflomal finds (IBM 1, HMM, fertility) in either direction.

    Its program `eflomal-align` must be on the PATH. `rounds` is not used.
    """
    ends: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        both, *found = (Path(folder) / name for name in ("both", "forward", "backward"))
        for pairs in languages:
            used = [(target, source) for target, source in pairs if target and source]
            lines = (f"{' '.join(map(str, source))} ||| {' '.join(map(str, target))}\n" for target, source in used)
            both.write_text("".join(lines), encoding="utf-8")
            subprocess.run(["eflomal-align", "--overwrite", "-i", both, "-f", found[0], "-r", found[1]], check=True)
            for path in found:
                for line, (target, source) in zip(path.read_text().splitlines(), used, strict=True):
                    links = (link.split("-") for link in line.split())
                    ends += [(target[int(j)], source[int(i)]) for i, j in links]
    places = np.array(ends).T
    weights = sparse.coo_array((np.ones(len(ends)), places), shape=(sizes["n_target"], sizes["n_source"])).tocsr()
    weights.data /= np.repeat(weights.sum(axis=1), np.diff(weights.indptr))
    return weights


def random_rows(embeddings: np.ndarray, weights: object, spelled: object, seen: np.ndarray) -> np.ndarray:
    """Return rows drawn with the mean and the spread of the teacher's."""
    drawn = np.random.default_rng(0).standard_normal((len(seen), embeddings.shape[1]))
    return (embeddings.mean(axis=0) + embeddings.std(axis=0) * drawn).astype(np.float32)


def mean_rows(embeddings: np.ndarray, weights: object, spelled: object, seen: np.ndarray) -> np.ndarray:
    """Return the mean of the teacher's rows for every piece."""
    return np.tile(embeddings.mean(axis=0), (len(seen), 1))


OLD_ROWS = {"distill.rows._foreign_share": lambda same, seen, english: (same < 0).astype(np.float32)}
NO_SPELLING = {"distill.student.spellings": lambda teacher, pieces: {}}
NO_FIT = {"distill.rows.fit_rows": lambda *args: None}
MODEL_1 = {"hmm_rounds": 0}
APART = {**MODEL_1, "distill.alignment._expected_counts": directions_apart}
RANDOM, MEAN = ({"distill.rows._joined": rows} for rows in (random_rows, mean_rows))
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "new rows at random": {**RANDOM, **OLD_ROWS, **NO_FIT},
    "new rows at the teacher's mean": {**MEAN, **OLD_ROWS, **NO_FIT},
    "the mean, then the fit": MEAN,
    "HMM with fertility (eflomal)": {"distill.rows.align": eflomal},
    "shared pieces keep the teacher's rows": OLD_ROWS,
    "shared pieces: English counts twice as much": {"distill.rows.ENGLISH_WEIGHT": 20.0},
    "IBM 1 alone": MODEL_1,
    **{f"{rounds} rounds of the HMM": {"hmm_rounds": rounds} for rounds in (1, 2, 5)},
    "HMM, 2 % unlinked": {"distill.hmm.UNLINKED": 0.02},
    "HMM, 30 % unlinked": {"distill.hmm.UNLINKED": 0.3},
    "no spelling": NO_SPELLING,
    "spelling ×3": {"distill.rows.SPELLING_WEIGHT": 60.0},
    "no fit": NO_FIT,
    "fit, ridge 0.1": {"distill.rows.RIDGE": 0.1},
    "fit, ridge 4": {"distill.rows.RIDGE": 4.0},
    "IBM 1, directions apart": APART,
    "Dice³": {**MODEL_1, "distill.alignment._expected_counts": dice},
    "co-occurrence": {**MODEL_1, "distill.alignment._expected_counts": co_occurrence},
    "all languages aligned as one": {"distill.rows.align": together},
    "no surplus of pieces": {"distill.vocabulary.build.SURPLUS": 1.0},
    "surplus × 2": {"distill.vocabulary.build.SURPLUS": 2.0},
    **{f"vocabulary of {size:,} pieces": {"size": size} for size in (4_000, 8_000, 16_000, 32_000, 64_000)},
    "vocabulary replaced": {"mode": "replace"},
    "IBM 1 apart; none of spelling, fit, shared pieces": {**OLD_ROWS, **NO_SPELLING, **NO_FIT, **APART},
}


def test_file(name: str) -> tuple[list[str], list[str], list[float] | None]:
    """Return the two columns of texts of a test set, and gold scores if it has them."""
    parse = pa_csv.ParseOptions(delimiter="\t", quote_char=False)
    columns = pa_csv.read_csv(DATA / f"{name}.tsv", parse_options=parse).to_pydict()
    if "score" in columns:
        return columns["sentence1"], columns["sentence2"], columns["score"]
    return columns["english"], columns["non_english"], None


def scores(teacher: object, student: object, name: str, known: dict[str, np.ndarray]) -> list[float]:
    """Return accuracy in both directions, or the correlation. `known`: the teacher's vectors by test set."""
    first, second, gold = test_file(name)
    if name not in known:
        known[name] = encode(teacher, first)  # type: ignore[arg-type]
    of_second = encode(student, second, precision="bf16")  # type: ignore[arg-type]
    if gold:
        of_first = encode(student, first, precision="bf16") if name == ENGLISH else known[name]  # type: ignore[arg-type]
        return [100 * spearman(pair_cosines(of_first, of_second), np.array(gold))]
    similarity = known[name] @ of_second.T
    own = np.arange(len(first))
    return [100 * float((similarity.argmax(axis=axis) == own).mean()) for axis in (1, 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare starts of a transplant.")
    parser.add_argument("--languages", nargs="+", default=["uk", "de", "sv+da+nb"], choices=list(CORPORA))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--share", type=float, default=1.0, help="share of the pairs that is used")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--pieces", type=int, help="size of the vocabulary that is added")
    parser.add_argument("--english", action="store_true", help="score English too")
    options = parser.parse_args()
    os.environ.setdefault("DISTILL_CACHE", tempfile.mkdtemp(prefix="distill-ablation-"))
    known: dict[str, np.ndarray] = {}
    for language in options.languages:
        files = TEST_FILES[language] + [ENGLISH] * options.english
        print(f"\n| {language} | {' | '.join(files)} | new pieces | processor s |\n|---|{'---|' * (len(files) + 2)}")
        folders = {
            name: {"folder": DATA / "parallel" / name, "languages": found} for name, found in CORPORA[language].items()
        }
        wanted = recipe(corpora=folders)
        teacher, corpora = load(wanted)
        train = [corpus.train for corpus in corpora]
        for variant in options.variants:
            patches = {key: value for key, value in VARIANTS[variant].items() if "." in key}
            settings = {"size": options.pieces} | {k: v for k, v in VARIANTS[variant].items() if k not in patches}
            alignment = {key: settings.pop(key) for key in ("hmm_rounds",) if key in settings}
            section = TransplantStudent.model_validate(
                {"kind": "transplant", "vocabulary": settings, "alignment": alignment}
            )
            runs, seconds = [], 0.0
            for seed in options.seeds:
                rng = np.random.default_rng(seed)
                for corpus, rows in zip(corpora, train, strict=True):
                    corpus.train = np.sort(rng.permutation(rows)[: round(options.share * len(rows))])
                with ExitStack() as stack:
                    for place, value in patches.items():
                        stack.enter_context(mock.patch(place, value))
                    began = time.process_time()
                    student = transplant(section, teacher, corpora)
                    seconds = time.process_time() - began
                runs.append([scores(teacher.model, student, name, known) for name in files])
            cells = [cell([run[i] for run in runs]) for i in range(len(files))]
            added = len(student.tokenizer) - len(teacher.model.tokenizer)
            print(f"| {variant} | {' | '.join(cells)} | {added:,} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    main()
