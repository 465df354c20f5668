"""Indexes that loaders want beside the shards, made from the manifest when these are there.

They are no part of what shards are: another index is written without packing anything again.
`wids`: `index.json` in each folder of shards, for webdataset's `wids.ShardListDataset`. `energon`:
`.nv-meta/` in the folder of the selection, and beside each shard `<shard>.idx`.

Source: wids.wids_specs of webdataset for the former; for the latter megatron-energon's
`WebdatasetInfo`, `WebdatasetSplits` and `TarIndexWriter`: where each sample begins, and where the
last one ends, as numbers of 64 bits.
"""

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.shard_names import (
    file_of_shard,
    is_shard,
    is_shard_index,
    name_of_shard,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.schemas.columns import SHARD, SHARD_OFFSET
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_shard import TRAIN

Entry = dict[str, Any]
Shards = Mapping[str, int]  # samples, by the path of each
INDEX = "index"  # in `extra` of a marker of shards: which indexes there are
WIDS, ENERGON = "wids", "energon"
# Energon reads a version; the format is that of 7.
ENERGON_VERSION = "7.0.0"


def update(store: Store, engine: Engine, name: str, wanted: Sequence[str], image: str) -> None:
    """Write the indexes that are wanted of the shards of a selection, and delete others.

    Args:
        store: The dataset.
        engine: Where shards are indexed.
        name: The selection, whose shards are committed.
        wanted: Which indexes.
        image: The suffix of images.

    Raises:
        Stopped: a task's process kept dying.
    """
    marker = marker_of(store, paths.shard_marker(name))
    wanted = sorted(set(wanted))
    if marker.extra.get(INDEX, []) == wanted:
        return
    indexes = [file for file in marker.files if is_shard_index(file)]
    files = {file: entry for file, entry in marker.files.items() if file not in indexes}
    shards = _shards(store, files)
    for kind in wanted:
        files |= _wids(store, files, shards) if kind == WIDS else {}
        files |= _energon(store, engine, name, (shards, image)) if kind == ENERGON else {}
    extra = {key: value for key, value in marker.extra.items() if key != INDEX}
    changed = Marker(marker.rows, files, marker.counts, extra | ({INDEX: wanted} if wanted else {}))
    store.write(paths.shard_marker(name), changed.dumps())
    store.delete([file for file in indexes if file not in files])


def _shards(store: Store, files: Mapping[str, Entry]) -> Shards:
    """Return how many samples each shard has, the shards of a folder in their order."""
    shards = {}
    for own in dict.fromkeys(name_of_shard(file) for file in files if is_shard(file)):
        for file, samples in json.loads(store.read(paths.sizes(own))).items():
            shards[f"{paths.shards_folder(own)}/{file}"] = int(samples)
    return shards


def _written(store: Store, path: str, data: bytes) -> dict[str, Entry]:
    store.write(path, data)
    return {path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}


def _wids(store: Store, files: Mapping[str, Entry], shards: Shards) -> dict[str, Entry]:
    """Write an index of the shards of each folder; return the entries of a marker."""
    written: dict[str, Entry] = {}
    for own in dict.fromkeys(name_of_shard(shard) for shard in shards):
        listed = [
            {
                "url": shard.rpartition("/")[2],
                "nsamples": samples,
                "filesize": files[shard]["bytes"],
            }
            for shard, samples in shards.items()
            if name_of_shard(shard) == own
        ]
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": own}
        data = json.dumps(index | {"shardlist": listed}, indent=1).encode()
        written |= _written(store, paths.wids_index(own), data)
    return written


def _energon(
    store: Store, engine: Engine, name: str, packed: tuple[Shards, str]
) -> dict[str, Entry]:
    """Write the index of each shard, and what says which there are; return their entries."""
    shards, image = packed
    written: dict[str, Entry] = {}
    for shard, entries in engine.map(partial(_offsets, store, name), shards):
        if isinstance(entries, Crashed):
            raise Stopped(f"{shard}: the process of its index died ({entries.reason}); run again")
        written |= entries
    counts = {file_of_shard(name, shard): samples for shard, samples in shards.items()}
    parts: dict[str, list[str]] = {}
    for file in counts:
        parts.setdefault(file.rpartition("/")[0] or TRAIN, []).append(file)
    fields = {"image": image, "caption": "txt"}
    sample = {"__module__": "megatron.energon", "__class__": "CaptioningSample"}
    for path, content in (
        (paths.ENERGON_INFO, {"energon_version": ENERGON_VERSION, "shard_counts": counts}),
        (paths.ENERGON_SPLIT, {"split_parts": parts, "exclude": []}),
        (paths.ENERGON_DATASET, {"sample_type": sample, "field_map": fields}),
    ):
        data = json.dumps(content, indent=1).encode()  # which is YAML, too
        written |= _written(store, paths.energon_file(name, path), data)
    return dict(sorted(written.items()))


def _offsets(store: Store, name: str, shard: str) -> dict[str, Entry]:
    """Write where each sample of a shard begins, and the last one ends."""
    own = [(SHARD.name, "=", file_of_shard(name, shard))]
    with store.reader(paths.manifest(name_of_shard(shard))) as source:
        table = pq.read_table(source, columns=[SHARD_OFFSET.name], filters=own)
    begins = table[SHARD_OFFSET.name].to_pylist()
    last = begins[-1] if begins else 0  # none is left where all have been taken out
    numbers = np.array([*begins, _end(store, shard, last)], "<u8")
    return _written(store, paths.energon_shard(shard), numbers.tobytes())


def _end(store: Store, shard: str, offset: int) -> int:
    """Return where the sample ends that begins at an offset and is the last one of its shard."""
    while (head := bytes(store.read_range(shard, offset, tarfile.BLOCKSIZE))).strip(b"\0"):
        size = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape").size
        offset += tarfile.BLOCKSIZE * (1 + -(-size // tarfile.BLOCKSIZE))
    return offset
