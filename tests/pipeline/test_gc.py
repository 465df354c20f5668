import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from pairsieve.pipeline import gc
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity.garbage import Garbage
from pairsieve.schemas.errors import BadOption

PutPlan = Callable[[Store], None]
LEFT = "gather/00000000.0123456789ab.tar"  # of an attempt that no marker names


@pytest.fixture
def store(tmp_path: Path, put_plan: PutPlan) -> Store:
    made = Store.at(tmp_path / "dataset")
    put_plan(made)
    made.write(LEFT, b"12345")
    return made


def paths(store: Store) -> list[str]:
    return [path for path, _, _ in store.list()]


def test_what_no_marker_names_is_deleted_and_told(store: Store) -> None:
    assert gc.run(store, 0) == [Garbage(LEFT, 5)]
    assert paths(store) == ["plan.json"]


def test_a_dry_run_tells_the_same_and_deletes_nothing(store: Store) -> None:
    before = paths(store)
    assert gc.run(store, 0, dry_run=True) == [Garbage(LEFT, 5)]
    assert paths(store) == before


def test_what_is_young_stays(store: Store) -> None:
    assert gc.run(store, 1) == []
    assert LEFT in paths(store)


def test_the_clock_that_dates_the_files_says_what_is_young(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + 48 * 3600, tz)

    monkeypatch.setattr(gc, "datetime", Ahead)
    assert gc.run(store, 24) == []
    assert paths(store) == [LEFT, "plan.json"]


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    store.write(LEFT, b"not a dataset")
    with pytest.raises(BadOption, match=r"holds no plan\.json, so it is no dataset"):
        gc.run(store, 0)
    assert paths(store) == [LEFT]


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",  # somebody's
        "gather/notes.txt",
        "gather/thesis.tar",
        "gather/00000000.0123456789ab.tar.bak",
        "photos/00000000.0123456789ab.tar",
        "audit/done.json",  # of a stage that this pairsieve does not know
        "audit/0123456789ab.parquet",
        "group/other/0123456789ab.parquet",
    ],
)
def test_names_and_folders_that_it_does_not_know_are_spared(store: Store, path: str) -> None:
    store.write(path, b"precious")
    assert gc.run(store, 0) == [Garbage(LEFT, 5)]
    assert store.read(path) == b"precious"


def test_what_a_marker_names_stays(store: Store) -> None:
    named = "gather/00000001.0123456789ab.tar"
    store.write(named, b"named")
    commit(store, "gather/00000001.json", Marker(1, {named: {"bytes": 5}}))
    assert gc.run(store, 0) == [Garbage(LEFT, 5)]
    assert named in paths(store)


def test_unfinished_files_are_deleted_if_their_name_is_known(store: Store) -> None:
    unfinished, other = f"{store.url}/{LEFT}#1", f"{store.url}/gather/draft#1"
    Path(unfinished).write_bytes(b"1234567")
    Path(other).write_bytes(b"somebody's")
    assert gc.run(store, 0) == [Garbage(LEFT, 5), Garbage(f"{LEFT}#1", 7)]
    assert not Path(unfinished).exists()
    assert Path(other).exists()


def test_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    behind = tmp_path / "elsewhere/00000002.0123456789ab.tar"
    behind.parent.mkdir()
    behind.write_bytes(b"another's")
    Path(store.url, "embed").mkdir()
    Path(store.url, "embed/model").symlink_to(behind.parent)
    behind.with_name("00000002.0123456789ab.vectors.parquet").write_bytes(b"another's")
    Path(store.url, "gather/00000003.0123456789ab.tar").symlink_to(behind)
    assert gc.run(store, 0) == [Garbage(LEFT, 5)]
    assert len(list(behind.parent.iterdir())) == 2
    assert behind.read_bytes() == b"another's"
