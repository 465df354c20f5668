"""The recipe's section on filters of the user's own."""

from typing import Annotated

from pydantic import Field

from pairsieve.schemas.recipe_base import Section

Name = Annotated[str, Field(min_length=1)]


class OwnFilters(Section):
    """Filters of your own, outside pairsieve; [own-filters.md](own-filters.md) says how."""

    files: tuple[Name, ...] = Field((), description="Python files; all filters in each are used.")
    packages: tuple[Name, ...] = Field(
        (),
        description="Names under which installed packages offer filters as entry points of "
        "`pairsieve.filters`.",
    )
