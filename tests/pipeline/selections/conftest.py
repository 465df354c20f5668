"""Pools of several units, so that blocks can be smaller than the pool."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import GATHERED, arrow_schema

PutUnits = Callable[[Store, list[dict[str, Any]], int], None]


@pytest.fixture(scope="session")
def put_units() -> PutUnits:
    """Return a function that commits ledger rows in units of so many rows."""

    def put(store: Store, rows: list[dict[str, Any]], size: int) -> None:
        usual = {"retry_layer": 0, "outcome": "ok", "width": 640, "height": 480}
        filled = [
            {"row": n, "uid": f"{n:032x}", "url": f"http://a/{n}", "text": f"pair {n}"}
            | usual
            | row
            for n, row in enumerate(rows)
        ]
        for unit, start in enumerate(range(0, len(filled), size)):
            part = filled[start : start + size]
            path = f"gather/{unit:08d}.000000000000.parquet"
            with store.writer(path) as sink:
                pq.write_table(pa.Table.from_pylist(part, arrow_schema(GATHERED)), sink)
            commit(store, f"gather/{unit:08d}.json", Marker(len(part), {path: sink.entry()}, {}))

    return put
