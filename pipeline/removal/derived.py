"""What is made from the rest: reports, search indexes and rounds that were stopped are deleted."""

from datetime import UTC, datetime

from pairsieve.pipeline.dataset.paths import (
    DONE,
    EMBED_FOLDER,
    EVALUATION,
    FORGOTTEN,
    GATHER_FOLDER,
    INDEXES,
    Role,
    role,
)
from pairsieve.pipeline.dataset.stages import REPORT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity import garbage

KEPT = tuple(f"{folder}/" for folder in (GATHER_FOLDER, EMBED_FOLDER, EVALUATION, FORGOTTEN))


def delete(store: Store) -> None:
    """Delete it, and whatever no marker names: it may hold what was taken out."""
    store.delete(path for path in list(store.paths()) if _is_derived(path))
    now = datetime.now(UTC)
    garbage.delete(store, list(garbage.unnamed(store, now)), list(garbage.unfinished(store, now)))


def _is_derived(path: str) -> bool:
    """Return whether a file is a report, or the marker of a round or of an index for search."""
    kind = role(path)
    if kind is Role.FIXED:
        return path.startswith(f"{REPORT.folder}/")
    done = path.endswith(f"/{DONE}.json") and not path.startswith(f"{INDEXES}/")
    return kind is Role.MARKER and not done and not path.startswith(KEPT)
