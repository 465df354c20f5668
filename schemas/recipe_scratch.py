"""The recipe's section on memory and on what does not fit into it."""

from pydantic import Field

from pairsieve.schemas.recipe_base import Section


class Scratch(Section):
    """How much memory deciding takes, and where the rest goes meanwhile."""

    folder: str | None = Field(
        None,
        min_length=1,
        description="A folder of every machine for what does not fit into memory; default: inside "
        "a local dataset, else the system's folder for temporary files.",
    )
    memory_mb: int = Field(
        1000, ge=100, description="Memory of a query before it goes there, in MB, per process."
    )
