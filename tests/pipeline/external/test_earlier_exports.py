"""Earlier datasets in rounds: over blocks here, over blocks and parts of the export there."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SUPERSEDED, search_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.external import earlier_datasets, earlier_exports, hash_file
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]


def recipe(*datasets: str, newer: bool) -> Recipe:
    known = {"datasets": datasets, "max_distance": 1, "keep": "newer" if newer else "older"}
    return Recipe.model_validate({"input": {"path": "p.parquet"}, "known": known})


def superseded(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in pq.read_table(store.location(SUPERSEDED)).to_pylist()]


def in_units(store: Store, rows: list[Row], of_unit: int) -> None:
    """Commit rows as units of so many pairs."""
    filled = [
        {"row": n, "uid": f"{n:032x}", "retry_layer": 0, "outcome": "ok"} | row
        for n, row in enumerate(rows)
    ]
    for unit, first in enumerate(range(0, len(rows), of_unit)):
        part, path = filled[first : first + of_unit], f"gather/{unit:08d}.000000000000.parquet"
        with store.writer(path) as sink:
            pq.write_table(pa.Table.from_pylist(part, arrow_schema(GATHERED)), sink)
        marker = Marker(len(part), {path: sink.entry()}, {"ok": len(part)})
        commit(store, f"gather/{unit:08d}.json", marker)


def found_in(store: Store, deduplicated: Recipe, engine: Engine, units: int) -> list[Row]:
    """Return what is known of the images of every block, in order."""
    pool = Pool(store, engine, ledger_files(store), units)
    columns = earlier_datasets.find(pool, search_folder("0" * 16), deduplicated)
    found = []
    for block in pool.blocks:
        table = block_table(store, block.files, ["outcome"], 1)
        rows = table.filter(pc.equal(table["outcome"], "ok"))["row"].to_numpy()
        found += pa.table({"row": rows} | columns(block, rows)).to_pylist()
    return found


def rank_of(one: Row, other: Row, distance: int) -> int:
    """Return 0 for the same file, 1 + the bits between pHashes within `distance`, else 99."""
    if one["sha256"] is not None and one["sha256"] == other["sha256"]:
        return 0
    hashes = one["perceptual_hash"], other["perceptual_hash"]
    bits = 99 if None in hashes else (hashes[0] ^ hashes[1]).bit_count()
    return 1 + bits if bits <= distance else 99


IMAGES = st.lists(
    st.builds(
        lambda sha, value, failed: {
            "uid": f"{sha}{value}",
            "sha256": sha and 64 * sha,
            "perceptual_hash": value,
            "outcome": "dns" if failed else "ok",
        },
        st.sampled_from("abcdef") | st.none(),
        st.integers(0, 63) | st.none(),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=repeated(12, 60), deadline=None, derandomize=True)
@given(IMAGES, IMAGES, IMAGES, st.integers(1, 7), st.integers(1, 3), st.booleans())
def test_blocks_and_parts_give_what_comparing_all_gives(
    images: list[Row],
    of_dataset: list[Row],
    of_file: list[Row],
    units: int,
    group: int,
    newer: bool,
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(earlier_datasets, "BLOCKS_AT_ONCE", group)
        patch.setattr(earlier_datasets, "ROWS_AT_ONCE", 5)
        patch.setattr(earlier_exports, "UNITS", 1)
        patch.setattr(earlier_exports, "PART_IMAGES", 4)
        here, older = (Store.at(Path(folder, name)) for name in ("here", "older"))
        in_units(here, [{**row, "uid": f"{n:032x}"} for n, row in enumerate(images)], 2)
        in_units(older, of_dataset, 3)
        path, schema = Path(folder, "h.parquet"), arrow_schema(hash_file.COLUMNS)
        pq.write_table(pa.Table.from_pylist(of_file, schema), path)
        asked = recipe(older.url, str(path), newer=newer)
        first = {row["uid"]: row for row in reversed(of_dataset) if row["outcome"] == "ok"}
        earlier = [(older.url, first[uid]) for uid in sorted(first)]
        earlier += [(str(path), row) for row in of_file]
        expected = []
        for n, row in enumerate(images):
            if row["outcome"] == "ok":
                ranks = [rank_of(row, other, 1) for _, other in earlier]
                best, place = min(ranks), ranks.index(min(ranks))
                near: tuple[Any, ...] = (earlier[place][0], earlier[place][1]["uid"])
                near = (*near, max(best - 1, 0)) if best < 99 else (None, None, None)
                expected.append((n, *near))
        assert [tuple(row.values()) for row in found_in(here, asked, Serial(), units)] == expected
        gone = []
        for name, other in earlier:
            ranks = [rank_of(row, other, 1) if row["outcome"] == "ok" else 99 for row in images]
            if min(ranks) < 99:
                place = ranks.index(min(ranks))
                gone.append((name, other["uid"], f"{place:032x}", max(min(ranks) - 1, 0)))
        assert not newer or superseded(here) == sorted(gone)


def test_a_search_that_stopped_goes_on_and_both_engines_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: Callable[[int], Engine], ray: Engine
) -> None:
    values = np.random.default_rng(2).integers(0, 2**6, (2, 40), np.uint64).tolist()
    older = Store.at(tmp_path / "older")
    in_units(older, [{"perceptual_hash": value} for value in values[0]], 20)
    asked = recipe(older.url, newer=True)
    stores = [Store.at(tmp_path / name) for name in ("whole", "stopped", "ray")]
    for store in stores:
        in_units(store, [{"perceptual_hash": value} for value in values[1]], 10)
    expected = found_in(stores[0], asked, Serial(), 1)
    on_ray = found_in(stores[2], asked, ray, 1)
    monkeypatch.setattr(earlier_datasets, "BLOCKS_AT_ONCE", 1)
    monkeypatch.setattr(earlier_exports, "UNITS", 1)
    monkeypatch.setattr(earlier_exports, "PART_IMAGES", 30)
    for tasks in (1, 2, 3, 2):  # 2 spread, 2 export, 4 search, 1 lists
        with pytest.raises(KeyboardInterrupt):
            found_in(stores[1], asked, dying(tasks), 1)
    assert len([path for path in stores[1].paths() if path.startswith("group/near/")]) > 8
    assert found_in(stores[1], asked, Serial(), 1) == expected == on_ray
    assert superseded(stores[1]) == superseded(stores[0]) == superseded(stores[2])
    assert sum(row["known_in"] is not None for row in expected) > 10
