"""What repair does to gathered slices with retry layers, on a small drawn pool."""

from pathlib import Path

import pytest

from pairsieve.jobs.bench.decide import _recipe
from pairsieve.jobs.bench_data.pool import Pool, build
from pairsieve.pipeline import verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.integrity.checksums import Finding
from pairsieve.pipeline.integrity.repair import again, repair
from pairsieve.schemas.recipe_file import load

RETRIED = "gather/00000000.r1.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "recipe.yaml").write_text(_recipe("first", 0.2))
    build(Pool(2_000, seed=2, unit=1_000), load(tmp_path / "recipe.yaml"), tmp_path / "dataset")
    return Store.at(tmp_path / "dataset")


def findings(store: Store) -> list[Finding]:
    return [finding for checked in verify.run(store, Serial()) for finding in checked.findings]


def markers(store: Store) -> set[str]:
    return {path for path, _, _ in store.list() if path.endswith(".json")}


def flip(store: Store, path: str, index: int) -> None:
    body = bytearray(store.read(path))
    body[index] ^= 1
    store.write(path, bytes(body))


def test_a_drawn_pool_is_sound(store: Store) -> None:
    assert findings(store) == []


def test_a_marker_of_a_retry_layer_is_made_again_from_its_files(store: Store) -> None:
    before = store.marker(RETRIED)
    flip(store, RETRIED, -20)
    (found,) = findings(store)
    assert found.path == RETRIED
    assert found.wrong.startswith("a damaged marker: ")
    (told,) = repair(store, [found])
    assert told.endswith("written anew from the files beside it, which are as they were")
    after = store.marker(RETRIED)
    assert before
    assert after
    assert (after.rows, after.files, after.counts) == (before.rows, before.files, before.counts)
    assert after.extra["replaced"] == before.extra["replaced"]
    assert findings(store) == []


def test_a_marker_is_not_made_from_files_that_it_did_not_name(store: Store) -> None:
    path = "gather/00000001.json"
    marker = store.marker(path)
    assert marker
    flip(store, marker.file(".parquet"), 100)
    flip(store, marker.file(".requests.pq"), 100)
    flip(store, path, -20)
    told = list(repair(store, findings(store)))
    assert told[0].startswith(f"{path}: what its images came from may be gone")
    assert path not in markers(store)


def test_what_stands_on_a_gathered_slice_goes_with_it(store: Store) -> None:
    marker, before = store.marker("gather/00000000.json"), markers(store)
    assert marker
    part = marker.file(".parquet")
    flip(store, part, 1000)
    found = findings(store)
    assert [finding.path for finding in found] == [part]
    assert again(found[0]) == "`pairsieve run` gathers its pairs anew once its marker is deleted"
    told = list(repair(store, found))
    assert told[-1].startswith("gather/00000000.json: deleted")  # killed before, it goes on
    gone = before - markers(store)
    assert {Path(path).stem for path in gone} == {"00000000", "00000000.r1", "00000000.r2"}
    assert len(gone) == 9  # gathered, vectors and scores of each
    assert store.exists(part)


def test_a_retry_layer_goes_without_those_before_it(store: Store) -> None:
    marker, before = store.marker(RETRIED), markers(store)
    assert marker
    flip(store, marker.file(".parquet"), 1000)
    found = findings(store)
    assert again(found[0]).startswith("`pairsieve gather --retry` gathers its pairs anew")
    list(repair(store, found))
    assert {Path(path).stem for path in before - markers(store)} == {"00000000.r1", "00000000.r2"}


def test_lost_requests_cost_no_image(store: Store) -> None:
    path, before = "gather/00000001.json", markers(store)
    marker = store.marker(path)
    assert marker
    flip(store, marker.file(".requests.pq"), 50)
    (told,) = repair(store, findings(store))
    assert told == f"{path}: names no requests any more; the report's rates lack them"
    assert before == markers(store)
    assert findings(store) == []
