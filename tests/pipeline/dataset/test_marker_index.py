from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.dataset import marker_index
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import index_path, marker_path, retry_layer
from pairsieve.pipeline.dataset.store import Store

INDEX = "gather/index.bin"


@pytest.fixture(autouse=True)
def _fold_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marker_index, "FOLD_AT", 3)
    monkeypatch.setattr(marker_index, "GROUP", 4)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The markers that are read one by one."""
    found: list[str] = []
    read = Store.marker_body

    def counting(self: Store, path: str) -> bytes | None:
        found.append(path)
        return read(self, path)

    monkeypatch.setattr(Store, "marker_body", counting)
    return found


def put(store: Store, *names: str, rows: int = 5) -> None:
    for name in names:
        marker = Marker(rows, {f"gather/{name}.tar": {"bytes": rows}}, {"ok": rows}, {"of": name})
        store.create(marker_path("gather", name), marker.dumps())


def fold(store: Store, before: str = "00000100", layers: int = 0) -> bool:
    return marker_index.fold(store, "gather", store.markers("gather"), before, layers)


def test_an_index_stands_for_the_markers_in_it(store: Store, reads: list[str]) -> None:
    put(store, *(f"{number:08d}" for number in range(10)), "00000003.0+2", "00000003.r1")
    before = dict(store.markers("gather"))
    assert len(reads) == len(before) == 12
    assert fold(store)
    reads.clear()
    after = store.markers("gather")
    assert dict(after) == before
    assert (list(after), len(after)) == (list(before), 12)
    assert store.marker_names("gather") == list(before)
    assert reads == []
    assert "00000003.0+2" in after
    assert "00000003.0+3" not in after
    with pytest.raises(KeyError):
        after["00000003.0+3"]


def test_what_is_committed_later_is_found_behind_the_end_of_the_index(
    store: Store, reads: list[str]
) -> None:
    put(store, *(f"{number:08d}" for number in range(6)))
    assert fold(store, before="00000004")
    put(store, "00000004.0+2", "00000007")
    reads.clear()
    names = [*(f"{number:08d}" for number in range(4)), "00000004.0+2", "00000004", "00000005"]
    assert list(store.markers("gather")) == store.marker_names("gather") == [*names, "00000007"]
    assert {path.split("/")[1][:8] for path in reads} == {"00000004", "00000005", "00000007"}


def test_a_retry_layer_that_begins_later_commits_between_older_ones(store: Store) -> None:
    put(store, *(f"{number:08d}" for number in range(5)))
    assert fold(store)
    store.create(retry_layer(1), b"{}")
    put(store, "00000002.r1")
    assert "00000002.r1" in store.markers("gather")
    assert "00000002.r1" in store.marker_names("gather")
    put(store, "00000000.r1", "00000001.r1")
    assert fold(store, "00000005", layers=1)
    assert len(store.markers("gather")) == 8


def test_few_are_not_folded_and_the_cost_stays_linear(store: Store) -> None:
    put(store, "00000000", "00000001")
    assert not fold(store)
    put(store, *(f"{number:08d}" for number in range(2, 20)))
    assert fold(store, "00000020")
    put(store, "00000020", "00000021", "00000022")
    assert not fold(store, "00000023")
    put(store, "00000023", "00000024")
    assert fold(store, "00000025")


def test_a_marker_that_is_deleted_or_replaced_takes_the_index_with_it(store: Store) -> None:
    put(store, *(f"{number:08d}" for number in range(5)))
    assert fold(store)
    store.delete(["gather/00000002.json"])
    assert not store.exists(INDEX)
    assert "00000002" not in store.markers("gather")
    assert fold(store)
    store.write("gather/00000003.json", Marker(77, {}).dumps())
    assert store.markers("gather")["00000003"].rows == 77


def test_a_damaged_index_is_not_believed(store: Store) -> None:
    put(store, *(f"{number:08d}" for number in range(12)))
    before = dict(store.markers("gather"))
    for at in range(4, 4000, 331):
        assert fold(store)
        body = bytearray(store.read(INDEX))
        body[at % len(body)] ^= 1
        store.write(INDEX, bytes(body))
        assert dict(store.markers("gather")) == before
        store.delete([INDEX])


def test_on_a_disk_a_marker_counts_only_while_its_file_is_there(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    put(store, *(f"{number:08d}" for number in range(5)))
    assert fold(store)
    (tmp_path / "gather/00000001.json").unlink()
    (tmp_path / "gather/00000002.json").write_bytes(Marker(8, {}).dumps())
    found = store.markers("gather")
    assert list(found) == ["00000000", "00000002", "00000003", "00000004"]
    assert found["00000002"].rows == 8


def test_of_vectors_and_scores_the_folder_below_is_not_listed_with_them(store: Store) -> None:
    deeper = "embed/model/scores-0123456789abcdef"
    for folder in ("embed/model", deeper):
        for number in range(4):
            store.create(marker_path(folder, f"{number:08d}"), Marker(number, {}).dumps())
    for folder in ("embed/model", deeper):
        assert marker_index.fold(store, folder, store.markers(folder), ":", 0)
        assert store.exists(f"{folder}/index.bin")
        assert [marker.rows for marker in store.markers(folder).values()] == [0, 1, 2, 3]
    assert index_path("embed") is None
    assert index_path("group/near/0123456789abcdef/search") is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "fold", "delete", "change"]), st.integers(0, 12)),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=repeated(20, 60), deadline=None)
def test_with_an_index_the_markers_are_what_they_are_without(
    steps: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        store, expected = Store.at(folder), dict[str, int]()
        for rows, (step, number) in enumerate(steps):
            name = f"{number:08d}"
            if step == "put" and name not in expected:
                put(store, name, rows=rows)
                expected[name] = rows
            elif step == "fold":
                fold(store, f"{number:08d}")
            elif step == "delete":
                store.delete([marker_path("gather", name)])
                expected.pop(name, None)
            elif step == "change" and name in expected:
                store.write(marker_path("gather", name), Marker(rows, {}).dumps())
                expected[name] = rows
            found = {name: marker.rows for name, marker in store.markers("gather").items()}
            assert found == dict(sorted(expected.items()))
