"""Progress of a run: a live bar per stage on a terminal, plain lines anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from pairsieve.jobs import log
from pairsieve.jobs.live.stage_progress import StageProgress
from pairsieve.jobs.live.words import time_in_words
from pairsieve.pipeline.dataset.costs import CPU_S
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.stages import MEASURING, Pairs, stage_of
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.engine.rounds import heard_by

BAR_WIDTH = 16
LINE_EVERY_S = 2.0  # plain lines: at most one per stage in this time, and one at its end


class Processors(Protocol):
    """What is to be known of an engine."""

    @property
    def processors(self) -> int:
        """Return how many processors the work may use."""
        ...

    @property
    def gpus(self) -> int:
        """Return how many GPUs."""
        ...

    @property
    def spent_s(self) -> float:
        """Return what processors have spent so far, s."""
        ...


class _Note(ProgressColumn):
    """What else is to be said of a stage, cut where there is no room for all of it."""

    def render(self, task: Task) -> Text:
        """Return the note in one line."""
        return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")


class Display:
    """Hears of commits and shows rate, busy share, bytes, counts per outcome and the time left.

    Attributes:
        stages: Where each stage is that has begun, by name, in order.
        engine: What does the work.
    """

    def __init__(
        self, pairs: int, console: Console, retried: int = 0, engine: Processors | None = None
    ) -> None:
        """Show progress on `console` towards `pairs`, of which `retried` are fetched once more."""
        self.stages: dict[str, StageProgress] = {}
        self.engine = engine or Serial()
        self._spent_s = self.engine.spent_s
        self._pairs = pairs
        self._retried = retried
        self._console = console
        self._bars = (
            Progress(
                TextColumn("{task.description:<8}", table_column=Column(no_wrap=True)),
                BarColumn(BAR_WIDTH, table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[counted]}", table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                _Note(),
                console=console,
            )
            if console.is_terminal and not (log.is_quiet() or log.is_json())
            else None
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}  # when the last plain line of each stage was said
        self._unsaid: set[str] = set()
        self._kept = 0

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
        if kind is None:
            self._end_rounds()
        if self._bars:
            self._bars.stop()
            return
        for name in self.stages:
            if name in self._unsaid:
                self._say(name)

    def _begin(self, stage: str) -> None:
        """Show a stage whose work begins, with nothing done of it."""
        if stage in self.stages:
            return
        self._end_rounds()
        of = stage_of(stage)
        gpus = self.engine.gpus if of in MEASURING else 0
        self.stages[stage] = StageProgress(self._total(stage), self.engine.processors, gpus)
        self._said[stage] = time.monotonic()
        if of not in MEASURING:
            self._spent_since()
        if self._bars:
            total = self.stages[stage].total
            self._tasks[stage] = self._bars.add_task(stage, total=total, counted="", note="")

    def __call__(self, stage: str, marker: Marker | None, new: bool = True) -> None:
        """Take note of one commit of `stage`; not `new` if an earlier run made it; None: begun."""
        self._begin(stage)
        if marker is None:
            return
        shown = self.stages[stage]
        if shown.total is None:
            shown.total = marker.rows
        spent_s = self._spent_since()
        if stage_of(stage) in MEASURING:  # which overlap, and so say themselves what they spend
            spent_s = marker.extra.get(CPU_S, spent_s)
        shown.add(marker, new, spent_s)
        self._kept = marker.counts.get("kept", self._kept)
        self._show(stage, shown.pairs, shown.total)

    def tell_round(self, name: str, done: int, total: int) -> None:
        """Take note of what is done of a round of tasks of the stage that began last."""
        stage = next(reversed(self.stages), None)
        if stage is None or stage_of(stage) in MEASURING:
            return
        shown = self.stages[stage]
        begins = shown.add_round(name, done, total, self._spent_since())
        if begins and self._bars:
            self._bars.reset(self._tasks[stage])
        self._show(stage, done, total)

    def _end_rounds(self) -> None:
        """Show of a stage that is over what it has answered for, if that is known."""
        for name, shown in self.stages.items():
            if shown.round is None:
                continue
            shown.round = None
            if shown.total is None or not shown.pairs:
                self._unsaid.discard(name)
            else:
                self._show(name, shown.pairs, shown.total)

    def end(self, stage: str) -> None:
        """Show no more of a stage that has ended, whose command itself says what it came to."""
        del self.stages[stage]
        self._unsaid.discard(stage)
        if self._bars:
            self._bars.remove_task(self._tasks[stage])

    def _show(self, stage: str, done: int, total: int) -> None:
        """Show where a stage is, on its bar or, if it is time, as a line."""
        shown = self.stages[stage]
        if self._bars:
            task, note = self._tasks[stage], shown.note()
            counted = shown.counted()
            self._bars.update(task, completed=done, total=total, counted=counted, note=note)
        elif time.monotonic() - self._said[stage] >= LINE_EVERY_S:
            self._say(stage)
        else:
            self._unsaid.add(stage)

    def _spent_since(self) -> float:
        """Return what processors have spent since this was last asked, s."""
        now = self.engine.spent_s
        spent, self._spent_s = now - self._spent_s, now
        return spent

    def _total(self, stage: str) -> int | None:
        """Return how many pairs the stage will answer for; a retried pair counts again."""
        totals = {
            Pairs.ALL: self._pairs,
            Pairs.RETRIED: self._retried,
            Pairs.ATTEMPTED: self._pairs + self._retried,
            Pairs.IN_MARKER: None,
            Pairs.KEPT: self._kept,
        }
        return totals[stage_of(stage).pairs]

    def _say(self, name: str) -> None:
        """Print where a stage is, as one plain line."""
        self._unsaid.discard(name)
        self._said[name] = time.monotonic()
        if log.is_quiet():
            return
        stage = self.stages[name]
        if log.is_json():
            log.event("info", "progress", stage=name, **stage.facts())
            return
        left_s = stage.round.left_s if stage.round else stage.left_s
        left = f"about {time_in_words(left_s)} left, " if left_s else ""
        done, of, total = stage.counted().partition(" of ")
        self._console.print(
            f"{name:<8}{done:>8}{of}{total}  {left}{stage.note()}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def progress(pairs: int, retried: int = 0, engine: Processors | None = None) -> Iterator[Display]:
    """Show progress towards `pairs`, and `retried` fetched once more, on standard error."""
    with (
        Display(pairs, Console(stderr=True), retried, engine) as display,
        heard_by(display.tell_round),
    ):
        yield display
