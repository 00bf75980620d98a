"""The declaration of a suite: a YAML file that says which data set, revision, columns and pairs its test sets have."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from distill.errors import DistillError, nearest
from distill.files import shipped_folder
from distill.languages import parse_language, parse_pair
from distill.recipe.document import read_document
from distill.recipe.explain import explain
from distill.recipe.section import Section
from distill.recipe.values import HubId, MisfitError, OneOrMore, Text, Texts

Kind = Literal["sts", "bitext", "retrieval", "classification"]

PATTERNS = ("en-xx", "xx-en", "xx-xx")
PLACEHOLDERS = ("pair", "first", "second", "language")
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "sts": {"first": "sentence1", "second": "sentence2", "score": "score"},
    "bitext": {"first": "sentence1", "second": "sentence2"},
    "retrieval": {"query": "", "document": "", "key": ""},
    "classification": {"text": "text", "label": "label"},
}
"""The columns of each kind, and what they are called if a declaration does not say so."""


class SetSection(Section):
    """Test sets of one kind from one source: one of `hub`, `file` and `bundled`.

    In `config`, `file`, `bundled`, `rows` and `columns`, `{pair}`, `{first}` and `{second}` stand for the languages as
    the source calls them. `{language}` says that each language is stored by itself: each side is read from its own.
    """

    name: Text | None = Field(None, description="Tells the sets of a suite apart where it has several of one kind.")
    kind: Kind = Field(description="sts, bitext, retrieval or classification.")
    hub: HubId | None = Field(None, description="Data set on the Hugging Face Hub, owner/name.")
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="Full commit of the data set, 40 hex digits."
    )
    file: Text | None = Field(None, description="File or, for retrieval, folder, relative to the declaration.")
    bundled: Text | None = Field(None, description="File inside the program's package.")
    config: Text | None = Field(
        None, description="Configuration on the Hub; of retrieval what comes before -queries, -corpus and -qrels."
    )
    split: Text = Field("test", description="Split to score.")
    train_split: Text = Field("train", description="classification: split to fit the probe to.")
    rows: dict[Text, Text] = Field({}, description="Column → value: only these rows.")
    columns: dict[Text, Text] = Field(
        {},
        description="What the columns are called. sts: first, second, score; bitext: first, second; classification: "
        "text, label; retrieval: query, document and key (rows of one key belong together), or none if the set has "
        "queries, corpus and qrels",
    )
    score_range: tuple[float, float] = Field((0.0, 5.0), description="Lowest and highest gold score.")
    languages: dict[Text, Text] = Field({}, description="Language code → what the source calls it.")
    pairs: Texts = Field(
        description="Pairs such as en-uk; en-xx and xx-en are English with each other language, xx-xx each with itself."
    )
    any_pair: bool = Field(False, description="Any two different `languages` can be asked for, not only `pairs`.")
    swapped: Annotated[tuple[Text, ...], OneOrMore] = Field((), description="Pairs that the source has the other way.")
    licence: Text = Field(description="Licence as stated at the source.")
    citation: Text = Field(description="Whom to cite: authors, year, title, DOI or arXiv number.")
    mteb: Text | None = Field(None, description="Name of the MTEB task on the same data.")
    note: str = Field("", description="What a reader of its scores should know.")

    @model_validator(mode="after")
    def _source(self) -> SetSection:
        given = [key for key in ("hub", "file", "bundled") if getattr(self, key) is not None]
        if len(given) != 1:
            raise MisfitError((), f"{' and '.join(given) or 'no source'} given", expected="one of hub, file, bundled")
        if self.hub and not self.revision:
            raise MisfitError((), '"revision" is missing', expected="the full commit of the data set, 40 hex digits")
        for key in ("revision", "config"):
            if not self.hub and getattr(self, key):
                raise MisfitError((key,), "given for a set that is not from the Hub", expected="with `hub` only")
        return self

    @model_validator(mode="after")
    def _columns(self) -> SetSection:
        known = COLUMNS[self.kind]
        for column in self.columns:
            if column not in known:
                raise MisfitError(
                    ("columns", column),
                    f'unknown key "{column}"',
                    expected=f"for {self.kind}: {', '.join(known)}",
                    hint=nearest(column, known),
                )
        if self.kind == "retrieval" and self.columns and not {"query", "document"} <= set(self.columns):
            raise MisfitError(("columns",), f"{', '.join(self.columns)} only", expected="query and document")
        return self

    @model_validator(mode="after")
    def _range(self) -> SetSection:
        if not self.score_range[0] < self.score_range[1]:
            raise MisfitError(("score_range",), f"found {list(self.score_range)}", expected="[lowest, highest]")
        return self

    @model_validator(mode="after")
    def _languages(self) -> SetSection:
        for code in self.languages:
            if _parse_language(code) != code:
                raise MisfitError(("languages", code), f"found {code!r}", expected=f"{_parse_language(code)!r}")
        for place, pair in enumerate(self.pairs):
            if pair not in PATTERNS:
                _check_pair(pair, ("pairs", place), self.languages)
            elif not self.languages:
                raise MisfitError(("pairs", place), f"found {pair!r}", expected="`languages`, which xx stands for")
        if self.swapped and self.kind not in ("sts", "bitext"):
            raise MisfitError(("swapped",), f"given for {self.kind}", expected="with sts and bitext only")
        for place, pair in enumerate(self.swapped):
            if pair not in self.all_pairs():
                raise MisfitError(("swapped", place), f"{pair!r} is not among `pairs`", hint=nearest(pair, self.pairs))
        return self

    @model_validator(mode="after")
    def _templates(self) -> SetSection:
        texts = [(key, getattr(self, key) or "") for key in ("config", "file", "bundled")]
        nested = [((key, name), text) for key in ("rows", "columns") for name, text in getattr(self, key).items()]
        for key, text in [*(((key,), text) for key, text in texts), *nested]:
            try:
                names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
            except ValueError:
                names = {""}
            if unknown := names - set(PLACEHOLDERS):
                raise MisfitError(
                    key,
                    f"found {text!r}",
                    expected="no braces but those of " + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS),
                    hint=nearest(unknown.pop(), PLACEHOLDERS),
                )
        return self

    def all_pairs(self) -> tuple[str, ...]:
        """Return the pairs that are scored without being asked for, each once."""
        found: list[str] = []
        for pair in self.pairs:
            match pair:
                case "xx-xx":
                    found += [f"{code}-{code}" for code in self.languages]
                case "en-xx":
                    found += [f"en-{code}" for code in self.languages if code != "en"]
                case "xx-en":
                    found += [f"{code}-en" for code in self.languages if code != "en"]
                case _:
                    found.append(pair)
        return tuple(dict.fromkeys(found))

    def column(self, name: str) -> str:
        """Return what a column is called, its placeholders not yet filled in."""
        return self.columns.get(name, COLUMNS[self.kind][name])

    def per_language(self) -> bool:
        """Return whether each language is stored by itself."""
        texts = (self.config, self.file, self.bundled, *self.rows.values())
        return any("{language}" in text for text in texts if text)

    def fill(self, template: str, pair: str, side: int = 0) -> str:
        """Return a template for a pair; `side` is the one whose language `{language}` stands for."""
        codes = [self.languages.get(code, code) for code in pair.split("-")]
        return template.format(pair="-".join(codes), first=codes[0], second=codes[1], language=codes[side])

    @property
    def source(self) -> str:
        """Where it is from, for messages."""
        return str(self.hub or self.file or self.bundled)


class Declaration(Section):
    """A suite as declared."""

    description: Text = Field(description="One line: what it measures, on which texts.")
    sets: tuple[SetSection, ...] = Field(min_length=1, description="Its test sets by kind and source.")

    @model_validator(mode="after")
    def _names_differ(self) -> Declaration:
        seen: set[tuple[str | None, str, str]] = set()
        for place, section in enumerate(self.sets):
            for pair in section.all_pairs():
                if (section.name, section.kind, pair) in seen:
                    raise MisfitError(
                        ("sets", place),
                        f"a second {section.kind} set for {pair}" + (f" called {section.name}" * bool(section.name)),
                        expected="a `name` that tells them apart",
                    )
                seen.add((section.name, section.kind, pair))
        return self


def read_declaration(path: Path) -> Declaration:
    """Return the declaration in a YAML file.

    Raises:
        RecipeError: it is malformed; with key and line.
    """
    document = read_document(path, what="suite")
    try:
        return Declaration.model_validate(document.data)
    except ValidationError as error:
        raise explain(error.errors(include_url=False), document, Declaration) from None


def declaration_file(name: str) -> Path:
    """Return where the declaration of a suite that ships with the program is."""
    return shipped_folder("suites") / f"{name}.yaml"


def _parse_language(code: str) -> str:
    try:
        return parse_language(code)
    except DistillError as error:
        raise MisfitError(("languages", code), error.found, expected=error.expected) from None


def _check_pair(pair: str, key: tuple[str | int, ...], languages: Mapping[str, str]) -> None:
    try:
        codes = parse_pair(pair)
    except DistillError as error:
        raise MisfitError(key, error.found, expected=error.expected) from None
    if "-".join(codes) != pair:
        raise MisfitError(key, f"found {pair!r}", expected=f"{'-'.join(codes)!r}")
    if missing := [code for code in codes if languages and code not in languages]:
        raise MisfitError(key, f"{missing[0]!r} is not among `languages`", hint=nearest(missing[0], languages))
