"""Making a machine-translated test set from the English one of a suite."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distill import __version__
from distill.errors import DataError
from distill.languages import parse_pair
from distill.testsets import COMMAND_LINE, BitextSet, StsSet, digest, list_suites, load_suites, read_declaration
from distill.testsets.suites import DECLARATION_SUFFIXES
from distill.translate.engine import Engine, Translation
from distill.translate.journal import translate_all
from distill.translate.quality import Judged, judge, one_line, summary
from distill.translate.review import read_review, review_path, write_review
from distill.translate.sets import (
    WORK,
    Decision,
    MachineSet,
    Side,
    sources_of,
    store_machine_set,
    stored_accepted,
    stored_machine_sets,
    write_set,
)

log = logging.getLogger("distill")

MakeEngine = Callable[[str, str], Engine]
"""Returns the engine from one language into another."""


def make_sets(
    suite: str,
    pairs: Sequence[str],
    make_engine: MakeEngine,
    *,
    folder: Path,
    make_back_engine: MakeEngine | None = None,
    source_pair: str = "en-en",
    licence: str = "",
) -> list[dict[str, Any]]:
    """Make machine-translated test sets and return their manifests.

    Args:
        suite: a suite's name, or a file or folder of test sets.
        pairs: pairs to make, such as en-uk and uk-uk.
        make_engine: who translates from English.
        folder: where the sets go.
        make_back_engine: who translates back into English, to measure the quality.
        source_pair: pair of the suite whose English sentences are translated.
        licence: of the source, for the manifest; that of the suite's declaration if empty.

    Raises:
        DataError: the suite has no such pair, a pair cannot be made from it, or the folder has sets of another engine.
    """
    source = _load_source(suite, source_pair)
    origin = _origin(suite, source, licence)
    wanted = [_check_pair(pair, source) for pair in dict.fromkeys(pairs)]
    languages = list(dict.fromkeys(code for pair in wanted for code in parse_pair(pair) if code != "en"))
    earlier = {language: _earlier_decisions(folder, language) for language in languages}
    engines = {language: make_engine("en", language) for language in languages}
    for language, engine in engines.items():
        _check_engine(folder, language, engine)
    translations: dict[str, dict[str, Translation]] = {}
    started: dict[str, str] = {}
    for language, engine in engines.items():
        texts = _english(source, wanted, language)
        for found in stored_machine_sets(folder, language):
            if found.pair not in wanted:  # those are made anew: their source may have changed
                texts += [text for side in found.sides() if side.language == language for text in side.english]
        translations[language], started[language] = translate_all(engine, texts, folder / WORK, f"en → {language}")
    judged, back = {}, {}
    for language in languages:
        judged[language], back[language] = _judge(translations[language], language, make_back_engine, folder)
    for pair in wanted:
        found = _machine_set(source, pair, translations)
        known = [one for one in languages if one in parse_pair(pair)]
        manifest = _manifest(source, pair, [engines[one] for one in known], origin)
        manifest |= _quality(found, {one: judged[one] for one in known}, {one: back[one] for one in known})
        manifest["date"] = min(started[one] for one in known)
        served = {answer.served_by for one in known for answer in translations[one].values()} - {""}
        manifest["revision"] = manifest["revision"] or ", ".join(sorted(served))
        store_machine_set(folder, MachineSet(found.pair, found.gold, found.first, found.second, manifest))
    made = {found.pair: found for found in stored_machine_sets(folder)}
    manifests = [write_set(folder, made[pair]) for pair in wanted]
    for pair in wanted:
        _warn_of_empty(made[pair], folder)
    for language in languages:
        write_review(folder, language, judged[language], earlier[language])
        gone = sum(row.status != "" and text not in translations[language] for text, row in earlier[language].items())
        if gone:
            log.warning("%s: %d reviewed sentences are in the set no more", review_path(folder, language), gone)
    return manifests


def _load_source(suite: str, pair: str) -> StsSet | BitextSet:
    try:
        sets = load_suites([suite], None, [pair], options=COMMAND_LINE)
    except DataError as error:
        hint = error.hint or "--from names another pair of the suite, for bitext such as --from en-de"
        raise DataError(error.where, error.found, expected=error.expected, hint=hint) from error
    usable = [found for found in sets if isinstance(found, StsSet | BitextSet)]
    if not usable:
        raise DataError(f"--suite {suite}", f"no sentence pairs for {pair}", expected="a set of scored pairs or bitext")
    if not pair.startswith("en-"):
        raise DataError("--from", pair, expected="a pair whose first language is en")
    return usable[0]


def _origin(suite: str, source: StsSet | BitextSet, licence: str) -> dict[str, str]:
    """Return what a manifest says of the source; where it is from, revision and licence as the suite declares them."""
    path = Path(suite)
    declaration = list_suites().get(suite)
    if declaration is None and path.is_file() and path.suffix in DECLARATION_SUFFIXES:
        declaration = read_declaration(path)
    name, section = source.suite.partition("/")[2], None
    for one in declaration.sets if declaration else ():
        has_pair = one.any_pair or {source.pair, "-".join(reversed(parse_pair(source.pair)))} & {*one.all_pairs()}
        if (one.name or "") == name and one.kind == source.kind and has_pair:
            section = one
    return {
        "suite": source.suite,
        "pair": source.pair,
        "data": section.source if section else "",
        "revision": (section.revision or "") if section else "",
        "digest": digest(source),
        "licence": licence or (section.licence if section else ""),
        "note": source.note,
    }


def _check_pair(pair: str, source: StsSet | BitextSet) -> str:
    """Return a pair in its usual form if it can be made from a source."""
    first, second = parse_pair(pair, where="--pairs")
    if (first, second) == ("en", "en"):
        raise DataError("--pairs", "en-en", expected="a pair with a language to translate into")
    if isinstance(source, BitextSet) and (first != "en" or second == "en"):
        raise DataError("--pairs", pair, expected=f"en-{second}: from bitext only pairs with English first are made")
    if isinstance(source, StsSet) and source.pair != "en-en":
        raise DataError("--from", source.pair, expected="en-en, for both sentences of a scored pair in English")
    return f"{first}-{second}"


def _check_engine(folder: Path, language: str, engine: Engine) -> None:
    """Check that a folder has no sets of a language that another engine made."""
    for found in stored_machine_sets(folder, language):
        before = found.manifest["engines"][language]
        for key, value in engine.identity.items():
            if before[key] != value:
                raise DataError(
                    str(folder / f"{found.pair}.json"),
                    f"was made with another {key}: {before[key]}",
                    expected=str(value),
                    hint="choose another folder with --out: the sets of one folder come from one engine per language",
                )


def _earlier_decisions(folder: Path, language: str) -> dict[str, Decision]:
    """Return what a person wrote into the review file, or accepted before if the file is gone."""
    path = review_path(folder, language)
    if path.exists():
        return {source: row.decision for source, row in read_review(path).items()}
    accepted = stored_accepted(folder, language)
    return accepted.decisions if accepted else {}


def _columns(source: StsSet | BitextSet, pair: str) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """Return language and English sentences of both columns of a pair; those of bitext are its first column, twice."""
    first, second = parse_pair(pair)
    one, two = source.first, source.first if isinstance(source, BitextSet) else source.second
    return (first, list(map(one_line, one))), (second, list(map(one_line, two)))


def _english(source: StsSet | BitextSet, pairs: Sequence[str], language: str) -> list[str]:
    """Return the English sentences that some pairs need in a language."""
    return [text for pair in pairs for code, texts in _columns(source, pair) if code == language for text in texts]


def _machine_set(source: StsSet | BitextSet, pair: str, translations: dict[str, dict[str, Translation]]) -> MachineSet:
    sides = []
    for code, texts in _columns(source, pair):
        machine = texts if code == "en" else [one_line(translations[code][text].text) for text in texts]
        sides.append(Side(code, tuple(texts), tuple(machine)))
    return MachineSet(pair, source.gold if isinstance(source, StsSet) else None, sides[0], sides[1], {})


def _judge(
    translations: dict[str, Translation], language: str, make_back_engine: MakeEngine | None, folder: Path
) -> tuple[list[Judged], dict[str, Any]]:
    """Return the quality of translations and who translated back."""
    if make_back_engine is None:
        return judge(translations, language), {}
    engine = make_back_engine(language, "en")
    texts = [text for found in translations.values() if (text := one_line(found.text))]
    back, _ = translate_all(engine, texts, folder / WORK, f"{language} → en")
    return judge(translations, language, back), engine.identity


def _manifest(
    source: StsSet | BitextSet, pair: str, engines: Sequence[Engine], origin: dict[str, str]
) -> dict[str, Any]:
    identities = {engine.identity["target"]: engine.identity for engine in engines}
    first = engines[0].identity
    return {
        "pair": pair,
        "kind": source.kind,
        "engine": first["engine"],
        "model": ", ".join(dict.fromkeys(engine.identity["model"] for engine in engines)),
        "revision": ", ".join(dict.fromkeys(engine.identity["revision"] for engine in engines)),
        "prompt": first["prompt"],
        "parameters": first["parameters"],
        "engines": identities,
        "source": origin,
        "distill": __version__,
    }


def _quality(found: MachineSet, judged: dict[str, list[Judged]], back: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one set: of its own sentences, by language where it has two."""
    figures = {}
    sentences = 0
    for language, all_judged in judged.items():
        own = sources_of([found], language)
        mine = [one for one in all_judged if one.source in own]
        sentences += len(mine)
        figures[language] = summary(mine, language) | ({"back_engine": back[language]} if back[language] else {})
    quality = next(iter(figures.values()))
    if len(figures) > 1:
        flagged = sum(one["flagged_sentences"] for one in figures.values())
        quality = {"flagged_sentences": flagged, "languages": figures}
    return {"sentences": sentences, "quality": quality}


def _warn_of_empty(found: MachineSet, folder: Path) -> None:
    empty = sum(not all(row) for row in zip(found.first.machine, found.second.machine, strict=True))
    if empty:
        log.warning("%s: %d rows have no translation and are left out", folder / f"{found.pair}.tsv", empty)
