"""What a command works with: the checked recipe, the dataset, the plan and the engine."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import typer

from pairsieve.jobs.console import funnel, rate
from pairsieve.jobs.progress import Display, progress
from pairsieve.pipeline import plan, run
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import semantic
from pairsieve.pipeline.engine.engine import Engine, Kind, open_engine
from pairsieve.pipeline.external import blocklist, check
from pairsieve.pipeline.fetch import img2dataset
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.unit import retry_layers
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.vectors import scorers
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_file import load


class Job:
    """A recipe on a dataset, on an engine."""

    def __init__(
        self,
        recipe: Path,
        dataset: str,
        kind: Kind,
        workers: int | None = None,
        address: str | None = None,
    ) -> None:
        """Check all that can be checked without touching input or output; read the lists."""
        self.recipe = load(recipe)
        rules(self.recipe)
        blocklist.load(self.recipe.blocklist)
        self.store = Store.at(dataset)
        for warning in check.check(self.recipe, self.store):
            typer.echo(f"Warning: {warning}", err=True)
        self._engine = kind, workers, address

    def plan(self) -> Plan:
        """Return the plan, made now if there is none."""
        return plan.run(self.recipe, self.store)

    def progress(self, pairs: int) -> AbstractContextManager[Display]:
        """Show progress towards `pairs`, with those that layers try again."""
        return progress(pairs, sum(layer.pairs for layer in retry_layers.decided(self.store)))

    def check_fetch(self) -> None:
        """Refuse a downloader that is not installed, before any work; warn of what it cannot do."""
        if self.recipe.fetch and self.recipe.fetch.engine == "img2dataset":
            img2dataset.check()
            typer.echo(f"Warning: {img2dataset.WARNING}", err=True)

    def check_model(self) -> None:
        """Refuse a model that cannot be had, before any work is done that needs it later."""
        for model in self.recipe.models:
            clip.check(model)
            scorers.check(model)
        semantic.options(self.recipe)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Start the engine and close it at the end, also when the user interrupts."""
        engine = open_engine(*self._engine)
        try:
            yield engine
        except KeyboardInterrupt:
            typer.echo("\nStopped. Nothing is lost: the same command goes on from here.", err=True)
            raise typer.Exit(1) from None
        finally:
            engine.close()

    def gather(self, again: tuple[str, ...]) -> None:
        """Gather what is not gathered yet; then try the pairs with these outcomes once more."""
        self.check_fetch()
        made = self.plan()
        if again and not made.fetch:
            raise BadOption("--retry: the input holds its own images, so nothing was fetched")
        with self.engine() as running:
            with self.progress(made.pairs) as told:
                for _ in run.gathered(self.recipe, self.store, running, made, told):
                    continue
            if not again:
                return
            begun = retry_layers.begin(self.store, made, again)
            if begun is None:
                typer.echo("Nothing to try again.")
                return
            with progress(made.pairs, begun.layer.pairs) as told:
                run.retried(self.recipe, self.store, running, made, begun, told)

    def walk(self, name: str) -> None:
        """Walk the whole road for the selection `name`; print progress, funnel and highest rate."""
        self.check_fetch()
        self.check_model()
        made = self.plan()
        with self.engine() as running, self.progress(made.pairs) as told:
            run.run(self.recipe, self.store, running, name, told)
        selected = self.store.marker(select_marker(name))
        if selected:
            funnel(selected.extra["funnel"])
        rate(self.store, self.recipe)
