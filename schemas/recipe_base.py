"""What every part of the recipe is: unknown keys are refused, nothing changes after reading."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _as_text(value: Any) -> Any:
    """Return a number, date or truth value of YAML as DuckDB writes it; a text as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | date) else value


ValueText = Annotated[str, BeforeValidator(_as_text)]  # of a column of any kind


class Section(BaseModel):
    """A part of the recipe: unknown keys are refused and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
