import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.object_files import ObjectFiles

CONTENT = random.Random(0).randbytes(300_000)


def test_threads_read_one_file_each_at_its_own_position(s3: str) -> None:
    Store.at(s3).write("bytes.bin", CONTENT)
    file = ObjectFiles("s3").open(f"{s3}/bytes.bin")

    def read_pieces(seed: int) -> bool:
        chance = random.Random(seed)
        for _ in range(50):
            start = chance.randrange(len(CONTENT))
            length = chance.randrange(1, 5_000)
            file.seek(start)
            if file.read(length) != CONTENT[start : start + length]:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read_pieces, range(8)))


def test_a_file_is_read_as_any_other(s3: str) -> None:
    Store.at(s3).write("bytes.bin", CONTENT)
    file = ObjectFiles("s3").open(f"{s3}/bytes.bin")

    assert file.read(5) == CONTENT[:5]
    assert file.tell() == 5
    assert file.seek(-4, 2) == len(CONTENT) - 4
    assert file.read() == CONTENT[-4:]
    assert file.read(1) == b""
    assert file.seek(2) == 2
    assert file.seek(3, 1) == 5
    with pytest.raises(ValueError, match="read here"):
        ObjectFiles("s3").open(f"{s3}/bytes.bin", "wb")


def test_duckdb_reads_an_object_store_with_several_threads(s3: str) -> None:
    store, rows = Store.at(s3), 50_000
    files = [f"{number}.parquet" for number in range(8)]
    for number, file in enumerate(files):
        column = pa.array(range(number, number + rows))
        with store.writer(file) as sink:
            pq.write_table(pa.table({"x": column}), sink, row_group_size=5_000)

    with connect(store, threads=4) as connection:
        pairs = connection.read_parquet([store.location(file) for file in files])
        sums = [pairs.aggregate("sum(x), count(*)").fetchall()[0] for _ in range(5)]

    expected = sum(range(rows)) * 8 + rows * sum(range(8))
    assert sums == [(expected, rows * 8)] * 5
