"""From tables to test sets, every row checked."""

from __future__ import annotations

import logging
import math

from distill.errors import DataError
from distill.testsets.sets import BitextSet, ClassificationSet, RetrievalSet, StsSet
from distill.testsets.tables import Table

log = logging.getLogger("distill")

Range = tuple[float, float]


def build_sts(
    suite: str, pair: str, sides: tuple[Table, Table], columns: tuple[str, str, str], scores: Range, note: str = ""
) -> StsSet:
    """Return scored pairs; `sides` are one table twice, or one table for each language, row by row.

    Args:
        suite: name of the suite.
        pair: languages of the two sides.
        sides: where the sentences are; both have the scores.
        columns: names of the first and second sentence and the score.
        scores: lowest and highest score.
        note: what a reader should know.

    Raises:
        DataError: a sentence is missing, a score is none or outside its range, all are the same, or the sides do not
            match.
    """
    first, second = sides
    _check_rows(first)
    gold = _scores(first, columns[2], scores)
    if len(set(gold)) < 2:
        raise DataError(
            first.source,
            "1 row" if len(gold) == 1 else f"all scores are {gold[0]}",
            expected="at least two rows with different scores",
        )
    if first is not second:
        _check_lengths(first, second)
        for row, (one, other) in enumerate(zip(gold, _scores(second, columns[2], scores), strict=True)):
            if one != other:
                raise DataError(
                    second.place(row), f"score {other:g}", expected=f"{one:g} as at {first.place(row)}: the same pair"
                )
    return StsSet(suite, pair, _texts(first, columns[0]), _texts(second, columns[1]), gold, note)


def build_bitext(
    suite: str, pair: str, sides: tuple[Table, Table], columns: tuple[str, str], note: str = ""
) -> BitextSet:
    """Return translations; `sides` are one table twice, or one table for each language, row by row.

    Raises:
        DataError: a sentence is missing, or the sides do not match.
    """
    first, second = sides
    _check_rows(first)
    _check_lengths(first, second)
    return BitextSet(suite, pair, _texts(first, columns[0]), _texts(second, columns[1]), note)


def build_classification(
    suite: str, pair: str, train: Table, test: Table, columns: tuple[str, str], note: str = ""
) -> ClassificationSet:
    """Return labelled texts, each row a text and a label.

    Raises:
        DataError: a text or label is missing, the training texts have one label only, or lack one of the test's.
    """
    for table in (train, test):
        _check_rows(table)
    labels, wanted = _labels(train, columns[1]), _labels(test, columns[1])
    if len(set(labels)) < 2:
        raise DataError(train.source, f"all texts have the label {labels[0]!r}", expected="at least two labels")
    for row, label in enumerate(wanted):
        if label not in labels:
            raise DataError(
                test.place(row),
                f"label {label!r}, which no text of {train.source} has",
                expected=f"one of {', '.join(sorted(set(labels))[:20])}",
            )
    return ClassificationSet(suite, pair, _texts(train, columns[0]), labels, _texts(test, columns[0]), wanted, note)


def build_retrieval(suite: str, pair: str, queries: Table, corpus: Table, qrels: Table, note: str = "") -> RetrievalSet:
    """Return queries and documents in the layout of BEIR and MTEB.

    Queries without a relevant document are left out: a set's queries may be of several splits, its qrels of one.

    Args:
        suite: name of the suite.
        pair: language of the queries, language of the documents.
        queries: columns _id, text.
        corpus: columns _id, text and, if there is one, title.
        qrels: columns query-id, corpus-id, score.
        note: what a reader should know.

    Raises:
        DataError: an id stands twice or is unknown, or a text is missing.
    """
    for table in (queries, corpus, qrels):
        _check_rows(table)
    query_rows, document_rows = _ids(queries), _ids(corpus)
    grades: dict[tuple[int, int], float] = {}
    for row, (query, document, score) in enumerate(
        zip(*(qrels.columns[name] for name in ("query-id", "corpus-id", "score")), strict=True)
    ):
        for found, known, table in ((query, query_rows, queries), (document, document_rows, corpus)):
            if str(found) not in known:
                raise DataError(qrels.place(row), f"id {str(found)!r}", expected=f"an _id of {table.source}")
        grade = _number(score)
        if not 0 <= grade < math.inf:
            raise DataError(qrels.place(row), f"score {score!r}", expected="a grade, 0 or above")
        if grade > 0:
            grades[query_rows[str(query)], document_rows[str(document)]] = grade
    if not grades:
        raise DataError(qrels.source, "no relevant document", expected="a score above 0")
    used = sorted({query for query, _ in grades})
    if len(used) < len(query_rows):
        log.info("%s: %d queries without a relevant document left out", queries.source, len(query_rows) - len(used))
    place = {query: new for new, query in enumerate(used)}
    texts = _texts(queries, "text")
    return RetrievalSet(
        suite,
        pair,
        tuple(texts[query] for query in used),
        _documents(corpus),
        tuple((place[query], document, grade) for (query, document), grade in sorted(grades.items())),
        note,
    )


