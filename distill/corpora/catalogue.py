"""The known corpora: what they hold, how large they are, under which licence, and how a recipe takes them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from ruamel.yaml import YAML

from distill.languages import parse_language
from distill.recipe import CorpusSection
from distill.recipe.corpora import RowKind
from distill.recipe.section import Section


class Entry(Section):
    """A known corpus. What no source says is empty.

    Where `complete` is false, the corpus has more languages than are listed.
    """

    corpus: dict[str, Any] = Field(description="Keys of a recipe's corpus, without `rows` and `languages`.")
    rows: RowKind | None = Field(description="What a row is.")
    description: str = Field(description="What the texts are, in a sentence.")
    domain: str = Field(description="What the texts are, in a word.")
    size: str = Field(description="Rows of all languages.")
    languages: dict[str, int | None] = Field(description="Rows to train on, by language.")
    complete: bool = Field(True, description="Whether all languages are listed.")
    mined: bool = Field(False, description="Whether a machine found the pairs in unrelated texts.")
    licence: str = Field(description="As the sources state it.")
    note: str = Field("", description="What a user should know.")
    sources: list[str] = Field(description="Where this is stated.")

    @field_validator("languages", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return dict.fromkeys(value) if isinstance(value, list) else value

    @field_validator("languages", mode="after")
    @classmethod
    def _codes(cls, value: dict[str, int | None]) -> dict[str, int | None]:
        return {parse_language(code): rows for code, rows in value.items()}

    def section(self, language: str, **keys: Any) -> CorpusSection:
        """Return the recipe section that takes one language; `keys` replace or add to the entry's own."""
        strict = {"cleaning": "strict"} if self.mined else {}
        given = {**self.corpus, "rows": self.rows or "parallel", "languages": [language], **strict, **keys}
        return CorpusSection.model_validate(given)

    def usage(self, name: str, language: str) -> str:
        """Return the line of a recipe's `corpora` that takes one language."""
        keys = dict(self.corpus)
        if self.rows not in (None, "parallel"):
            keys["rows"] = self.rows
        keys["languages"] = [language]
        if self.mined:
            keys["cleaning"] = "strict"
        return f"{name}: {_flow(keys)}"

    def size_of(self, language: str | None) -> str:
        """Return the rows of a language, for people; those of all where none is named or its are not known."""
        rows = self.languages.get(language) if language else None
        if rows is not None:
            return rounded(rows)
        return f"({self.size} in all)" if language and self.size else self.size


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry]:
    """Return the known corpora by name."""
    content = YAML(typ="safe", pure=True).load((Path(__file__).parent / "catalogue.yaml").read_text(encoding="utf-8"))
    return {name: Entry.model_validate(fields) for name, fields in content.items()}


def rounded(rows: int) -> str:
    """Return a number of rows for people, such as 203k."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if rows >= unit:
            return f"{float(f'{rows / unit:.3g}'):g}{name}"
    return str(rows)


def _flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None:
        return "null"
    return f'"{value}"' if "{" in str(value) else str(value)
