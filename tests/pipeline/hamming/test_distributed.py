"""The search spread over tasks finds what the one in memory finds, however it is cut and killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.pipeline import gc, group
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, search_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine, Serial
from pairsieve.pipeline.hamming.components import components
from pairsieve.pipeline.hamming.distributed import (
    ALONE,
    Search,
    default_partitions,
    label_files,
    neighbour_labels,
)
from pairsieve.pipeline.hamming.labels import UnionFindLabels, merged, read_each
from pairsieve.pipeline.hamming.partition import plan_partitions
from pairsieve.pipeline.integrity.garbage import Garbage
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

MANY = 200_000
UNIT = 10_000


def flipped(
    hashes: NDArray[np.uint64], most: int, generator: np.random.Generator
) -> NDArray[np.uint64]:
    """Return each hash with 0 to `most` random bits changed."""
    count = generator.integers(0, most + 1, len(hashes))
    for step in range(most):
        bit = generator.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes = np.where(count > step, hashes ^ (np.uint64(1) << bit), hashes)
    return hashes


def clustered(count: int, seed: int) -> NDArray[np.uint64]:
    """Return random hashes, a tenth of them copies, some equal, a fiftieth around one."""
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 2**64, count, np.uint64)
    places = generator.permutation(count)
    copies, crowd = places[: count // 10], places[count // 10 : count // 10 + count // 50]
    hashes[copies] = flipped(hashes[generator.integers(0, count, len(copies))], 6, generator)
    hashes[crowd] = flipped(np.full(len(crowd), hashes[0]), 4, generator)
    return hashes


def put(store: Store, hashes: NDArray[np.uint64], unit: int = UNIT) -> None:
    """Commit the hashes as gathered units, every pair with an image."""
    for number, low in enumerate(range(0, len(hashes), unit)):
        rows = np.arange(low, min(low + unit, len(hashes)))
        columns = {
            "row": rows,
            "uid": [f"{row:032x}" for row in rows],
            "retry_layer": np.zeros(len(rows), np.int16),
            "outcome": ["ok"] * len(rows),
            "sha256": [f"{row:064x}" for row in rows],
            "width": np.full(len(rows), 100, np.int32),
            "height": np.full(len(rows), 100, np.int32),
            "perceptual_hash": hashes[rows],
        }
        schema = arrow_schema(GATHERED)
        table = pa.table(
            {f.name: columns.get(f.name, pa.nulls(len(rows), f.type)) for f in schema},
            schema,
        )
        put_part(store, f"{number:08d}", table, {"ok": len(rows)})


def put_part(store: Store, name: str, table: pa.Table, counts: dict[str, int]) -> None:
    path = f"gather/{name}.x.parquet"
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    commit(store, f"gather/{name}.json", Marker(table.num_rows, {path: sink.entry()}, counts))


def labels(store: Store, engine: Engine, count: int, distance: int, partitions: int) -> list[int]:
    labels = neighbour_labels(store, engine, distance, partitions)
    return list(labels.positions(np.arange(count)).tolist())


class Crashing(Serial):
    """Loses the process of every task."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any]
    ) -> Generator[tuple[Any, Any | Crashed]]:
        yield from ((item, Crashed("OutOfMemoryError")) for item in items)


PutPlan = Callable[[Store], None]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.at(tmp_path_factory.mktemp("many") / "dataset")
    put(store, clustered(MANY, 1))
    return store


@pytest.fixture(scope="module")
def expected() -> list[int]:
    return list(components(clustered(MANY, 1), 4).tolist())


