"""The marker: the small JSON that commits some work and names its files."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pairsieve.pipeline.dataset import checked_json

REPLACED = "replaced"  # in `extra`: pairs per outcome that the work supersedes
PHONE_REGIONS = "phone_regions"  # in `SAMPLES` where personal data is masked
SAMPLES = "samples"  # in `extra` of shards: what of their samples is not as by default


@dataclass(frozen=True, slots=True)
class Marker:
    """The JSON that commits some work: that on a task slice, say.

    Attributes:
        rows: Pairs the work answers for.
        files: Name in the dataset -> {"bytes": size, "sha256": hex} of what it wrote.
        counts: What the readers of progress want to know without a scan, e.g. pairs per outcome.
        extra: What else the stage must remember of it.
    """

    rows: int
    files: dict[str, dict[str, Any]]
    counts: dict[str, int] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def dumps(self) -> bytes:
        """Return the marker as JSON with its checksum, the same bytes for the same content."""
        return checked_json.dumps(asdict(self), indent=1)

    @classmethod
    def loads(cls, data: bytes) -> Self:
        """Return the marker that `dumps` wrote.

        Raises:
            ValueError, TypeError: it is none, or it names a file outside the dataset.
        """
        marker = cls(**checked_json.loads(data))
        for name in marker.files:
            if name.startswith("/") or "\\" in name or {"..", ".", ""} & set(name.split("/")):
                raise ValueError(f"it names {name!r}, which is outside the dataset")
        return marker

    def file(self, suffix: str) -> str:
        """Return the name of the work's one file that ends in `suffix`."""
        (name,) = (name for name in self.files if name.endswith(suffix))
        return name

    def entry(self, suffix: str) -> tuple[str, dict[str, Any]]:
        """Return the name of the one file that ends in `suffix`, and its size and checksum."""
        name = self.file(suffix)
        return name, self.files[name]


def outcome_counts(markers: Iterable[Marker]) -> Counter[str]:
    """Return how many pairs have each outcome, that of a pair's latest retry layer."""
    counts: Counter[str] = Counter()
    for marker in markers:
        counts.update(marker.counts)
        counts.subtract(marker.extra.get(REPLACED, {}))
    return Counter({name: pairs for name, pairs in sorted(counts.items()) if pairs})
