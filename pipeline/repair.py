"""Repair: compare every committed file with its marker; what is damaged is forgotten.

Forgotten means that the marker is deleted: the next `run` does that work again, and `gc` deletes
what the marker named. With a gathered task slice goes what was made of it: its vectors and scores,
and the later retry layers of its unit, whose rows follow from it.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.paths import (
    EMBED_FOLDER,
    GATHER_FOLDER,
    Role,
    layer_of,
    marker_path,
    parsed,
    role,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.errors import Stopped

Damage = list[tuple[str, str]]  # name in the dataset, what is wrong


class Damaged(NamedTuple):
    """A marker that is to go, and what is wrong with its files."""

    marker: str
    damage: Damage


def run(store: Store, engine: Engine, dry_run: bool = False) -> Iterator[Damaged]:
    """Read every committed file; yield what is damaged, and delete its marker unless `dry_run`.

    Raises:
        BadOption: there is no dataset.
        Stopped: a task's process kept dying.
    """
    plan_file.read(store)
    markers = [path for path, _, _ in store.list() if role(path) is Role.MARKER]
    for path, damage in engine.map(partial(_damage, store), markers):
        if isinstance(damage, Crashed):
            raise Stopped(f"{store.location(path)}: reading its files failed: {damage.reason}")
        if damage:
            if not dry_run:
                store.delete([*_made_of(path, markers), path])
            yield Damaged(path, damage)


def _damage(store: Store, path: str) -> Damage:
    """Return what is wrong with the files that a marker names, read whole."""
    try:
        marker = store.marker(path)
    except Stopped:
        return [(path, "it is damaged itself")]
    found = []
    for name, entry in marker.files.items() if marker else ():
        try:
            sha256 = checksums.of_file(store, name)
        except FileNotFoundError:
            found.append((name, checksums.GONE))
            continue
        if sha256 != entry.get("sha256", sha256):
            found.append((name, checksums.CHANGED))
    return found


def _made_of(path: str, markers: list[str]) -> list[str]:
    """Return the markers of what was made of a gathered task slice; none of any other."""
    folder, name = path.rpartition("/")[0], _stem(path)
    if folder != GATHER_FOLDER:
        return []
    unit, layer, _ = parsed(name)
    slices = {name} | {
        other
        for other in map(_stem, _below(markers, folder))
        if parsed(other)[0] == unit and layer_of(other) > layer
    }
    embedded = [m for m in _below(markers, EMBED_FOLDER) if _stem(m) in slices]
    return [*embedded, *(marker_path(GATHER_FOLDER, other) for other in slices - {name})]


def _below(markers: list[str], folder: str) -> Iterator[str]:
    return (marker for marker in markers if marker.startswith(f"{folder}/"))


def _stem(marker: str) -> str:
    return marker.rpartition("/")[2].removesuffix(".json")