@pytest.fixture
def forget(many: Store) -> Iterator[None]:
    """Delete what a search left, so that it starts anew."""
    yield
    many.delete(path for path, _, _ in many.list("group"))


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("kind", ["serial", "ray"])
def test_eight_partitions_give_the_labels_of_one_machine(
    many: Store, expected: list[int], kind: str, request: pytest.FixtureRequest
) -> None:
    engine = Serial() if kind == "serial" else request.getfixturevalue("ray")
    assert labels(many, engine, MANY, 4, 8) == expected
    tasks = [path for path, _, _ in many.list("group/near") if "/search/" in path]
    assert len(tasks) == 2 * 5 * 8  # a file and a marker of each


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("tasks", [0, 1, 17, 41])
def test_a_search_that_stopped_goes_on_with_what_is_left(
    many: Store, expected: list[int], tasks: int, dying: Callable[[int], Engine]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        labels(many, dying(tasks), MANY, 4, 8)
    before = {path: version for path, _, version in many.list("group/near")}
    assert sum(path.endswith(".json") for path in before) == tasks
    assert labels(many, Serial(), MANY, 4, 8) == expected
    after = {path: version for path, _, version in many.list("group/near")}
    assert before.items() <= after.items()


@pytest.mark.usefixtures("forget")
def test_a_killed_process_leaves_what_another_engine_finishes(
    many: Store, expected: list[int]
) -> None:
    script = (
        "import sys; from pairsieve.pipeline.engine.engine import Serial\n"
        "from pairsieve.pipeline.hamming.distributed import neighbour_labels\n"
        "from pairsieve.pipeline.dataset.store import Store\n"
        "neighbour_labels(Store.at(sys.argv[1]), Serial(), 4, 64)"
    )
    assert many.local is not None
    running = subprocess.Popen([sys.executable, "-c", script, str(many.local)])
    while not list(many.local.glob("group/near/*/search")):
        assert running.poll() is None, "the search ended before it could be killed"
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(list(many.local.glob("group/near/*/search/*.json"))) < 5 * 64
    assert labels(many, Serial(), MANY, 4, 64) == expected


@pytest.mark.usefixtures("forget")
def test_lost_markers_are_made_again(many: Store, expected: list[int]) -> None:
    labels(many, Serial(), MANY, 4, 8)
    markers = [path for path, _, _ in many.list("group/near") if path.endswith(".json")]
    lost = [path for path in markers if "merge" in path or path.endswith("3.json")]
    many.delete(lost)
    assert labels(many, Serial(), MANY, 4, 8) == expected
    assert set(markers) <= {path for path, _, _ in many.list("group/near")}


@pytest.mark.usefixtures("forget")
def test_a_process_that_keeps_dying_stops_the_search(many: Store) -> None:
    with pytest.raises(Stopped, match="OutOfMemoryError.*the same command goes on"):
        neighbour_labels(many, Crashing(), 4, 8)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_row_has_the_neighbours_of_all_its_hashes_and_old_parts_lack_some(
    tmp_path: Path, partitions: int
) -> None:
    store = Store.at(tmp_path / "dataset")
    own = np.random.default_rng(0).integers(0, 2**64, 6, np.uint64)  # far from one another
    put(store, own, 3)
    old = pq.read_table(store.reader("gather/00000001.x.parquet"))
    put_part(store, "00000001", old.drop_columns(["centre_hash", "trimmed_hashes"]), {"ok": 3})
    new = pq.read_table(store.reader("gather/00000000.x.parquet")).to_pydict()
    new["centre_hash"] = [int(own[3]) ^ 1, None, None]  # of row 0: as row 3
    new["trimmed_hashes"] = [[int(own[4]), 0], None, [int(own[5]), int(own[1])]]
    table = pa.table(new, old.schema)
    put_part(store, "00000000", table, {"ok": 3})
    names = ("perceptual_hash", "trimmed_hashes", "centre_hash")
    search = Search(search_folder("0" * 16), plan_partitions(18, 4, partitions), names)
    units = [(("gather/00000000.x.parquet",), ("gather/00000001.x.parquet",))]
    found = label_files(store, Serial(), search, units)
    roots = merged(lambda: read_each(store, found)).labels()
    assert roots.rows.tolist() == [3, 4, 5]
    assert roots.labels.tolist() == [0, 0, 2]


@st.composite
def crowds(draw: st.DrawFn) -> list[int]:
    """Draw hashes most of which are a few bits from one of the others."""
    hashes = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    for bits in draw(st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=16)):
        base = draw(st.sampled_from(hashes))
        hashes.append(base ^ sum(1 << bit for bit in set(bits)))
    return draw(st.permutations(hashes))


@pytest.mark.parametrize("distance", range(11))
@settings(max_examples=repeated(4, 8), deadline=None, derandomize=True)
@given(hashes=crowds(), unit=st.integers(1, 9), partitions=st.integers(1, 5), data=st.data())
def test_neither_partitions_nor_units_nor_order_change_the_components(
    tmp_path_factory: pytest.TempPathFactory,
    distance: int,
    hashes: list[int],
    unit: int,
    partitions: int,
    data: st.DataObject,
) -> None:
    order = np.array(data.draw(st.permutations(range(len(hashes)))))
    given = np.array(hashes, np.uint64)
    store = Store.at(tmp_path_factory.mktemp("few") / "dataset")
    put(store, given[order], unit)
    found = np.array(labels(store, Serial(), len(hashes), distance, partitions))
    alone = components(given, distance)[order]
    assert (found == components(given[order], distance)).all()
    assert ((found[:, None] == found) == (alone[:, None] == alone)).all()


@pytest.mark.parametrize("distance", range(11))
def test_a_block_has_no_more_partitions_than_values_and_blocks_fit_in_64_bits(
    distance: int,
) -> None:
    partitioning = plan_partitions(10**10, distance, 4096)
    assert partitioning.partitions <= 1 << partitioning.width
    assert partitioning.tables * partitioning.width <= 64
    assert plan_partitions(5, distance, 1).width >= 1


