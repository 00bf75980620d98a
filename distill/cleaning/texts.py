"""One column of a batch of rows, with what several rules look at computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distill import identify, scripts
from distill.scripts import BLANK, DIGIT, LETTER, SCRIPTS, WITHOUT_BLANKS, is_of, kinds

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """n texts of one language.

    Attributes:
        texts: the texts.
        language: their language code.
    """

    texts: Sequence[str]
    language: str

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def script(self) -> str:
        """The script that the language is written in."""
        return scripts.script_of(self.language)

    @cached_property
    def points(self) -> npt.NDArray[np.uint32]:
        """The code points of all texts, joined."""
        return np.frombuffer("".join(self.texts).encode("utf-32-le", "surrogatepass"), np.uint32)

    @cached_property
    def lengths(self) -> Numbers:
        """Characters of each text (n,)."""
        return np.fromiter(map(len, self.texts), np.int64, len(self.texts))

    @cached_property
    def starts(self) -> Numbers:
        """Where each text starts in `points`, and the end of the last (n + 1,)."""
        return np.append(0, np.cumsum(self.lengths))

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """What each code point is; see `distill.scripts.kinds`."""
        return kinds(self.points)

    @cached_property
    def letters(self) -> Numbers:
        """Letters of each text (n,)."""
        return self.count((self.kinds & LETTER) > 0)

    @cached_property
    def digits(self) -> Numbers:
        """Digits of each text (n,)."""
        return self.count((self.kinds & DIGIT) > 0)

    @cached_property
    def blanks(self) -> Numbers:
        """Blanks of each text (n,)."""
        return self.count((self.kinds & BLANK) > 0)

    @cached_property
    def own_letters(self) -> Numbers:
        """Letters of each text that are of the language's script, all letters if the script is not listed (n,)."""
        return self.count(is_of(self.points, self.script)) if self.script in SCRIPTS else self.letters

    @cached_property
    def latin_letters(self) -> Numbers:
        """Latin letters of each text (n,)."""
        return self.count(is_of(self.points, "Latn"))

    @cached_property
    def words(self) -> Numbers:
        """Words of each text (n,); two letters make a word where no blanks stand between words."""
        if self.script in WITHOUT_BLANKS:
            return -(-(self.letters + self.digits) // 2)
        inside = (self.kinds & BLANK) == 0
        begins = inside.copy()
        begins[1:] &= ~inside[:-1]
        first = self.starts[:-1][self.lengths > 0]
        begins[first] = inside[first]
        return self.count(begins)

    @cached_property
    def log_odds(self) -> npt.NDArray[np.float32]:
        """How likely each language is; see `distill.identify.log_odds`."""
        return identify.log_odds(self.texts)

    def count(self, which: Flags) -> Numbers:
        """Return how many of the code points that are marked each text has (n,)."""
        sums: Numbers = np.append(0, np.cumsum(which))
        return sums[self.starts[1:]] - sums[self.starts[:-1]]
