"""A drawn pool with stored images of drawn sizes, for what reads all of them.

The images are random bytes, which nothing that copies them looks at; a tar per unit, as `gather`
leaves it. There are no retry layers and no scores.
"""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.jobs.bench_data.draws import Draws
from pairsieve.jobs.bench_data.pool import Pool, plan_of
from pairsieve.jobs.bench_data.pool_rows import Web
from pairsieve.jobs.bench_data.pool_tables import StoredImage, UnitTables
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, PLAN_FILE, content, marker_path
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import IMAGE_BYTES, IMAGE_CHECKSUM, IMAGE_OFFSET, OUTCOME
from pairsieve.schemas.recipe import Recipe

SPREAD = 0.5  # of the logarithm of an image's size
STORED = (IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM)


def build_with_images(pool: Pool, recipe: Recipe, store: Store, image_bytes: int) -> None:
    """Make the dataset; the images have `image_bytes` in the median."""
    store.write(PLAN_FILE, plan_of(pool, recipe, store).dumps())
    web = Web(Draws(pool.seed), pool.rows)
    for unit in range(pool.units):
        _commit(pool, web, unit, store, image_bytes)


def _commit(pool: Pool, web: Web, unit: int, store: Store, image_bytes: int) -> None:
    """Commit one unit."""
    tar = content(GATHER_FOLDER, f"{unit:08d}", ".tar")
    rows = pool.rows_of(unit * pool.unit, pool.unit)
    table = UnitTables(rows, web, tar, StoredImage(0, 0, 0)).gathered(0)
    stored = np.array([outcome == "ok" for outcome in table[OUTCOME.name].to_pylist()])
    random = np.random.default_rng((pool.seed, unit))
    sizes = (image_bytes * np.exp(SPREAD * random.standard_normal(len(stored)))).astype(int) + 1
    offsets, sums = np.zeros(len(stored), np.int64), np.zeros(len(stored), np.uint64)
    with store.writer(tar) as sink, tarfile.open(fileobj=sink, mode="w") as members:
        for row in np.flatnonzero(stored):
            member = tarfile.TarInfo(f"{row:06d}.jpg")
            member.size = int(sizes[row])
            offsets[row] = members.offset + tarfile.BLOCKSIZE
            body = random.bytes(member.size)
            sums[row] = of_image(body)
            members.addfile(member, io.BytesIO(body))
    for column, values in zip(STORED, (offsets, sizes, sums), strict=True):
        index = table.column_names.index(column.name)
        array = pa.array(values, column.type, mask=~stored)
        table = table.set_column(index, table.schema.field(index), array)
    path = content(GATHER_FOLDER, f"{unit:08d}", ".parquet")
    with store.writer(path) as part:
        pq.write_table(table, part, compression="zstd")
    marker = Marker(table.num_rows, {tar: sink.entry(), path: part.entry()}, {})
    commit(store, marker_path(GATHER_FOLDER, f"{unit:08d}"), marker)
