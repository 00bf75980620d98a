"""From corpora of all kinds to rows as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from pydantic import TypeAdapter

from distill.corpora import Corpus
from distill.errors import DataError
from distill.objectives import ObjectiveRows, columns_to_embed, corpora_of, objective_rows
from distill.recipe import Objective
from distill.store import Keys, Rows, TokenStore, text_keys

COLUMNS = {
    "parallel": ("english", "non_english"),
    "pairs": ("anchor", "positive"),
    "triplets": ("anchor", "positive", "negative", "negative_2"),
    "scored": ("sentence1", "sentence2"),
    "labelled": ("text",),
}


@dataclass
class Seen:
    """A store that has all texts and numbers them as they are asked for."""

    numbers: dict[bytes, int] = field(default_factory=dict)

    def find(self, keys: Keys) -> Rows:
        return np.array([self.numbers.setdefault(key.tobytes(), len(self.numbers)) for key in keys], np.int64)

    def of(self, *texts: str) -> list[int]:
        return [self.numbers[key.tobytes()] if text else -1 for key, text in zip(text_keys(texts), texts, strict=True)]


@pytest.fixture
def tokens() -> TokenStore:
    store = TokenStore({"test": 1})
    texts = [*"abcdefghijk", "long"]
    keys = text_keys(texts)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    store.append_tokens(keys[order], [[1] * len(texts[i]) for i in order])
    return store


def corpus(kind: Any, *rows: tuple[Any, ...], language: str = "en", name: str = "a", more: str = "") -> Corpus:
    """Return a corpus of some rows, the last of which is held out."""
    columns = COLUMNS[kind]
    names = [*columns, *([more] if more else [])]
    data = {column: [row[place] for row in rows] for place, column in enumerate(names)}
    return Corpus(
        name,
        language,
        kind,
        "test",
        Dataset.from_dict(data),
        columns,
        {column: text_keys(data[column]) for column in columns},
        np.arange(len(rows) - 1),
        np.array([len(rows) - 1]),
    )


def section(**values: Any) -> Objective:
    found: Objective = TypeAdapter(Objective).validate_python(values)
    return found


PARALLEL = corpus("parallel", ("a", "b"), ("c", "long"), ("d", "e"), language="uk", name="talks")
TRIPLETS = corpus("triplets", ("a", "f", "g", ""), ("h", "i", "j", "k"), ("a", "b", "c", "d"), name="nli")
NORWEGIAN = corpus("pairs", ("a", "b"), ("c", "d"), language="nb", name="nb")


def rows(objective: Objective, corpora: list[Corpus], tokens: TokenStore, vectors: Seen) -> ObjectiveRows:
    return objective_rows(objective, corpora, "train", tokens, vectors)


def test_rows_of_several_kinds_stand_in_the_columns_of_the_longest(tokens: TokenStore) -> None:
    vectors = Seen()
    objective = section(loss="contrastive", false_negatives={})
    found = rows(objective, [PARALLEL, TRIPLETS], tokens, vectors)
    texts = [("a", "b", "", ""), ("c", "long", "", ""), ("a", "f", "g", ""), ("h", "i", "j", "k")]
    expected = [[int(tokens.find(text_keys([text]))[0]) if text else -1 for text in row] for row in texts]
    assert found.texts.tolist() == expected
    read = [("a", "a", "", ""), ("c", "c", "", ""), *texts[2:]]  # English stands for both sides
    assert found.target is not None
    assert found.target.tolist() == [vectors.of(*row) for row in read]
    assert found.length.tolist() == [1, 4, 1, 1]
    assert found.corpus.tolist() == [0, 0, 1, 1]
    assert found.labels == ("talks en-uk", "nli en")
    assert found.domain is None


def test_losses_that_do_not_read_the_teacher_need_no_vectors(tokens: TokenStore) -> None:
    vectors = Seen()
    assert rows(section(loss="contrastive"), [PARALLEL, TRIPLETS], tokens, vectors).target is None
    assert not vectors.numbers


def test_which_corpora_and_columns() -> None:
    corpora = [PARALLEL, TRIPLETS, NORWEGIAN]
    assert corpora_of(section(loss="mse"), corpora) == [PARALLEL]
    assert corpora_of(section(loss="contrastive"), corpora) == corpora
    assert corpora_of(section(loss="similarity"), corpora) == [PARALLEL, TRIPLETS]  # the teacher reads English
    assert corpora_of(section(loss="contrastive", corpora="nb"), corpora) == [NORWEGIAN]
    plain, guided = section(loss="contrastive"), section(loss="contrastive", false_negatives={}, corpora="nli")
    assert [columns_to_embed({"a": plain, "b": guided}, c) for c in corpora] == [(), TRIPLETS.columns, ()]
    assert columns_to_embed({"a": plain, "b": section(loss="cosine")}, PARALLEL) == ("english",)


def test_scores_become_shares_of_their_range(tokens: TokenStore) -> None:
    scored = corpus("scored", ("a", "b", 0.0), ("c", "d", 4.0), ("e", "f", 5.0), more="score")
    found = rows(section(loss="scored", form="cosine", score_range=[0, 5]), [scored], tokens, Seen())
    assert found.value is not None
    assert found.value.tolist() == pytest.approx([0.0, 0.8])
    raw = rows(section(loss="scored"), [scored], tokens, Seen())  # only their order counts
    assert raw.value is not None
    assert raw.value.tolist() == [0.0, 4.0]


@pytest.mark.parametrize(
    ("score", "objective"),
    [(4.0, {"form": "cosine"}), (6.0, {"score_range": [0, 5]}), (float("nan"), {}), (float("inf"), {})],
)
def test_a_score_outside_its_range_is_an_error(score: float, objective: dict[str, Any], tokens: TokenStore) -> None:
    scored = corpus("scored", ("a", "b", 0.0), ("c", "d", score), ("e", "f", 0.5), more="score")
    with pytest.raises(DataError) as caught:
        rows(section(loss="scored", **objective), [scored], tokens, Seen())
    assert (caught.value.where, caught.value.found) == ("corpora.a", f"score {score:g} in row 2")
    assert "score_range" in caught.value.hint


def test_classes_are_those_of_all_corpora_and_splits(tokens: TokenStore) -> None:
    one = corpus("labelled", ("a", "x"), ("b", "y"), ("c", "only in dev"), more="label")
    two = corpus("labelled", ("d", "z"), ("e", "x"), more="label", name="b")
    found = rows(section(loss="classification"), [one, two], tokens, Seen())
    assert found.classes == ("only in dev", "x", "y", "z")
    assert found.value is not None
    assert found.value.tolist() == [1, 2, 3]
    same = corpus("labelled", ("a", "x"), ("b", "x"), more="label")
    with pytest.raises(DataError, match="all labels are 'x'"):
        rows(section(loss="classification"), [same], tokens, Seen())


def test_the_same_domain_of_two_corpora_has_one_number(tokens: TokenStore) -> None:
    one = corpus("pairs", ("a", "b", "law"), ("c", "d", "sport"), ("e", "f", "law"), more="domain")
    two = corpus("pairs", ("g", "h", "sport"), ("i", "j", "law"), more="domain", name="b")
    found = rows(section(loss="contrastive"), [one, two, NORWEGIAN], tokens, Seen())
    assert found.domain is not None
    assert found.domain.tolist() == [0, 1, 1, -1]
