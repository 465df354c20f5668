"""Status: where every pair of a dataset is, told from the markers alone."""

from dataclasses import asdict, dataclass, field

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.diagnosis import diagnose, failures, worst
from pairsieve.pipeline.gather import FOLDER
from pairsieve.pipeline.ledger import current_shards, select_marker
from pairsieve.pipeline.store import Marker, Store
from pairsieve.pipeline.tally import total, wider
from pairsieve.schemas.outcomes import Outcome

HOSTS_TOLD = 5
STEPS_TOLD = 12


@dataclass
class Status:
    """Where the pairs are; a number is None where its verb has not run.

    Attributes:
        pairs: Pairs of the input.
        pending: Those not gathered yet.
        outcomes: Pairs per outcome of those gathered.
        failed, dropped, kept: What the selection made of all pairs.
        in_shards: Samples in the shards of the selection, if they are those of its latest run.
        diagnoses: A sentence on each thing that the failures point to.
        worst_hosts: (host, failed, asked for, commonest failure) of those with the most failures,
            told from the worst of each unit.
        over_time: (start, s since 1970 UTC, failed, asked for, commonest failure) of equal steps.
        complaints: What does not add up; empty when all is well.
    """

    pairs: int
    pending: int
    outcomes: dict[str, int]
    failed: int | None = None
    dropped: int | None = None
    kept: int | None = None
    in_shards: int | None = None
    diagnoses: list[str] = field(default_factory=list)
    worst_hosts: list[tuple[str, int, int, str]] = field(default_factory=list)
    over_time: list[tuple[int, int, int, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return the fields by name, with `adds_up`."""
        return asdict(self) | {"adds_up": not self.complaints}


def status(store: Store, name: str) -> Status:
    """Return where the pairs are, as the markers of the selection `name` have it."""
    plan = plans.read(store)
    gathered = store.markers(FOLDER).values()
    outcomes: dict[str, int] = {}
    for marker in gathered:
        for outcome, pairs in marker.counts.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + pairs
    done = sum(marker.rows for marker in gathered)
    found = Status(plan.pairs, plan.pairs - done, dict(sorted(outcomes.items())))
    fetches = total(gathered)
    found.diagnoses = diagnose(fetches)
    found.worst_hosts = worst(fetches.hosts, HOSTS_TOLD)
    steps = wider(dict(fetches.steps), STEPS_TOLD)
    found.over_time = [(start, *failures(counts)) for start, counts in steps]
    _expect(found, "pairs per outcome", sum(outcomes.values()), "pairs gathered", done)
    if done > plan.pairs:
        found.complaints.append(f"{done} pairs gathered, but only {plan.pairs} planned")
    if selected := store.marker(select_marker(name)):
        _add_selection(found, selected, done)
        _add_shards(found, current_shards(store, name))
    return found


def _add_selection(found: Status, selected: Marker, done: int) -> None:
    """Add what the selection made of the pairs; it must answer for all that are gathered."""
    counts = selected.counts
    found.failed, found.dropped, found.kept = (counts[key] for key in ("failed", "dropped", "kept"))
    parts = found.failed + found.dropped + found.kept
    _expect(found, "failed + dropped + kept", parts, "pairs gathered", done)
    passed = (Outcome.OK, Outcome.GATED)
    failed = sum(pairs for outcome, pairs in found.outcomes.items() if outcome not in passed)
    _expect(found, "failed in the selection", found.failed, "pairs with a failing outcome", failed)


def _add_shards(found: Status, shards: Marker | None) -> None:
    """Add the samples in shards; they must be the pairs kept."""
    if shards and found.kept is not None:
        found.in_shards = shards.counts["kept"]
        _expect(found, "samples in shards", found.in_shards, "pairs kept", found.kept)


def _expect(found: Status, what: str, given: int, as_many_as: str, wanted: int) -> None:
    if given != wanted:
        found.complaints.append(f"{what}: {given}, but {as_many_as}: {wanted}")
