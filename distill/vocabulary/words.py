"""The words of texts, as a tokenizer's model gets them, and how often each occurs."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tokenizers import Tokenizer

Texts = Callable[[], Iterable[str]]
"""Returns the texts of one side, from the start each time it is called."""

BEFORE_SPACE = re.compile("(?= )")


def count_strings(texts: Iterable[str]) -> Counter[str]:
    """Return how often each string occurs in texts that are cut before every space.

    A text collection has far fewer distinct ones than words, and what becomes of a string (accents, case, where it
    is cut) does not depend on what stands before its space.
    """
    return Counter(itertools.chain.from_iterable(map(BEFORE_SPACE.split, texts)))


def count_words(strings: Mapping[str, int], tokenizer: Tokenizer) -> Counter[str]:
    """Return how often each word occurs, as the tokenizer's model gets it, given how often strings do."""
    normal = normalize(tokenizer)
    cut = tokenizer.pre_tokenizer.pre_tokenize_str
    words: Counter[str] = Counter()
    for string, n in strings.items():
        for word, _ in cut(normal(string)):
            words[word] += n
    return words


def normalize(tokenizer: Tokenizer) -> Callable[[str], str]:
    """Return what a tokenizer does to texts before it cuts them."""
    return tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
