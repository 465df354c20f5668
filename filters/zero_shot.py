"""What the filters have in common whose score is the probability of the last class of prompts.

`nsfw`, `violence` and `watermark` are that: each file holds its prompts, the default of its bound
and its sources, and takes these three functions as its methods.
"""

from typing import ClassVar, Protocol

from pairsieve.filters.base import probability
from pairsieve.schemas.arrays import Floats, Vectors
from pairsieve.schemas.columns import Column


class ZeroShot(Protocol):
    """A filter with two classes of prompts: the one to keep, then the one to drop."""

    writes: ClassVar[tuple[Column, ...]]
    prompts: ClassVar[dict[str, tuple[str, ...]]]

    @property
    def max_probability(self) -> float:
        """Return the highest probability that is kept, [0, 1]."""
        ...


def check(zero_shot: ZeroShot) -> None:
    """Refuse a bound that is no probability."""
    if not 0 <= zero_shot.max_probability <= 1:
        raise ValueError(f"max_probability must be in [0, 1], got {zero_shot.max_probability}")


def measure(zero_shot: ZeroShot, prompt_logits: Vectors) -> Floats:
    """Return the softmax probability of the last class, (n,), in [0, 1].

    `prompt_logits` has one column per class of `prompts`, (n, 2): cosine times temperature.
    """
    return probability(prompt_logits, zero_shot.prompts, list(zero_shot.prompts)[-1])


def rule(zero_shot: ZeroShot) -> str:
    """Return the SQL condition of a pair to keep; the bound itself is kept."""
    return f"{zero_shot.writes[0].name} <= {zero_shot.max_probability!r}"
