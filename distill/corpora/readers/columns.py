"""Which columns of a file hold what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from distill.corpora.readers.rows import ColumnSpec
from distill.errors import DataError, nearest
from distill.languages import language_of_tag
from distill.recipe.corpora import TEXTS, VALUES, RowKind

NESTED = "translation"
"""The column that holds one text per language in many data sets of the Hub."""

COLUMNS_HINT = (
    "name the columns in the recipe: columns: {english: …, non_english: …}; "
    "the first line of a file without a schema must name them too"
)


def resolve_columns(
    where: str,
    there: Mapping[str, str],
    wanted: Mapping[str, str | int] | None = None,
    *,
    language: str,
    kind: RowKind = "parallel",
) -> list[ColumnSpec]:
    """Return the columns of a file that hold rows of some kind.

    If none are named, parallel texts are looked for in `english` and `non_english`, then in columns called by the two
    languages' codes in any spelling, then in a nested `translation`. The last two may lack a translation.

    Args:
        where: the file, for messages.
        there: its columns and their types.
        wanted: what the columns are called in the file, by what they hold; None to find them.
        language: code of the non-English side.
        kind: kind of the rows.

    Raises:
        DataError: a column is missing.
    """
    needed = (*TEXTS[kind], *VALUES.get(kind, ()))
    if kind == "parallel" and wanted is None and not set(needed) <= set(there):
        for prefix in ("", f"{NESTED}."):
            found = [_column_of(where, there, code, prefix) for code in ("en", language)]
            if all(found):
                names = zip(needed, map(str, found), strict=True)
                return [*(ColumnSpec(name, source, optional=True) for name, source in names), *_extra(there, {}, kind)]
    named = wanted or {}
    specs = [_spec(name, named.get(name, name)) for name in needed] + _extra(there, named, kind)
    check_columns(where, [spec.source for spec in specs if isinstance(spec.source, str)], there)
    return specs


def _spec(name: str, source: str | int) -> ColumnSpec:
    return ColumnSpec(name, source, "number" if name == "score" else "label" if name == "label" else "text")


def _extra(there: Collection[str], named: Mapping[str, str | int], kind: RowKind) -> list[ColumnSpec]:
    """Return the columns that rows may have: a domain, and further negatives."""
    extra = {name: source for name, source in named.items() if name not in (*TEXTS[kind], *VALUES.get(kind, ()))}
    if kind == "triplets" and "negative" not in named:
        extra |= {name: name for name in there if name.startswith("negative_") and name[9:].isdigit()}
    if "domain" in there:
        extra.setdefault("domain", "domain")
    return [_spec(name, source) for name, source in extra.items()]


def _column_of(where: str, there: Collection[str], language: str, prefix: str) -> str | None:
    tags = [name[len(prefix) :] for name in there if name.startswith(prefix)]
    if language in tags:
        return prefix + language
    found = [prefix + tag for tag in tags if language_of_tag(tag) == language]
    if len(found) > 1:
        raise DataError(where, f"columns {' and '.join(found)} are both {language}", hint=COLUMNS_HINT)
    return found[0] if found else None


def check_columns(where: str, wanted: Sequence[str], there: Collection[str], *, hint: str = COLUMNS_HINT) -> None:
    """Check that columns exist, each once.

    Raises:
        DataError: a column is missing or stands twice.
    """
    for column in wanted:
        if column not in there:
            raise DataError(
                where,
                f"no column {column!r}",
                expected=f"columns {', '.join(wanted)}; there are {listing(there)}",
                hint=nearest(column, there) or hint,
            )
        if list(there).count(column) > 1:
            raise DataError(where, f"column {column!r} stands twice in the header", expected="once")


def check_text(where: str, wanted: Sequence[str], types: Mapping[str, str]) -> None:
    """Check that columns hold text.

    Raises:
        DataError: one holds something else.
    """
    for column in wanted:
        if "string" not in types[column] and types[column] != "null":
            raise DataError(where, f"column {column!r} holds {types[column]}", expected="text")


def nested_value(row: Mapping[str, object], name: str) -> object:
    """Return a value of an object, with dots in its name from objects inside it.

    Raises:
        KeyError: there is none.
    """
    if name in row or "." not in name:
        return row[name]
    outer, inner = name.split(".", 1)
    child = row[outer]
    if not isinstance(child, Mapping):
        raise KeyError(name)
    return nested_value(child, inner)


def listing(names: Collection[str]) -> str:
    """Return names for a message, the first ten and none too long."""
    shown = ", ".join(name if len(name) <= 40 else name[:40] + "…" for name in list(names)[:10])
    return f"{shown}, …" if len(names) > 10 else shown or "none"
