"""Which language texts are in: py3langid's model, run over many texts at once.

py3langid walks an automaton over the bytes of a text and adds up naive Bayes weights of the features it meets
(Lui & Baldwin 2011). The same walk here takes one step in all texts at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint32]

_LANGUAGES = """
    af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko
    ku ky la lo lt lv mk ml mn mr ms mt my nb ne nl nn pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz
    vi zh
"""
LANGUAGES = frozenset(_LANGUAGES.split())
"""What a text may be in; the rarer languages of the model would only take texts from these."""

SAME = {"nn": "nb", "bs": "hr", "sr": "hr", "ms": "id"}
"""Written languages that the identifier cannot tell from another."""

BYTES = 400
"""A text is known by its first bytes."""

TEXTS_AT_ONCE = 4096
"""So few that text and feature fit into 32 bits together."""


@dataclass(frozen=True)
class _Model:
    """The automaton and the weights.

    Attributes:
        labels: the languages.
        moves: the next state, for each row of states that move alike and each byte.
        rows: where a state's row starts in `moves`.
        features: the feature that reaching a state stands for, -1 if none.
        weights: logarithms of the probabilities of features (features, languages).
        prior: of languages (languages,).
    """

    labels: tuple[str, ...]
    moves: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint32]
    features: npt.NDArray[np.int32]
    weights: Floats
    prior: Floats


def labels() -> tuple[str, ...]:
    """Return the language of each column of `log_odds`."""
    return _model().labels


def knows(language: str) -> bool:
    """Return whether texts of a language can be identified."""
    return bool(columns(language))


@lru_cache(maxsize=64)
def columns(*languages: str) -> tuple[int, ...]:
    """Return the columns of `log_odds` that stand for some languages, with those that cannot be told from them."""
    codes = {SAME.get(code, code) for code in languages}
    return tuple(n for n, label in enumerate(labels()) if SAME.get(label, label) in codes)


def log_odds(texts: Sequence[str]) -> Floats:
    """Return how likely each text is of each language (texts, languages); differences are natural logarithms of odds.

    All languages of a text in which nothing was found have 0.
    """
    model = _model()
    scores = np.zeros((len(texts), len(model.labels)), np.float32)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        scores[start : start + TEXTS_AT_ONCE] = _scores(model, texts[start : start + TEXTS_AT_ONCE])
    return scores


def _scores(model: _Model, texts: Sequence[str]) -> Floats:
    """Return the rows of `log_odds` for some texts."""
    from scipy.sparse import csr_array  # slow to import

    begins = (text[:BYTES].lower() if text.isupper() else text[:BYTES] for text in texts)  # as py3langid does
    encoded = [begin.encode("utf-8", "surrogatepass")[:BYTES] for begin in begins]
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    order = np.argsort(-sizes, kind="stable")
    features, owners = _walk(model, [encoded[place] for place in order], sizes[order])
    # One sort for text and feature, so that equal ones are counted and the sum has the same order in any batch.
    size = np.uint32(len(model.weights))
    keys, counts = _counted(order.astype(np.uint32)[owners] * size + features)
    owners, features = np.divmod(keys, size)
    starts = np.searchsorted(owners, np.arange(len(texts) + 1, dtype=np.uint32))
    shape = (len(texts), len(model.weights))
    found = csr_array((np.log1p(counts, dtype=np.float32), features, starts), shape) @ model.weights
    found[np.diff(starts) > 0] += model.prior
    return np.asarray(found, np.float32)


def _walk(model: _Model, encoded: Sequence[bytes], sizes: Numbers) -> tuple[Keys, Numbers]:
    """Return the features met in some texts, the longest first, and the number of the text each was met in."""
    longest = int(sizes[0]) if len(sizes) else 0
    letters = np.zeros((len(encoded), longest), np.uint8)
    letters[np.arange(longest) < sizes[:, None]] = np.frombuffer(b"".join(encoded), np.uint8)
    columns = np.ascontiguousarray(letters.T)
    reaching = np.searchsorted(-sizes, -np.arange(longest), side="left")  # texts longer than so many bytes
    states = np.zeros(len(encoded), np.int64)
    features, owners = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for letter, count in zip(columns, reaching.tolist(), strict=True):
        states = model.moves[model.rows[states[:count]] + letter[:count]]
        met = model.features[states]
        owner = np.flatnonzero(met >= 0)
        features.append(met[owner].astype(np.uint32))
        owners.append(owner)
    return np.concatenate(features), np.concatenate(owners)


def _counted(keys: Keys) -> tuple[Keys, Numbers]:
    """Return each key once, sorted, and how often it is there."""
    ordered = np.sort(keys)
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(keys) else np.empty(0, np.int64)
    return ordered[first], np.diff(np.append(first, len(ordered)))


@lru_cache(maxsize=1)
def _model() -> _Model:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    full = LanguageIdentifier.from_model_file(MODEL_FILE)
    names = [{"no": "nb"}.get(name, name) for name in full.nb_classes]
    kept = [place for place, name in enumerate(names) if name in LANGUAGES]
    return _Model(
        tuple(names[place] for place in kept),
        np.asarray(full.tk_nextmove, np.uint32),
        np.asarray(full.tk_row, np.uint32) << np.uint32(8),
        np.asarray(full.tk_output, np.int32),
        np.ascontiguousarray(full.nb_ptc[:, kept], np.float32),
        full.nb_pc[kept].astype(np.float32),
    )