def build_retrieval_from_rows(
    suite: str, pair: str, queries: Table, documents: Table, columns: tuple[str, str, str], note: str = ""
) -> RetrievalSet:
    """Return queries and documents of rows that each hold a query and the document that answers it.

    Args:
        suite: name of the suite.
        pair: language of the queries, language of the documents.
        queries: a row for each query.
        documents: a row for each document; the same table, or that of another language.
        columns: names of query, document and key. Rows of one key have the same document.
        note: what a reader should know.

    Raises:
        DataError: a text is missing, or a query's document.
    """
    query, document, key = columns
    for table in (queries, documents):
        _check_rows(table)
    texts, asked = _texts(documents, document), _texts(queries, query)
    number: dict[str, int] = {}
    kept: list[str] = []
    for text, value in zip(texts, documents.columns[key], strict=True):
        if str(value) not in number:
            number[str(value)] = len(kept)
            kept.append(text)
    place = {text: row for row, text in enumerate(dict.fromkeys(asked))}
    relevance: dict[tuple[int, int], float] = {}
    for row, value in enumerate(queries.columns[key]):
        if str(value) not in number:
            raise DataError(queries.place(row), f"{key} {str(value)!r}", expected=f"one of {documents.source}")
        relevance[place[asked[row]], number[str(value)]] = 1.0
    return RetrievalSet(
        suite, pair, tuple(place), tuple(kept), tuple((*ids, grade) for ids, grade in relevance.items()), note
    )


def _check_rows(table: Table) -> None:
    if not table.rows:
        raise DataError(table.source, "no rows", expected="at least one")


def _check_lengths(first: Table, second: Table) -> None:
    if len(first.rows) != len(second.rows):
        raise DataError(
            second.source, f"{len(second.rows)} rows", expected=f"{len(first.rows)} as in {first.source}, row by row"
        )


def _texts(table: Table, column: str) -> tuple[str, ...]:
    for row, text in enumerate(table.columns[column]):
        if not isinstance(text, str) or not text.strip():
            found = "is empty" if text is None or isinstance(text, str) else f"holds {text!r}"
            raise DataError(table.place(row), f"column {column} {found}", expected="a text")
    return tuple(str(text) for text in table.columns[column])


def _labels(table: Table, column: str) -> tuple[str, ...]:
    for row, label in enumerate(table.columns[column]):
        if label is None or not str(label).strip():
            raise DataError(table.place(row), f"column {column} is empty", expected="a label")
    return tuple(str(label) for label in table.columns[column])


def _scores(table: Table, column: str, scores: Range) -> tuple[float, ...]:
    found = []
    for row, score in enumerate(table.columns[column]):
        value = _number(score)
        if not scores[0] <= value <= scores[1]:
            raise DataError(
                table.place(row),
                "no score" if score is None or score == "" else f"score {score!r}",
                expected=f"a number from {scores[0]:g} to {scores[1]:g}",
            )
        found.append(value)
    return tuple(found)


def _number(value: object) -> float:
    """Return a value as a number, nan if it is none."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        return math.nan


def _ids(table: Table) -> dict[str, int]:
    """Return the row of each id."""
    rows: dict[str, int] = {}
    for row, value in enumerate(table.columns["_id"]):
        name = "" if value is None else str(value)
        if not name or name in rows:
            raise DataError(
                table.place(row),
                f"id {name!r} a second time, first at {table.place(rows[name])}" if name else "no id",
                expected="an _id of its own for each text",
            )
        rows[name] = row
    return rows


def _documents(corpus: Table) -> tuple[str, ...]:
    """Return the texts of documents, their titles before them as in MTEB."""
    texts = _texts(corpus, "text")
    titles = corpus.columns.get("title", [""] * len(texts))
    return tuple(f"{title or ''} {text}".strip() for title, text in zip(titles, texts, strict=True))
