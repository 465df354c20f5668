"""What is made from the rest: reports, search indexes and rounds that were stopped are deleted."""

from datetime import UTC, datetime

from pairsieve.pipeline.dataset.paths import (
    CAPTION_FOLDER,
    DONE,
    EMBED_FOLDER,
    EVALUATION,
    FORGOTTEN,
    GATHER_FOLDER,
    INDEX_PAGE,
    INDEXES,
    LEASES,
)
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.stages import REPORT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity import garbage

OF_PAIRS = (GATHER_FOLDER, EMBED_FOLDER, CAPTION_FOLDER, EVALUATION, FORGOTTEN)
KEPT = tuple(f"{folder}/" for folder in OF_PAIRS)


def delete(store: Store) -> None:
    """Delete it, and whatever no marker names: it may hold what was taken out."""
    store.delete(path for path in list(store.paths()) if _is_derived(path))
    ever = datetime.max.replace(tzinfo=UTC)  # the storage's clock may be ahead of ours
    unnamed = [one for one in garbage.unnamed(store, ever) if not one.path.startswith(f"{LEASES}/")]
    garbage.delete(store, unnamed, list(garbage.unfinished(store, ever)))


def _is_derived(path: str) -> bool:
    """Return whether a file is a report, or the marker of a round or of an index for search."""
    kind = role(path)
    if kind is Role.FIXED:
        return path.startswith(f"{REPORT.folder}/") or path == INDEX_PAGE
    done = path.endswith(f"/{DONE}.json") and not path.startswith(f"{INDEXES}/")
    return kind is Role.MARKER and not done and not path.startswith(KEPT)
