"""Progress of a run: a live bar per stage on a terminal, plain lines anywhere else."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pairsieve.jobs import log
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.stages import MEASURING, Pairs, stage_of
from pairsieve.schemas.outcomes import Outcome

OUTCOMES = frozenset(Outcome)
LINE_EVERY_S = 2.0  # plain lines: at most one per stage in this time, and one at its end


class Display:
    """Hears of commits and shows rate, counts per outcome and the time left."""

    def __init__(self, pairs: int, console: Console, retried: int = 0) -> None:
        """Show progress on `console` towards `pairs`, of which `retried` are fetched once more."""
        self._pairs = pairs
        self._retried = retried
        self._console = console
        self._bars = (
            Progress(
                TextColumn("{task.description:<8}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} of {task.total:,.0f} pairs"),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=console,
            )
            if console.is_terminal and not (log.is_quiet() or log.is_json())
            else None
        )
        self._stages: dict[str, _StageProgress] = {}
        self._kept = 0
        self._start = self._last_commit = time.monotonic()

    def __enter__(self) -> Self:
        """Start the live display, if there is one."""
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say the last of every stage and end the live display."""
        if self._bars:
            self._bars.stop()
            return
        for name, stage in self._stages.items():
            if stage.unsaid:
                self._say(name, stage)

    def __call__(self, stage: str, marker: Marker, new: bool = True) -> None:
        """Take note of one commit of `stage`; not `new` if an earlier run made it."""
        if stage not in self._stages:
            # Gathering and embedding overlap from the start, the others follow one another.
            start = self._start if stage_of(stage) in MEASURING else self._last_commit
            self._stages[stage] = _StageProgress(start, self._total(stage, marker))
            if self._bars:
                total = self._stages[stage].total
                self._stages[stage].task = self._bars.add_task(stage, total=total, note="")
        shown = self._stages[stage]
        shown.add(marker, new)
        self._last_commit = time.monotonic()
        self._kept = marker.counts.get("kept", self._kept)
        if self._bars and shown.task is not None:
            self._bars.update(shown.task, completed=shown.pairs, note=shown.note())
        elif shown.due():
            self._say(stage, shown)
        else:
            shown.unsaid = True

    def _total(self, stage: str, marker: Marker) -> int:
        """Return how many pairs the stage will answer for; a retried pair counts again."""
        totals = {
            Pairs.ALL: self._pairs,
            Pairs.RETRIED: self._retried,
            Pairs.ATTEMPTED: self._pairs + self._retried,
            Pairs.IN_MARKER: marker.rows,
            Pairs.KEPT: self._kept,
        }
        return totals[stage_of(stage).pairs]

    def _say(self, name: str, stage: "_StageProgress") -> None:
        """Print where a stage is, as one plain line."""
        stage.unsaid = False
        if log.is_quiet():
            return
        if log.is_json():
            log.event("info", "progress", stage=name, **stage.facts())
            return
        seconds = (stage.total - stage.pairs) / stage.rate() if stage.rate() else 0
        left = f", about {seconds:,.0f} s left" if seconds > 0 else ""
        self._console.print(
            f"{name:<8}{stage.pairs:>8,} pairs{left}  {stage.note()}".rstrip(),
            highlight=False,
            soft_wrap=True,
        )


class _StageProgress:
    """What is known of one stage's progress."""

    def __init__(self, start: float, total: int) -> None:
        self.total = total
        self.pairs = 0
        self.unsaid = False
        self.task: TaskID | None = None
        self._outcomes: Counter[str] = Counter()
        self._new = 0
        self._start = self._said = start

    def add(self, marker: Marker, new: bool) -> None:
        """Count one commit; only what is `new` counts towards the rate."""
        self.pairs += marker.rows
        self._new += marker.rows if new else 0
        self._outcomes.update({n: count for n, count in marker.counts.items() if n in OUTCOMES})

    def rate(self) -> float:
        """Return new pairs per second."""
        return self._new / max(time.monotonic() - self._start, 1e-3)

    def due(self) -> bool:
        """Return True when the next plain line is due, and count from now."""
        now = time.monotonic()
        due = now - self._said >= LINE_EVERY_S
        if due:
            self._said = now
        return due

    def facts(self) -> dict[str, Any]:
        """Return where the stage is, as JSON."""
        return {
            "pairs": self.pairs,
            "total": self.total,
            "per_s": round(self.rate(), 1),
            "outcomes": dict(self._outcomes),
        }

    def note(self) -> str:
        """Return the rate and the commonest outcomes."""
        outcomes = ", ".join(f"{name} {count:,}" for name, count in self._outcomes.most_common(4))
        return f"{self.rate():,.0f}/s  {outcomes}".rstrip()


@contextmanager
def progress(pairs: int, retried: int = 0) -> Iterator[Display]:
    """Show progress towards `pairs`, and `retried` fetched once more, on standard error."""
    with Display(pairs, Console(stderr=True), retried) as display:
        yield display
