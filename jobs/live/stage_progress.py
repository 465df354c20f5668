"""Where one stage is: a few sums over its commits, from which every display takes its figures."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pairsieve.jobs.live.words import size_in_words
from pairsieve.pipeline.dataset.costs import CPU_S
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.fetch_summary import fetched_bytes
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.outcomes import Outcome

OUTCOMES = frozenset(Outcome)


@dataclass
class StageProgress:
    """Sums of a stage; all but `pairs` and `outcomes` are of this run alone.

    Attributes:
        total: Pairs that the stage answers for when it is done; None until that is known.
        processors: How many it may use.
        gpus: How many of these.
        pairs: Pairs it has answered for, those of earlier runs among them.
        new: Those of this run.
        outcomes: Pairs per outcome.
        cpu_s: What processors have spent, s.
        model_s: How long models have computed, s.
        fetched: Bytes received from the web.
        written: Bytes committed to the dataset.
        began: When it began, and
        last: when it last committed, s of the monotonic clock.
    """

    total: int | None
    processors: int = 1
    gpus: int = 0
    pairs: int = 0
    new: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    model_s: float = 0.0
    fetched: int = 0
    written: int = 0
    began: float = field(default_factory=time.monotonic)
    last: float = 0.0

    def add(self, marker: Marker, new: bool, spent_s: float) -> None:
        """Count one commit; `spent_s` of processors since the one before, if it does not say."""
        self.pairs += marker.rows
        self.outcomes.update({n: count for n, count in marker.counts.items() if n in OUTCOMES})
        self.last = time.monotonic()
        if not new:
            return
        self.new += marker.rows
        self.cpu_s += marker.extra.get(CPU_S, spent_s)
        self.model_s += EmbedTime.from_json(marker.extra).model_s
        self.fetched += fetched_bytes(marker)
        self.written += sum(entry["bytes"] for entry in marker.files.values())

    @property
    def done(self) -> bool:
        """Return whether all its pairs are answered for."""
        return self.total is not None and self.pairs >= self.total

    @property
    def seconds(self) -> float:
        """Return how long the stage has worked so far."""
        return max((self.last if self.done else time.monotonic()) - self.began, 1e-3)

    @property
    def rate(self) -> float:
        """Return new pairs per second."""
        return self.new / self.seconds

    @property
    def left_s(self) -> float | None:
        """Return how long the rest takes at that rate; None where nothing tells."""
        if self.total is None or not self.new:
            return None
        return max(self.total - self.pairs, 0) / self.rate

    @property
    def cpu_share(self) -> float:
        """Return the share of the processors' time that it has used."""
        return self.cpu_s / (self.seconds * self.processors)

    @property
    def gpu_share(self) -> float | None:
        """Return the share of the GPUs' time in which models computed; None without a GPU."""
        return min(self.model_s / (self.seconds * self.gpus), 1.0) if self.gpus else None

    def facts(self) -> dict[str, Any]:
        """Return where the stage is, as JSON."""
        left, gpu = self.left_s, self.gpu_share
        return {
            "pairs": self.pairs,
            "total": self.total,
            "per_s": round(self.rate, 1),
            "left_s": None if left is None else round(left, 1),
            "cpu_share": round(self.cpu_share, 3),
            "gpu_share": None if gpu is None else round(gpu, 3),
            "cpu_s": round(self.cpu_s, 3),
            "fetched_bytes": self.fetched,
            "written_bytes": self.written,
            "outcomes": dict(self.outcomes),
        }

    def note(self) -> str:
        """Return rate, busy shares, bytes and the commonest outcomes, in a few words."""
        words = [f"{self.rate:,.0f}/s", f"CPU {100 * self.cpu_share:.0f} %"]
        if self.gpu_share is not None and self.model_s:
            words.append(f"GPU {100 * self.gpu_share:.0f} %")
        if self.fetched:
            words.append(f"{size_in_words(self.fetched)} fetched")
        if self.written:
            words.append(f"{size_in_words(self.written)} written")
        words += [f"{name} {count:,}" for name, count in self.outcomes.most_common(4)]
        return ", ".join(words)
