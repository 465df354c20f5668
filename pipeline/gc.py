"""Garbage collection: delete what killed or beaten attempts left behind.

Only files named in a marker belong to the dataset, with the few whose names are fixed. Deleted is
what `roles.role` knows for a name that pairsieve gives to content and that nothing names; whatever
else lies in the folder was put there by somebody else, or by a newer pairsieve, and stays. What is
younger than `min_age_h` stays too, because an attempt under way has not committed yet. A search for
near-duplicates keeps its files until `group` has committed what came of it.
"""

from datetime import UTC, datetime, timedelta

from pairsieve.pipeline.dataset.paths import PLAN_FILE, attempt, lease_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity import garbage
from pairsieve.schemas.errors import BadOption


def run(store: Store, min_age_h: float, dry_run: bool = False) -> list[garbage.Garbage]:
    """Delete what nothing names and is at least `min_age_h` hours old; return it, by path.

    With `dry_run` nothing is deleted.

    Raises:
        BadOption: there is no dataset.
    """
    if not store.exists(PLAN_FILE):
        raise BadOption(
            f"gc: {store.url} holds no {PLAN_FILE}, so it is no dataset; nothing was deleted"
        )
    now = datetime.now(UTC) if dry_run else _now(store)
    latest = now - timedelta(hours=min_age_h)
    unnamed, unfinished = (
        list(garbage.unnamed(store, latest)),
        list(garbage.unfinished(store, latest)),
    )
    if not dry_run:
        garbage.delete(store, unnamed, unfinished)
    return sorted([*unnamed, *unfinished], key=lambda file: file.path)


def _now(store: Store) -> datetime:
    """Return the time by the clock that dates the files: ours may be set otherwise."""
    path = lease_file(f"gc-{attempt()}")
    store.write(path, b"")
    entry = store.entry(path)
    store.delete([path])
    return entry["last_modified"] if entry else datetime.now(UTC)
