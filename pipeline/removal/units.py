"""What a unit holds of pairs: ledger rows, stored images, requests, vectors, scores, cosines.

All its task slices are written together, since a retry layer may point to an image of the first
gather. Of the ledger only row and uid stay, with the outcome `forgotten` and the reason.
"""

import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.checksums import StoredAt
from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.marker import REPLACED, Marker
from pairsieve.pipeline.dataset.paths import (
    CAPTIONS_SUFFIX,
    GATHER_FOLDER,
    REQUESTS_SUFFIX,
    SCORES_SUFFIX,
    VECTORS_SUFFIX,
    beside,
    layer_of,
    marker_path,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.removal.replacement import Replacement, with_values
from pairsieve.pipeline.unit.fetch_summary import COLUMNS, KEY, tally_of
from pairsieve.schemas.columns import (
    CAPTION_OUTCOME,
    DETAIL,
    FETCHED_AT,
    FINAL_URL,
    HOST,
    IMAGE_BYTES,
    IMAGE_CHECKSUM,
    IMAGE_FILE,
    IMAGE_OFFSET,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    UID,
)
from pairsieve.schemas.outcomes import Outcome

STAYS = (ROW, UID, RETRY_LAYER)
IMAGES_AT_ONCE = 64
ROWS_COUNTED = ("embedded", "scored")  # in markers of vectors and scores: rows of the file
BLOCK = tarfile.BLOCKSIZE
VECTORS_OF = "vectors"  # in a marker of cosines: the file that they were made of


class Unit(NamedTuple):
    """A unit to take pairs out of.

    Attributes:
        number: Which.
        slices: The names of its gathered task slices.
        found: The file of rows and uids of its block.
    """

    number: int
    slices: tuple[str, ...]
    found: str


@dataclass
class Slice:
    """A gathered task slice while it is written anew; `gone` tells its rows that leave, (n,)."""

    name: str
    marker: Marker
    table: pa.Table
    gone: NDArray[np.bool_]

    def values(self, column: str) -> list[Any]:
        """Return the values of a column."""
        values: list[Any] = self.table[column].to_pylist()
        return values


@dataclass(frozen=True, slots=True)
class UnitTask:
    """Prepares units without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        unit_pairs: Pairs of a unit.
        reason: What the ledger says of the pairs.
        folders: Those with a marker for each task slice: of vectors, scores, captions by models,
            and cosines to evaluation sets, which come behind the vectors.
    """

    store: Store
    folder: str
    unit_pairs: int
    reason: str
    folders: tuple[str, ...]

    def __call__(self, unit: Unit) -> Marker:
        """Prepare one unit and commit it."""
        rows = self._rows(unit)
        slices = sorted((self._slice(name, rows) for name in unit.slices), key=_layer)
        new = Replacement(len(rows))
        earlier: dict[int, str] = {}
        moved = self._new_tars(slices, new)
        hosts = _hosts(slices, True) - _hosts(slices, False)
        for one in slices:
            self._gathered(one, moved, hosts, earlier, new)
        for one in slices:
            self._embedded(one.name, rows, new)
        return new.commit(self.store, self.folder, unit.number)

    def _rows(self, unit: Unit) -> NDArray[np.int64]:
        first = unit.number * self.unit_pairs
        with self.store.reader(unit.found) as source:
            rows = pq.read_table(source, columns=[ROW.name])[ROW.name].to_numpy()
        own: NDArray[np.int64] = rows[(rows >= first) & (rows < first + self.unit_pairs)]
        return own

    def _slice(self, name: str, rows: NDArray[np.int64]) -> Slice:
        marker = marker_of(self.store, marker_path(GATHER_FOLDER, name))
        table = pq.read_table(checksums.read(self.store, *marker.entry(".parquet")))
        return Slice(name, marker, table, np.isin(table[ROW.name].to_numpy(), rows))

    def _new_tars(
        self, slices: Sequence[Slice], new: Replacement
    ) -> dict[tuple[str, int], tuple[str, int]]:
        """Write the tars that hold images of these pairs alone; return where the others are now."""
        kept, gone = _images(slices, False), _images(slices, True)
        moved: dict[tuple[str, int], tuple[str, int]] = {}
        for one in slices:
            for old in [file for file in one.marker.files if file.endswith(".tar")]:
                if any(at.file == old for at in gone - kept):
                    members = sorted(at for at in kept if at.file == old)
                    path = beside(marker_path(GATHER_FOLDER, one.name), ".tar")
                    offsets, entry = self._copied(members, path)
                    moved |= {(old, at): (path, offset) for at, offset in offsets.items()}
                    new.succeed(old, one.marker.files[old], path, entry)
        return moved

    def _copied(
        self, members: Sequence[StoredAt], path: str
    ) -> tuple[dict[int, int], dict[str, Any]]:
        """Write a tar of these images of another; return where each is now, and its entry."""
        offsets: dict[int, int] = {}
        with (
            self.store.writer(path) as sink,
            tarfile.open(fileobj=sink, mode="w|") as tar,
        ):
            for first in range(0, len(members), IMAGES_AT_ONCE):
                some = members[first : first + IMAGES_AT_ONCE]
                ranges = [(at.file, at.offset - BLOCK, at.bytes + BLOCK) for at in some]
                for at, data in zip(some, self.store.read_byte_ranges(ranges), strict=True):
                    member = tarfile.TarInfo.frombuf(data[:BLOCK], "utf-8", "surrogateescape")
                    image = checksums.check_image(self.store, at, data[BLOCK:])
                    offsets[at.offset] = tar.offset + BLOCK
                    tar.addfile(member, BytesIO(image))
        return offsets, sink.entry()

    def _gathered(
        self,
        one: Slice,
        moved: Mapping[tuple[str, int], tuple[str, int]],
        hosts: set[str],
        earlier: dict[int, str],
        new: Replacement,
    ) -> None:
        """Prepare a task slice; `earlier` has the outcomes in the layers before it, by row."""
        extra = dict(one.marker.extra)
        if REPLACED in extra:
            extra[REPLACED] = _replaced(extra[REPLACED], one, earlier)
        outcomes = zip(one.values(ROW.name), one.values(OUTCOME.name), one.gone, strict=True)
        earlier |= {row: outcome for row, outcome, gone in outcomes if gone}
        table = _relocated(_without(one.table, one.gone, self.reason), moved)
        if not one.gone.any() and table.equals(one.table):
            return
        files: dict[str, Any] = {}
        for name, entry in one.marker.files.items():
            path = beside(marker_path(GATHER_FOLDER, one.name), _suffix(name))
            if name.endswith(".parquet"):
                new.succeed(name, entry, path, self._write(path, table))
            elif name.endswith(REQUESTS_SUFFIX) and hosts:
                new.succeed(name, entry, path, self._requests(name, entry, path, hosts))
            else:
                path = new.new.get(name, name)
            files[path] = new.files.get(path, entry)
        counts = dict(sorted(Counter(table[OUTCOME.name].to_pylist()).items()))
        marker = Marker(one.marker.rows, files, counts, extra | {KEY: _tally(table)})
        new.markers[marker_path(GATHER_FOLDER, one.name)] = marker

    def _write(self, path: str, table: pa.Table) -> dict[str, Any]:
        with self.store.writer(path) as sink:
            pq.write_table(table, sink, compression="zstd")
        return sink.entry()

    def _requests(
        self, name: str, entry: dict[str, Any], path: str, hosts: set[str]
    ) -> dict[str, Any]:
        table = pq.read_table(checksums.read(self.store, name, entry))
        known = pc.is_in(table[HOST.name], pa.array(sorted(hosts), pa.string()))
        return self._write(path, table.filter(pc.invert(known)))

    def _embedded(self, name: str, rows: NDArray[np.int64], new: Replacement) -> None:
        """Prepare what models have made of a task slice."""
        for path in (marker_path(folder, name) for folder in self.folders):
            marker = self.store.marker(path)
            if marker is None:
                continue
            files, counts = {}, dict(marker.counts)
            for file, entry in marker.files.items():
                made, left = self._rows_left(path, file, entry, rows, new)
                files[made] = new.files.get(made, entry)
                counts |= {key: len(left) for key in ROWS_COUNTED if key in counts}
                if CAPTION_OUTCOME.name in left.column_names:
                    counts = dict(Counter(left[CAPTION_OUTCOME.name].to_pylist()))
            if files != marker.files or marker.extra.get(VECTORS_OF) in new.new:
                extra = _extra(marker, new)
                new.markers[path] = replace(marker, files=files, counts=counts, extra=extra)

    def _rows_left(
        self,
        path: str,
        file: str,
        entry: dict[str, Any],
        rows: NDArray[np.int64],
        new: Replacement,
    ) -> tuple[str, pa.Table]:
        """Write the other rows of a file, if some leave it; return the file to use and its rows."""
        source = pq.ParquetFile(checksums.read(self.store, file, entry))
        table = source.read()
        stay = ~np.isin(table[ROW.name].to_numpy(), rows)
        if stay.all():
            return file, table
        made = beside(path, _suffix(file))
        size = source.metadata.row_group(0).num_rows
        left = table.filter(pa.array(stay))
        with self.store.writer(made) as sink:
            pq.write_table(
                left,
                sink,
                compression="zstd",
                use_dictionary=False,
                row_group_size=size,
                write_page_checksum=True,
            )
        new.succeed(file, entry, made, sink.entry())
        return made, left


def _layer(one: Slice) -> int:
    return layer_of(one.name)


def _suffix(file: str) -> str:
    """Return what a file of a task slice ends in, behind the token of its attempt."""
    for suffix in (VECTORS_SUFFIX, CAPTIONS_SUFFIX, SCORES_SUFFIX, REQUESTS_SUFFIX):
        if file.endswith(suffix):
            return suffix
    return file[file.rindex(".") :]


def _images(slices: Iterable[Slice], gone: bool) -> set[StoredAt]:
    """Return where the images of pairs lie that leave, or of those that stay."""
    found: set[StoredAt] = set()
    for one in slices:
        some = one.table.filter(pa.array(one.gone == gone))
        columns = (IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM)
        values = zip(*(some[column.name].to_pylist() for column in columns), strict=True)
        found |= {StoredAt(*each) for each in values if each[0] is not None}
    return found


def _hosts(slices: Iterable[Slice], gone: bool) -> set[str]:
    """Return the hosts of pairs that leave, or of those that stay."""
    found: set[str] = set()
    for one in slices:
        some = one.table.filter(pa.array(one.gone == gone))
        found |= set(some[HOST.name].to_pylist())
        for url in set(some[FINAL_URL.name].to_pylist()) - {None}:
            target = canonical(url)
            found |= {target.host} if target else set()
    return found - {None}


def _replaced(counted: Mapping[str, int], one: Slice, earlier: Mapping[int, str]) -> dict[str, int]:
    """Return which outcomes a retry layer replaces, now that those of these pairs are others."""
    counts = Counter(counted)
    rows = one.table.filter(pa.array(one.gone))[ROW.name].to_pylist()
    for outcome in (earlier[row] for row in rows):
        counts[outcome] -= 1
        counts[str(Outcome.FORGOTTEN)] += 1
    return dict(sorted((+counts).items()))


def _without(table: pa.Table, gone: NDArray[np.bool_], reason: str) -> pa.Table:
    """Return a ledger part in which of these pairs only row, uid and the reason are left."""
    emptied = table.take(pa.array(np.arange(len(gone)), mask=gone))
    leaves = pa.array(gone)
    put = {OUTCOME.name: str(Outcome.FORGOTTEN), DETAIL.name: reason}
    columns = []
    for field in table.schema:
        column = emptied[field.name]
        if field.name in {each.name for each in STAYS}:
            column = table[field.name]
        elif field.name in put:
            value = pa.scalar(put[field.name], field.type)
            column = pc.if_else(leaves, value, table[field.name])
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=table.schema)


def _relocated(table: pa.Table, moved: Mapping[tuple[str, int], tuple[str, int]]) -> pa.Table:
    """Return a ledger part that knows where images are now."""
    old = zip(table[IMAGE_FILE.name].to_pylist(), table[IMAGE_OFFSET.name].to_pylist(), strict=True)
    places = [moved.get(at, at) for at in old]
    for column, values in zip((IMAGE_FILE, IMAGE_OFFSET), zip(*places, strict=True), strict=False):
        table = with_values(table, column.name, values)
    return table


def _tally(table: pa.Table) -> dict[str, Any]:
    """Return the counts of the fetches of the pairs that are left."""
    left = table.filter(pc.not_equal(table[OUTCOME.name], str(Outcome.FORGOTTEN)))
    times = left[FETCHED_AT.name].cast(pa.int64()).to_pylist()
    values = {column.name: left[column.name].to_pylist() for column in COLUMNS}
    return tally_of(values | {FETCHED_AT.name: times})


def _extra(marker: Marker, new: Replacement) -> dict[str, Any]:
    """Return the rest of a marker; cosines are of the vectors as they are now."""
    known = marker.extra.get(VECTORS_OF)
    return marker.extra | ({VECTORS_OF: new.new[known]} if known in new.new else {})
