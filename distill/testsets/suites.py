"""Suites: named groups of test sets, from a declaration or from local files. Only the pairs wanted are read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import cast

from distill.errors import DataError, nearest
from distill.files import shipped_folder
from distill.languages import parse_pair
from distill.recipe.evaluation import declared_suites
from distill.testsets.build import (
    build_bitext,
    build_classification,
    build_retrieval,
    build_retrieval_from_rows,
    build_sts,
)
from distill.testsets.declaration import Declaration, SetSection, declaration_file, read_declaration
from distill.testsets.files import (
    QRELS_COLUMNS,
    file_pair,
    find_test_files,
    holds_parts,
    read_test_file,
    read_test_folder,
)
from distill.testsets.sets import BitextSet, ClassificationSet, RetrievalSet, StsSet, TestSet, label
from distill.testsets.tables import Table, file_table, hub_part, hub_table

log = logging.getLogger("distill")

DECLARATION_SUFFIXES = (".yaml", ".yml")
PAIRS_SHOWN = 8


@dataclass(frozen=True)
class Options:
    """What messages call the options that suites and pairs are given by.

    Attributes:
        suites: the option of the suites.
        pairs: the option of the pairs.
        several: how to give several suites.
    """

    suites: str
    pairs: str
    several: str


RECIPE = Options("evaluation.suites", "evaluation.pairs", "give a list: suites: [{}]")
COMMAND_LINE = Options("--suite", "--pairs", "give --suite once for each")


@dataclass(frozen=True)
class Source:
    """Test sets of one kind that are not yet read.

    Attributes:
        suite: name of the suite.
        pairs: pairs it has.
        read: reads the set of one pair.
        languages: languages; any two different ones can be asked for as well.
        symmetric: whether the sides of a pair may be swapped.
    """

    suite: str
    pairs: tuple[str, ...]
    read: Callable[[str], TestSet]
    languages: frozenset[str] = frozenset()
    symmetric: bool = True

    def find(self, pair: str) -> Callable[[], TestSet] | None:
        """Return what reads the set of a pair, None if it has none."""
        first, second = pair.split("-")
        if pair in self.pairs:
            return lambda: self.read(pair)
        if self.symmetric and (other := f"{second}-{first}") in self.pairs:
            return lambda: _swap(self.read(other))
        return (lambda: self.read(pair)) if first != second and {first, second} <= self.languages else None


def load_suites(
    names: Sequence[str],
    languages: Sequence[str] | None,
    pairs: Sequence[str] | None = None,
    *,
    options: Options = RECIPE,
) -> list[TestSet]:
    """Return the test sets of suites for a student's languages.

    Args:
        names: declared suites by name; or files, folders of files named by their pair, or declarations.
        languages: non-English languages of the student; sets of other languages are left out. All sets if None.
        pairs: pairs to take, all of the languages if None. The sides of `uk-en` are those of `en-uk` swapped.
        options: what messages call the options.

    Raises:
        DataError: a suite does not exist, has none of the pairs, or a file is malformed.
        RecipeError: a declaration is malformed.
    """
    sources = [source for name in names for source in _sources(name, options)]
    if pairs is not None:
        readers = _pick(sources, ["-".join(parse_pair(pair, where=options.pairs)) for pair in pairs], options)
    else:
        readers = _of_languages(sources, languages, options)
    sets = [read() for read in readers]
    for name, count in Counter(map(label, sets)).items():
        if count > 1:
            raise DataError(options.suites, f"{count} test sets are called {name}", expected="each name once")
    return sets


def list_suites() -> dict[str, Declaration]:
    """Return the suites that ship with the program, by name."""
    return {name: read_declaration(declaration_file(name)) for name in declared_suites()}


def hub_sets(names: Iterable[str]) -> list[str]:
    """Return the data sets on the Hub that suites need.

    Raises:
        RecipeError: a declaration is malformed.
    """
    known = declared_suites()
    files = [declaration_file(name) if name in known else Path(name) for name in names]
    declarations = [read_declaration(file) for file in files if file.suffix in DECLARATION_SUFFIXES and file.is_file()]
    return [section.hub for found in declarations for section in found.sets if section.hub]


def _pick(sources: Sequence[Source], pairs: Sequence[str], options: Options) -> list[Callable[[], TestSet]]:
    """Return what reads the sets of some pairs, each of which at least one source must have."""
    chosen: list[Callable[[], TestSet]] = []
    for source in sources:
        chosen += [read for pair in dict.fromkeys(pairs) if (read := source.find(pair))]
    suites: dict[str, list[Source]] = {}
    for source in sources:
        suites.setdefault(source.suite.split("/")[0], []).append(source)
    missing = [pair for pair in pairs if not any(source.find(pair) for source in sources)]
    if missing and sources:
        there = [f"{_short(own, missing)} ({suite})" for suite, own in suites.items()]
        raise DataError(options.pairs, f"no test set for {', '.join(missing)}", expected=f"one of {'; '.join(there)}")
    for suite, own in suites.items():
        if not any(source.find(pair) for source in own for pair in pairs):
            log.warning("%s: %s has no test set for %s", options.suites, suite, ", ".join(pairs))
    return chosen


def _short(sources: Sequence[Source], missing: Sequence[str]) -> str:
    """Return the pairs of a suite, those of the languages of a missing pair first, of many the first ones."""
    codes = {code for pair in missing for code in pair.split("-")} - {"en"}
    pairs = list(dict.fromkeys(pair for source in sources for pair in source.pairs))
    pairs.sort(key=lambda pair: codes.isdisjoint(pair.split("-")))
    return ", ".join(pairs[:PAIRS_SHOWN]) + f" and {len(pairs) - PAIRS_SHOWN} more" * (len(pairs) > PAIRS_SHOWN)


def _of_languages(
    sources: Sequence[Source], languages: Sequence[str] | None, options: Options
) -> list[Callable[[], TestSet]]:
    """Return what reads the sets of English and some languages, of all languages if None."""
    chosen: list[Callable[[], TestSet]] = []
    told = dict.fromkeys((source.suite.split("/")[0] for source in sources), False)
    for source in sources:
        for pair in source.pairs:
            if languages is None or set(pair.split("-")) <= {"en", *languages}:
                chosen += [read for read in [source.find(pair)] if read]
                told[source.suite.split("/")[0]] = True
    for suite, found in told.items():
        if not found:
            log.warning("%s: %s has no test set for %s", options.suites, suite, ", ".join(languages or ()))
    return chosen


def _sources(name: str, options: Options) -> list[Source]:
    known = declared_suites()
    if not name.strip():
        raise DataError(options.suites, "an empty name", expected=f"one of {', '.join(known)}, or a path")
    path = Path(name)
    if name in known:
        extra = shipped_folder("testsets") / name
        local = [_file_source(file) for file in find_test_files(extra)] if extra.is_dir() else []
        return _declared_sources(name, declaration_file(name)) + local
    if path.is_file() and path.suffix in DECLARATION_SUFFIXES:
        return _declared_sources(path.stem, path)
    if path.is_file() or (path.is_dir() and holds_parts(path)):
        return [_file_source(path)]
    if path.is_dir():
        files = find_test_files(path)
        if not files:
            raise DataError(str(path), "no test sets", expected="files named by their pair, such as en-uk.tsv")
        return [_file_source(file) for file in files]
    several = ", ".join(part.strip() for part in name.split(","))
    raise DataError(
        options.suites,
        f"no suite or file {name!r}",
        expected=f"one of {', '.join(known)}, or a path",
        hint=options.several.format(several) if "," in name else nearest(name, known),
    )


def _file_source(path: Path) -> Source:
    pair, suite = file_pair(path), path.resolve().parent.name
    if path.is_dir():
        return Source(suite, (pair,), lambda pair: read_test_folder(path, suite, pair), symmetric=False)
    return Source(suite, (pair,), lambda pair: read_test_file(path, pair))


def _declared_sources(suite: str, file: Path) -> list[Source]:
    return [
        Source(
            f"{suite}/{section.name}" if section.name else suite,
            section.all_pairs(),
            _Declared(f"{suite}/{section.name}" if section.name else suite, section, file, place).read,
            frozenset(section.languages) if section.any_pair else frozenset(),
            symmetric=section.kind in ("sts", "bitext"),
        )
        for place, section in enumerate(read_declaration(file).sets)
    ]


@dataclass(frozen=True)
class _Declared:
    """The test sets of one section of a declaration.

    Attributes:
        suite: name of the suite, with that of the section if it has one.
        section: what is declared.
        file: the declaration.
        place: number of the section in it.
    """

    suite: str
    section: SetSection
    file: Path
    place: int

    def read(self, pair: str) -> TestSet:
        """Return the set of a pair."""
        if pair in self.section.swapped:
            return _swap(self.read("-".join(reversed(pair.split("-")))))
        if self.section.hub:
            log.info("%s %s: %s", self.suite, pair, self.section.source)
        match self.section.kind:
            case "sts":
                return self._sts(pair)
            case "bitext":
                return self._bitext(pair)
            case "classification":
                return self._classification(pair)
            case _:
                return self._retrieval(pair)

    def _sts(self, pair: str) -> StsSet:
        columns = self._columns(pair, "first", "second", "score")
        sides = self._sides(pair, columns, columns)
        return build_sts(
            self.suite, pair, sides, (columns[0], columns[1], columns[2]), self.section.score_range, self.section.note
        )

    def _bitext(self, pair: str) -> BitextSet:
        columns = self._columns(pair, "first", "second")
        sides = self._sides(pair, *((columns[:1], columns[1:]) if self.section.per_language() else (columns, columns)))
        return build_bitext(self.suite, pair, sides, (columns[0], columns[1]), self.section.note)

    def _classification(self, pair: str) -> ClassificationSet:
        if self._folder(pair):
            return cast(ClassificationSet, self._read_folder(pair))
        columns = self._columns(pair, "text", "label")
        train = self._table(pair, 0, columns, self.section.train_split)
        test = self._table(pair, 1, columns, self.section.split)
        return build_classification(self.suite, pair, train, test, (columns[0], columns[1]), self.section.note)

    def _retrieval(self, pair: str) -> RetrievalSet:
        section = self.section
        if section.columns:
            query, document = self._columns(pair, "query", "document")
            key = section.fill(section.column("key"), pair) or document
            both = list(dict.fromkeys((query, document, key)))
            sides = self._sides(pair, both, both)
            return build_retrieval_from_rows(self.suite, pair, *sides, (query, document, key), section.note)
        if not section.hub:
            return cast(RetrievalSet, self._read_folder(pair))
        prefix = f"{section.fill(section.config, pair)}-" if section.config else ""
        qrels = (f"{prefix}qrels",) if prefix else ("default", "qrels")
        queries = (f"{prefix}queries",) if prefix else ("queries", "query")
        asked, corpus, judged = (
            hub_part(self._where, section.hub, configs, str(section.revision), section.split, columns)
            for configs, columns in (
                (queries, ("_id", "text")),
                ((f"{prefix}corpus",), ("_id", "text", "title")),
                (qrels, QRELS_COLUMNS),
            )
        )
        return build_retrieval(self.suite, pair, asked, corpus, judged, section.note)

    def _columns(self, pair: str, *names: str) -> tuple[str, ...]:
        """Return what some columns are called for a pair."""
        return tuple(self.section.fill(self.section.column(name), pair, int(name == "second")) for name in names)

    def _sides(self, pair: str, first: Sequence[str], second: Sequence[str]) -> tuple[Table, Table]:
        """Return the tables of the two sides, one table twice if they are stored together."""
        one = self._table(pair, 0, first, self.section.split)
        if not self.section.per_language() or (len(set(pair.split("-"))) == 1 and first == second):
            return one, one
        return one, self._table(pair, 1, second, self.section.split)

    def _table(self, pair: str, side: int, columns: Sequence[str], split: str) -> Table:
        section = self.section
        rows = {column: section.fill(value, pair, side) for column, value in section.rows.items()}
        wanted = list(dict.fromkeys((*columns, *rows)))
        if section.hub:
            config = section.fill(section.config, pair, side) if section.config else None
            return hub_table(self._where, section.hub, config, str(section.revision), split, wanted).where(rows)
        return file_table(self._path(pair, side), wanted, hint=f"set {self._where}.columns").where(rows)

    def _path(self, pair: str, side: int = 0) -> Path:
        if self.section.bundled:
            return Path(str(resources.files("distill"))) / self.section.fill(self.section.bundled, pair, side)
        return self.file.resolve().parent / self.section.fill(str(self.section.file), pair, side)

    def _folder(self, pair: str) -> bool:
        return not self.section.hub and self._path(pair).is_dir()

    def _read_folder(self, pair: str) -> RetrievalSet | ClassificationSet:
        path = self._path(pair)
        if not path.is_dir():
            raise DataError(
                f"{self._where}: {path}", "no such folder", expected=f"a folder with a {self.section.kind} set"
            )
        found = read_test_folder(path, self.suite, pair)
        if found.kind != self.section.kind:
            raise DataError(f"{self._where}: {path}", f"a {found.kind} set", expected=f"a {self.section.kind} set")
        return replace(found, note=self.section.note or found.note)

    @property
    def _where(self) -> str:
        return f"{self.file}: sets.{self.place}"


def _swap(found: TestSet) -> TestSet:
    """Return scored pairs or translations with their sides swapped."""
    if not isinstance(found, StsSet | BitextSet):
        raise TypeError(f"the sides of {label(found)} are not alike")
    pair = "-".join(reversed(found.pair.split("-")))
    return replace(found, pair=pair, first=found.second, second=found.first)
