"""From the recipe's corpora to cleaned, memory-mapped rows, split into training and dev rows.

Which rows train is an array of row numbers: nothing is copied to drop or hold out a row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distill.cleaning import not_judged
from distill.cleaning.minhash import Sketches, join_sketches
from distill.corpora.across import drop_across
from distill.corpora.cache import CachedRows
from distill.corpora.clean import clean_rows
from distill.corpora.corpus import MAX_EXAMPLES, Cleaning, Corpus, Tally
from distill.corpora.held_out import Flags, SentenceFilter
from distill.corpora.read import source_rows
from distill.corpora.sources import corpus_sources
from distill.corpora.texts import known_texts, stored_sketches
from distill.errors import DataError
from distill.recipe import CorpusSection, Recipe
from distill.recipe.cleaning import CleaningSection, merged
from distill.spread import spread
from distill.store import Keys, Rows, text_keys

log = logging.getLogger("distill")

DEV_ROWS = 300
"""Most rows of a corpus that are held out, where a recipe does not say."""

MAX_DEV_ROWS = 3_000
"""Most of all corpora together: what is held out of one is in no training row of any."""

MIN_DEV_ROWS = 100
"""As many of a corpus are held out all the same."""

DEV_SHARE = 0.02


def load_corpora(
    recipe: Recipe, held_out: SentenceFilter, done: Callable[[Corpus], None] = lambda corpus: None
) -> list[Corpus]:
    """Return the corpora of a recipe, one per name and language, cleaned, sentences of `held_out` removed.

    Near-duplicates of them are removed too unless the recipe keeps them (`evaluation.near_duplicates`). Triplets
    without a negative become a corpus of pairs of their own.

    Raises:
        DataError: a source is missing, empty or malformed.
    """
    remove_near = recipe.evaluation.near_duplicates == "remove"
    return load_sections(recipe.corpora, recipe.cleaning, held_out, remove_near=remove_near, done=done)


def load_sections(
    sections: Mapping[str, CorpusSection],
    cleaning: CleaningSection,
    held_out: SentenceFilter,
    *,
    remove_near: bool,
    done: Callable[[Corpus], None] = lambda corpus: None,
) -> list[Corpus]:
    """Return the corpora of some sections; see `load_corpora`.

    Args:
        sections: name → section.
        cleaning: what is repaired and dropped where a section does not say.
        held_out: sentences that are removed.
        remove_near: whether near-duplicates of them are, too.
        done: called with each corpus when it is read and cleaned by itself, not yet compared with others or split.
    """
    drafts = []
    for name, section in sections.items():
        for language in section.languages:
            own = merged(cleaning, section.cleaning)
            drafts.append(_draft(name, section, language, own, held_out, remove_near))
            done(drafts[-1].corpus)
    drop_across(drafts)
    most = min(DEV_ROWS, max(MIN_DEV_ROWS, MAX_DEV_ROWS // len(drafts)))
    corpora = [corpus for draft in drafts for corpus in _split(draft, most)]
    _keep_dev_apart(corpora)
    for corpus in corpora:
        corpus.counts |= {"train": len(corpus.train), "dev": len(corpus.dev)}
        if not len(corpus.train):
            raise _nothing_left(corpus)
    return corpora


def _nothing_left(corpus: Corpus) -> DataError:
    counts = ", ".join(f"{count:,} {name}" for name, count in corpus.counts.items() if count)
    rules = sorted(corpus.cleaning.dropped.items(), key=lambda item: -item[1].count)
    most = f" (most by {rules[0][0]}, such as {' / '.join(rules[0][1].examples[0])!r})" if rules else ""
    return DataError(
        f"corpora.{corpus.name} ({corpus.languages})",
        f"no rows left to train on from {corpus.source}: {counts}{most}",
        expected="rows that cleaning keeps, and that are neither held out nor in a test set",
        hint="check the source's columns and languages; use a larger corpus, other cleaning rules or suites",
    )


@dataclass
class Draft:
    """One corpus on its way: all rows, and which of them are still in.

    Attributes:
        where: the corpus, `corpora.NAME (en-XX)`, for messages.
        corpus: its `train` and `dev` are the rows of the source's two splits that are still in.
        section: the recipe's section.
        cleaning: what is repaired and dropped, every key filled.
        parts: the rows of the source's splits in the cache.
        forms: hash of the normal forms of each row's texts (n, 2).
        english_forms: that of its first text, in parallel rows the English one (n, 2).
    """

    where: str
    corpus: Corpus
    section: CorpusSection
    cleaning: CleaningSection
    parts: list[CachedRows]
    forms: Keys
    english_forms: Keys

    def sketches(self) -> Sketches:
        """Return what near-duplicates of the rows are found by."""
        return join_sketches([stored_sketches(part, self.corpus.columns) for part in self.parts])

    def drop(self, reason: str, flags: Flags) -> None:
        """Take flagged rows (n,) out, and count those that were still in, under a reason."""
        self.corpus.counts[reason] = self.corpus.counts.get(reason, 0) + len(self._take_out(flags))

    def drop_by(self, rule: str, flags: Flags) -> None:
        """Take out the rows that a rule of cleaning flags (n,), count them and keep examples."""
        corpus = self.corpus
        rows = self._take_out(flags)
        corpus.counts["cleaned out"] = corpus.counts.get("cleaned out", 0) + len(rows)
        if len(rows):
            examples = corpus.rows[np.sort(rows)[:MAX_EXAMPLES]]
            texts = zip(*(examples[column] for column in corpus.columns), strict=True)
            corpus.cleaning.dropped[rule] = Tally(len(rows), tuple(texts))

    def _take_out(self, flags: Flags) -> Rows:
        """Take flagged rows (n,) out and return those that were still in."""
        corpus = self.corpus
        used = np.concatenate([corpus.train, corpus.dev])
        corpus.train, corpus.dev = corpus.train[~flags[corpus.train]], corpus.dev[~flags[corpus.dev]]
        taken: Rows = used[flags[used]]
        return taken


def _draft(
    name: str,
    section: CorpusSection,
    language: str,
    cleaning: CleaningSection,
    held_out: SentenceFilter,
    remove_near: bool,
) -> Draft:
    """Return a corpus with the rows that its own cleaning rules and the test sets leave."""
    from datasets import concatenate_datasets

    where = f"corpora.{name} ({'en-' * (section.rows == 'parallel')}{language})"
    sources = corpus_sources(where, section, language)
    if "train" not in sources:
        raise DataError(where, f"no files in {section.source}", expected="files to train on")
    read = [source_rows(where, source, section.max_malformed) for source in sources.values()]
    if not len(read[0].rows):
        raise DataError(where, f"no rows in {sources['train'].label}", expected="at least one row")
    languages = {column: "en" if column == "english" else language for column in section.texts}
    parts = [clean_rows(where, found, cleaning, languages) for found in read]
    known = [known_texts(part.found, section.texts, held_out) for part in parts]
    rows = concatenate_datasets([part.found.rows for part in parts])
    n_train = len(parts[0].found.rows)
    malformed = _joined([_malformed(found.facts) for found in read])
    one_sided = sum(found.facts["one_sided"] for found in read)
    counts = {"read": len(rows) + malformed.count + one_sided, "malformed": malformed.count}
    if one_sided:
        counts["no translation"] = one_sided
    if malformed.count:
        places = "; ".join(": ".join(example) for example in malformed.examples)
        log.warning("%s: malformed rows: %d; the first: %s", where, malformed.count, places)
    corpus = Corpus(
        name,
        language,
        section.rows,
        section.source,
        rows,
        section.texts,
        {column: np.concatenate([part.keys[column] for part in known]) for column in section.texts},
        np.arange(n_train),
        np.arange(n_train, len(rows)),
        counts,
        Cleaning(
            malformed,
            {n: _joined([part.repaired[n] for part in parts]) for n in parts[0].repaired},
            not_judged={rule: why for rule, why in not_judged(language).items() if rule in parts[0].flags},
        ),
    )
    draft = Draft(
        where,
        corpus,
        section,
        cleaning,
        [part.found for part in parts],
        np.concatenate([part.forms for part in known]),
        np.concatenate([part.first_forms for part in known]),
    )
    for rule in parts[0].flags:
        draft.drop_by(rule, np.concatenate([part.flags[rule] for part in parts]))
    needed = [column for column in corpus.columns if not column.startswith("negative")]
    lacking: Flags = np.any(_without_text(corpus, needed), axis=0)
    if lacking[np.concatenate([corpus.train, corpus.dev])].any():  # nothing can be learnt from them
        draft.drop_by("empty", lacking)
    exact, near = np.concatenate([part.exact for part in known]), np.concatenate([part.near for part in known])
    corpus.overlap = _overlap(exact, near, held_out)
    draft.drop("in a test set", np.any(exact, axis=1))
    draft.drop("near a test set", np.any(near, axis=1) & remove_near)
    return draft


def _overlap(exact: Flags, near: Flags, held_out: SentenceFilter) -> dict[str, tuple[int, int]]:
    """Return `Corpus.overlap`."""
    sums = zip(held_out.sources, exact.sum(axis=0).tolist(), near.sum(axis=0).tolist(), strict=True)
    return {source: (same, nearly) for source, same, nearly in sums if same or nearly}


def _malformed(facts: Mapping[str, Any]) -> Tally:
    return Tally(sum(bad for _, bad in facts["files"].values()), tuple(map(tuple, facts["examples"])))


def _joined(tallies: Sequence[Tally]) -> Tally:
    examples = tuple(example for tally in tallies for example in tally.examples)
    return Tally(sum(tally.count for tally in tallies), examples[:MAX_EXAMPLES])


def _split(draft: Draft, most: int) -> list[Corpus]:
    """Return a corpus with its rows to train on and held out, these at most `most` if its section does not say."""
    section, corpus = draft.section, draft.corpus
    left = len(corpus.train)
    if section.max_rows is not None:
        corpus.train = spread(corpus.train, section.max_rows)
    corpus.counts["over max_rows"] = left - len(corpus.train)
    if not len(corpus.dev) and section.dev_rows != 0:
        wanted = section.dev_rows or min(most, int(len(corpus.train) * DEV_SHARE))
        corpus.train, corpus.dev = _hold_out(draft.where, corpus.keys[corpus.columns[0]], corpus.train, wanted)
    left = len(corpus.dev)
    corpus.dev = spread(corpus.dev, section.dev_rows or most)
    corpus.counts["dev rows not used"] = left - len(corpus.dev)
    return _split_off_pairs(corpus) if corpus.kind == "triplets" else [corpus]


def _without_text(corpus: Corpus, columns: Sequence[str]) -> Flags:
    """Return which texts of some columns are empty (columns, n)."""
    (nothing,) = text_keys([""])
    return np.stack([(corpus.keys[column] == nothing).all(axis=1) for column in columns])


def _split_off_pairs(corpus: Corpus) -> list[Corpus]:
    """Return the triplets of a corpus and, as a corpus of pairs, its rows without any negative."""
    lacking: Flags = np.all(_without_text(corpus, corpus.columns[2:]), axis=0)
    pairs = replace(
        corpus,
        kind="pairs",
        columns=corpus.columns[:2],
        train=corpus.train[lacking[corpus.train]],
        dev=corpus.dev[lacking[corpus.dev]],
        counts={},
        cleaning=Cleaning(),
        overlap={},
        split_off=True,
    )
    corpus.train, corpus.dev = corpus.train[~lacking[corpus.train]], corpus.dev[~lacking[corpus.dev]]
    if not len(pairs.train):
        corpus.counts["dev rows not used"] += len(pairs.dev)
        return [corpus]
    if not len(corpus.train):
        corpus.counts["dev rows not used"] += len(corpus.dev)
        return [replace(pairs, counts=corpus.counts, cleaning=corpus.cleaning, overlap=corpus.overlap)]
    pairs.counts["read"] = len(pairs.train) + len(pairs.dev)
    corpus.counts["without a negative"] = pairs.counts["read"]
    return [corpus, pairs]


def _hold_out(where: str, english: Keys, rows: Rows, wanted: int) -> tuple[Rows, Rows]:
    """Split rows into training and dev rows; all rows of one English sentence go to the same side.

    Which sentences are held out depends on their hashes alone, not on the order of the rows.
    """
    if wanted <= 0:
        return rows, rows[:0]
    distinct = np.unique(english[rows, 0])
    if len(distinct) <= wanted:
        log.warning("%s: only %d sentences, half of them are held out, not %d", where, len(distinct), wanted)
        wanted = len(distinct) // 2
    chosen = np.isin(english[rows, 0], distinct[:wanted])
    return rows[~chosen], rows[chosen]


def _keep_dev_apart(corpora: Sequence[Corpus]) -> None:
    """Remove from training every row that shares a text with any corpus's dev rows; negatives may be shared."""

    def texts(corpus: Corpus, rows: Rows) -> list[Keys]:
        return [corpus.keys[column][rows, 0] for column in corpus.columns if not column.startswith("negative")]

    dev = np.unique(np.concatenate([keys for corpus in corpora for keys in texts(corpus, corpus.dev)]))
    for corpus in corpora:
        shared = np.any([np.isin(keys, dev) for keys in texts(corpus, corpus.train)], axis=0)
        corpus.counts["shared with dev"] = int(shared.sum())
        corpus.train = corpus.train[~shared]
