"""What a translation engine is: who translates, how the work is cut into requests, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Translation:
    """What an engine made of one sentence.

    Attributes:
        text: the answer as it came.
        cut: the sentence or its translation met the engine's length limit.
        served_by: the model that an endpoint says it used.
    """

    text: str
    cut: bool = False
    served_by: str = ""


@dataclass(frozen=True)
class Engine:
    """Something that translates from one language into another.

    Attributes:
        identity: engine, model, revision, prompt, parameters, source, target: all that a translation depends on.
        batches: which of some texts go into one request together, as their numbers. It depends on the texts alone, so
            that a resumed run computes what an uninterrupted one would have.
        translate: translations of the texts of one request, in order.
        concurrency: how many requests may run at once.
    """

    identity: dict[str, Any]
    batches: Callable[[Sequence[str]], list[list[int]]]
    translate: Callable[[Sequence[str]], list[Translation]]
    concurrency: int = 1
