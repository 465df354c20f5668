"""A run in Weights & Biases or MLflow: what the displays show, every few seconds, and its end.

Each is written to by its own library, which finds in the environment where and as whom to log, as
it does for everything else. Where the environment does not say, both write to a folder here and
nothing leaves this machine; neither reports to its makers.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pairsieve.jobs import log
from pairsieve.jobs.live.metrics import Metrics, served
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from pairsieve.jobs.live.progress import Display
    from pairsieve.pipeline.dataset.marker import Marker
    from pairsieve.pipeline.dataset.store import Store

EVERY_S = 10.0
PROJECT = "pairsieve"  # where the environment names no other
TEXT_LETTERS = 500  # of a condition, as many as MLflow has ever taken


class Destination(StrEnum):
    """Where a run can be logged to; also the name of the library and of the extra."""

    WANDB = "wandb"
    MLFLOW = "mlflow"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a run before it begins.

    Attributes:
        command: The verb.
        recipe: The file.
        dataset: Folder or URL.
        selection: Its name; None for a command that makes none.
    """

    command: str
    recipe: Path
    dataset: str
    selection: str | None = None

    @property
    def title(self) -> str:
        """Return what the run is called."""
        last = self.dataset.rstrip("/").rpartition("/")[2]
        return f"{self.command} {last}"

    def options(self) -> dict[str, str]:
        """Return what shapes the run, the condition of each rule among it.

        Raises:
            BadOption: it is no recipe.
        """
        from pairsieve.pipeline.ledger.rules import rules
        from pairsieve.schemas.recipe_file import load

        named = {"command": self.command, "recipe": str(self.recipe), "dataset": self.dataset}
        selection = {"selection": self.selection} if self.selection else {}
        kept = {f"keep/{rule.name}": rule.sql[:TEXT_LETTERS] for rule in rules(load(self.recipe))}
        return named | selection | kept


class Tracker(Protocol):
    """A run in one of the two."""

    errors: tuple[type[Exception], ...]  # that the library raises where it cannot log

    @property
    def place(self) -> str:
        """Return where the run is to be found."""
        ...

    def log(self, figures: Mapping[str, float], second: int) -> None:
        """Log what holds so many seconds after the beginning."""
        ...

    def end(self, finished: bool, result: Mapping[str, float | str]) -> None:
        """Log what the run came to, and that it is over."""
        ...


def figures_of(display: "Display") -> dict[str, float]:
    """Return what a display knows, as `--log-json` tells it, by `stage/figure`."""
    found: dict[str, float] = {}
    for name, stage in list(display.stages.items()):
        facts = stage.facts()
        for inner in ("round", "outcomes"):
            facts |= {f"{inner}/{key}": value for key, value in (facts.pop(inner) or {}).items()}
        found |= {f"{name}/{k}": v for k, v in facts.items() if isinstance(v, (int, float))}
    return found


def selection_figures(store: "Store", name: str, selected: "Marker") -> dict[str, float | str]:
    """Return what a selection came to, what each rule dropped, and where and which it is."""
    from pairsieve.pipeline.dataset.paths import report_page, shards_folder

    dropped = {f"dropped_by/{step['rule']}": step["dropped"] for step in selected.extra["funnel"]}
    which = {
        "name": name,
        "id": selected.extra["fingerprint"],
        "report": store.location(report_page(name)),
        "shards": store.location(shards_folder(name)),
    }
    found: dict[str, float | str] = {**selected.counts, **dropped, **which}
    return {f"selection/{key}": value for key, value in found.items()}


class _Sampler:
    """Logs what a display knows, in a thread of its own, until the work is done."""

    def __init__(self, tracker: Tracker, metrics: Metrics) -> None:
        self._tracker, self._metrics = tracker, metrics
        self._began = time.monotonic()
        self._over = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.wait(EVERY_S):
            self._log()

    def _log(self) -> None:
        """Log once, unless that has failed before: the work goes on without."""
        display = self._metrics.display
        if display is None or self._failed:
            return
        try:
            self._tracker.log(figures_of(display), int(time.monotonic() - self._began))
        except self._tracker.errors as error:
            self._failed = True
            log.warning(f"--log-to: logging has failed, the work goes on without it: {error}")

    def end(self, finished: bool) -> None:
        """Log the last figures and what the work came to."""
        self._over.set()
        self._thread.join()
        self._log()
        try:
            self._tracker.end(finished, self._metrics.result)
        except self._tracker.errors as error:
            log.warning(f"--log-to: the end of the run could not be logged: {error}")


@contextmanager
def watched(port: int | None, to: Destination | None, about: About) -> Iterator[Metrics]:
    """Serve metrics at a port and log them, each unless it is None, until the work is done.

    Raises:
        BadOption: the port cannot be had, a library is not there, or it cannot log as it is asked.
    """
    with served(port) as metrics:
        if to is None:
            yield metrics
            return
        sampler = _Sampler(_begun(to, about), metrics)
        finished = False
        try:
            yield metrics
            finished = True
        finally:
            sampler.end(finished)


def _begun(to: Destination, about: About) -> Tracker:
    """Return a run that has begun, and say where it is."""
    if not find_spec(to):
        raise BadOption(f"--log-to {to}: needs `pip install 'pairsieve[{to}]'`")
    options = about.options()
    tracker: Tracker
    if to is Destination.WANDB:
        from pairsieve.jobs.live.wandb_run import WandbRun

        tracker = WandbRun(about.title, about.command, options, PROJECT)
    else:
        from pairsieve.jobs.live.mlflow_run import MlflowRun

        tracker = MlflowRun(about.title, options, PROJECT)
    log.note(f"Logged to {to}: {tracker.place}")
    return tracker
