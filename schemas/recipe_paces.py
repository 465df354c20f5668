"""The paces of single hosts, in place of those of the recipe for all."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_headers import HOST_NAME


class Pace(Section):
    """What one host sees of the job; a key that is left out is as for every host."""

    per_s: float | None = Field(
        None, ge=0.001, le=100_000, description="Requests per second that it sees."
    )
    connections: int | None = Field(
        None, ge=1, le=1000, description="Requests under way at once that it sees."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """Refuse a host of which nothing is said."""
        if self.per_s is None and self.connections is None:
            raise ValueError("say `per_s`, `connections` or both")
        return self


def _of_hosts(paces: dict[str, Pace]) -> dict[str, Pace]:
    """Refuse what is no host name as it stands in a URL in canonical form."""
    for host in paces:
        if not re.fullmatch(HOST_NAME, host):
            raise ValueError(
                f"{host!r} is no host name; write it as `example.org`, `xn--...` or "
                "`[2001:db8::1]`, in small letters, without a port"
            )
    return paces


HostPaces = Annotated[dict[str, Pace], AfterValidator(_of_hosts)]
