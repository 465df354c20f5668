"""What a command works with: the checked recipe, the dataset, the plan and the engine."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import typer

from pairsieve.jobs import log
from pairsieve.jobs.console import print_funnel, print_rate, print_sentence
from pairsieve.jobs.live.metrics import Metrics
from pairsieve.jobs.live.progress import Display, progress
from pairsieve.jobs.live.tracking import selection_figures
from pairsieve.jobs.run_warnings import warnings
from pairsieve.jobs.selection_tables import limits
from pairsieve.pipeline import caption, check, plan, run
from pairsieve.pipeline.captions.sentences import caption_sentences
from pairsieve.pipeline.dataset.lease import CAPTIONS, held
from pairsieve.pipeline.dataset.marker import outcome_counts
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, PLAN_FILE, select_marker
from pairsieve.pipeline.dataset.roles import slice_of
from pairsieve.pipeline.dataset.stages import DECIDING, EMBED, Stage
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import fits
from pairsieve.pipeline.engine.engine import Kind, Opened, open_engine
from pairsieve.pipeline.ledger.left_out import check_used
from pairsieve.pipeline.selections import overrides
from pairsieve.pipeline.unit import plan_limit, retry_layers
from pairsieve.pipeline.unit.forgotten import check_finished
from pairsieve.pipeline.unit.plan_file import Plan, read
from pairsieve.pipeline.unit.plan_limit import Limit
from pairsieve.pipeline.unit.task_slices import catch_up
from pairsieve.pipeline.vectors import head_check
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_resources import Resources

AFTER_GATHER = {stage.name for stage in (EMBED, *DECIDING)}
Choice = Kind | Literal["auto"]
SMALL_PAIRS = 1_000  # done in this process before a private Ray has started and ended


@dataclass(frozen=True)
class EngineChoice:
    """Where the work runs; see `open_engine`. `auto` is told when the plan is known."""

    kind: Choice = "serial"
    workers: int | None = None
    address: str | None = None
    resources: Resources = Resources()

    def holding(self, resources: Resources) -> "EngineChoice":
        """Return the same where processes hold what a recipe says.

        Raises:
            BadOption: this machine has not so much, and no cluster is to be joined.
        """
        if resources == Resources():
            return self
        if self.kind == "serial":
            log.warning("resources: nothing is held with `--engine serial`")
        elif not (self.address or os.environ.get("RAY_ADDRESS")):
            fits.check_here(resources, self.workers)
        return replace(self, resources=resources)

    def of(self, store: Store) -> Kind:
        """Return the engine for a dataset.

        Ray unless the dataset is small and on a local disk, nothing is asked for that Ray does, and
        no earlier attempt was ended in mid-unit: a pair that kills its process costs only itself
        where the process is not this one.
        """
        if self.kind != "auto":
            return self.kind
        asked = self.workers or self.address or os.environ.get("RAY_ADDRESS")
        asked = asked or self.resources != Resources()
        if asked or not store.local or not store.exists(PLAN_FILE):
            return "ray"
        small = read(store).pairs <= SMALL_PAIRS
        return "serial" if small and not _interrupted(store) else "ray"


def _interrupted(store: Store) -> bool:
    """Return whether files of task slices lie there that were not committed."""
    folder = store.local / GATHER_FOLDER if store.local else None
    if not folder or not folder.is_dir():
        return False
    begun = {slice_of(path.name) for path in folder.iterdir()} - {None}
    return not begun <= set(store.marker_names(GATHER_FOLDER))


@contextmanager
def opened(choice: EngineChoice, store: Store) -> Iterator[Opened]:
    """Start the engine for a dataset and close it at the end, also when the user interrupts."""
    held = choice.resources.tasks
    engine = open_engine(choice.of(store), choice.workers, choice.address, held)
    try:
        yield engine
    except KeyboardInterrupt:
        log.note("\nStopped. Nothing is lost: the same command goes on from here.")
        raise typer.Exit(1) from None
    finally:
        engine.close()


class Job:
    """A recipe on a dataset, on an engine."""

    def __init__(
        self,
        recipe: Path,
        dataset: str,
        engine: EngineChoice = EngineChoice(),  # noqa: B008, frozen
        verbs: Collection[str] = check.ALL_VERBS,
        settings: Sequence[str] = (),
        metrics: Metrics | None = None,
    ) -> None:
        """Check all that can be checked before any work, for the verbs that are going to run.

        `settings` are values, as `--set` has them, that the recipe is to have instead of its own.
        `metrics` tell what progress the work makes.
        """
        self._metrics = metrics or Metrics()
        self.recipe = overrides.load(recipe, settings)
        self.store = Store.at(dataset, self.recipe.scratch)
        check_finished(self.store)
        for warning in check.check(self.recipe, self.store, verbs):
            log.warning(warning)
        self._engine = engine.holding(self.recipe.resources)
        if set(verbs) <= AFTER_GATHER:
            self._check_gathered()

    def _check_gathered(self) -> None:
        """Refuse to go on from what is not there yet.

        Raises:
            BadOption: there is no dataset, nothing is gathered, or not what the recipe reads or
                wants in samples.
        """
        planned = read(self.store)
        check_used(self.recipe, planned.left_out)
        check.check_sample_columns(self.recipe, planned.schema.names)
        catch_up(self.store, planned)
        if not self.store.marker_names(GATHER_FOLDER):
            raise BadOption(f"{self.store.url}: nothing is gathered yet; run `pairsieve gather`")

    def plan(self, limit: Limit | None = None) -> Plan:
        """Return the plan, made now if there is none, once the recipe fits its input."""
        planned = plan.run(self.recipe, self.store, limit=limit)
        check.check_input(self.recipe, planned)
        return planned

    @contextmanager
    def progress(self, pairs: int, engine: Opened, retried: int | None = None) -> Iterator[Display]:
        """Show progress towards `pairs` and those that are retried; default: of all layers."""
        if retried is None:
            retried = sum(layer.pairs for layer in retry_layers.read_layers(self.store))
        with progress(pairs, retried, engine) as display:
            self._metrics.show(display)
            yield display

    def engine(self) -> AbstractContextManager[Opened]:
        """Start the engine and close it at the end, also when the user interrupts."""
        return opened(self._engine, self.store)

    @contextmanager
    def waiting(self, lease: str) -> Iterator[Opened]:
        """Start the engine once no other command decides over the same."""
        with held(self.store, lease, log.note), self.engine() as engine:
            yield engine

    @contextmanager
    def deciding(self, lease: str, stage: Stage) -> Iterator[Opened]:
        """Do the same, and show the progress of the stage that is done with the engine."""
        pairs = read(self.store).pairs
        with self.waiting(lease) as engine, self.progress(pairs, engine, 0) as display:
            display(stage.name, None)
            yield engine
            display.end(stage.name)

    def gather(self, outcomes: tuple[str, ...]) -> None:
        """Gather what is not gathered yet; then fetch the pairs with these outcomes once more."""
        planned = self.plan()
        if outcomes and not planned.fetch:
            raise BadOption("--retry: the input holds its own images, so nothing was fetched")
        with self.engine() as engine:
            with self.progress(planned.pairs, engine) as listener:
                for _ in run.gathered(self.recipe, self.store, engine, planned, listener):
                    continue
            if not outcomes:
                return
            begun = retry_layers.begin(self.store, planned, outcomes)
            if begun is None:
                typer.echo("Nothing to retry.")
                return
            with self.progress(planned.pairs, engine, begun.layer.pairs) as listener:
                run.retried(self.recipe, self.store, engine, planned, begun, listener)

    def embed(self) -> None:
        """Embed what is gathered."""
        planned = self.plan()
        with self.engine() as engine, self.progress(planned.pairs, engine) as listener:
            slice_names = self.store.marker_names(GATHER_FOLDER)
            run.embedded(self.recipe, self.store, engine, planned, slice_names, listener)

    def caption(self, again: bool) -> None:
        """Ask of what is gathered, also of pairs that had no answer where `again`; say the cost."""
        planned = self.plan()
        with (
            self.waiting(CAPTIONS) as engine,
            self.progress(planned.pairs, engine) as listener,
        ):
            for _, marker in caption.run(self.recipe, self.store, engine, again):
                listener("caption", marker)
        for sentence in caption_sentences(self.store):
            typer.echo(sentence)

    def limited(self, pairs: int | None, sample: bool) -> Plan:
        """Return the plan as `plan` does, if it is that of so many pairs, or of all of them."""
        if sample and pairs is None:
            raise BadOption("--sample: needs --limit, which says how many pairs")
        limit = Limit(pairs, self.recipe.shard.seed if sample else None) if pairs else None
        if self.store.exists(PLAN_FILE):
            plan_limit.check(read(self.store), limit)
        planned = self.plan(limit)
        plan_limit.check(planned, limit)
        for sentence in planned.sentences():
            log.note(sentence)
        return planned

    def run(self, name: str, pairs: int | None = None, sample: bool = False) -> None:
        """Run the whole pipeline for the selection `name`; print progress, funnel, highest rate."""
        planned = self.limited(pairs, sample)
        with self.engine() as engine, self.progress(planned.pairs, engine) as listener:
            run.run(self.recipe, self.store, engine, name, listener, log.note)
        selected = self.store.marker(select_marker(name))
        if selected:
            self._metrics.result = selection_figures(self.store, name, selected)
            print_funnel(selected.extra["funnel"])
            for sentence in limits(selected):
                print_sentence(sentence)
            outcomes = outcome_counts(self.store.markers(GATHER_FOLDER).values())
            folders = scores_folders(self.recipe).values()
            for warning in (
                *warnings(selected.extra["funnel"], outcomes),
                *head_check.sentences(self.store, folders),
            ):
                log.warning(warning)
        print_rate(self.store, self.recipe)
