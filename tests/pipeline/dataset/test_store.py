import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pairsieve.pipeline.dataset.commit import commit, current, fingerprint, marker_of, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import storage_errors
from pairsieve.schemas.errors import BadOption, Stopped


def test_create_puts_only_if_absent(store: Store) -> None:
    assert store.create("a/m.json", b"first")
    assert not store.create("a/m.json", b"second")
    assert store.read("a/m.json") == b"first"


def test_what_is_deleted_before_it_is_looked_at_was_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("m.json", b"another's")
    read = Store.read

    def deleted(self: Store, path: str) -> bytes:
        self.delete([path])
        return read(self, path)

    monkeypatch.setattr(Store, "read", deleted)
    assert not store.create("m.json", b"ours")


def test_of_many_creators_exactly_one_wins(store: Store) -> None:
    won: list[int] = []

    def contend(number: int) -> None:
        if store.create("m.json", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=contend, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.read("m.json")] == [str(n).encode() for n in won]


def test_write_replaces(store: Store) -> None:
    store.write("a", b"first")
    store.write("a", b"second")
    assert store.read("a") == b"second"


def test_writer_streams_and_knows_its_checksum(store: Store) -> None:
    block = bytes(range(256)) * 4096
    with store.writer("big.bin") as sink:
        for _ in range(12):
            sink.write(block)
    assert sink.entry() == {
        "bytes": 12 * len(block),
        "sha256": hashlib.sha256(block * 12).hexdigest(),
    }
    assert store.read("big.bin") == block * 12


def test_a_writer_left_by_an_error_leaves_nothing_to_see(store: Store) -> None:
    def fail() -> None:
        with store.writer("half.bin") as sink:
            sink.write(b"x" * (20 << 20))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(store.list()) == []


def test_reader_seeks_and_ranges_come_in_the_order_asked(store: Store) -> None:
    store.write("a", b"0123456789")
    with store.reader("a") as source:
        source.seek(-3, 2)
        assert source.read() == b"789"
    assert store.read_ranges("a", [5, 0], [2, 3]) == [b"56", b"012"]


def test_places_in_many_files_come_in_the_order_asked(store: Store) -> None:
    for name in "abc":
        store.write(name, (name * 4).encode() + b"0123")
    places = [("c", 4, 2), ("a", 0, 1), ("b", 6, 2), ("c", 0, 3), ("a", 7, 1)]
    assert store.read_byte_ranges(places) == [b"01", b"a", b"23", b"ccc", b"3"]
    assert store.read_byte_ranges([]) == []


def test_list_is_sorted_and_a_changed_object_has_another_version(store: Store) -> None:
    store.write("b/2", b"x")
    store.write("b/1", b"xy")
    before = list(store.list("b"))
    assert [(path, size) for path, size, _ in before] == [("b/1", 2), ("b/2", 1)]
    store.write("b/2", b"other")
    after = list(store.list("b"))
    assert after[0] == before[0]
    assert after[1][2] != before[1][2]


def test_missing_objects(store: Store) -> None:
    assert not store.exists("nothing")
    assert store.marker("nothing.json") is None
    assert list(store.list("nothing")) == []
    store.delete(["nothing"])
    with pytest.raises(FileNotFoundError):
        store.read("nothing")


def test_the_loser_of_a_race_deletes_its_files_and_gets_the_winners_marker(store: Store) -> None:
    store.write("g/1.first.parquet", b"1")
    store.write("g/1.second.parquet", b"2")
    first = Marker(5, {"g/1.first.parquet": {"bytes": 1}})
    second = Marker(5, {"g/1.second.parquet": {"bytes": 1}})
    won = commit(store, "g/1.json", first)
    assert won.files == first.files
    assert commit(store, "g/1.json", second) == won
    assert [path for path, _, _ in store.list("g")] == ["g/1.first.parquet", "g/1.json"]


def test_what_was_committed_and_is_gone_stops_the_work(store: Store) -> None:
    commit(store, "select/done.json", Marker(1, {}))
    assert marker_of(store, "select/done.json").rows == 1
    store.delete(["select/done.json"])
    with pytest.raises(Stopped, match=r"select/done.json: was committed and is gone; run"):
        marker_of(store, "select/done.json")


def test_markers_are_those_directly_in_the_folder(store: Store) -> None:
    names = ("00000002", "00000001.5+3", "notes", "deeper/00000003")
    for path in ("gather.json", *(f"gather/{name}.json" for name in names)):
        store.create(path, Marker(1, {}).dumps())
    assert list(store.markers("gather")) == ["00000001.5+3", "00000002"]  # notes are somebody's


def test_replace_deletes_what_the_old_result_had(store: Store) -> None:
    for name in ("old", "new"):
        store.write(f"d/{name}", b"x")
        replace(store, "d/done.json", Marker(1, {f"d/{name}": {}}, {}, {"fingerprint": name}))
    assert not store.exists("d/old")
    assert current(store, "d/done.json", "old") is None
    found = current(store, "d/done.json", "new")
    assert found is not None
    assert found.files == {"d/new": {}}


def test_entries_tell_when_they_changed(store: Store) -> None:
    store.write("a", b"x")
    (entry,) = store.entries()
    assert abs((datetime.now(UTC) - entry["last_modified"]).total_seconds()) < 3600


def test_unknown_storage_is_refused() -> None:
    with pytest.raises(BadOption, match="ftp://host/x: unknown kind of storage"):
        Store.at("ftp://host/x")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadOption, match="file: cannot be made"):
        Store.at(tmp_path / "file").write("a", b"")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("disk full", "storage failed at s3://b/x: disk full"),
        ("PUT http://169.254.169.254/latest/api/token", "s3://b/x: no credentials were found"),
    ],
)
def test_storage_that_fails_stops_with_its_location_and_what_to_do(error: str, told: str) -> None:
    with pytest.raises(Stopped, match=told), storage_errors("s3://b/x"):
        raise OSError(error)


def test_fingerprint_depends_on_content_only() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"rows": 1}',
        b'{"rows": 1, "files": {}, "more": 1}',
        b'{"rows": 1, "files": {"../victim/ledger.parquet": {}}}',
        b'{"rows": 1, "files": {"/etc/passwd": {}}}',
        b'{"rows": 1, "files": {"gather//a.parquet": {}}}',
    ],
)
def test_a_damaged_marker_or_one_that_leads_outside_stops_the_work(
    tmp_path: Path, data: bytes
) -> None:
    store = Store.at(tmp_path)
    store.write("gather/00000000.json", data)
    with pytest.raises(
        Stopped, match=r"gather/00000000\.json: a damaged marker: .*verify .* --repair"
    ):
        store.markers("gather")
