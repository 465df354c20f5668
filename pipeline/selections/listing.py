"""Which selections a dataset has."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pairsieve.pipeline.dataset.paths import DONE, select_marker
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import MADE_BY
from pairsieve.pipeline.ledger.ledger import current_shards

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of a dataset.

    Attributes:
        name: Its name.
        pairs: Pairs that were judged.
        kept: Those that survived.
        in_shards: Samples in its shards; None where there are none of its latest run.
        age: How long ago it was made, in words.
        made_by: The recipe's file, then what `--set` was given; none where that was not noted.
    """

    name: str
    pairs: int
    kept: int
    in_shards: int | None
    age: str
    made_by: tuple[str, ...]


def names(store: Store) -> list[str]:
    """Return the names of the dataset's selections, sorted; links are not followed."""
    return sorted(_made(store))


def selections(store: Store) -> list[Selection]:
    """Return the dataset's selections, sorted by name."""
    found = []
    now = datetime.now(UTC)
    for name, time in sorted(_made(store).items()):
        if marker := store.marker(select_marker(name)):
            kept = marker.extra.get(MADE_BY, {})
            made_by = tuple(filter(None, (kept.get("recipe"), *kept.get("set", ()))))
            shards = current_shards(store, name)
            counts = (
                marker.counts["pairs"],
                marker.counts["kept"],
                shards.rows if shards else None,
            )
            found.append(Selection(name, *counts, age_of(now - time), made_by))
    return found


def _made(store: Store) -> dict[str, datetime]:
    """Return when each selection was committed, by name."""
    made = {}
    for entry in store.entries(SELECT.folder):
        parts = entry["path"].split("/")
        if len(parts) == 3 and parts[2] == f"{DONE}.json" and store.link(entry["path"]) is None:
            made[parts[1]] = entry["last_modified"]
    return made


def age_of(age: timedelta) -> str:
    """Return an age in words, cut to whole minutes, hours or days."""
    for unit, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if age >= unit:
            return f"{age // unit} {word}"
    return "just made"
