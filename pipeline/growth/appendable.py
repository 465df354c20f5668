"""To which shards of a selection others are appended, where the input has grown since.

Those are all that were packed by the same options. What is in them and survives no more leaves
them first, if the rules are the same; where these are others, all shards are made anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import damaged, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import MEMBERS_SUFFIX, shard_marker
from pairsieve.pipeline.dataset.shard_names import is_shard, part_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.growth import leaving
from pairsieve.pipeline.ledger.files import MADE_BY
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.shards import members
from pairsieve.pipeline.shards.split import Part
from pairsieve.pipeline.unit import plan_file

# In the marker of shards: their options, the rules of the selection, and how many units there were.
SHAPE, RULES, UNITS = "shape", "rules", "units"


def made_by(store: Store, shape: Sequence[Any], selected: Marker) -> dict[str, Any]:
    """Return what the marker of shards is to say, so that others can be appended later.

    Args:
        store: The dataset.
        shape: What decides on the shards.
        selected: The marker of the selection.
    """
    rules = selected.extra.get(MADE_BY, {}).get("rules")
    units = len(plan_file.read(store).units) if store.exists(paths.PLAN_FILE) else 0
    return {SHAPE: fingerprint(shape), RULES: fingerprint(rules), UNITS: units}


def appendable(
    pool: Pool, name: str, parts: Sequence[Part], wanted: Mapping[str, Any], identity: str
) -> Marker | None:
    """Return the marker of the shards to append to; None where all are to be made.

    What is in them and survives no more, or has come to belong to another part, has left them then.

    Args:
        pool: The ledger.
        name: The selection.
        parts: Its parts.
        wanted: What the marker of its shards is to say.
        identity: The fingerprint of what is packed now.

    Raises:
        Stopped: a task's process kept dying.
    """
    old = pool.store.marker(shard_marker(name))
    if old is None or old.extra.get(SHAPE) != wanted[SHAPE] or old.extra[UNITS] >= wanted[UNITS]:
        return None
    suffixes = {f".{file.rpartition('.')[2]}" for file in old.files if is_shard(file)}
    lost = (damaged(pool.store, [old], suffix) for suffix in (*suffixes, MEMBERS_SUFFIX))
    if any(map(any, lost)):
        return None
    packed = {part: members.files_of(old, part_of(name, part.name)) for part in parts}
    survive = sum(members.surviving(pool, files, part) for part, files in packed.items())
    if survive == old.rows:
        return old
    if survive > old.rows or old.extra.get(RULES) != wanted[RULES]:
        return None
    return leaving.take_out(pool, name, old, packed, identity)