def test_only_the_latest_layer_of_a_pair_with_an_image_counts(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    columns = ("row", "outcome", "perceptual_hash")
    kinds = [pa.int64(), pa.string(), pa.uint64()]
    schema = pa.schema(list(zip(columns, kinds, strict=True)))

    def table(*rows: tuple[int, str, int | None]) -> pa.Table:
        return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema)

    first = table((0, "ok", 7), (1, "dns", None), (2, "dns", None), (3, "ok", None), (4, "ok", 6))
    put_part(store, "00000000", first, {"ok": 3, "dns": 2})
    put_part(store, "00000000.r1", table((1, "dns", None), (2, "ok", 5)), {"ok": 1, "dns": 1})
    put_part(store, "00000000.r2", table((1, "ok", 2**63)), {"ok": 1})
    labels = neighbour_labels(store, Serial(), 1, 2)
    assert labels.positions(np.arange(5)).tolist() == [0, 1, 0, 3, 0]  # 7 = 0b111, 5, 6


def test_few_hashes_are_searched_by_one_task() -> None:
    assert default_partitions(ALONE) is None
    assert default_partitions(ALONE + 1) == 2


def test_sets_of_labels_are_merged() -> None:
    def labels_from(*pairs: tuple[int, int]) -> UnionFindLabels:
        rows, ends = zip(*pairs, strict=True)
        return UnionFindLabels(np.array(rows, np.int64), np.array(ends, np.int64))

    sets = [
        labels_from((5, 3), (9, 3)), labels_from((7, 5)), labels_from((2**40, 4), (2**40 + 1, 4)),
    ]  # fmt: skip
    found = merged(lambda: iter(sets)).labels()
    assert found.rows.tolist() == [5, 7, 9, 2**40, 2**40 + 1]
    assert found.labels.tolist() == [3, 3, 3, 4, 4]


@pytest.mark.parametrize("stretch", [1, 64, 2**21])
def test_what_any_sets_of_labels_join_is_one_component(stretch: int) -> None:
    rng = np.random.default_rng(4)
    sets = []
    for _ in range(4):
        rows = np.unique(rng.integers(1, 500, 60))
        below = (rng.random(len(rows)) * rows).astype(np.int64)
        sets.append(UnionFindLabels(rows * stretch, below * stretch))
    smallest = {row: row for each in sets for rows in each for row in rows.tolist()}
    pairs = [pair for each in sets for pair in zip(*map(np.ndarray.tolist, each), strict=True)]
    for _ in range(len(smallest)):
        for one, other in pairs:
            smallest[one] = smallest[other] = min(smallest[one], smallest[other])
    forest = merged(lambda: iter(sets))
    assert forest.rows.tolist() == sorted(smallest)
    assert forest.rows[forest.roots].tolist() == [smallest[row] for row in sorted(smallest)]
    assert len(set(smallest.values())) > 10


@pytest.fixture
def small(tmp_path: Path) -> Store:
    store = Store.at(tmp_path / "dataset")
    put(store, clustered(3_000, 5), 500)
    return store


def grouped(store: Store) -> pa.Table:
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    return pq.read_table(store.reader(marker.file(".parquet")))


def test_group_gives_the_same_whether_it_spreads_the_search_and_leaves_nothing_of_it(
    small: Store,
) -> None:
    recipe = Recipe.model_validate({"input": {"path": "pairs.parquet"}})
    group.run(recipe, small, Serial())
    alone = grouped(small)
    small.delete([GROUP_MARKER])
    marker = group.run(recipe, small, Serial(), partitions=8)
    assert grouped(small).equals(alone)
    assert marker.counts["near"] > 100
    assert not list(small.list("group/near"))


def test_gc_keeps_a_search_that_can_go_on_and_sweeps_what_no_marker_names(
    small: Store, put_plan: PutPlan
) -> None:
    put_plan(small)
    neighbour_labels(small, Serial(), 4, 2)
    before = list(small.list("group/near"))
    leftover = "group/near/0123456789abcdef/partition/000000.0123456789ab.bin"
    small.write(leftover, b"left behind")
    assert gc.run(small, 0) == [Garbage(leftover, 11)]
    assert list(small.list("group/near")) == before


def test_gc_sweeps_a_search_whose_result_group_has_committed(
    small: Store, put_plan: PutPlan
) -> None:
    put_plan(small)
    neighbour_labels(small, Serial(), 4, 2)
    leftover = len(list(small.list("group/near")))
    small.write(GROUP_MARKER, Marker(0, {}).dumps())
    assert len(gc.run(small, 0)) == leftover
    assert not list(small.list("group/near"))
