from pathlib import Path

import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset import checked_json, marker_index
from pairsieve.pipeline.dataset.marker import REPLACED, Marker
from pairsieve.pipeline.dataset.paths import marker_path, retry_layer
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit import marker_folding
from pairsieve.pipeline.unit.marker_folding import fold_embedded, fold_gathered
from pairsieve.pipeline.unit.plan_file import Plan

UNITS, ROWS = 6, 10
FOLDER = "embed/model"


@pytest.fixture(autouse=True)
def _fold_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (marker_index, marker_folding):
        monkeypatch.setattr(module, "FOLD_AT", 2)


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The end and the retry layers of every index that is made."""
    found: list[tuple[str, int]] = []
    fold = marker_index.fold

    def noting(
        store: Store, folder: str, markers: marker_index.Markers, before: str, layers: int
    ) -> bool:
        found.append((before, layers))
        return fold(store, folder, markers, before, layers)

    monkeypatch.setattr(marker_index, "fold", noting)
    return found


def plan_of(store: Store) -> Plan:
    return Plan(
        dataset=store.url,
        pairs=UNITS * ROWS,
        fetch=True,
        images=False,
        format="parquet",
        measuring={"input": {"unit_pairs": ROWS}},
        files=[],
        staged=[],
        units=[[(0, unit * ROWS, ROWS)] for unit in range(UNITS)],
        schema=pa.schema([]),
        fingerprints={},
    )


def put(store: Store, folder: str, *names: str, failed: int = 0) -> None:
    for name in names:
        counts = {"ok": ROWS - failed, "dns": failed} if failed else {"ok": ROWS}
        extra = {REPLACED: {"dns": failed}} if ".r" in name else {}
        files: dict[str, dict[str, int]] = {f"{folder}/{name}.parquet": {}}
        store.create(marker_path(folder, name), Marker(ROWS, files, counts, extra).dumps())


def units(*numbers: int) -> list[str]:
    return [f"{number:08d}" for number in numbers]


def test_what_is_gathered_is_folded_up_to_the_first_unit_that_is_not(
    tmp_path: Path, bounds: list[tuple[str, int]]
) -> None:
    store = Store.at(tmp_path)
    put(store, "gather", *units(0, 1, 5), "00000002.0+4", "00000003")
    assert fold_gathered(store, plan_of(store))
    put(store, "gather", "00000002.4+6", "00000004")
    assert fold_gathered(store, plan_of(store))
    assert bounds == [("00000002", 0), ("00000006", 0)]  # behind the last: a plan may grow


def test_of_retry_layers_those_count_that_are_finished(
    tmp_path: Path, bounds: list[tuple[str, int]]
) -> None:
    store = Store.at(tmp_path)
    put(store, "gather", *units(*range(UNITS)), failed=3)
    layer = {"number": 1, "outcomes": ["dns"], "pairs": 18}
    store.create(retry_layer(1), checked_json.dumps(layer))
    put(store, "gather", *(f"{name}.r1" for name in units(0, 1)), failed=3)
    assert fold_gathered(store, plan_of(store))
    put(store, "gather", *(f"{name}.r1" for name in units(2, 3, 4, 5)), failed=3)
    assert fold_gathered(store, plan_of(store))
    assert bounds == [("00000006", 0), ("00000006", 1)]


def test_vectors_are_folded_up_to_the_first_that_are_missing(
    tmp_path: Path, bounds: list[tuple[str, int]]
) -> None:
    store = Store.at(tmp_path)
    put(store, "gather", *units(0, 1, 2, 3, 5))
    put(store, FOLDER, *units(0, 1, 3))
    assert fold_embedded(store, plan_of(store), FOLDER)
    put(store, FOLDER, *units(2, 5))
    assert fold_embedded(store, plan_of(store), FOLDER)
    assert bounds == [("00000002", 0), ("00000004", 0)]


def test_few_are_not_looked_at(tmp_path: Path, bounds: list[tuple[str, int]]) -> None:
    store = Store.at(tmp_path)
    put(store, "gather", "00000000")
    put(store, FOLDER, "00000000")
    assert not fold_gathered(store, plan_of(store))
    assert not fold_embedded(store, plan_of(store), FOLDER)
    assert bounds == []
