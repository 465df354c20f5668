"""Every name in a dataset, made and parsed here."""

from collections.abc import Iterable

from pairsieve.pipeline.dataset.marker import Marker

GATHER = "gather"
EMBED = "embed"
GROUP_MARKER = "group/done.json"
SEARCHES = "group/near"  # what searches for near hashes leave, until `group` is committed
BLOCKED_MARKER = "blocklist/done.json"

Span = tuple[int, int]  # first pair of a unit, from 0, and how many


def select_marker(name: str) -> str:
    """Return where the selection `name` is committed."""
    return f"select/{name}/done.json"


def shard_marker(name: str) -> str:
    """Return where the shards of the selection `name` are committed."""
    return f"shards/{name}/done.json"


def files(markers: Iterable[Marker], suffix: str) -> list[str]:
    """Return the names of the committed files that end in `suffix`, in marker order."""
    return [name for marker in markers for name in marker.files if name.endswith(suffix)]


def parsed(name: str) -> tuple[int, int, Span | None]:
    """Return unit, layer and slice of a committed piece; no slice when it is the whole unit."""
    unit, *rest = name.split(".")
    layer = int(rest.pop(0)[1:]) if rest and rest[0].startswith("r") else 0
    if not rest:
        return int(unit), layer, None
    first, rows = map(int, rest[0].split("+"))
    return int(unit), layer, (first, rows)


def layer_of(name: str) -> int:
    """Return the layer of a committed piece; 0 is the first gather."""
    return parsed(name)[1]
