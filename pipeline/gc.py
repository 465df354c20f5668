"""Garbage collection: delete what killed or beaten attempts left behind.

Only files named in a marker belong to the dataset, with the few whose names are fixed. What is
younger than `min_age_h` stays, because an attempt under way has not committed yet. A search for
near-duplicates keeps its files until `group` has committed what came of it.
"""

import re
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.paths import GROUP_MARKER, SEARCHES
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit.plan_file import staged_files

if TYPE_CHECKING:
    from obstore import ObjectMeta

FIXED = (
    "plan.json", "stats.duckdb", "report.html", "embed/*.json", "gather/layers/*.json",
    "group/superseded.parquet",
)  # fmt: skip
MARKERS = (
    "gather/*.json",
    "embed/*/*.json",
    "embed/*/*/*.json",
    GROUP_MARKER,
    f"{SEARCHES}/*/*/*.json",
    "group/evaluation/*.json",
    "group/evaluation/*/*.json",
    "blocklist/done.json",
    "search/*/done.json",
    "select/*/done.json",
    "shards/*/done.json",
    "shards/*/parts.json",
    "shards/*/parts/*.json",
)
STAGING = re.compile(r"#\d+$")  # how the local store names a file it has not finished


def run(store: Store, min_age_h: float) -> tuple[int, int]:
    """Delete what nothing names and is at least `min_age_h` hours old; return (files, bytes)."""
    latest = datetime.now(UTC) - timedelta(hours=min_age_h)
    entries = store.entries()
    named = {entry["path"] for entry in entries if _matches(entry["path"], FIXED + MARKERS)}
    named -= _searched(entries)
    named |= set(staged_files(store))
    for path in [path for path in named if _matches(path, MARKERS)]:
        marker = store.marker(path)
        named |= set(marker.files if marker else ())
    garbage = [
        (entry["path"], entry["size"])
        for entry in entries
        if entry["path"] not in named and entry["last_modified"] <= latest
    ]
    store.delete(path for path, _ in garbage)
    garbage += _unfinished(store, latest)
    return len(garbage), sum(size for _, size in garbage)


def _searched(entries: "list[ObjectMeta]") -> set[str]:
    """Return the files of searches that are older than the result of `group`."""
    committed = [entry["last_modified"] for entry in entries if entry["path"] == GROUP_MARKER]
    searches = [entry for entry in entries if entry["path"].startswith(f"{SEARCHES}/")]
    return {
        entry["path"] for entry in searches for last in committed if entry["last_modified"] <= last
    }


def _unfinished(store: Store, latest: datetime) -> list[tuple[str, int]]:
    """Delete the local store's own unfinished files, which its listing hides."""
    if store.local is None:
        return []
    found = []
    for path in store.local.rglob("*#*"):
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if path.is_file() and STAGING.search(path.name) and changed <= latest:
            found.append((str(path.relative_to(store.local)), path.stat().st_size))
            path.unlink()
    return found


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Return True if `path` matches a pattern whose `*` stops at a slash."""
    return any(
        path.count("/") == pattern.count("/") and fnmatchcase(path, pattern) for pattern in patterns
    )
