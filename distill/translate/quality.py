"""The quality of a set of translations: checks of each, and back-translation compared with the English sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.translate.checks import CHECKS, Flag, check_translation, habits, unchecked
from distill.translate.engine import Translation


@dataclass(frozen=True)
class Judged:
    """One sentence with its translation and what is known of its quality.

    Attributes:
        source: English sentence.
        translation: as it stands in the set, before a person's corrections.
        flags: what may be wrong with it.
        back: its translation back into English, empty if none was made.
        chrf: chrF++ of `back` against `source`, 0 to 100.
    """

    source: str
    translation: str
    flags: tuple[Flag, ...]
    back: str = ""
    chrf: float | None = None

    def severity(self) -> tuple[float, float]:
        """Return a key that sorts the worst first: many flags, then a back-translation that is far off."""
        return -len(self.flags), 100.0 if self.chrf is None else self.chrf


def judge(
    translations: Mapping[str, Translation], language: str, back: Mapping[str, Translation] | None = None
) -> list[Judged]:
    """Return the quality of each translation.

    Args:
        translations: by English sentence.
        language: language code of the translations.
        back: translations back into English, by translation, if there are any.
    """
    usual = habits(list(translations), [found.text for found in translations.values()])
    judged = []
    for source, found in translations.items():
        flags = tuple(check_translation(source, found, language, usual))
        text = one_line(found.text)
        if back is None or not text:
            judged.append(Judged(source, text, flags))
        else:
            english = one_line(back[text].text)
            judged.append(Judged(source, text, flags, english, sentence_chrf(english, source)))
    return judged


def summary(judged: Sequence[Judged], language: str) -> dict[str, Any]:
    """Return the figures of a set for its manifest: flags by check, and BLEU and chrF++ of the back-translation."""
    counts = Counter(flag.check for found in judged for flag in found.flags)
    missing = unchecked(language)
    figures: dict[str, Any] = {
        "flagged": {check: counts[check] for check in CHECKS if check not in missing},
        "flagged_sentences": sum(bool(found.flags) for found in judged),
        "unchecked": missing,
    }
    pairs = [(found.back, found.source) for found in judged if found.chrf is not None]
    if pairs:
        figures |= corpus_scores(*zip(*pairs, strict=True))
    return figures


def corpus_scores(back: Sequence[str], english: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return BLEU and chrF++ of back-translations against the English sentences, with sacrebleu's signatures."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    scores = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF(word_order=2))):
        score = metric.corpus_score(list(back), [list(english)]).score
        scores[name] = {"score": round(score, 2), "signature": str(metric.get_signature())}
    return scores


def sentence_chrf(back: str, english: str) -> float:
    """Return chrF++ of one back-translation, 0 to 100."""
    from sacrebleu.metrics.chrf import CHRF

    return round(float(CHRF(word_order=2).sentence_score(back, [english]).score), 2)


def one_line(text: str) -> str:
    """Return a text as it can stand in a tab-separated file."""
    return " ".join(text.split())
