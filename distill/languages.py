"""Language codes as this program writes them: ISO 639-1, pairs as `en-uk`."""

from __future__ import annotations

import logging
import re
from functools import lru_cache

import langcodes

from distill.errors import DistillError

log = logging.getLogger("distill")

# Codes people write for a language that the standard gives another name: `ua`, `dk`, `cz`, `gr` and `jp`
# are country codes; `no` is the macro-language whose usual written form is Bokmål.
ALIASES = {"ua": "uk", "no": "nb", "nor": "nb", "dk": "da", "cz": "cs", "gr": "el", "jp": "ja"}

TAG = re.compile(r"([A-Za-z]{2,3})([-_]([A-Za-z]{2}|[A-Za-z]{4}|[0-9]{3}))*")
"""A language, and after it perhaps a script and a region."""


def parse_language(text: str, *, where: str = "language") -> str:
    """Return the ISO 639-1 form of a language code (639-3 where the language has no shorter one).

    A code that is written another way (`ua`, `no`, `ukr`) is accepted and a notice logged.

    Raises:
        DistillError: `text` is not the code of a language.
    """
    written = text.strip().lower()
    code = _standard_code(written)
    if code is None:
        raise DistillError(
            where, f"{text!r} is not a language code", expected="an ISO 639-1 code such as uk, nb, da or sv"
        )
    if written != code:
        log.warning("%s: %s means %s", where, written, code)
    return code


def _standard_code(written: str) -> str | None:
    code = ALIASES.get(written, written)
    if _has_form(code):
        code = ALIASES.get(standard := langcodes.standardize_tag(code), standard)
    return code if _has_form(code) and langcodes.tag_is_valid(code) else None


def _has_form(code: str) -> bool:
    """Return whether a text has the form of an ISO 639 code; langcodes raises for some others."""
    return 2 <= len(code) <= 3 and code.isascii() and code.isalpha()


@lru_cache(maxsize=4096)
def language_of_tag(tag: str) -> str | None:
    """Return the code of the language that a tag such as en-GB, uk_UA, EN or nor names, None if it names none."""
    found = TAG.fullmatch(tag.strip())
    return _standard_code(found[1].lower()) if found else None


def spellings(code: str) -> list[str]:
    """Return a language's code and the other ways it is written, such as uk, ua, ukr."""
    aliases = [alias for alias, meant in ALIASES.items() if meant == code]
    return list(dict.fromkeys([code, *aliases, langcodes.Language.get(code).to_alpha3()]))


def parse_pair(text: str, *, where: str = "pair") -> tuple[str, str]:
    """Return the two codes of a pair such as `en-uk`.

    A dash or an underscore in place of the hyphen, and blanks around it, are accepted.

    Raises:
        DistillError: `text` is not two language codes joined by a hyphen.
    """
    parts = re.split("[-–—_]", text)
    if len(parts) != 2:
        raise DistillError(where, f"{text!r} is not a language pair", expected="two codes such as en-uk")
    return parse_language(parts[0], where=where), parse_language(parts[1], where=where)
