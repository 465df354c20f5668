"""Random pools for the counts of the report: units, retry layers, copies, requests, a selection."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, REQUESTS_SUFFIX
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.fetch.request_rates import REQUESTS
from pairsieve.schemas.column import Column
from pairsieve.schemas.columns import GATHERED, GROUPED, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe

UNIT = 5  # rows
START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
RECIPE = Recipe.model_validate(
    {
        "input": {"path": "p"},
        "keep": [
            {"where": "width >= 2", "name": "wide"},
            {"where": "eval_distance IS NULL", "name": "leak"},
        ],
        "report": {"ledger_rows": 1000},
    }
)
Pool = list[dict[str, Any]]
PutPool = Callable[..., None]


def _gathered(pool: Pool) -> Iterator[dict[str, Any]]:
    for row, pair in enumerate(pool):
        ok = pair["outcome"] == "ok"
        yield {
            "row": row,
            "uid": f"{row:032x}",
            "url": f"http://{pair['host']}/{row}",
            "text": f"pair {row}",
            "host": pair["host"],
            "retry_layer": 0,
            "outcome": pair["outcome"],
            "detail": None if ok else f"detail {row}",
            "http_status": pair["status"],
            "fetch_bytes": 1000 * (1 + pair["file"]) if ok else None,
            "fetch_ms": 7 * row if pair["second"] else None,
            "attempts": 1 + row % 3 if pair["status"] else None,
            "fetched_at": pair["second"] and START + timedelta(seconds=pair["second"]),
            "language": pair["language"],
            "sharpness": pair["score"],
            "width": pair["width"] if ok else None,
            "sha256": f"{pair['file']:064x}" if ok else None,
        }


def _grouped(pool: Pool) -> Iterator[dict[str, Any]]:
    first: dict[int, int] = {}
    for row, pair in enumerate(pool):
        if pair["outcome"] != "ok":
            continue
        head = first.setdefault(pair["image"], row)
        near = pair["image"] == 0
        yield {
            "row": row,
            "cluster": head,
            "duplicate_of": None if head == row else f"{head:032x}",
            "duplicate_distance": None if head == row else pair["file"],
            "eval_set": f"set{pair['file'] % 2}" if pair["image"] < 2 else None,
            "eval_distance": pair["file"] if near else None,
            "eval_overlap": 0.5 + pair["file"] / 8 if pair["image"] < 2 else None,
        }


def _file(store: Store, path: str, rows: Pool, columns: tuple[Column, ...]) -> dict[str, Any]:
    with store.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema(columns)), sink)
    return {path: sink.entry()}


@pytest.fixture(scope="session")
def put_pool() -> PutPool:
    """Return a function that commits a pool and its selection; some pairs are fetched twice."""

    def put(store: Store, pool: Pool, retried: bool) -> None:
        rows = list(_gathered(pool))
        for unit, start in enumerate(range(0, len(rows), UNIT)):
            part = rows[start : start + UNIT]
            name = f"{unit:08d}"
            files = _file(store, f"gather/{name}.a.parquet", part, GATHERED)
            sent = [
                {"host": row["host"], "second": second, "requests": 1 + row["row"] % 3}
                for row in part
                if (second := pool[row["row"]]["second"]) and row["host"]
            ]
            files |= _file(store, f"gather/{name}.a{REQUESTS_SUFFIX}", sent, REQUESTS)
            commit(store, f"gather/{name}.json", Marker(len(part), files))
            if retried:
                again = [row | {"retry_layer": 1, "language": "xx"} for row in part[::2]]
                files = _file(store, f"gather/{name}.r1.a.parquet", again, GATHERED)
                commit(store, f"gather/{name}.r1.json", Marker(len(again), files))
        files = _file(store, "group/a.parquet", list(_grouped(pool)), (ROW, *GROUPED))
        commit(store, GROUP_MARKER, Marker(len(rows), files))
        select.run(RECIPE, store, Serial(), "default")

    return put


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Return the recipe of the selection."""
    return RECIPE
