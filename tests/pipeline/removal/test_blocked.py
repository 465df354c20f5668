"""What the blocklist said of pairs leaves with them, and of the others stays."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import WAS
from pairsieve.pipeline.removal.blocked import BlockedTask
from pairsieve.pipeline.removal.replacement import NEW, OLD

FOLDER = "forgotten/rounds/0123456789abcdef/blocklist"
FILE = "blocklist/blocks/0123456789abcdef/000000.0123456789ab.parquet"


def prepared(store: Store, leaving: list[int]) -> Marker:
    """Let rows leave a file of three."""
    entries = {}
    for path, rows in ((FILE, [2, 5, 9]), ("found.parquet", leaving)):
        with store.writer(path) as sink:
            pq.write_table(pa.table({"row": pa.array(rows, pa.int64())}), sink)
        entries[path] = sink.entry()
    task = BlockedTask(store, FOLDER)
    return task((0, FILE, entries[FILE] | {"units": [0, 0]}, ("found.parquet",)))


def test_rows_leave_and_the_new_file_stands_for_the_old_one(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    marker = prepared(store, [5, 7])
    new = marker.extra[NEW][FILE]
    with store.reader(new) as source:
        assert pq.read_table(source)["row"].to_pylist() == [2, 9]
    assert marker.rows == 1
    assert marker.extra[OLD] == [FILE]
    assert marker.files[new][WAS][0] == FILE
    assert marker.files[new]["units"] == [0, 0]
    assert store.exists(FILE)  # until it is applied


def test_a_file_without_them_stays(tmp_path: Path) -> None:
    marker = prepared(Store.at(tmp_path), [3])
    assert (marker.rows, marker.files, marker.extra[NEW], marker.extra[OLD]) == (0, {}, {}, [])
