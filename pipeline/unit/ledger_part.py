"""The ledger part of one piece of work, from its input rows to the table that is committed."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Measures, measured
from pairsieve.pipeline.input.extra_columns import IMAGE_PLACE, RESERVED
from pairsieve.pipeline.ledger.rules import Rule, passing
from pairsieve.schemas.columns import (
    DETAIL,
    GATHERED,
    LAYER,
    OUTCOME,
    ROW,
    TEXT,
    UID,
    URL,
    Column,
    arrow_schema,
)
from pairsieve.schemas.outcomes import Outcome


class Part:
    """The ledger part of a piece while it is filled: a list of values per column."""

    def __init__(self, table: pa.Table, layer: int = 0) -> None:
        """Start from a unit's input: `row`, `url`, `text` and what travels along."""
        self.travelling = table.drop_columns(
            [name for name in table.column_names if name in RESERVED]
        )
        self.images = (
            table.select(IMAGE_PLACE).to_pylist()
            if set(IMAGE_PLACE) <= set(table.column_names)
            else None
        )
        self.rows = table.num_rows
        self.values: dict[str, list[Any]] = {c.name: [None] * self.rows for c in GATHERED}
        for column in (ROW, URL, TEXT):
            self.values[column.name] = table[column.name].to_pylist()
        self.values[LAYER.name] = [layer] * self.rows
        self.values[UID.name] = [
            uid(url or "", text or "")
            for url, text in zip(self.values[URL.name], self.values[TEXT.name], strict=True)
        ]

    def put(self, column: Column, rows: Iterable[int], value: Any) -> None:
        """Write one value into `column` at `rows`."""
        for row in rows:
            self.values[column.name][row] = value

    def reject(self, rows: Iterable[int], outcome: Outcome, detail: str | None) -> None:
        """Give `rows` the outcome that ends their way to a stored image, and the reason."""
        rows = list(rows)
        self.put(OUTCOME, rows, outcome)
        self.put(DETAIL, rows, detail)

    def usable(self) -> list[int]:
        """Return the rows with a URL and a text not seen before; give the others their outcome."""
        seen: set[str] = set()
        alive = []
        for row in range(self.rows):
            known = self.values[UID.name][row]
            if not (self.values[URL.name][row] or "").strip():
                outcome = Outcome.NO_URL
            elif not (self.values[TEXT.name][row] or "").strip():
                outcome = Outcome.NO_TEXT
            elif known in seen:
                outcome = Outcome.REPEATED
            else:
                alive.append(row)
                seen.add(known)
                continue
            self.put(OUTCOME, [row], outcome)
        return alive

    def texts(self, rows: list[int]) -> Any:
        """Return the texts of `rows` as an object array, (n,)."""
        texts = np.empty(len(rows), object)
        texts[:] = [self.values[TEXT.name][row] for row in rows]
        return texts

    def measure(self, rows: list[list[int]], given: dict[Column, Any]) -> None:
        """Run the measures that read only `given` and fill what they write.

        Value i of each array, (n,), belongs to all of `rows[i]`: pairs that share an image.
        """
        for one in (filter_() for filter_ in FILTERS):
            if isinstance(one, Measures) and set(one.reads) <= set(given):
                for column, array in measured(one, given).items():
                    for same, value in zip(rows, array.tolist(), strict=True):
                        self.put(column, same, value)

    def gated(self, alive: list[int], gates: Sequence[Rule]) -> list[int]:
        """Return the rows of `alive` that pass the gates on text; the others are `gated`."""
        passes = passing(self.table().take(pa.array(alive, pa.int64())), gates)
        self.put(
            OUTCOME, (row for row, ok in zip(alive, passes, strict=True) if not ok), Outcome.GATED
        )
        return [row for row, ok in zip(alive, passes, strict=True) if ok]

    def table(self) -> pa.Table:
        """Return the part as it stands, the travelling columns behind pairsieve's own."""
        schema = arrow_schema(GATHERED)
        arrays = [pa.array(self.values[field.name], field.type) for field in schema]
        table = pa.Table.from_arrays(arrays, schema=schema.remove_metadata())
        for field, column in zip(self.travelling.schema, self.travelling.columns, strict=True):
            table = table.append_column(field, column)
        return table


def uid(url: str, text: str) -> str:
    """Return the 128-bit BLAKE2b of URL and text as 32 hex digits.

    The URL's length in bytes goes first, so that no two pairs share their input.
    """
    encoded = url.encode()
    head = len(encoded).to_bytes(8, "little")
    return hashlib.blake2b(head + encoded + text.encode(), digest_size=16).hexdigest()
