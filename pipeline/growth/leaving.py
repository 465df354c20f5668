"""Samples that survive no more leave the shards that hold them; all other shards stay.

As by `forget`, all that will be written is prepared first. Then the marker of the shards goes, what
was prepared is put in place, and a marker comes that is without the samples: so what was stopped
between is no selection with shards, and is finished by the next `shard`.
"""

from collections.abc import Mapping
from dataclasses import replace

from pairsieve.pipeline.dataset.commit import fingerprint, marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, shard_marker, shard_rounds, task_name
from pairsieve.pipeline.dataset.shard_names import part_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.removal.replacement import Replacement, apply
from pairsieve.pipeline.removal.shards import ShardTask, prepared_shards, sharded_without
from pairsieve.pipeline.shards import members
from pairsieve.pipeline.shards.finished import tidy_up
from pairsieve.pipeline.shards.members import Members
from pairsieve.pipeline.shards.split import Part

GONE, SHARDS, ALL = "gone", "shards", "leaving"  # rounds: rows that leave, shards, what commits all
PREPARED = "rounds"  # in the marker that commits all: the folders of what is to be put in place


def take_out(
    pool: Pool, name: str, old: Marker, packed: Mapping[Part, Members], identity: str
) -> Marker:
    """Take the samples that survive no more out of their shards; return the new marker of these.

    Args:
        pool: The ledger.
        name: The selection.
        old: The marker of its shards.
        packed: The files of the rows in the shards of each part.
        identity: The fingerprint of what is packed now.

    Raises:
        Stopped: a task's process kept dying.
    """
    cut = fingerprint(identity, old.extra["fingerprint"], pool.units)
    changed: dict[str, list[Marker]] = {}
    stay: list[Marker] = []
    for part, files in packed.items():
        own = part_of(name, part.name)
        gone = members.write_gone(pool, shard_rounds(own, cut, GONE), part, files)
        stay += members.write(pool, own, cut, part, files)
        folder = shard_rounds(own, cut, SHARDS)
        task = ShardTask(pool.store, folder, name, own, old, tuple(gone), ())
        if prepared := prepared_shards(pool.engine, task):
            changed[own] = prepared
    folder = shard_rounds(name, cut, ALL)
    new = sharded_without(pool.store, folder, name, old, changed)
    new.markers[shard_marker(name)] = _with_members(new, name, cut, packed, stay)
    new.old += [file.name for files in packed.values() for file in files]
    new.extra[PREPARED] = [shard_rounds(own, cut, SHARDS) for own in changed] + [folder]
    new.commit(pool.store, folder, 0)
    finish(pool.store, pool.engine, name)
    return marker_of(pool.store, shard_marker(name))


def _with_members(
    new: Replacement, name: str, cut: str, packed: Mapping[Part, Members], stay: list[Marker]
) -> Marker:
    """Return the marker of shards that is to be written, with the rows that are in these still."""
    marker = new.markers[shard_marker(name)]
    before = {file.name for files in packed.values() for file in files}
    files = {file: entry for file, entry in marker.files.items() if file not in before}
    for one in stay:
        files |= one.files
    return replace(marker, files=files, extra=marker.extra | {"fingerprint": cut})


def finish(store: Store, engine: Engine, name: str) -> None:
    """Put in place what was prepared of a selection's shards, if that was stopped.

    Raises:
        Stopped: a task's process kept dying.
    """
    last = f"/{marker_path(ALL, task_name(0))}"
    begun = [path for path, _, _ in store.list(shard_rounds(name)) if path.endswith(last)]
    for path in begun:
        prepared = marker_of(store, path)
        store.delete([shard_marker(name)])
        apply(store, engine, prepared.extra[PREPARED])
        store.delete([path])
        tidy_up(store, name, marker_of(store, shard_marker(name)))
