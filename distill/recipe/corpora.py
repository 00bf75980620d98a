"""Corpora: where rows come from."""

from __future__ import annotations

import glob
import string
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.languages import language_of_tag, spellings
from distill.recipe.cleaning import Cleaning
from distill.recipe.section import Section
from distill.recipe.values import Count, HubId, Languages, MisfitError, OneOrMore, PositiveInt, Share, Text

SOURCES = ("bundled", "hub", "folder", "files")
"""Keys of a corpus that say where it is from."""

FILE_SUFFIXES = (".parquet", ".tsv", ".csv", ".jsonl")
"""Formats of files with columns that are named in the file, by the ends of their names."""

CORPUS_FORMATS = (*FILE_SUFFIXES, ".tmx", ".txt")
"""Formats of corpora: those, translation memories, and texts between tabs without a header."""

COMPRESSIONS = ("", ".gz", ".zst", ".xz")
"""Ends of names that say how a file is compressed."""

CORPUS_SUFFIXES = (*(form + packed for packed in COMPRESSIONS for form in CORPUS_FORMATS), ".zip")

BUNDLED = {"everyday": ("uk", "da", "sv", "nb")}
"""Languages of the corpora that ship with this program."""


RowKind = Literal["parallel", "pairs", "triplets", "scored", "labelled"]

TEXTS: dict[RowKind, tuple[str, ...]] = {
    "parallel": ("english", "non_english"),
    "pairs": ("anchor", "positive"),
    "triplets": ("anchor", "positive", "negative"),
    "scored": ("sentence1", "sentence2"),
    "labelled": ("text",),
}
"""What the texts of a row of each kind are called; a triplet may have more: negative_2, negative_3, …"""

VALUES: dict[RowKind, tuple[str, ...]] = {"scored": ("score",), "labelled": ("label",)}
"""What else a row of a kind has. All kinds may have a `domain`."""


def is_readable(path: Path, language: str) -> bool:
    """Return whether the end of a file's name is that of a corpus: a known format, or the language of a Moses file."""
    bare = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS[1:] else path
    return path.name.lower().endswith(CORPUS_SUFFIXES) or language_of_tag(bare.suffix[1:]) in ("en", language)


Column = Text | PositiveInt
"""Name of a column, with dots into nested ones; or its number, from 1, in a file without a header."""


class Columns(Section):
    """Names of a source's columns, where they are not those of the row's parts (english, anchor, text, …)."""

    english: Column | None = Field(None, description="English sentence of a parallel row.")
    non_english: Column | None = Field(None, description="Its translation.")
    anchor: Column | None = Field(None, description="First text of a pair or triplet, such as a question.")
    positive: Column | None = Field(None, description="Text that belongs to the anchor.")
    negative: Annotated[tuple[Column, ...], Field(min_length=1), OneOrMore] | None = Field(
        None, description="Text, or texts, that do not. A row may lack them."
    )
    sentence1: Column | None = Field(None, description="First text of a scored pair.")
    sentence2: Column | None = Field(None, description="Second text of a scored pair.")
    score: Column | None = Field(None, description="How similar the two are, a number.")
    text: Column | None = Field(None, description="A labelled text.")
    label: Column | None = Field(None, description="Its label.")
    domain: Column | None = Field(None, description="What the row is about, to cluster batches by.")

    @model_validator(mode="after")
    def _differ(self) -> Columns:
        used: dict[str | int, str] = {}
        for part, name in self.names().items():
            if name in used:
                key = "negative" if part.startswith("negative") else part
                raise MisfitError((key,), f"{name!r} for {used[name]} too", expected="different columns")
            used[name] = part
        return self

    def names(self) -> dict[str, str | int]:
        """Return part → column of what is given; further negatives are negative_2, negative_3, …"""
        given = {part: name for part in type(self).model_fields if isinstance(name := getattr(self, part), str | int)}
        for number, name in enumerate(self.negative or (), start=1):
            given["negative" if number == 1 else f"negative_{number}"] = name
        return given


