"""The map: pairs by what their images are like, with any column of the ledger as colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.explore.database import Database
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.schemas.columns import ROW

VERDICT = "verdict"  # kept, or the first rule that says no
COLOURED = ("VARCHAR", "BOOLEAN")  # besides numbers
OTHER, NONE = "(others)", "(none)"
MOST_VALUES = 9  # of text with a colour of their own
HIDDEN = {"uid", "url", "final_url", "text", "etag", "sha256", "detail", "first_failing"}
_NUMBERS = ("INT", "FLOAT", "DOUBLE")


def columns(database: Database) -> list[str]:
    """Return the columns that can be a colour, the verdict first."""
    return [VERDICT] + [
        name
        for name, kind in database.types().items()
        if name not in HIDDEN and (kind in COLOURED or _is_number(kind))
    ]


def _is_number(kind: str) -> bool:
    return any(kind.endswith(name) or kind == f"{name}EGER" for name in _NUMBERS)


def values(database: Database, rows: NDArray[np.int64], column: str) -> list[Any]:
    """Return what a column has of some pairs, in their order, rare texts as one.

    Raises:
        BadOption: there is no such column.
    """
    name = "CASE WHEN keep THEN 'kept' ELSE coalesce(first_failing, outcome) END"
    said = name if column == VERDICT else identifier(column)
    listed = ", ".join(map(str, rows.tolist())) or "NULL"
    query = f"SELECT row, {said} AS value FROM ledger WHERE row IN ({listed})"
    found = {pair[ROW.name]: pair["value"] for pair in database.rows(query)}
    told = [found.get(row) for row in rows.tolist()]
    return told if _all_numbers(told) else _few(told)


def _all_numbers(told: Sequence[Any]) -> bool:
    return all(
        one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in told
    )


def _few(told: Sequence[Any]) -> list[str]:
    """Return values as text, all but the commonest as one."""
    texts = [NONE if one is None else str(one) for one in told]
    names, counts = np.unique(np.array(texts, object), return_counts=True)
    common = set(names[np.lexsort((names, -counts))][:MOST_VALUES])
    return [one if one in common else OTHER for one in texts]
