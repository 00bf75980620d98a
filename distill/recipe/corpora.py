"""Corpora: where rows come from."""

from __future__ import annotations

import glob
import string
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from distill.languages import language_of_tag, spellings
from distill.recipe.section import Section
from distill.recipe.values import Count, HubId, Languages, MisfitError, PositiveInt, Text

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


def is_readable(path: Path, language: str) -> bool:
    """Return whether the end of a file's name is that of a corpus: a known format, or the language of a Moses file."""
    bare = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS[1:] else path
    return path.name.lower().endswith(CORPUS_SUFFIXES) or language_of_tag(bare.suffix[1:]) in ("en", language)


class Columns(Section):
    """Names of the columns of a parallel corpus."""

    english: Text = "english"
    non_english: Text = "non_english"

    @model_validator(mode="after")
    def _differ(self) -> Columns:
        if self.english == self.non_english:
            raise MisfitError(("non_english",), f"{self.english!r} for both sides", expected="two different columns")
        return self


class CorpusSection(Section):
    """One source of parallel sentences. Exactly one of `bundled`, `hub`, `folder`, `files` says where from."""

    bundled: Literal["everyday"] | None = Field(None, description="A corpus that ships with this program.")
    hub: HubId | None = Field(None, description="Data set on the Hugging Face Hub, `owner/name`.")
    folder: Path | None = Field(
        None,
        description="Folder with `en-XX/train.parquet` (or any other format of `files`) and, if there is one, `dev`.",
    )
    files: Path | None = Field(
        None,
        description="Parquet, TSV, CSV, JSONL, TMX or manythings file, also .gz, .zst or .xz; a .zip of such; of Moses "
        "files NAME.en, the other lies beside it. * and ? match several.",
    )
    languages: Languages = Field(description="Non-English sides to take, such as [uk] or [da, sv].")
    columns: Columns = Columns()
    config: Text | None = Field(
        None,
        description="Hub only: name of the configuration; {language} stands for the code. Default: en-{language}.",
    )
    revision: Text | None = Field(None, description="Hub only: commit, branch or tag.")
    split: Text = Field("train", description="Hub only: the split to train on.")
    dev_split: Text | None = Field(
        "dev", description="Hub only: the split to watch the loss on, where the set has it; null for none."
    )
    max_rows: PositiveInt | None = Field(None, description="Take at most this many rows per language (spread evenly).")
    dev_rows: Count | None = Field(
        None,
        description="Rows held out to watch the loss. If absent: the corpus's own dev split (at most 300), "
        "else 2 % of the rows (at most 300).",
    )
    bad_rows: Literal["error", "skip"] = Field(
        "error",
        description="What to do with a row that lacks a side: stop with its place, or skip and count it.",
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
        if self.files is not None and len(self.languages) != 1:
            raise MisfitError(
                ("languages",),
                f"{len(self.languages)} languages for one set of files",
                expected="one",
                hint="give each language a corpus of its own, or use a `folder` with en-XX folders",
            )
        for language in self.languages:
            if self.bundled and language not in BUNDLED[self.bundled]:
                there = ", ".join(BUNDLED[self.bundled])
                raise MisfitError(("languages",), f"{language!r} is not in {self.bundled}", expected=f"some of {there}")
        return self

    @model_validator(mode="after")
    def _keys_of_source(self) -> CorpusSection:
        fields = type(self).model_fields
        if self.hub is None:
            for key in ("config", "revision", "split", "dev_split"):
                if getattr(self, key) != fields[key].default:
                    raise MisfitError((key,), "given for a corpus that is not from the Hub", expected="with `hub` only")
        if self.bundled and self.columns != fields["columns"].default:
            raise MisfitError(("columns",), "given for a bundled corpus", expected="with hub, folder or files only")
        if self.split == self.dev_split:
            raise MisfitError(("dev_split",), f"{self.dev_split!r}, as `split`", expected="another split, or null")
        return self

    @model_validator(mode="after")
    def _config_template(self) -> CorpusSection:
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(self.config or "") if name is not None}
        except ValueError:
            names = {""}
        if names - {"language"}:
            raise MisfitError(("config",), f"found {self.config!r}", expected="no braces but those of {language}")
        if self.config and not names and len(self.languages) > 1:
            raise MisfitError(
                ("config",),
                f"{self.config!r} is one configuration for {len(self.languages)} languages",
                expected="{language} in its name, or a corpus for each language",
            )
        return self

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

    def matching_files(self) -> list[Path]:
        """Return the files that `files` matches, sorted."""
        if self.files is None:
            return []
        if self.files.is_file():
            return [self.files]
        return sorted(path for path in map(Path, glob.glob(str(self.files))) if path.is_file())

    @property
    def source(self) -> str:
        """Where the rows come from, for messages and reports."""
        return str(self.bundled or self.hub or self.folder or self.files)
