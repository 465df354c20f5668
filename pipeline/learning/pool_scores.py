"""What a head gives in the pool that it was learnt in: the quantiles that later pools are held to.

A sample tells: some pairs of some units, both spread evenly, so that a large pool costs no more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning.logistic import sigmoid
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.pair_head import PairHead
from pairsieve.schemas.columns import ROW

UNITS = 16  # at most that are looked at
PAIRS = 1000  # of a unit, at most
QUANTILES = (0.05, 0.5, 0.95)


def measured(store: Store, folder: str, head: PairHead) -> dict[str, Any]:
    """Return the quantiles of a head's scores over pairs of a model's folder, and their number."""
    scores = []
    for unit in _spread(reader.units(store, folder), UNITS):
        rows, (images, texts) = reader.read(store, unit)
        chosen = np.array(_spread(range(len(rows)), PAIRS), np.intp)
        values = _columns(store, rows[chosen], head.columns)
        some = images[chosen].astype(np.float32), texts[chosen].astype(np.float32)
        logits = head.outputs(*some, values)
        scores.append(sigmoid(logits[:, 0]))
    every = np.concatenate(scores)
    found = zip(QUANTILES, np.quantile(every, QUANTILES), strict=True)
    return {"pairs": len(every), "quantiles": {str(q): round(float(v), 6) for q, v in found}}


def _spread(items: Any, most: int) -> Any:
    """Return at most so many of the items, evenly."""
    return items[:: -(-len(items) // most)]


def _columns(store: Store, rows: NDArray[np.int64], names: tuple[str, ...]) -> Any:
    """Return the columns of rows that ascend, (n, columns); NaN for null."""
    import pyarrow as pa

    if not names:
        return np.zeros((len(rows), 0))
    listed = ", ".join(f"{identifier(name)}::DOUBLE" for name in names)
    with connect(store) as connection:
        attach(connection, store)
        connection.register("chosen", pa.table({ROW.name: rows}))
        query = f"SELECT {listed} FROM ledger SEMI JOIN chosen USING (row) ORDER BY row"
        found = connection.execute(query).fetchall()
    return np.array(found, np.float64).reshape(len(rows), len(names))
