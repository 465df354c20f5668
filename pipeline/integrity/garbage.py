"""What killed or beaten attempts left: content that no marker names, and unfinished files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.paths import (
    FORGET_BEGUN,
    FORGOTTEN,
    GROUP_MARKER,
    SEARCHES,
    marker_path,
)
from pairsieve.pipeline.dataset.roles import UNFINISHED, Role, is_foreign, markers_over, role
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit import forgotten
from pairsieve.pipeline.unit.plan_file import staged_files

if TYPE_CHECKING:
    from obstore import ObjectMeta

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file that nothing names: its path in the dataset and its size, bytes."""

    path: str
    bytes: int


def delete(store: Store, unnamed: Iterable[Garbage], unfinished: Iterable[Garbage]) -> None:
    """Delete what was found."""
    store.delete(file.path for file in unnamed)
    for file in unfinished:
        Path(store.url, file.path).unlink(missing_ok=True)


def unnamed(store: Store, latest: datetime) -> Iterator[Garbage]:
    """Yield the content that no marker names, and the searches whose result is committed."""
    entries = [entry for entry in store.entries() if _in_dataset(store, entry["path"])]
    roles = {entry["path"]: role(entry["path"]) for entry in entries}
    searched = _searched(entries)
    named = set(staged_files(store))
    for path, kind in roles.items():
        if kind is Role.MARKER and path not in searched:
            marker = store.marker(path)
            named |= set(marker.files if marker else ())
    asked = {path for path, kind in roles.items() if kind is Role.MARKER}
    for entry in entries:
        path = entry["path"]
        content = roles[path] is Role.CONTENT and path not in named
        if (content or path in searched) and entry["last_modified"] <= latest:
            if content:
                named.update(_named_meanwhile(store, path, asked))
            if path not in named:
                yield Garbage(path, entry["size"])


def _named_meanwhile(store: Store, content: str, asked: set[str]) -> Iterator[str]:
    """Yield what markers name that may name a file of content and were not in the list.

    A list may lag behind; those that were read before are `asked`, and so is what is read here.
    """
    if content.startswith(f"{FORGOTTEN}/"):
        paths = [FORGET_BEGUN, *map(partial(marker_path, FORGOTTEN), forgotten.names(store))]
    else:
        paths = markers_over(content)
    for path in paths:
        if path not in asked:
            asked.add(path)
            marker = store.marker(path) if role(path) is Role.MARKER else None
            yield from marker.files if marker else ()


def _searched(entries: "list[ObjectMeta]") -> set[str]:
    """Return the markers of searches that are older than the result of `group`."""
    committed = [entry["last_modified"] for entry in entries if entry["path"] == GROUP_MARKER]
    searches = [entry for entry in entries if entry["path"].startswith(f"{SEARCHES}/")]
    return {
        entry["path"]
        for entry in searches
        for last in committed
        if role(entry["path"]) is Role.MARKER and entry["last_modified"] <= last
    }


def unfinished(store: Store, latest: datetime) -> Iterator[Garbage]:
    """Yield the local store's own unfinished files, which its listing hides."""
    if store.local is None:
        return
    for path in store.local.rglob("*#*"):
        name = path.relative_to(store.local).as_posix()
        if not UNFINISHED.search(name) or is_foreign(name):
            continue
        # In whole microseconds, as the store dates files: a float of seconds is often one too late.
        changed = _EPOCH + timedelta(microseconds=path.lstat().st_mtime_ns // 1000)
        if path.is_file() and _in_dataset(store, name) and changed <= latest:
            yield Garbage(name, path.stat().st_size)


def _in_dataset(store: Store, path: str) -> bool:
    """Return False for what lies behind a link: that is another folder's."""
    return store.link(path) is None
