"""What is counted over a pool, in a process of its own.

Reads `{"folder": dataset, "what": one of WHAT, "entries": file}` from standard input; the last line
of what it prints is JSON: rows, CPU time, peak memory.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.jobs.bench.group import peak_mb
from pairsieve.pipeline.counts import (
    boilerplate,
    caption_clusters,
    concepts,
    pool_counts,
    rare_words,
)
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import search_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.copies import key_partitions
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.schemas.columns import ROW
from pairsieve.schemas.recipe_group import Affixes, CaptionCluster, Entries, Group

FOLDER = "0" * 16
WHAT = COUNTS, ENTRIES, ALIKE, BOILERPLATE, RARE = (
    "captions, URLs, hosts",
    "entries",
    "alike captions",
    "boiler-plate",
    "rare words",
)
Columns = Callable[..., dict[str, pa.Array]]


def measure(folder: str, what: str, entries: str) -> dict[str, Any]:
    """Count over a dataset, to the columns of each block; return what it cost.

    What others have counted before, and this needs, is counted first and not in the cost.
    """
    store = Store.at(folder)
    pool = Pool(store, Serial(), ledger_files(store), BLOCK_UNITS)
    of = Rounds(store, search_folder(FOLDER), Group(), 4, key_partitions(pool, None), 1)
    counted = pool_counts.find(pool, of) if what in (ALIKE, RARE) else None
    began = time.process_time()
    columns = _columns(pool, of, what, entries, counted)
    rows = 0
    for block in pool.blocks:
        numbers = block_table(store, block.files, [ROW.name], 1)[ROW.name].to_numpy()
        rows += min(map(len, columns(block, numbers).values()))
    return {"rows": rows, "cpu_s": time.process_time() - began, "peak_mb": peak_mb()}


def _columns(pool: Pool, of: Rounds, what: str, entries: str, counted: Any) -> Columns:
    """Go through the rounds; return what gives the columns of a block."""
    if what == ENTRIES:
        found = concepts.find(pool, of, Entries(path=entries), [_no_repeats(of, pool)])
        return partial(concepts.columns, of, found)
    if what == ALIKE:
        alike = caption_clusters.find(pool, of, CaptionCluster(), counted)
        return partial(caption_clusters.columns, alike)
    if what == BOILERPLATE:
        return partial(boilerplate.columns, boilerplate.find(pool, of, Affixes()))
    if what == RARE:
        return partial(rare_words.columns, rare_words.find(pool, of, counted))
    return partial(pool_counts.columns, of, pool_counts.find(pool, of))


def _no_repeats(of: Rounds, pool: Pool) -> PartedFile:
    """Return a file that says of no row of any block that it repeats a pair."""
    path = of.new("repeats", 0)
    none = pa.table({ROW.name: np.empty(0, np.int64)})
    sink = parted.write(of.store, path, [none] * len(pool.blocks))
    return PartedFile(path, sink.size, len(pool.blocks))


if __name__ == "__main__":
    print(json.dumps(measure(**json.load(sys.stdin))))