class CorpusSection(Section):
    """One source of rows. Exactly one of `bundled`, `hub`, `folder`, `files` says where from."""

    bundled: Literal["everyday"] | None = Field(None, description="A corpus that ships with this program.")
    hub: HubId | None = Field(None, description="Data set on the Hugging Face Hub, `owner/name`.")
    folder: Path | None = Field(
        None,
        description="Folder with `en-XX/train.parquet` (or any other format of `files`) and, if there is one, `dev`.",
    )
    files: Path | None = Field(
        None,
        description="Parquet, TSV, CSV, JSONL, TMX or manythings file, also .gz, .zst or .xz; a .zip of such; of Moses "
        "files NAME.en, the other lies beside it. * and ? match several; {language} stands for the code.",
    )
    rows: RowKind = Field(
        "parallel",
        description="parallel: a sentence and its translation; pairs: anchor and positive; triplets: and negatives; "
        "scored: two texts and a score; labelled: a text and a label.",
    )
    languages: Languages = Field(
        description="Of parallel rows the non-English sides to take, such as [uk] or [da, sv]; else that of the texts."
    )
    columns: Columns = Columns()
    config: Text | None = Field(
        None,
        description="Hub only: name of the configuration; {language} stands for the code. Default: en-{language}.",
    )
    data_dir: Text | None = Field(
        None,
        description="Hub only: take the files of this folder instead of a configuration; {language} stands for the "
        "code. With revision: refs/convert/parquet, the way to sets that come with a loading script.",
    )
    where: dict[Text, Text] = Field({}, description="Hub only: column → value; only these rows, such as {label: '1'}.")
    revision: Text | None = Field(None, description="Hub only: commit, branch or tag.")
    split: Text = Field("train", description="Hub only: the split to train on.")
    dev_split: Text | None = Field(
        "dev", description="Hub only: the split to watch the loss on, where the set has it; null for none."
    )
    max_rows: PositiveInt | None = Field(None, description="Take at most this many rows per language (spread evenly).")
    dev_rows: Count | None = Field(
        None,
        description="Rows held out to watch the loss. If absent: the corpus's own dev split (at most 300), "
        "else 2 % of the rows (at most 300). Of more than ten corpora and languages, 3,000 of all, but at least 100 of "
        "each.",
    )
    max_malformed: Share = Field(
        0.01,
        description="Largest share of a file's rows that may be malformed (not UTF-8, wrong number of fields, …); they "
        "are skipped and counted.",
    )
    cleaning: Cleaning | None = Field(
        None,
        description="What is repaired and dropped in this corpus: default, strict (for mined data) or off, or single "
        "rules; the recipe's `cleaning` if absent.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> CorpusSection:
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise MisfitError(
                (), f"{' and '.join(given) or 'no source'} given", expected=f"one of {', '.join(SOURCES)}"
            )
        return self

    @model_validator(mode="after")
    def _languages_of_source(self) -> CorpusSection:
        if self.bundled and self.rows != "parallel":
            raise MisfitError(("rows",), f"{self.rows!r} for a bundled corpus", expected="parallel")
        for place, language in enumerate(self.languages):
            if language == "en" and self.rows == "parallel":
                raise MisfitError(
                    ("languages", place),
                    "found 'en'",
                    expected="a non-English language: English is always the other side",
                )
            if self.bundled and language not in BUNDLED[self.bundled]:
                there = ", ".join(BUNDLED[self.bundled])
                raise MisfitError(("languages",), f"{language!r} is not in {self.bundled}", expected=f"some of {there}")
        return self

    @model_validator(mode="after")
    def _keys_of_source(self) -> CorpusSection:
        fields = type(self).model_fields
        if self.hub is None:
            for key in ("config", "data_dir", "where", "revision", "split", "dev_split"):
                if getattr(self, key) != fields[key].default:
                    raise MisfitError((key,), "given for a corpus that is not from the Hub", expected="with `hub` only")
        known = {*TEXTS[self.rows], *VALUES.get(self.rows, ()), "domain"}
        for part in self.columns.names():
            if part not in known and not (self.rows == "triplets" and part.startswith("negative_")):
                raise MisfitError(
                    ("columns", part), f"given for rows: {self.rows}", expected=f"some of {', '.join(sorted(known))}"
                )
        if self.bundled and self.columns != fields["columns"].default:
            raise MisfitError(("columns",), "given for a bundled corpus", expected="with hub, folder or files only")
        if self.config and self.data_dir:
            raise MisfitError(("data_dir",), "config and data_dir given", expected="one of them")
        if self.split == self.dev_split:
            raise MisfitError(("dev_split",), f"{self.dev_split!r}, as `split`", expected="another split, or null")
        return self

    @model_validator(mode="after")
    def _templates(self) -> CorpusSection:
        for key, text in (("config", self.config), ("data_dir", self.data_dir), ("files", str(self.files or ""))):
            try:
                names = {name for _, name, _, _ in string.Formatter().parse(text or "") if name is not None}
            except ValueError:
                names = {""}
            if names - {"language"}:
                raise MisfitError((key,), f"found {text!r}", expected="no braces but those of {language}")
            if text and not names and len(self.languages) > 1 and (key != "files" or self.columns.names()):
                raise MisfitError(
                    (key,),
                    f"{text!r} is the same for {len(self.languages)} languages",
                    expected="{language} in its name, or a corpus for each language",
                )
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """What the texts of a row are called, such as english and non_english."""
        more = [part for part in self.columns.names() if part.startswith("negative_")]
        return (*TEXTS[self.rows], *more)

    @property
    def values(self) -> tuple[str, ...]:
        """What else a row has: score or label, and domain if its column is named."""
        return (*VALUES.get(self.rows, ()), *(["domain"] if self.columns.domain else []))

    def split_file(self, language: str, split: str = "train") -> Path | None:
        """Return the file of a `folder` corpus that holds a split of one language, however its folder spells it."""
        if self.folder is None:
            return None
        moses = tuple(f".{code}{packed}" for packed in COMPRESSIONS for code in spellings("en"))
        candidates = (
            self.folder / f"en-{code}" / f"{split}{suffix}"
            for code in spellings(language)
            for suffix in (*CORPUS_SUFFIXES, *moses)
        )
        return next((path for path in candidates if path.is_file()), None)

    def matching_files(self, language: str) -> list[Path]:
        """Return the files that `files` matches for one language, however their names spell it, sorted."""
        for code in spellings(language):
            pattern = str(self.files or "").replace("{language}", code)
            if Path(pattern).is_file():
                return [Path(pattern)]
            if found := sorted(path for path in map(Path, glob.glob(pattern)) if path.is_file()):
                return found
        return []

    @property
    def source(self) -> str:
        """Where the rows come from, for messages and reports."""
        return str(self.bundled or self.hub or self.folder or self.files)
