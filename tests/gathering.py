"""The rows that gathering an input of one unit gives."""

from typing import Any

import pyarrow.parquet as pq

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.recipe import Recipe


def rows_of_one_unit(recipe: Recipe, store: Store) -> list[dict[str, Any]]:
    """Gather an input that is one unit; return its rows as its table has them."""
    for _ in gather.run(recipe, store, plan.run(recipe, store), Serial()):
        continue
    (marker,) = store.markers("gather").values()
    with store.reader(marker.file(".parquet")) as source:
        rows: list[dict[str, Any]] = pq.read_table(source).to_pylist()
    return rows
