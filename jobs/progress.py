"""Progress of a run: a live bar per verb on a terminal, plain lines anywhere else."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.schemas.outcomes import Outcome

MEASURING = ("gather", "retry", "embed")
OUTCOMES = frozenset(Outcome)
LINE_EVERY_S = 2.0  # plain lines: at most one per verb in this time, and one at its end


class Display:
    """Hears of commits and shows rate, counts per outcome and the time left."""

    def __init__(self, pairs: int, console: Console, again: int = 0) -> None:
        """Show progress on `console` towards `pairs`, of which `again` are tried once more."""
        self._pairs = pairs
        self._again = again
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
            if console.is_terminal
            else None
        )
        self._verbs: dict[str, _Verb] = {}
        self._kept = 0
        self._start = self._heard = time.monotonic()

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
        """Say the last of every verb and end the live display."""
        if self._bars:
            self._bars.stop()
            return
        for name, verb in self._verbs.items():
            if verb.unsaid:
                self._say(name, verb)

    def __call__(self, verb: str, marker: Marker, new: bool = True) -> None:
        """Take note of one commit of `verb`; not `new` if an earlier run made it."""
        if verb not in self._verbs:
            # Gathering and embedding overlap from the start, the others follow one another.
            start = self._start if verb in MEASURING else self._heard
            self._verbs[verb] = _Verb(start, self._total(verb, marker))
            if self._bars:
                total = self._verbs[verb].total
                self._verbs[verb].task = self._bars.add_task(verb, total=total, note="")
        known = self._verbs[verb]
        known.add(marker, new)
        self._heard = time.monotonic()
        self._kept = marker.counts.get("kept", self._kept)
        if self._bars and known.task is not None:
            self._bars.update(known.task, completed=known.pairs, note=known.note())
        elif known.due():
            self._say(verb, known)
        else:
            known.unsaid = True

    def _total(self, verb: str, marker: Marker) -> int:
        """Return how many pairs the verb will answer for; a pair tried again counts again."""
        totals = {
            "retry": self._again,
            "embed": self._pairs + self._again,
            "group": marker.rows,
            "shard": self._kept,
        }
        return totals.get(verb.partition(" ")[0], self._pairs)

    def _say(self, name: str, verb: "_Verb") -> None:
        """Print where a verb is, as one plain line."""
        seconds = (verb.total - verb.pairs) / verb.rate() if verb.rate() else 0
        left = f", about {seconds:,.0f} s left" if seconds > 0 else ""
        self._console.print(
            f"{name:<8}{verb.pairs:>8,} pairs{left}  {verb.note()}".rstrip(),
            highlight=False,
            soft_wrap=True,
        )
        verb.unsaid = False


class _Verb:
    """What is known of one verb's progress."""

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

    def note(self) -> str:
        """Return the rate and the commonest outcomes."""
        outcomes = ", ".join(f"{name} {count:,}" for name, count in self._outcomes.most_common(4))
        return f"{self.rate():,.0f}/s  {outcomes}".rstrip()


@contextmanager
def progress(pairs: int, again: int = 0) -> Iterator[Display]:
    """Show progress towards `pairs` and `again` tried once more on the standard error stream."""
    with Display(pairs, Console(stderr=True), again) as display:
        yield display
