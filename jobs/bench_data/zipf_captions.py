"""Captions in which words, whole texts and hosts are as unevenly common as on the web.

Of ranks by Zipf's law with exponent 1 the logarithm is evenly spread, so a rank is drawn as
N ** u. A tenth of the rows have one of the texts that recur, the others one of their own; a host is
drawn likewise. The same rows, seed and unit give the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.jobs.bench_data.draws import Draws, Ids
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, marker_path
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import (
    HOST,
    LANGUAGE,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    SHA256,
    TEXT,
    UID,
    URL_HASH,
    arrow_schema,
)

UNIT = 10_000  # rows
WORDS = 200_000
HOSTS = 50_000
RECURRING = 100_000  # texts
SHARED = 0.1  # of the rows have one of these
MOST_WORDS = 17  # of a text; 3 at least


def _ranks(share: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return ranks from 0 to below `count`, the lowest the commonest."""
    return np.minimum(np.float64(count) ** share, count).astype(np.int64) - 1


def vocabulary(seed: int) -> list[str]:
    """Return the words, the commonest first."""
    draws, ids = Draws(seed), np.arange(WORDS, dtype=np.uint64)
    lengths = 2 + draws.below("length", ids, 9).astype(np.int64)
    letters = draws.words("letters", ids, 2).view(np.uint8) % 26 + 97
    rows = letters.reshape(WORDS, -1).astype(np.uint8)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def texts(ids: Ids, words: list[str], draws: Draws) -> list[str]:
    """Return the text of each id."""
    counts = 3 + draws.below("words", ids, MOST_WORDS - 2).astype(np.int64)
    drawn = np.stack([draws.share(f"word {n}", ids) for n in range(MOST_WORDS)], axis=1)
    ranks = _ranks(drawn, len(words)).tolist()
    return [
        " ".join([words[rank] for rank in row[:count]])
        for row, count in zip(ranks, counts.tolist(), strict=True)
    ]


def entries(count: int, seed: int) -> Iterator[str]:
    """Yield so many entries: the words, then pairs of them as they may stand in texts."""
    words, draws = vocabulary(seed), Draws(seed)
    yield from words[:count]
    ids = np.arange(max(0, count - len(words)), dtype=np.uint64)
    pairs = (_ranks(draws.share(name, ids), len(words)).tolist() for name in ("one", "other"))
    yield from (f"{words[one]} {words[other]}" for one, other in zip(*pairs, strict=True))


def write(folder: Path, rows: int, seed: int) -> None:
    """Make a dataset of so many pairs with an image, as `gather` leaves what is counted."""
    store, draws, words = Store.at(folder), Draws(seed), vocabulary(seed)
    for unit, first in enumerate(range(0, rows, UNIT)):
        ids = np.arange(first, min(first + UNIT, rows), dtype=np.uint64)
        table = _unit(ids, draws, words)
        path = f"{GATHER_FOLDER}/{unit:08d}.{unit:012x}.parquet"
        with store.writer(path) as sink:
            pq.write_table(table, sink, compression="zstd")
        marker = Marker(len(ids), {path: sink.entry()})
        commit(store, marker_path(GATHER_FOLDER, f"{unit:08d}"), marker)


def _unit(ids: Ids, draws: Draws, words: list[str]) -> pa.Table:
    """Return what is counted of some rows."""
    again = _ranks(draws.share("recurring", ids), RECURRING).astype(np.uint64)
    own = draws.share("shared", ids) >= SHARED
    hosts = _ranks(draws.share("host", ids), HOSTS)
    columns = {
        ROW: ids.astype(np.int64),
        UID: [f"{high:016x}{low:016x}" for high, low in draws.words("uid", ids, 2).tolist()],
        TEXT: texts(np.where(own, ids + np.uint64(RECURRING), again), words, draws),
        HOST: [f"host{host}.example" for host in hosts.tolist()],
        URL_HASH: draws.bits("url", ids),
        RETRY_LAYER: np.zeros(len(ids), np.int16),
        OUTCOME: ["ok"] * len(ids),
        SHA256: [row.tobytes().hex() for row in draws.words("sha256", ids, 4)],
        LANGUAGE: ["en"] * len(ids),
    }
    return pa.table(list(columns.values()), arrow_schema(columns))
