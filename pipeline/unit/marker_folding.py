"""When the markers of task slices are folded into the index of their folder.

Units are gathered in no strict order, so an index is good up to the first unit that is not there
yet; and as long as no further retry layer begins, which commits task slices between older ones.
"""

from collections.abc import Iterable

from pairsieve.pipeline.dataset import marker_index
from pairsieve.pipeline.dataset.marker_index import FOLD_AT, Markers
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit import retry_layers
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.unit.task_slices import pending

FOLD_EVERY = 10_000  # commits of one command between looks at whether to fold


def fold_gathered(store: Store, plan: Plan, found: Markers | None = None) -> bool:
    """Fold the markers of what is gathered, if it is worth it; return whether it was."""
    found = store.markers(GATHER_FOLDER) if found is None else found
    if len(found.loose) < FOLD_AT:
        return False
    before, layers = _first_pending(plan, found), retry_layers.finished(store, plan, found)
    return marker_index.fold(store, GATHER_FOLDER, found, before, layers)


def fold_embedded(store: Store, plan: Plan, folder: str) -> bool:
    """Fold the markers in a folder of vectors or scores, if it is worth it; return whether it was.

    Each gathered task slice will have one.
    """
    found = store.markers(folder)
    if len(found.loose) < FOLD_AT:
        return False
    gathered = store.markers(GATHER_FOLDER)
    missing = sorted(set(gathered).difference(found))
    before = min([_first_pending(plan, gathered), *missing[:1]])
    layers = retry_layers.finished(store, plan, gathered)
    return marker_index.fold(store, folder, found, before, layers)


def _first_pending(plan: Plan, names: Iterable[str]) -> str:
    """Return the name with which those of the first unit that is not gathered begin.

    Where all are, that is the unit behind the last one: a plan may grow.
    """
    todo = pending(plan, names)
    return f"{todo[0].unit if todo else len(plan.units):08d}"
