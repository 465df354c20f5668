"""Where one stage is: a few sums over its commits, from which every display takes its figures."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pairsieve.jobs.live.words import size_in_words
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.fetch_summary import fetched_bytes, requests_at_once
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.outcomes import Outcome

OUTCOMES = frozenset(Outcome)


@dataclass
class RoundProgress:
    """Where a round of tasks over the whole pool is.

    Attributes:
        name: What it is called.
        number: Of the stage's rounds, from 1.
        before: Tasks that an earlier run did.
        total: All its tasks.
        done: Those that are done, by earlier runs too.
        began: When it began, s of the monotonic clock.
    """

    name: str
    number: int
    before: int
    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Return tasks of this run per second."""
        return (self.done - self.before) / max(time.monotonic() - self.began, 1e-3)

    @property
    def left_s(self) -> float | None:
        """Return how long the rest of the round takes at that rate; None where nothing tells."""
        return (self.total - self.done) / self.rate if self.rate else None

    def facts(self) -> dict[str, Any]:
        """Return where the round is, as JSON."""
        left = self.left_s
        return {
            "name": self.name,
            "number": self.number,
            "tasks": self.done,
            "total": self.total,
            "per_s": round(self.rate, 2),
            "left_s": None if left is None else round(left, 1),
        }


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
        at_once: Requests that the process which committed last may have under way; None: none.
        fetched: Bytes received from the web.
        written: Bytes committed to the dataset.
        began: When it began, and
        last: when it last committed, s of the monotonic clock.
        round: The round that is under way; None where there is none.
        rounds: How many rounds have begun.
    """

    total: int | None
    processors: int = 1
    gpus: int = 0
    pairs: int = 0
    new: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    model_s: float = 0.0
    at_once: int | None = None
    fetched: int = 0
    written: int = 0
    began: float = field(default_factory=time.monotonic)
    last: float = 0.0
    round: RoundProgress | None = None
    rounds: int = 0

    def add_round(self, name: str, done: int, total: int, spent_s: float) -> bool:
        """Count what is done of a round, and what it has spent; return whether it begins."""
        self.cpu_s += spent_s
        new = self.round is None or self.round.name != name or done < self.round.done
        if self.round is None or new:
            self.rounds += 1
            self.round = RoundProgress(name, self.rounds, done, total)
        self.round.done = done
        return new

    def add(self, marker: Marker, new: bool, spent_s: float) -> None:
        """Count one commit, on which processors have spent `spent_s`."""
        self.pairs += marker.rows
        self.outcomes.update({n: count for n, count in marker.counts.items() if n in OUTCOMES})
        self.last = time.monotonic()
        self.round = None
        if not new:
            return
        self.new += marker.rows
        self.cpu_s += spent_s
        self.model_s += EmbedTime.from_json(marker.extra).model_s
        self.at_once = requests_at_once(marker) or self.at_once
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
            "at_once": self.at_once,
            "fetched_bytes": self.fetched,
            "written_bytes": self.written,
            "outcomes": dict(self.outcomes),
            "round": self.round.facts() if self.round else None,
        }

    def counted(self) -> str:
        """Return what is done of what, in words; of a round that is under way its tasks."""
        if self.round:
            tasks = f"{self.round.done:,} of {self.round.total:,} tasks"
            return f"{tasks} (round {self.round.number}, {self.round.name})"
        return f"{self.pairs:,} of {self.total or 0:,} pairs"

    def note(self) -> str:
        """Return rate, busy shares, bytes and the commonest outcomes, in a few words."""
        rate = f"{self.round.rate:,.1f} tasks/s" if self.round else f"{self.rate:,.0f}/s"
        words = [rate, f"CPU {100 * self.cpu_share:.0f} %"]
        if self.gpu_share is not None and self.model_s:
            words.append(f"GPU {100 * self.gpu_share:.0f} %")
        if self.at_once:
            words.append(f"{self.at_once:,} at once")
        if self.fetched:
            words.append(f"{size_in_words(self.fetched)} fetched")
        if self.written:
            words.append(f"{size_in_words(self.written)} written")
        words += [f"{name} {count:,}" for name, count in self.outcomes.most_common(4)]
        return ", ".join(words)
