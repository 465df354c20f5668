"""Forgotten pairs: what `pairsieve forget` took out of the dataset is never fetched again.

Its records hold 64 bits of each URL, host and hash that was named, and the rows and uids that were
taken out. So whatever gathers a pair once more, or for the first time from further input, knows it,
before the fetch by its row, uid, URL or host, behind it by the bytes and the picture.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    FORGET_BEGUN,
    FORGOTTEN,
    forgotten_record,
    marker_path,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.pipeline.ledger.files import UNITS, any_of
from pairsieve.schemas.columns import ROW, UID
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from pairsieve.pipeline.unit.ledger_part import Part

KIND, KEY = "kind", "key"  # columns of a file of keys
UID_KIND = "uid"
REASON = "reason"  # in a record
UNITS_LEFT = "units_left"  # likewise: how many were not gathered yet, so not looked through

Keys = list[tuple[str, str]]  # kind and 16 hex digits, or a uid


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was taken out.

    Attributes:
        index: By URL, host, SHA-256 and pHash.
        uids: Where each uid that was named is reported to come from.
        records: The markers of the records, by path.
    """

    index: BlocklistIndex
    uids: Mapping[str, str]
    records: Mapping[str, Marker]

    def take_out(self, store: Store, part: "Part", unit: int) -> None:
        """Take out of the part of a unit, before anything is fetched, what must not be."""
        rows = dict(self._rows(store, unit))
        for index in range(part.rows):
            row, uid = (part.values[column.name][index] for column in (ROW, UID))
            if row in rows:
                part.forget(index, *rows[row])
            elif entry := self.uids.get(uid) or self.index.of_canonical(part.urls[index]):
                part.forget(index, entry)

    def _rows(self, store: Store, unit: int) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the rows that were taken out of a unit, each with reason and uid."""
        import pyarrow.parquet as pq

        for record in self.records.values():
            for name, entry in record.files.items():
                if UNITS in entry and any_of(entry, unit, unit):
                    table = pq.read_table(checksums.read(store, name, entry))
                    columns = (table[column.name].to_pylist() for column in (ROW, UID))
                    for row, uid in zip(*columns, strict=True):
                        yield row, (record.extra[REASON], uid)


def names(store: Store) -> tuple[str, ...]:
    """Return the names of the records, in order."""
    found = [name for name in store.marker_names(FORGOTTEN) if name.isdecimal()]
    while store.exists(forgotten_record(len(found) + 1)):  # a list may lag behind
        found.append(f"{len(found) + 1:04d}")
    return tuple(found)


@lru_cache(maxsize=4)
def read_once(store: Store, records: tuple[str, ...]) -> Forgotten | None:
    """Return what these records took out; None without any. A record never changes."""
    found = {marker_path(FORGOTTEN, name): _record(store, name) for name in records}
    if not found:
        return None
    uids: dict[str, str] = {}
    lists: dict[str, list[tuple[str, int]]] = {}
    for path, record in found.items():
        keys = read_keys(store, record)
        uids |= {key: f"uid in {path}" for kind, key in keys if kind == UID_KIND}
        lists[path] = as_numbers(keys)
    return Forgotten(BlocklistIndex.of_keys(lists), uids, found)


def _record(store: Store, name: str) -> Marker:
    return marker_of(store, marker_path(FORGOTTEN, name))


def as_numbers(keys: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
    """Return the keys but those of uids, as the index of a blocklist takes them."""
    return [(kind, int(key, 16)) for kind, key in keys if kind != UID_KIND]


def read_keys(store: Store, record: Marker) -> Keys:
    """Return the keys of a record.

    Raises:
        Stopped: the file is gone or has other bytes.
    """
    import pyarrow.parquet as pq

    (file,) = (item for item in record.files.items() if UNITS not in item[1])
    table = pq.read_table(checksums.read(store, *file))
    return list(zip(table[KIND].to_pylist(), table[KEY].to_pylist(), strict=True))


def keys_table(keys: Keys) -> pa.Table:
    """Return keys as their file has them."""
    kinds, values = zip(*keys, strict=True) if keys else ((), ())
    columns = {KIND: pa.array(kinds, pa.string()), KEY: pa.array(values, pa.string())}
    return pa.table(columns)


def check_finished(store: Store) -> None:
    """Refuse to go on while pairs are half taken out.

    Raises:
        Stopped: a `forget` was begun and not finished.
    """
    if store.exists(FORGET_BEGUN):
        raise Stopped(
            f"{store.url}: a `forget` was stopped before its end, so some files have the pairs and "
            "some have not; the same command finishes it, and so does `pairsieve forget` with "
            "nothing to forget"
        )
