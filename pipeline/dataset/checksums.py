"""What was committed is compared with what is read, while it is read.

A file that is read whole is compared with the SHA-256 that its marker names, once per process while
it does not change. A stored image is a few bytes of a tar that nobody reads whole, so the ledger
has a checksum of each: XXH3 of 64 bits, which costs 1 us per image where SHA-256 costs 33 us. Of
vectors some columns or row groups are read: their Parquet files have a CRC of each page.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import HashedReader
from pairsieve.schemas.columns import IMAGE_BYTES, IMAGE_CHECKSUM, IMAGE_FILE, IMAGE_OFFSET
from pairsieve.schemas.errors import Stopped

STORED_AT = (IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM)  # columns of a stored image
CHANGED = "its bytes are not those that were committed"
GONE = "it is gone"
REMEMBERED = 1 << 18  # files whose checksum is known while the process lives

Body = TypeVar("Body", bytes, memoryview)


class StoredAt(NamedTuple):
    """Where a stored image is, and the checksum that its bytes must have."""

    file: str
    offset: int
    bytes: int
    checksum: int


def of_image(body: bytes | memoryview) -> int:
    """Return the checksum of a stored image, 64 bits."""
    import xxhash

    return xxhash.xxh3_64_intdigest(body)


def check_image(store: Store, at: StoredAt, body: Body) -> Body:
    """Return the bytes of a stored image if they are those that were stored.

    Raises:
        Stopped: they are not.
    """
    if len(body) != at.bytes or of_image(body) != at.checksum:
        raise Stopped(
            f"{store.location(at.file)}: the image at byte {at.offset}: {CHANGED}; {store.remedy}"
        )
    return body


@lru_cache(REMEMBERED)
def of_version(store: Store, name: str, version: str) -> str:
    """Return the SHA-256 of a file, hex; read once as long as its listing has this version."""
    del version
    return of_file(store, name)


def of_file(store: Store, name: str) -> str:
    """Return the SHA-256 of a file, hex; FileNotFoundError when there is none."""
    with store.reader(name) as source:
        return str(HashedReader(source).entry()["sha256"])


def check(store: Store, name: str, sha256: str | None) -> None:
    """Read a committed file and compare it with its checksum; of None, it must only be there.

    Raises:
        Stopped: it is gone, or has other bytes.
    """
    try:
        found = of_file(store, name)
    except FileNotFoundError as error:
        raise Stopped(f"{store.location(name)}: {GONE}; {store.remedy}") from error
    if sha256 is not None and found != sha256:
        raise Stopped(f"{store.location(name)}: {CHANGED}; {store.remedy}")


def read(store: Store, name: str, entry: dict[str, Any]) -> io.BytesIO:
    """Return a committed file, read whole and compared with what its marker says, as a file.

    Raises:
        Stopped: it is gone, or has other bytes.
    """
    try:
        body = store.read(name)
    except FileNotFoundError as error:
        raise Stopped(f"{store.location(name)}: {GONE}; {store.remedy}") from error
    if hashlib.sha256(body).hexdigest() != entry.get("sha256"):
        raise Stopped(f"{store.location(name)}: {CHANGED}; {store.remedy}")
    return io.BytesIO(body)


@contextmanager
def open_parquet(store: Store, name: str) -> Iterator[Any]:
    """Give a committed Parquet file, a `ParquetFile`; of what is read, each page's CRC is compared.

    Pages without one are not compared.

    Raises:
        Stopped: it is gone, or damaged where it was read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with store.reader(name) as source:
            yield pq.ParquetFile(source, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise Stopped(f"{store.location(name)}: {GONE}; {store.remedy}") from error
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise Stopped(f"{store.location(name)}: damaged: {why}; {store.remedy}") from error


def read_images(store: Store, locations: Sequence[StoredAt]) -> list[bytes]:
    """Return stored images out of many files, in the order given, each compared.

    Raises:
        Stopped: a file is gone, or an image has other bytes.
    """
    try:
        bodies = store.read_byte_ranges([(at.file, at.offset, at.bytes) for at in locations])
    except FileNotFoundError as error:
        files = [at.file for at in locations]
        gone = next((file for file in files if not store.exists(file)), files[0])
        raise Stopped(f"{store.location(gone)}: {GONE}; {store.remedy}") from error
    return [check_image(store, at, body) for at, body in zip(locations, bodies, strict=True)]


def located(rows: Iterable[dict[str, Any]]) -> list[StoredAt]:
    """Return where the stored images of ledger rows are."""
    return [StoredAt(*(row[column.name] for column in STORED_AT)) for row in rows]
