"""Negation lost: the English sentence denies something, and its translation has no word that does.

The word lists are wide on the side of the translation, which may say `impossible` for `not possible`, and narrow on the
English side: a flag costs a person's time.
"""

from __future__ import annotations

import re

_TAG_QUESTION = r"\b\w+n['’]t (?:i|you|he|she|it|we|they|there)\b[^.!?]{0,12}\?|\bor not\b|\bwhy not\b"
_NO_DENIAL = (
    r"\bnot (?:only|just|merely|simply|to mention|least|long|far|until)\b|\bno(?:\.|:)? ?\d"
    r"|\bno (?:matter|doubt|wonder|sooner)\b"
    r"|\b(?:if|whether or|or) not\b|\bnothing but\b|\bcan(?:no|['’])?t (?:wait|help|but)\b|\bnever ?mind\b"
    r"|\bcouldn['’]t (?:agree|be) \w+er\b|\bcouldn['’]t agree more\b|\b(?:no|never|non)-\w+"
    r"|\bwhy (?:don|doesn|didn)['’]t\b"
)
_DENIAL = r"\bnot\b|\bcannot\b|n['’]t\b|\bno\b|\bnever\b|\bwithout\b|\bnobody\b|\bno one\b"

ENGLISH = re.compile(_DENIAL)
NO_DENIAL = re.compile(f"{_TAG_QUESTION}|{_NO_DENIAL}")

WORDS = {
    "uk": r"""
        не ні ані нема\w* ніко\w+ нікуди ніхто нікого нікому ніким ніч\w+ ніщо ніде ніяк\w* жод\w+ без навряд\w*
        без\w{3,} не(?!бо|ба\b|бес|б[іу]\b|д[іа]л|давн|нав|рв|фт|йр|гай|що|ю\b|ї\b|ті?|хай|мов|о)\w{3,} заборон\w+
        відмов\w+ відсутн\w+ брак\w* перестал\w+ припин\w+ позбавл\w+ проти уника\w+
    """,
    "ru": r"""
        не ни нет нету никогда никто никого никому никем ничто ничего ничему ничем нигде никуда никак\w* нельзя без
        вряд бес\w{3,} без\w{3,} не(?!бо|ба\b|бе|д[еа]л|давн|рв|фт|йр|г[ор]|ё\b|ко?т|му\b|м\b|ю\b|с)\w{3,} запре\w+
        отказ\w+ отсутств\w+ перестал\w* лиш[её]н\w* против
    """,
    "de": r"""
        nicht\w* kein\w* nie niemals niemand\w* nichts nein ohne weder nirgend\w* kaum nimmer
        un(?!d|s|ter|i|gefähr)\w{4,} \w+los\w* verbot\w* verbiet\w* verweiger\w* fehl\w* gegen statt anstatt ohnehin
    """,
    "da": r"""
        ikke ej ingen intet ingenting aldrig uden nej hverken næppe u(?!d|g|n|r|s)\w{4,} \w+løs\w* forbud\w*
        forbyd\w* afvis\w+ mangl\w+ ingensinde knap
    """,
    "sv": r"""
        inte ej icke ingen inget inga ingenting aldrig utan nej varken knappast o(?!ch|m|rd|ffi|li|st)\w{4,}
        \w+lös\w* förbjud\w* förbud\w* vägra\w* sakna\w* slut\w* slipp\w*
    """,
    "nb": r"""
        ikke ei ingen intet ingenting aldri uten nei verken hverken neppe u(?!t|k|n|r|s)\w{4,} \w+løs\w* forbud\w*
        forby\w* nekt\w+ mangl\w+ slipp\w*
    """,
    "fr": r"""
        n ne non pas aucun\w* jamais sans personne rien ni nul\w* guère im\w{4,} in\w{5,} interdi\w+ refus\w+
        absen\w+
    """,
    "es": r"""
        no nunca jamás sin nadie nada ning\w+ ni tampoco im\w{4,} in\w{5,} prohib\w+ falta\w*
    """,
    "pl": r"""
        nie\w* bez\w* ni nigdy nikt nikogo nikomu nikim nic niczego niczym nigdzie żad\w+ ani brak\w* zakaz\w*
        odm\w+
    """,
    "nl": r"""
        niet\w* geen nooit niemand niets nergens zonder nee noch on\w{4,} \w+loos \w+loze verbod\w* verboden
        weiger\w*
    """,
    "it": r"""
        non no nessun\w* mai senza niente nulla né neanche nemmeno neppure im\w{4,} in\w{5,} vieta\w* manca\w*
    """,
    "cs": r"""
        ne\w* není bez\w* nikdy nikdo nikoho nikomu nic ničeho nikde žádn\w+ ani ni\w+ zák\w+ odm\w+ chyb\w+
    """,
    "pt": r"""
        não nunca jamais sem ninguém nada nenhum\w* nem tampouco im\w{4,} in\w{5,} proib\w+ falta\w*
    """,
    "fi": r"""
        e[inmt] eivät emme ette älä älkää ettei\w* eikä en[kn]\w* ilman koskaan kukaan mitään missään \w+t[oö]n
        \w+ttoma\w* \w+ttömä\w* \w+m[aä]tt[aä] epä\w+ kiel\w+ puut\w+
    """,
}
"""Words of denial by language, as regular expressions."""

NEGATIONS = {code: re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE) for code, words in WORDS.items()}


def lost_negation(source: str, translation: str, language: str) -> str:
    """Return the English word whose denial a translation lost, an empty string if none.

    Args:
        source: English sentence.
        translation: its translation.
        language: its language, one of `NEGATIONS`.
    """
    found = ENGLISH.search(NO_DENIAL.sub(" ", source.lower()))
    return "" if not found or NEGATIONS[language].search(translation) else found.group()
