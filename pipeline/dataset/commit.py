"""The commit protocol: files under attempt-unique names, then one marker put only if absent.

A killed or beaten attempt leaves nothing visible: readers open only files named in markers.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.costs import with_cost
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import is_foreign
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.dataset.store import FILES_AT_ONCE, Store
from pairsieve.schemas.errors import Stopped

ASK_AGAIN_S = 0.1, 0.4, 1.5, 0.0  # between attempts to read what must be there


def commit(store: Store, path: str, marker: Marker) -> Marker:
    """Commit a piece of work at `path` and return the marker that holds.

    It says what the work has cost. When another attempt was first, this one's files are deleted and
    the other's marker returned.
    """
    marker = with_cost(marker)
    if store.create(path, marker.dumps()):
        return marker
    winner = store.marker(path)
    if winner is None:
        raise Stopped(f"{store.location(path)}: the marker vanished while committing; run again")
    store.delete(set(marker.files) - set(winner.files))
    return winner


def marker_of(store: Store, path: str) -> Marker:
    """Return the marker at `path`, of which is known that it was committed.

    Where there is none it is asked for again: a store may not show it to everybody yet.

    Raises:
        Stopped: it is gone, or damaged.
    """
    for wait_s in ASK_AGAIN_S:
        if marker := store.marker(path):
            return marker
        time.sleep(wait_s)
    raise Stopped(f"{store.location(path)}: was committed and is gone; run the command again")


def current(store: Store, path: str, wanted: str) -> Marker | None:
    """Return the marker of a whole-pool step at `path` if its fingerprint is `wanted`.

    None, too, where a file of it is gone or has another size, or a Parquet file has other bytes, so
    that the step makes it again. Shards are not read for that.
    """
    marker = store.marker(path)
    if not marker or marker.extra.get("fingerprint") != wanted:
        return None
    return None if any(damaged(store, [marker], hashed=".parquet")) else marker


def damaged(
    store: Store, markers: Iterable[Marker], suffix: str = "", hashed: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield (name, what is wrong) of each committed file that is gone or has another size.

    Only names that end in `suffix` count. Those that end in `hashed` are also read whole, several
    at a time, and compared with their SHA-256; shards never are.
    """
    entries = {
        name: entry
        for marker in markers
        for name, entry in marker.files.items()
        if name.endswith(suffix)
    }
    listed = _listed(store, entries)
    whole = []
    for name, entry in entries.items():
        if name not in listed:
            yield name, checksums.GONE
        elif (size := listed[name][0]) != entry.get("bytes", size):
            yield name, f"it has {size:,} bytes, {entry['bytes']:,} were committed"
        elif hashed and name.endswith(hashed) and "sha256" in entry and not is_shard(name):
            whole.append(name)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        found = pool.map(lambda name: checksums.of_version(store, name, listed[name][1]), whole)
        for name, sha256 in zip(whole, found, strict=True):
            if sha256 != entries[name]["sha256"]:
                yield name, checksums.CHANGED


def _listed(store: Store, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Return (bytes, version) of the committed files that are there.

    A list may lag behind; so what it shows otherwise than committed is asked for.
    """
    listed: dict[str, tuple[int, str]] = {}
    for folder in sorted({name.rpartition("/")[0] for name in entries}):
        listed |= {path: (size, version) for path, size, version in store.list(folder)}
    for name, entry in entries.items():
        size = listed[name][0] if name in listed else None
        if size is None or size != entry.get("bytes", size):
            listed.pop(name, None)
            if found := store.entry(name):
                listed[name] = found["size"], found["e_tag"] or ""
    return listed


def replace(store: Store, path: str, marker: Marker) -> None:
    """Commit the result of a whole-pool step in place of an older one, whose files are deleted."""
    old = store.marker(path)
    store.write(path, marker.dumps())
    if old:
        store.delete(set(old.files) - set(marker.files))


def tidy(store: Store, folder: str, marker: Marker) -> None:
    """Delete what lies in `folder` and is not named by `marker`: it was needed only to make it.

    What pairsieve cannot have made stays.
    """
    found = [file for file, _, _ in store.list(folder) if not is_foreign(file)]
    store.delete(file for file in found if file not in marker.files)


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that stand for the JSON form of `parts`."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
