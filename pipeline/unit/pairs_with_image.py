"""The pairs of a gathered task slice that go on: those that have an image and pass the gates."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.rules import Rule, passing
from pairsieve.schemas.columns import OUTCOME, Column
from pairsieve.schemas.outcomes import Outcome


def pairs_with_image(
    store: Store, gathered: Marker, rules: Sequence[Rule], columns: Iterable[Column]
) -> pa.Table:
    """Return these columns of them, a row per pair, in the order of the slice.

    Raises:
        Stopped: the slice's part of the ledger is not what was committed.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = [column.name for column in columns]
    part = checksums.read(store, *gathered.entry(".parquet"))
    table = pq.read_table(part, columns=None if rules else list({*names, OUTCOME.name}))
    table = table.filter(pc.equal(table[OUTCOME.name], str(Outcome.OK)))
    return table.filter(pa.array(passing(table, rules))).select(names)
