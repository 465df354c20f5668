"""The end of packing: what lists all shards of a selection, and the marker that commits them.

Each part has `sizes.json` and `manifest.parquet` beside its shards; all are in the one marker.
Where shards are appended, they come behind those that are there.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import costs, paths
from pairsieve.pipeline.dataset.commit import fingerprint, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.shard_names import (
    file_of_shard,
    is_shard,
    name_of_shard,
    part_of,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.shards.shard_parts import HISTORY, MANIFEST, listing_of
from pairsieve.schemas.columns import SHARD, arrow_schema
from pairsieve.schemas.recipe_shard import PART_FOLDERS

Files = dict[str, dict[str, Any]]


def clear(store: Store, name: str, identity: str, old: Marker | None = None) -> None:
    """Delete what is committed under this name for another selection or with other options.

    `old` shards, to which others are appended, are kept; any others that nothing packs again one by
    one are not.
    """
    markers: dict[str, Marker | None] = {}
    if old is None:
        markers[paths.shard_marker(name)] = store.marker(paths.shard_marker(name))
    for folder in _working_folders(store, name):
        for stem, committed in store.markers(folder).items():
            markers[paths.marker_path(folder, stem)] = committed
    for path, marker in markers.items():
        if marker and (marker.extra["fingerprint"] != identity or HISTORY in marker.extra):
            store.delete([path, *marker.files])


def made_of(identity: str, old: Marker | None) -> str:
    """Return the fingerprint of shards that are appended to `old` ones, or of all."""
    return fingerprint(identity, old.extra["fingerprint"]) if old else identity


def committed_of(store: Store, own: str, made: str) -> dict[str, Marker]:
    """Return the markers of the shards of a part that were made of this, by name."""
    markers = store.markers(paths.shard_parts(own)).items()
    return {name: marker for name, marker in markers if marker.extra["fingerprint"] == made}


def _working_folders(store: Store, name: str) -> list[str]:
    """Return the folders of what is needed only while shards are made, of any parts."""
    folder = paths.shards_folder(name)
    own = re.compile(rf"({re.escape(folder)}(?:/[^/]+)?/(?:{'|'.join(PART_FOLDERS)}))/.*")
    found = (own.fullmatch(path) for path, _, _ in store.list(folder))
    return sorted({match[1] for match in found if match})


def finish(
    store: Store,
    name: str,
    parts: Sequence[str],
    extra: dict[str, Any],
    written: Sequence[Marker] = (),
    old: Marker | None = None,
) -> None:
    """Put the parts together: what lists the shards of each, and the marker that commits all.

    Args:
        store: The dataset.
        name: The selection.
        parts: The names of its parts.
        extra: Of the marker.
        written: Markers of what else belongs to them: the rows in shards, a card.
        old: The marker of the shards to which those parts are appended.
    """
    files = _shards(old)
    rows, shards = (old.rows, len(files)) if old else (0, 0)
    for part in parts:
        own = part_of(name, part)
        before = shards_of(old, name, own)
        committed = committed_of(store, own, made_of(extra["fingerprint"], old))
        files |= _listed(store, own, committed, before)
        for marker in committed.values():
            files |= _shards(marker)
            rows += marker.rows
        shards += len(committed)
    for marker in written:
        files |= marker.files
    spent = costs.of_rounds(store, _working_folders(store, name))
    if old:
        spent = {key: s + old.extra.get(key, 0.0) for key, s in spent.items()}
    marker = Marker(rows, files, {"kept": rows, "shards": shards}, extra | spent)
    store.write(paths.shard_marker(name), marker.dumps())
    store.delete([file for file in (old.files if old else ()) if file not in files])
    tidy_up(store, name, marker)


def shards_of(done: Marker | None, name: str, own: str) -> list[str]:
    """Return what the ledger calls the shards in a marker: of a selection, those of one part.

    `own` is by what name these go in `paths`: the selection, or a part of it.
    """
    return [file_of_shard(name, file) for file in _shards(done) if name_of_shard(file) == own]


def _shards(done: Marker | None) -> Files:
    """Return the entries of the shards in a marker."""
    entries = done.files.items() if done else ()
    return {file: entry for file, entry in entries if is_shard(file)}


def _listed(
    store: Store, own: str, committed: Mapping[str, Marker], before: Collection[str]
) -> Files:
    """Write `sizes.json` and `manifest.parquet` of a part; return their entries in a marker.

    What they say of shards that were there `before` stays.
    """
    sizes = told_sizes(store, own, before)
    for marker in committed.values():
        sizes |= {name.rpartition("/")[2]: marker.rows for name in _shards(marker)}
    data = json.dumps(sizes, indent=1).encode()
    store.write(paths.sizes(own), data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path = paths.manifest(own)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        for _, table in told_samples(store, own, before):
            writer.write_table(table)
        for marker in committed.values():
            with store.reader(listing_of(marker)) as source:
                writer.write_table(pq.read_table(source))
    return {paths.sizes(own): entry, path: sink.entry()}


def told_sizes(store: Store, own: str, shards: Collection[str]) -> dict[str, int]:
    """Return what the `sizes.json` that is there says of these shards of a part."""
    told = json.loads(store.read(paths.sizes(own))) if shards else {}
    names = {file.rpartition("/")[2] for file in shards}
    return {file: samples for file, samples in told.items() if file in names}


def told_samples(store: Store, own: str, shards: Collection[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield each of these shards of a part with what the manifest that is there says of it.

    Others may be listed there, of an appending that was stopped.
    """
    if not shards:
        return
    wanted = set(shards)
    with store.reader(paths.manifest(own)) as source:
        listed = pq.ParquetFile(source)
        for group in range(listed.num_row_groups):
            table = listed.read_row_group(group)  # of one shard; empty if all was taken out of it
            if table.num_rows and (shard := table[SHARD.name][0].as_py()) in wanted:
                yield shard, table


def tidy_up(store: Store, name: str, made: Marker) -> None:
    """Delete what was only needed while the shards were made."""
    for folder in _working_folders(store, name):
        tidy(store, folder, made)
