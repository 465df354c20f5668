"""Parted files: each part is read back alone, and a damaged one is noticed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import Stopped


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def written(store: Store, name: str, values: list[int], numbers: list[int]) -> PartedFile:
    parts = parted.split(pa.table({"value": values}), np.array(numbers), 3)
    sink = parted.write(store, name, parts)
    return PartedFile(name, sink.entry()["bytes"], 3)


def test_a_part_of_several_files_has_their_rows_in_order(store: Store) -> None:
    files = [
        written(store, "a.bin", [1, 2, 3, 4], [2, 0, 2, 0]),
        written(store, "b.bin", [5, 6], [0, 2]),
    ]
    found = [parted.read_all(store, files, number)["value"].to_pylist() for number in range(3)]
    assert found == [[2, 4, 5], [], [1, 3, 6]]


def test_a_damaged_part_is_noticed_and_the_others_are_read(store: Store) -> None:
    file = written(store, "a.bin", [1, 2, 3, 4], [0, 0, 2, 2])
    path = Path(store.location("a.bin"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # in the second part
    path.write_bytes(content)
    assert parted.read(store, file, 0)["value"].to_pylist() == [1, 2]
    with pytest.raises(Stopped, match="damaged"):
        parted.read(store, file, 1)


def test_hashes_are_shared_out_by_their_leading_bits() -> None:
    hashes = np.array([0, 2**62, 2**63, 2**64 - 1], np.uint64)
    assert parted.share(hashes, 4).tolist() == [0, 1, 2, 3]
    assert parted.share(hashes, 1).tolist() == [0, 0, 0, 0]
