"""Bars, histograms and tables as pieces of one page of HTML that needs nothing from elsewhere.

Every text is escaped. Colours follow the reader's choice of a light or dark page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, FOOT = 320, 110, 16
"""Size of a histogram, and of the names below it."""

LIGHT = ("2f6fbf", "d9822b", "5c7a29", "c0392b", "8e44ad", "16897a", "b7950b", "7f5539", "d16ba5", "1b2a49", "8e969f")
DARK = ("6ea8ee", "f0a35e", "a3c266", "ee7466", "c48be0", "4fc3b0", "e0c04c", "b98b68", "e79ac5", "c9d6f2", "7d858e")
"""Colours of the parts of bars; the last one is grey."""

STYLE = """
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:66rem;background:var(--page);color:var(--text);
  font:16px/1.5 system-ui,sans-serif}
a{color:var(--c0)}
h1{font-size:1.5rem;margin:.5rem 0}
h2{font-size:1.2rem;margin:2.2rem 0 .3rem}
h3{font-size:1rem;margin:.2rem 0}
h3.next{margin-top:1.2rem}
p{margin:.3rem 0 .8rem}
.soft{color:var(--soft);font-size:.88rem}
.unit{text-align:right}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,.left{text-align:left}
th{color:var(--soft);font-weight:500}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:.8rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;min-width:0}
.figures{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:.6rem 0}
.figures b{display:block;font-size:1.5rem}
.bars{display:grid;grid-template-columns:minmax(7rem,auto) 1fr auto;gap:.3rem .7rem;align-items:center;font-size:.9rem}
.line{display:contents}
.bar{display:flex;height:1.05rem;background:var(--card);border-radius:.2rem;overflow:hidden}
.number{text-align:right;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;margin:.5rem 0}
.legend i{display:inline-block;width:.7rem;height:.7rem;border-radius:.15rem;margin-right:.35rem}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:11px}
details{margin:.5rem 0}
summary{cursor:pointer}
.example{border-left:3px solid var(--line);padding:.1rem .7rem;margin:.5rem 0;overflow-wrap:anywhere;font-size:.92rem}
@media(max-width:40rem){
  .bars{display:block}
  .line{display:grid;grid-template-columns:1fr auto;gap:0 .7rem;margin:.4rem 0}
  .line .bar{grid-area:2/1/3/3}
}
"""


def page(title: str, sections: Mapping[str, str], *, above: str = "") -> str:
    """Return a page: sections under their titles, with links to them.

    Args:
        title: the page's.
        sections: title → HTML.
        above: HTML between the title and the links.
    """
    links = " · ".join(f'<a href="#{place}">{escape(name)}</a>' for place, name in enumerate(sections))
    body = "".join(
        f'<section id="{place}"><h2>{escape(name)}</h2>{content}</section>'
        for place, (name, content) in enumerate(sections.items())
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_colours()}{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{above}<nav>{links}</nav>{body}</body></html>\n"
    )


def _colours() -> str:
    def variables(colours: Sequence[str], rest: str) -> str:
        return "".join(f"--c{place}:#{colour};" for place, colour in enumerate(colours)) + rest

    light = variables(LIGHT, "--page:#fff;--text:#1c2024;--soft:#60646c;--line:#d9dce1;--card:#f4f5f7")
    dark = variables(DARK, "--page:#15181c;--text:#e6e8eb;--soft:#9aa1aa;--line:#363b42;--card:#1f2328")
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def percent(part: int, whole: int) -> str:
    """Return a share for people."""
    return f"{part / max(1, whole):.1%}"


def card(title: str, content: str) -> str:
    """Return a box with a title; several stand side by side in a `div` of class `cards`."""
    return f'<div class="card"><h3>{escape(title)}</h3>{content}</div>'


def details(title: str, content: str) -> str:
    """Return content that is shown when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return different names, each with its number, for colours."""
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def legend(names: Mapping[str, int]) -> str:
    """Return what colours mean: name → number of the colour."""
    keys = (f'<i style="background:{_colour(place)}"></i>{escape(name)}' for name, place in names.items())
    return '<div class="legend">' + "".join(f"<span>{key}</span>" for key in keys) + "</div>"


def bars(lines: Iterable[str]) -> str:
    """Return some lines made by `bar`, below each other."""
    return f'<div class="bars">{"".join(lines)}</div>'


def bar(name: str, parts: Iterable[tuple[str, int, int]], whole: int, number: str) -> str:
    """Return a line with a bar.

    Args:
        name: stands before it.
        parts: name, number of the colour, and size of each part of the bar.
        whole: size of a bar that fills the line.
        number: stands behind it.
    """
    found = "".join(
        f'<i style="width:{100 * size / max(1, whole):.3f}%;background:{_colour(place)}" '
        f'title="{escape(part)}: {size:,}"></i>'
        for part, place, size in parts
        if size
    )
    return (
        f'<div class="line"><span>{escape(name)}</span><span class="bar">{found}</span>'
        f'<span class="number">{escape(number)}</span></div>'
    )


def histogram(series: Mapping[str, Sequence[int]], ticks: Iterable[tuple[float, str]], unit: str) -> str:
    """Return a picture of what share of its sum each count of one or several series is.

    Args:
        series: name → counts; all of the same length.
        ticks: names on the axis, each with its place in bars from the left.
        unit: what the axis shows.
    """
    shares = [[count / max(1, sum(counts)) for count in counts] for counts in series.values()]
    top = max((share for own in shares for share in own), default=0) or 1
    step = WIDTH / max(1, *map(len, shares))
    shapes = ""
    for place, own in enumerate(shares):
        steps = (
            f"L{number * step:.1f} {HEIGHT - share / top * (HEIGHT - 6):.1f}H{(number + 1) * step:.1f}"
            for number, share in enumerate(own)
        )
        colour = _colour(place)
        shapes += (
            f'<path d="M0 {HEIGHT}{"".join(steps)}V{HEIGHT}Z" fill="{colour}" fill-opacity=".25" stroke="{colour}"/>'
        )
    marks = "".join(
        f'<text x="{min(max(at * step, 5), WIDTH - 9):.1f}" y="{HEIGHT + 12}" text-anchor="middle">'
        f"{escape(name)}</text>"
        for at, name in ticks
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" aria-label="histogram: {escape(unit)}">{shapes}'
        f'<line x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}" stroke="var(--line)"/>{marks}</svg>'
        f'<div class="soft unit">{escape(unit)}</div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """Return a table; so many columns from the first on are aligned at the left."""

    def line(tag: str, cells: Sequence[object]) -> str:
        aligned = (' class="left"' if place < left else "" for place in range(len(cells)))
        texts = (f"{cell:,}" if isinstance(cell, int) else escape(str(cell)) for cell in cells)
        return "".join(f"<{tag}{own}>{text}</{tag}>" for own, text in zip(aligned, texts, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{line("th", head)}</tr>{body}</table></div>'


def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return a table of what each two things have in common, shaded by its share of the smaller one.

    Args:
        labels: the things (n,).
        counts: (n, n); the diagonal says how much each has.
    """
    head = "".join(f"<th>{escape(label)}</th>" for label in ("", *labels))
    body = ""
    for i, row in enumerate(counts):
        cells = ""
        for j, count in enumerate(row):
            share = count / max(1, min(counts[i][i], counts[j][j]))
            shade = "var(--card)" if i == j else f"color-mix(in srgb,var(--c0) {45 * share:.0f}%,transparent)"
            of_smaller = f' <span class="soft">{share:.1%}</span>' if i != j and count else ""
            cells += f'<td style="background:{shade}">{count:,}{of_smaller}</td>'
        body += f"<tr><td>{escape(labels[i])}</td>{cells}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _colour(place: int) -> str:
    return f"var(--c{place % len(LIGHT)})"
