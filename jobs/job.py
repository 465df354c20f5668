"""What a command works with: the checked recipe, the dataset, the plan and the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from pairsieve.jobs.progress import progress
from pairsieve.jobs.tables import funnel, rate
from pairsieve.pipeline import blocklist, clip, plan, run
from pairsieve.pipeline.engine import Engine, Kind, open_engine
from pairsieve.pipeline.ledger import select_marker
from pairsieve.pipeline.plan import Plan
from pairsieve.pipeline.rules import rules
from pairsieve.pipeline.store import Store
from pairsieve.schemas.recipe import load


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
        """Check all that can be checked without touching input or output; read the blocklist."""
        self.recipe = load(recipe)
        rules(self.recipe)
        blocklist.load(self.recipe.blocklist)
        self.store = Store.at(dataset)
        self._engine = kind, workers, address

    def plan(self) -> Plan:
        """Return the plan, made now if there is none."""
        return plan.run(self.recipe, self.store)

    def check_model(self) -> None:
        """Refuse a model that cannot be had, before any work is done that needs it later."""
        if self.recipe.embed:
            clip.check(self.recipe.embed)

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

    def walk(self, name: str) -> None:
        """Walk the whole road for the selection `name`; print progress, funnel and highest rate."""
        self.check_model()
        made = self.plan()
        with self.engine() as running, progress(made.pairs) as told:
            run.run(self.recipe, self.store, running, name, told)
        selected = self.store.marker(select_marker(name))
        if selected:
            funnel(selected.extra["funnel"])
        rate(self.store, self.recipe)
