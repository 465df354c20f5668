"""Reading stored images for shards: one here and one there, or those of a tar in order.

Each is compared with the checksum that the ledger has of it.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.checksums import STORED_AT, StoredAt
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import IMAGE_BYTES, IMAGE_FILE, IMAGE_OFFSET
from pairsieve.schemas.errors import Stopped

READ_BYTES = 8 << 20  # of a tar, read together
GAP_BYTES = 1 << 20  # a longer stretch of a tar without any sample is passed over


def scattered(store: Store, samples: pa.Table) -> list[bytes]:
    """Return the image of each of the samples, wherever it lies.

    Raises:
        Stopped: a file is gone, or an image has other bytes.
    """
    return checksums.read_images(store, _stored_at(samples))


def _stored_at(samples: pa.Table) -> list[StoredAt]:
    columns = (samples[column.name].to_pylist() for column in STORED_AT)
    return [StoredAt(*values) for values in zip(*columns, strict=True)]


def in_order(store: Store, samples: pa.Table) -> Iterator[tuple[int, memoryview]]:
    """Yield index and image of each of the samples; every tar is read once, from front to back.

    Raises:
        Stopped: a file is gone, or an image has other bytes.
    """
    stored_at = _stored_at(samples)
    files = samples[IMAGE_FILE.name].to_numpy(zero_copy_only=False)
    starts, sizes = (samples[c.name].to_numpy() for c in (IMAGE_OFFSET, IMAGE_BYTES))
    for file in sorted(set(files)):
        of_file = np.flatnonzero(files == file)
        of_file = of_file[np.argsort(starts[of_file], kind="stable")]
        for stretch in _stretches(starts[of_file], sizes[of_file]):
            indices = of_file[stretch]
            begin = int(starts[indices[0]])
            length = int((starts[indices] + sizes[indices]).max()) - begin
            view = _stretch(store, str(file), begin, length)
            for index in indices:
                first = int(starts[index]) - begin
                image = view[first : first + int(sizes[index])]
                yield int(index), checksums.check_image(store, stored_at[index], image)


def _stretch(store: Store, file: str, begin: int, length: int) -> memoryview:
    try:
        return store.read_range(file, begin, length)
    except FileNotFoundError as error:
        why = f"{checksums.GONE}; {store.remedy}"
        raise Stopped(f"{store.location(file)}: {why}") from error


def _stretches(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Yield which ranges, sorted, are read together: those near one another, up to a size."""
    first = 0
    for index in range(1, len(starts)):
        far = starts[index] - (starts[index - 1] + sizes[index - 1]) > GAP_BYTES
        if far or starts[index] + sizes[index] - starts[first] > READ_BYTES:
            yield slice(first, index)
            first = index
    if len(starts):
        yield slice(first, len(starts))
