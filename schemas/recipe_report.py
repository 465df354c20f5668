"""The recipe's section on the report."""

from pydantic import Field

from pairsieve.schemas.recipe_base import Section


class Report(Section):
    """What `report` puts into `stats.duckdb`."""

    ledger_rows: int = Field(
        1_000_000,
        ge=0,
        description="A ledger of at most so many rows is copied into it whole, of a larger one a "
        "sample of at most about 200,000. What is counted is exact in any case, and "
        "`pairsieve sql` asks all rows.",
    )
