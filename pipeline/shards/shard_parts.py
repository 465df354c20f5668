"""The commit of one shard: its file, its part of the manifest, and the marker of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    content,
    marker_path,
    shard_file,
    shard_parts,
    shards_folder,
)
from pairsieve.pipeline.dataset.shard_names import file_of_shard, is_shard, part_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import ROW, SHARD, SHARD_OFFSET, UID, Column, arrow_schema
from pairsieve.schemas.errors import Stopped

SHARD_SHA256 = Column("shard_sha256", pa.string(), "", "SHA-256 of the shard file, hex.", False)
HISTORY = "history"  # in a marker: pairs were taken out of the shards, or shards were appended
MANIFEST = (ROW, UID, SHARD, SHARD_OFFSET, SHARD_SHA256)


@dataclass(frozen=True, slots=True)
class ShardsOf:
    """Which shards are made.

    Attributes:
        name: Of the selection.
        part: Of it, "" where it has none.
        identity: The fingerprint of selection and options.
        suffix: What the names of shards end in.
        done: Numbers of the shards that are committed already.
        first: The number of the first; those below it are of before the input grew.
    """

    name: str
    part: str
    identity: str
    suffix: str
    done: frozenset[int]
    first: int = 0

    @property
    def path(self) -> str:
        """Return by what name these shards go in the functions of paths."""
        return part_of(self.name, self.part)

    def file(self, shard: int) -> str:
        """Return the name of a shard in the dataset."""
        return f"{shards_folder(self.path)}/{shard_file(shard, self.suffix)}"

    def commit(self, store: Store, shard: int, entry: dict[str, Any], samples: "Samples") -> Marker:
        """Commit a shard, given its size and checksum.

        Raises:
            Stopped: another selection's shard was committed under its name.
        """
        import pyarrow.parquet as pq

        count = len(samples.rows)
        file = self.file(shard)
        table = pa.table(
            {
                ROW.name: samples.rows,
                UID.name: samples.uids,
                SHARD.name: [file_of_shard(self.name, file)] * count,
                SHARD_OFFSET.name: samples.offsets,
                SHARD_SHA256.name: [entry["sha256"]] * count,
            }
        )
        path = content(shard_parts(self.path), stem(shard), ".parquet")
        with store.writer(path) as sink:
            pq.write_table(table.cast(arrow_schema(MANIFEST)), sink)
        files = {file: entry, path: sink.entry()}
        marker = Marker(count, files, {}, {"fingerprint": self.identity})
        path = marker_path(shard_parts(self.path), stem(shard))
        committed = commit(store, path, marker)
        if committed.extra["fingerprint"] != self.identity:  # no list has shown it until now
            raise Stopped(f"{store.location(path)}: is of another selection; run the command again")
        return committed


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a shard, in order: rows, uids, and where each begins: its byte, or its row."""

    rows: Sequence[int] | NDArray[Any] = field(default_factory=list)
    uids: Sequence[str] | NDArray[Any] = field(default_factory=list)
    offsets: Sequence[int] | NDArray[Any] = field(default_factory=list)


def stem(shard: int) -> str:
    """Return the name under which a shard is committed."""
    return f"{shard:05d}"


def listing_of(marker: Marker) -> str:
    """Return the file of the part of the manifest, given the marker of a shard."""
    (name,) = (name for name in marker.files if not is_shard(name))
    return name
