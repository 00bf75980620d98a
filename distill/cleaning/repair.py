"""Repairs: they change a text, and never drop it. Each is made where a cheap test suspects its fault."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from distill.recipe.cleaning import CleaningSection

INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
"""Characters that show nothing. The (non-)joiners stay: Persian and Indian scripts and emoji need them."""

BLOCKS = "blockquote|br|center|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|table|tbody|td|th|thead|tr|ul"
INLINE = (
    "a|abbr|b|big|cite|code|em|emphasis|font|g|i|img|ins|kbd|nobr|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|"
    "bpt|ept|ph|it"
)
"""HTML's tags for text, and TMX's for placeholders; others may be what the text is about."""

ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
TAG = re.compile(
    rf"<(?P<close>/)?(?:(?P<block>{BLOCKS})|(?P<inline>{INLINE}))(?P<attributes>(?:{ATTRIBUTE})*\s*/?)>|<!--.*?-->",
    re.I,
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8}\d{0,2});")
SUBTITLE = re.compile(r"\{\\[^{}]{1,40}\}|\{[yYcCfFsSpP]:[^{}]{1,30}\}|\\N(?![a-z])|♪+")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BLANKS = re.compile(r"\s{2,}|[^\S ]")
"""Runs of blanks, and blanks that are not the plain one."""

_WESTERN = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_CENTRAL = "\xa0-\xbf€‚„…†‡‰Š‹ŚŤŽŹ‘’“”•–—™š›śťžźˇ˘ŁĄŞŻ˛łąş˝Ľľż"
_CYRILLIC = "\xa0-\xbfЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—™љ›њќћџЎўЈҐЁЄЇІіґё№єјЅѕї"
RARE = re.compile(f"[{_WESTERN}{_CENTRAL}├┬╨╤]")
LATIN_MOJIBAKE = re.compile(f"[Â-ß][{_WESTERN}]|[à-ï][{_WESTERN}]{{2}}|[ĂĹ][{_CENTRAL}]|[├┬╨╤]")
CYRILLIC_MOJIBAKE = re.compile(f"(?:[РС][{_CYRILLIC}]){{2}}|Г[ҐҐ¤¦©¶ё]")
"""UTF-8 read as one of old Windows' encodings: the first byte of a character, then the others."""


@dataclass(frozen=True)
class Repaired:
    """Texts after the repairs.

    Attributes:
        texts: all texts, in order.
        changed: the numbers of the texts that each repair changed, by its key in the recipe.
    """

    texts: list[str]
    changed: dict[str, list[int]]


def repair(texts: Sequence[str], section: CleaningSection) -> Repaired:
    """Return the texts after the repairs that are on; repairing them again changes nothing.

    Args:
        texts: texts of any language.
        section: with every key filled; see `distill.recipe.cleaning.merged`.
    """
    repairs = [(name, *tools) for name, tools in REPAIRS.items() if getattr(section, name)]
    repaired, changed = list(texts), {name: set[int]() for name, _, _ in repairs}
    pending: Iterable[int] = range(len(repaired))
    while pending:  # a repair may bring out what another mends; each makes the text simpler, so that this ends
        again = set()
        for name, suspects, change in repairs:
            for row in pending:
                text = repaired[row]
                if suspects(text) and (better := change(text)) != text:
                    repaired[row] = better
                    changed[name].add(row)
                    again.add(row)
        pending = sorted(again)
    return Repaired(repaired, {name: sorted(rows) for name, rows in changed.items()})


def _suspects_encoding(text: str) -> bool:
    if text.isascii():
        return False
    if RARE.search(text) and LATIN_MOJIBAKE.search(text):
        return True
    return ("Р" in text or "С" in text or "Г" in text) and CYRILLIC_MOJIBAKE.search(text) is not None


def _decode(text: str) -> str:
    import ftfy

    return ftfy.fix_encoding(text)


def _suspects_unicode(text: str) -> bool:
    return not text.isascii() and (not unicodedata.is_normalized("NFC", text) or INVISIBLE.search(text) is not None)


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text))


def _suspects_markup(text: str) -> bool:
    return "&" in text or "<" in text or "{" in text or "\\N" in text or "♪" in text


def _plain(text: str) -> str:
    """Return a text without markup."""
    text = ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
    return SUBTITLE.sub(" ", TAG.sub(lambda tag: _without(tag, text), text))


def _without(tag: re.Match[str], text: str) -> str:
    """Return what stands in the place of a tag: itself if nothing closes it, for then the text may be about it."""
    name = tag["inline"]
    if name and not tag["close"] and not tag["attributes"] and f"</{name}" not in text:
        return tag.group()
    return "" if name else " "


def _suspects_blanks(text: str) -> bool:
    return not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " "


def _tidy(text: str) -> str:
    return BLANKS.sub(" ", CONTROL.sub(" ", text)).strip()


REPAIRS: dict[str, tuple[Callable[[str], bool], Callable[[str], str]]] = {
    "mojibake": (_suspects_encoding, _decode),
    "markup": (_suspects_markup, _plain),
    "unicode": (_suspects_unicode, _compose),
    "blanks": (_suspects_blanks, _tidy),
}
"""For each repair, a cheap test of whether a text may need it, and the repair."""
