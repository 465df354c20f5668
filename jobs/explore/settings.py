"""What the pages are served with, handed to them by way of the environment of their process."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Self

VARIABLE = "PAIRSIEVE_EXPLORE"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `explore` was started with.

    Attributes:
        dataset: Where the dataset is.
        recipe: The recipe that selections are saved by; None where they cannot be.
        name: The selection that is shown first.
        token: What a visitor must know; None on this machine alone.
    """

    dataset: str
    recipe: str | None
    name: str | None
    token: str | None

    def put(self) -> None:
        """Leave them for the pages."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def get(cls) -> Self:
        """Return them as `put` left them."""
        return cls(**json.loads(os.environ[VARIABLE]))
