"""The columns that are joined once: what is read of them is what the join gives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import COLUMNS_MARKER, GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, blocks, ledger_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.schemas.columns import COLUMNS, GATHERED, GROUPED, ROW, arrow_schema
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

UNIT, UNITS = 3, 5


def put_slice(store: Store, name: str, rows: list[int], layer: int = 0) -> None:
    """Commit a task slice with columns of the ledger and three of the input."""
    table = pa.Table.from_pylist(
        [
            {"row": row, "uid": f"{row:032x}", "url": f"http://a/{row}", "text": "t" * row}
            | {"retry_layer": layer, "outcome": "ok", "width": 10 * row + layer, "colour": [row]}
            for row in rows
        ],
        arrow_schema(GATHERED),
    )
    table = table.append_column("Licence", pa.array([f"cc {row % 2}" for row in rows]))
    table = table.append_column("Year", pa.array([2000 + row for row in rows], pa.int16()))
    table = table.append_column("length", pa.array(rows, pa.duration("s")))
    path = f"gather/{name}.000000000000.parquet"
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    commit(store, f"gather/{name}.json", Marker(len(rows), {path: sink.entry()}, {}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a dataset of five units, one fetched again in part, and what `group` says of it."""
    store = Store.at(tmp_path / "dataset")
    for unit in range(UNITS):
        put_slice(store, f"{unit:08d}", list(range(unit * UNIT, (unit + 1) * UNIT)))
    put_slice(store, "00000001.r1", [4], layer=1)
    grouped = [{"row": row, "cluster": row // 2, "captions": ["a"]} for row in range(0, 15, 2)]
    path = "group/000000000000.parquet"
    with store.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist(grouped, arrow_schema((ROW, *GROUPED))), sink)
    commit(store, GROUP_MARKER, Marker(15, {path: sink.entry()}, {}))
    return store


def columns_of(store: Store, files: LedgerFiles, names: list[str]) -> dict[str, list[Any]]:
    found = block_table(store, files, names, None).to_pydict()
    return {name: found[name] for name in sorted(found)}


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("of_block", [1, 2, 4, 5])
def test_a_block_reads_of_them_what_the_join_gives(store: Store, units: int, of_block: int) -> None:
    whole = ledger_files(store)
    held = block_columns.run(store, Serial(), whole, units)
    for names in (
        ["width", "OUTCOME", "cluster", "nsfw", "licence", "year"],
        ["url", "captions", "colour", "length", "nothing"],
        ["row"],
    ):
        for joined, read in zip(blocks(whole, of_block), blocks(held, of_block), strict=True):
            assert read.columns or of_block % units
            assert columns_of(store, read, names) == columns_of(store, joined, names)


def test_what_all_columns_need_is_read_of_no_other_file(store: Store) -> None:
    held = block_columns.run(store, Serial(), ledger_files(store), 1)
    (block,) = blocks(held, 5)
    alone = replace(block, gathered=(), results=(), scores={})
    names = ["width", "cluster", "year", "length"]
    assert columns_of(store, alone, names) == columns_of(store, block, names)


def test_a_rule_reads_columns_that_are_held_and_others(store: Store) -> None:
    keep = [{"where": "url LIKE '%2' AND Licence = 'cc 0' AND cluster = 1 AND Year = 2002"}]
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
    assert select.run(recipe, store, Serial(), "default").counts["kept"] == 1


def test_only_a_block_that_has_changed_is_joined_anew(store: Store) -> None:
    block_columns.run(store, Serial(), ledger_files(store), 2)
    before = store.marker(COLUMNS_MARKER)
    put_slice(store, "00000003.r1", [9], layer=1)
    assert not block_columns.current(store, ledger_files(store)).columns
    held = block_columns.run(store, Serial(), ledger_files(store), 2)
    after = store.marker(COLUMNS_MARKER)
    assert before
    assert after
    assert [file.units for file in held.columns if file.name not in before.files] == [(2, 3)]
    assert {name for name, _, _ in store.list("columns")} == {*after.files, COLUMNS_MARKER}
    assert block_columns.current(store, ledger_files(store)) == held
    assert columns_of(store, held, ["width"])["width"][9] == 91


def test_a_file_that_is_gone_is_made_again_and_a_damaged_one_reported(store: Store) -> None:
    held = block_columns.run(store, Serial(), ledger_files(store), 5)
    (name,) = (file.name for file in held.columns)
    assert store.local
    (store.local / name).unlink()
    assert not block_columns.current(store, ledger_files(store)).columns
    (name,) = (file.name for file in block_columns.run(store, Serial(), held, 5).columns)
    body = bytearray((store.local / name).read_bytes())
    body[len(body) // 2] ^= 1
    (store.local / name).write_bytes(body)
    held = block_columns.current(store, ledger_files(store))
    with pytest.raises(Stopped, match=r"the columns of a block are damaged.*verify"):
        columns_of(store, held, [column.name for column in COLUMNS])


def test_a_pool_without_pairs_has_none(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    assert block_columns.run(store, Serial(), ledger_files(store)).columns == ()
    assert store.marker(COLUMNS_MARKER) is None


def test_a_pool_has_the_same_columns_in_the_same_order(store: Store) -> None:
    whole = ledger_files(store)
    held = block_columns.run(store, Serial(), whole, 2)
    schemas = [Pool(store, Serial(), files, 4).schema() for files in (whole, held)]
    assert schemas[0].names == schemas[1].names
    assert {"Licence", "nsfw", "captions"} <= set(schemas[1].names)


def made(store: Store) -> list[bytes]:
    """Return the files of columns in their order."""
    marker = store.marker(COLUMNS_MARKER)
    assert marker
    assert {name for name, _, _ in store.list("columns")} == {*marker.files, COLUMNS_MARKER}
    return [store.read(name) for name in sorted(marker.files)]


def test_killed_after_any_task_they_are_the_same_bytes(
    store: Store, dying: Callable[[int], Engine]
) -> None:
    block_columns.run(store, Serial(), ledger_files(store), 2)
    undisturbed = made(store)
    store.delete([path for path, _, _ in store.list("columns")])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            block_columns.run(store, dying(1), ledger_files(store), 2)
    block_columns.run(store, dying(1), ledger_files(store), 2)  # the third file is the last
    assert made(store) == undisturbed


def test_ray_writes_the_same_bytes(store: Store, ray: Engine) -> None:
    block_columns.run(store, Serial(), ledger_files(store), 2)
    serial = made(store)
    store.delete([path for path, _, _ in store.list("columns")])
    block_columns.run(store, ray, ledger_files(store), 2)
    assert made(store) == serial
