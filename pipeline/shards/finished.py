"""The end of packing: what lists all shards of a selection, and the marker that commits them.

Each part has `sizes.json` and `manifest.parquet` beside its shards; all are in the one marker.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.shard_names import part_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.shards.shard_parts import MANIFEST
from pairsieve.schemas.columns import arrow_schema
from pairsieve.schemas.recipe_shard import PART_FOLDERS

Files = dict[str, dict[str, Any]]


def clear(store: Store, name: str, identity: str) -> None:
    """Delete what is committed under this name for another selection or with other options."""
    markers: dict[str, Marker | None] = {}
    markers[paths.shard_marker(name)] = store.marker(paths.shard_marker(name))
    for folder in _working_folders(store, name):
        for stem, committed in store.markers(folder).items():
            markers[paths.marker_path(folder, stem)] = committed
    for path, marker in markers.items():
        if marker and marker.extra["fingerprint"] != identity:
            store.delete([path, *marker.files])


def _working_folders(store: Store, name: str) -> list[str]:
    """Return the folders of what is needed only while shards are made, of any parts."""
    folder = paths.shards_folder(name)
    own = re.compile(rf"({re.escape(folder)}(?:/[^/]+)?/(?:{'|'.join(PART_FOLDERS)}))/.*")
    found = (own.fullmatch(path) for path, _, _ in store.list(folder))
    return sorted({match[1] for match in found if match})


def finish(store: Store, name: str, parts: Sequence[str], extra: dict[str, Any]) -> None:
    """Put the parts together: what lists the shards of each, and the marker that commits all."""
    files: Files = {}
    rows = shards = 0
    for part in parts:
        own = part_of(name, part)
        committed = store.markers(paths.shard_parts(own))
        files |= _listed(store, own, committed)
        for marker in committed.values():
            tar = marker.file(".tar")
            files[tar] = marker.files[tar]
            rows += marker.rows
        shards += len(committed)
    marker = Marker(rows, files, {"kept": rows, "shards": shards}, extra)
    store.write(paths.shard_marker(name), marker.dumps())
    tidy_up(store, name, marker)


def _listed(store: Store, own: str, committed: Mapping[str, Marker]) -> Files:
    """Write `sizes.json` and `manifest.parquet` of a part; return their entries in a marker."""
    sizes = {paths.shard_file(int(stem)): marker.rows for stem, marker in committed.items()}
    data = json.dumps(sizes, indent=1).encode()
    store.write(paths.sizes(own), data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path = paths.manifest(own)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        for marker in committed.values():
            with store.reader(marker.file(".parquet")) as source:
                writer.write_table(pq.read_table(source))
    return {paths.sizes(own): entry, path: sink.entry()}


def tidy_up(store: Store, name: str, made: Marker) -> None:
    """Delete what was only needed while the shards were made."""
    for folder in _working_folders(store, name):
        tidy(store, folder, made)
