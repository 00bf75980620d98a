"""Language codes as this program writes them: ISO 639-1, pairs as `en-uk`."""

from __future__ import annotations

import logging

import langcodes

from distill.errors import DistillError

log = logging.getLogger("distill")

# Codes people write for a language that the standard gives another name: `ua`, `dk`, `cz`, `gr` and `jp`
# are country codes; `no` is the macro-language whose usual written form is Bokmål.
ALIASES = {"ua": "uk", "no": "nb", "nor": "nb", "dk": "da", "cz": "cs", "gr": "el", "jp": "ja"}


def parse_language(text: str, *, where: str = "language") -> str:
    """Return the ISO 639-1 form of a language code (639-3 where the language has no shorter one).

    A code that is written another way (`ua`, `no`, `ukr`) is accepted and a notice logged.

    Raises:
        DistillError: `text` is not the code of a language.
    """
    written = text.strip().lower()
    code = ALIASES.get(written, written)
    if code.isalpha() and len(code) <= 3:
        code = ALIASES.get(standard := langcodes.standardize_tag(code), standard)
    if not (2 <= len(code) <= 3 and langcodes.tag_is_valid(code)):
        raise DistillError(
            where, f"{text!r} is not a language code", expected="an ISO 639-1 code such as uk, nb, da or sv"
        )
    if written != code:
        log.warning("%s: %s means %s", where, written, code)
    return code


def parse_pair(text: str, *, where: str = "pair") -> tuple[str, str]:
    """Return the two codes of a pair such as `en-uk`.

    Raises:
        DistillError: `text` is not two language codes joined by a hyphen.
    """
    parts = text.split("-")
    if len(parts) != 2:
        raise DistillError(where, f"{text!r} is not a language pair", expected="two codes such as en-uk")
    return parse_language(parts[0], where=where), parse_language(parts[1], where=where)
