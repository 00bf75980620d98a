"""Statistics of corpora as one page of HTML with pictures; see `distill.pictures`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from distill import identify
from distill.corpora import Tally
from distill.corpora_report import REASONS, REPAIRS
from distill.corpora_stats import (
    IDENTIFIED,
    QUANTILES,
    RATIO_STEPS,
    SHORTEST_IDENTIFIED,
    WORD_BINS,
    CorpusStatistics,
    SharedTexts,
    Statistics,
    TextStatistics,
)
from distill.pictures import bar, bars, card, details, histogram, legend, matrix, numbered, page, percent, table

LONGEST_TEXT = 300
"""Characters of an example that are shown."""

WORD_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
RATIO_TICKS = ("¼", "½", "1", "2", "4")
LANGUAGES_SHOWN = 4

FATES = {
    "train": "to train on",
    "dev": "to watch the loss (dev)",
    "no translation": "without a translation",
    "cleaned out": "dropped by cleaning",
    "in a test set": "with a sentence of a test set",
    "near a test set": "with nearly a sentence of a test set",
    "shared with dev": "with a text of the dev rows",
    "malformed": "malformed",
    "without a negative": "without a negative: pairs of their own",
    "over max_rows": "more than max_rows",
    "dev rows not used": "more than dev_rows (300 if the recipe does not say)",
}
"""What becomes of a row, in words; each has a colour of its own."""

Happened = dict[str, list[tuple[CorpusStatistics, Tally]]]
"""What happened to rows, such as `dropped copies` → to how many of which corpus."""


def statistics_page(found: Statistics) -> str:
    """Return the page."""
    sections = {
        "What became of the rows": _rows(found),
        "Languages": _languages(found),
        "Lengths": _lengths(found),
        "Length ratios": _ratios(found),
        "What cleaning did": _cleaning(found),
        "What corpora have in common": _shared(found.shared),
        "An epoch": _epoch(found),
        "Test sets": _test_sets(found),
    }
    return page(f"Corpora of {found.name}", sections, above=_figures(found))


def _figures(found: Statistics) -> str:
    """Return the main numbers."""
    read = sum(corpus.counts["read"] for corpus in _whole(found))
    train, dev = (sum(corpus.counts[key] for corpus in found.corpora) for key in ("train", "dev"))
    figures = {
        "rows read": f"{read:,}",
        "rows to train on": f"{train:,} ({percent(train, read)})",
        "dev rows": f"{dev:,}",
        "words to train on": f"{sum(corpus.words for corpus in found.corpora):,}",
        "languages": ", ".join(dict.fromkeys(corpus.language for corpus in found.corpora)),
    }
    return (
        '<div class="figures">'
        + "".join(f"<div><b>{escape(value)}</b>{name}</div>" for name, value in figures.items())
        + "</div>"
    )


def _whole(found: Statistics) -> list[CorpusStatistics]:
    """Return the corpora but for those split off from another: their rows were read with it."""
    return [corpus for corpus in found.corpora if corpus.label in found.shared.labels]


def _rows(found: Statistics) -> str:
    fates = [fate for fate in FATES if any(corpus.counts.get(fate) for corpus in found.corpora)]
    colours = numbered(FATES)
    lines = [
        bar(
            corpus.label,
            [(FATES[fate], colours[fate], corpus.counts.get(fate, 0)) for fate in fates],
            corpus.counts["read"],
            f"{corpus.counts['train']:,} of {corpus.counts['read']:,}",
        )
        for corpus in found.corpora
    ]
    rows = [
        [corpus.label, corpus.source, *(corpus.counts.get(key, 0) for key in ("read", *fates)), corpus.words]
        for corpus in found.corpora
    ]
    words = {corpus.label: corpus.words for corpus in found.corpora}
    return (
        legend({FATES[fate]: colours[fate] for fate in fates})
        + bars(lines)
        + details("All numbers", table(["corpus", "source", "read", *fates, "words"], rows, left=2))
        + '<h3 class="next">Words to train on</h3>'
        + bars(
            bar(label, [("words", 0, n)], max(words.values()), f"{n:,} ({percent(n, sum(words.values()))})")
            for label, n in words.items()
        )
    )


def _languages(found: Statistics) -> str:
    colours = numbered(corpus.name for corpus in found.corpora)
    before, after = _by_language(_whole(found), "read"), _by_language(found.corpora, "train")
    lines = [
        bar(
            language,
            [(c.name, colours[c.name], c.counts["train"]) for c in found.corpora if c.language == language],
            max(after.values()),
            f"{rows:,} of {before.get(language, 0):,}",
        )
        for language, rows in after.items()
    ]
    head = ["corpus", "side", "language", "others", "identified as it", "texts looked at"]
    seen = [[corpus.label, *_identified(texts)] for corpus in found.corpora for texts in corpus.texts]
    return (
        "<p>Rows to train on by language, of the rows read.</p>"
        + legend(colours)
        + bars(lines)
        + '<h3 class="next">What the identifier sees</h3>'
        + f'<p class="soft">In at most {IDENTIFIED:,} of the kept texts of each side, evenly spread, but for those '
        f"under {SHORTEST_IDENTIFIED} characters. It errs on short texts, and takes near languages such as Danish and "
        "Norwegian for each other; look for a language that stands out.</p>" + table(head, seen, left=4)
    )


def _by_language(corpora: Iterable[CorpusStatistics], count: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for corpus in corpora:
        sums[corpus.language] = sums.get(corpus.language, 0) + corpus.counts[count]
    return sums


def _identified(texts: TextStatistics) -> list[str | int]:
    """Return side, language, the others that were seen, the share that was identified as it, and texts looked at."""
    own, total = identify.SAME.get(texts.language, texts.language), sum(texts.identified.values())
    others = {code: n for code, n in texts.identified.items() if identify.SAME.get(code, code) != own}
    shown = [f"{code} {percent(n, total)}" for code, n in list(others.items())[:LANGUAGES_SHOWN]]
    more = ["…"] if len(others) > LANGUAGES_SHOWN else []
    right = percent(total - sum(others.values()), total) if total else "–"
    return [_side(texts), texts.language, ", ".join(shown + more), right, total]


def _lengths(found: Statistics) -> str:
    used = [place for c in found.corpora for t in c.texts for place, n in enumerate(t.word_histogram) if n]
    shown = max(used, default=0) + 1
    ticks = [(WORD_BINS.index(words) + 0.5, str(words)) for words in WORD_TICKS if words <= WORD_BINS[shown - 1]]
    cards = []
    for corpus in found.corpora:
        series = {f"{_side(texts)} ({texts.language})": texts.word_histogram[:shown] for texts in corpus.texts}
        cards.append(card(corpus.label, legend(numbered(series)) + histogram(series, ticks, "words")))
    rows = [
        [corpus.label, _side(texts), texts.texts, texts.distinct, *texts.word_quantiles, *texts.character_quantiles]
        for corpus in found.corpora
        for texts in corpus.texts
    ]
    head = [f"{unit} {share:.0%}" for unit in ("words", "characters") for share in QUANTILES]
    return (
        '<p>Share of the texts by their number of words. <span class="soft">From five words on, each doubling is as '
        "wide as the next. Two letters count as a word where no blanks stand between words.</span></p>"
        + _cards(cards)
        + details("All numbers", table(["corpus", "side", "texts", "different", *head], rows, left=2))
    )


def _ratios(found: Statistics) -> str:
    cards = []
    for corpus in found.corpora:
        if corpus.ratio_quantiles:
            low, _, median, _, high = corpus.ratio_quantiles
            ticks = [(place * RATIO_STEPS, name) for place, name in enumerate(RATIO_TICKS)]
            picture = histogram({"rows": corpus.ratio_histogram}, ticks, "times as long")
            note = f'<p class="soft">median {median:g}; 90 % lie between {low:g} and {high:g}</p>'
            cards.append(card(corpus.label, picture + note))
    return (
        "<p>How many times as many characters the second text of a row has as the first: a translation as its English "
        "sentence, a positive as its anchor. In good translations that is one hill without long tails.</p>"
        + _cards(cards)
    )


def _cards(cards: Iterable[str]) -> str:
    return f'<div class="cards">{"".join(cards)}</div>'


def _cleaning(found: Statistics) -> str:
    happened = _happened(found.corpora)
    if not happened:
        return "<p>Nothing: no text was changed and no row dropped.</p>"
    totals = {what: sum(tally.count for _, tally in own) for what, own in happened.items()}
    ordered = sorted(totals, key=lambda what: -totals[what])
    colours = numbered(corpus.name for corpus in found.corpora)
    parts = "<p>A row counts for the first rule that drops it.</p>" + legend(colours)
    for kind, title in (
        ("dropped", "Rows dropped"),
        ("repaired", "Rows with repaired texts"),
        ("malformed", "Malformed"),
    ):
        lines = [
            bar(
                _reason(what),
                [(corpus.label, colours[corpus.name], tally.count) for corpus, tally in happened[what]],
                totals[ordered[0]],
                f"{totals[what]:,}",
            )
            for what in ordered
            if what.startswith(kind)
        ]
        if lines:
            parts += f'<h3 class="next">{title}</h3>' + bars(lines)
    return (
        parts
        + '<h3 class="next">Examples</h3>'
        + "".join(
            details(f"{_reason(what)}: {totals[what]:,} {what.split()[0]}", _examples(what, happened[what]))
            for what in ordered
        )
    )


def _happened(corpora: Iterable[CorpusStatistics]) -> Happened:
    found: Happened = {}
    for corpus in corpora:
        kinds = {"dropped": corpus.cleaning.dropped, "repaired": corpus.cleaning.repaired}
        tallies = {f"{kind} {name}": tally for kind, own in kinds.items() for name, tally in own.items()}
        for what, tally in {**tallies, "malformed rows": corpus.cleaning.malformed}.items():
            if tally.count:
                found.setdefault(what, []).append((corpus, tally))
    return found


def _reason(what: str) -> str:
    """Return a rule or repair in words."""
    kind, name = what.split(" ", 1)
    meanings: Mapping[str, str] = {"dropped": REASONS, "repaired": REPAIRS}.get(kind, {})
    return meanings.get(name, name)


def _examples(what: str, own: Sequence[tuple[CorpusStatistics, Tally]]) -> str:
    between = " → " if what.startswith("repaired") else "<br>"
    return "".join(
        f'<div class="example"><span class="soft">{escape(corpus.label)}</span><br>'
        + between.join(f'<bdi dir="auto">{_text(text)}</bdi>' for text in example)
        + "</div>"
        for corpus, tally in own
        for example in tally.examples
    )


def _text(text: str) -> str:
    """Return a text of a corpus: escaped, cut where it is long, what cannot be seen made visible."""
    short = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
    return escape(seen) or '<span class="soft">(nothing)</span>'


def _shared(shared: SharedTexts) -> str:
    if len(shared.labels) < 2:
        return "<p>There is only one corpus.</p>"
    return (
        "<p>Of all rows that were read, also those that cleaning drops. The share is that of the smaller corpus.</p>"
        + "<h3>The same English sentence, anchor or first text</h3>"
        + matrix(shared.labels, shared.first)
        + '<h3 class="next">The same row</h3>'
        + matrix(shared.labels, shared.rows)
    )


def _epoch(found: Statistics) -> str:
    most = max(found.epoch.values())
    lines = [
        bar(c.label, [("rows", 0, n)], most, f"{n:,} ({n / max(1, c.counts['train']):.2g} × its rows)")
        for c in found.corpora
        for n in [found.epoch[c.label]]
    ]
    return f"<p>Rows that the first epoch takes, in {found.steps:,} steps.</p>" + bars(lines)


def _test_sets(found: Statistics) -> str:
    rows = [[corpus.label, suite, *hits] for corpus in found.corpora for suite, hits in corpus.overlap.items()]
    if not rows:
        return "<p>No row has a sentence of a test set of the recipe, or nearly one.</p>"
    head = ["corpus", "suite", "the same", "nearly the same"]
    return "<p>Rows with a sentence of a test set of the recipe, in any text.</p>" + table(head, rows, left=2)


def _side(texts: TextStatistics) -> str:
    return {"english": "English", "non_english": "translation"}.get(texts.column, texts.column)
