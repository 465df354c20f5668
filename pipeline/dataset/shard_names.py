"""By which names the shards of a selection go, or those of a part of it: `default`, `default/val`.

The functions of `paths` take such a name; those here make it, and find it in a path.
"""

from pairsieve.pipeline.dataset.paths import CARD, MANIFEST, shards_folder
from pairsieve.pipeline.dataset.roles import SHARD_FILE, SHARD_INDEX
from pairsieve.pipeline.dataset.stages import SHARD


def part_of(name: str, part: str) -> str:
    """Return by what name the part of a selection's shards goes in `paths`."""
    return "/".join(filter(None, (name, part)))


def name_of_shard(path: str) -> str:
    """Return by what name the shards go among which a file lies: a selection, or a part of one."""
    return path.removeprefix(f"{SHARD.folder}/").rpartition("/")[0]


def file_of_shard(name: str, path: str) -> str:
    """Return what the ledger calls a shard of the selection `name`, with the folder of its part."""
    return path.removeprefix(f"{shards_folder(name)}/")


def is_shard(path: str) -> bool:
    """Return whether a file is a shard."""
    return SHARD_FILE.fullmatch(path) is not None


def is_card(path: str) -> bool:
    """Return whether a file says to `datasets` what the parts of shards are."""
    return path.endswith(f"/{CARD}")


def is_manifest(path: str) -> bool:
    """Return whether a file says which sample lies in which shard."""
    return path.endswith(f"/{MANIFEST}")


def is_shard_index(path: str) -> bool:
    """Return whether a file is an index of shards for a loader."""
    return SHARD_INDEX.fullmatch(path) is not None
