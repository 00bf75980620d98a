"""Repairs: they change a text, and never drop it. Each is made where a cheap test suspects its fault."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distill.recipe.cleaning import CleaningSection

Change = Callable[[str], str]

INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
"""Characters that show nothing. The (non-)joiners stay: Persian and Indian scripts and emoji need them."""

TAGS = (
    "a|abbr|b|big|blockquote|br|center|cite|code|dd|div|dl|dt|em|emphasis|font|g|h[1-6]|hr|i|img|ins|kbd|li|nobr|ol|p|"
    "pre|q|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|tr|tt|u|ul|var|bpt|ept|ph|it"
)
TAG = re.compile(
    rf"</?(?:{TAGS})(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))*\s*/?>|<!--.*?-->", re.IGNORECASE
)
SUBTITLE = re.compile(r"\{\\[^{}]{1,40}\}|\{[yYcCfFsSpP]:[^{}]{1,30}\}|\\N(?=\b|[^a-z]|$)|♪+")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8}\d{0,2});")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BLANKS = re.compile(r"\s{2,}|[^\S ]")
"""Runs of blanks, and blanks that are not the plain one."""

SUSPECT = re.compile(
    "[ÂÃÄÅÆÇÈÉÎÏÐÑØÙâãäåæçèéîïðñ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[РСГВР][\x80-\xbf€‚ѓ„…†‡‰Љ‹ЊЌЋЏђ‘’“”•–—™љ›њќћџЎўЈҐЁЄЇІіґё№єјЅѕїЃЂ]|[├┬╨╤Γ]|\ufffd"
)
"""What UTF-8 read in a one-byte encoding looks like: the beginning of a character, then the rest of it."""


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
    repaired, changed = list(texts), {}
    for name, (suspect, change) in REPAIRS.items():
        if not getattr(section, name):
            continue
        changed[name] = rows = []
        for row, text in enumerate(repaired):
            if suspect(text) and (better := change(text)) != text:
                repaired[row] = better
                rows.append(row)
    return Repaired(repaired, changed)


def _suspects_encoding(text: str) -> bool:
    return not text.isascii() and SUSPECT.search(text) is not None


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
    """Entities are resolved twice: `&amp;quot;` is common."""
    for _ in range(2):
        text = ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
    return SUBTITLE.sub(" ", TAG.sub(" ", text))


def _suspects_blanks(text: str) -> bool:
    return not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " "


def _tidy(text: str) -> str:
    return BLANKS.sub(" ", CONTROL.sub(" ", text)).strip()


REPAIRS: dict[str, tuple[Callable[[str], bool], Change]] = {
    "mojibake": (_suspects_encoding, _decode),
    "markup": (_suspects_markup, _plain),
    "unicode": (_suspects_unicode, _compose),
    "blanks": (_suspects_blanks, _tidy),
}
