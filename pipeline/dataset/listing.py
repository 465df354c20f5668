"""What lies below a folder: as its list says, and as is known besides.

A list may lag behind: that of some object stores, or of a network's file system on another node.
What this process, or a task of its engine, has put or deleted lately is remembered; where a list
says otherwise, the object itself is asked for.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.streams import retried, storage_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

LISTED_AT_ONCE = 1000  # as many as object stores give at once
REMEMBERED_S = 600  # longer than a list lags behind; bounds the memory

Change = tuple[str, bool]  # full path or URL, and whether it is there now


class Changes:
    """What was put and deleted in the last minutes, by this process and its engine's tasks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, tuple[bool, float]] = {}  # in order of time
        self._untold: list[Change] | None = None  # of a task's process

    def note(self, location: str, there: bool) -> None:
        """Remember that there is something at `location`, or nothing any more."""
        now = time.monotonic()
        with self._lock:
            self._of.pop(location, None)
            self._of[location] = there, now
            while (oldest := next(iter(self._of.items())))[1][1] < now - REMEMBERED_S:
                del self._of[oldest[0]]
            if self._untold is not None:
                self._untold.append((location, there))

    def tell(self) -> None:
        """Keep what is noted from now on until it is told."""
        with self._lock:
            self._untold = [] if self._untold is None else self._untold

    def untold(self) -> list[Change]:
        """Return what was noted since this was asked last."""
        with self._lock:
            untold, self._untold = self._untold or [], []
            return untold

    def below(self, url: str, folder: str) -> dict[str, bool]:
        """Return what changed under a folder, by the path in the store: whether it is there."""
        prefix, start = (f"{url}/{folder}/" if folder else f"{url}/"), len(url) + 1
        with self._lock:
            return {
                location[start:]: there
                for location, (there, _) in self._of.items()
                if location.startswith(prefix)
            }


CHANGES = Changes()


def entries(objects: "ObjectStore", url: str, folder: str) -> "dict[str, ObjectMeta]":
    """Return every object under `folder` of the store at `url`, by its path."""
    import obstore

    with storage_errors(f"{url}/{folder}"):
        found = retried(lambda: [*chain(*obstore.list(objects, folder or None))])
    listed = {entry["path"]: entry for entry in found}
    for path, there in CHANGES.below(url, folder).items():
        if there != (path in listed):
            entry = head(objects, url, path)
            if entry:
                listed[path] = entry
            else:
                listed.pop(path, None)
    return listed


def paths(
    objects: "ObjectStore", url: str, folder: str | None, offset: str | None
) -> Iterator[str]:
    """Yield the paths under `folder`, in order, from behind `offset`, as they are listed."""
    known = CHANGES.below(url, folder or "")
    expected = sorted(path for path, there in known.items() if there and path > (offset or ""))
    every = merge(_tagged(_listed(objects, url, folder, offset), 0), _tagged(expected, 1))
    before = None
    for path, unlisted in every:
        if path == before:
            continue
        before = path
        doubtful = unlisted or not known.get(path, True)
        if not doubtful or head(objects, url, path):
            yield path


def head(objects: "ObjectStore", url: str, path: str) -> "ObjectMeta | None":
    """Return what is known of the object at `path`, None where there is none."""
    import obstore

    with storage_errors(f"{url}/{path}"):
        try:
            return retried(lambda: obstore.head(objects, path))
        except FileNotFoundError:
            return None


def _tagged(paths: Iterable[str], tag: int) -> Iterator[tuple[str, int]]:
    return ((path, tag) for path in paths)


def _listed(
    objects: "ObjectStore", url: str, folder: str | None, offset: str | None
) -> Iterator[str]:
    """Yield what a list says; one whose connection broke goes on behind the last path."""
    import obstore

    def following() -> list[str]:
        batches = obstore.list(objects, folder, offset=offset, chunk_size=LISTED_AT_ONCE)
        return [entry["path"] for entry in next(iter(batches), [])]

    listed: list[str] | None = None
    while listed is None or len(listed) == LISTED_AT_ONCE:
        with storage_errors(f"{url}/{folder or ''}"):
            listed = retried(following)
        yield from listed
        offset = listed[-1] if listed else offset
