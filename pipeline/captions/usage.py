"""What requests cost: how many there were, their tokens, and the price of these."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.schemas.recipe_captions import Captions

KEY = "usage"  # in a marker's `extra`
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What some requests cost.

    Attributes:
        requests: How many were sent.
        retries: Those of them that were further attempts.
        tokens_in: Tokens of prompts and images, as the service counts them.
        tokens_out: Tokens of answers.
        cost: Of these tokens by the recipe's prices at that time.
        seconds: How long the requests were under way, added up, s.
    """

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of_tokens(cls, options: Captions, tokens_in: int, tokens_out: int) -> Self:
        """Return what so many tokens cost."""
        cost = (tokens_in * options.price_in + tokens_out * options.price_out) / MILLION
        return cls(tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)

    @classmethod
    def of(cls, marker: Marker | None) -> Self:
        """Return what a marker has."""
        return cls(**marker.extra[KEY]) if marker else cls()

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        names = [field.name for field in fields(self)]
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def to_json(self) -> Mapping[str, Any]:
        """Return what a marker's `extra` keeps, money to nine digits behind the point."""
        return asdict(self) | {"cost": round(self.cost, 9), "seconds": round(self.seconds, 3)}
