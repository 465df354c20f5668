"""The pipeline up to its shards: of a tiny dataset the report would be two thirds of the work."""

from importlib import import_module

from pairsieve.pipeline import plan, run
from pairsieve.pipeline.dataset.stages import DECIDING
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.recipe import Recipe


def walk(recipe: Recipe, store: Store, without: tuple[str, ...] = ("report",)) -> None:
    """Do what `run` does, but for the report, or for these stages that decide."""
    engine = Serial()
    planned = plan.run(recipe, store)
    run.measure(recipe, store, engine, planned, lambda stage, marker, new=True: None)
    for stage in DECIDING:
        if stage.name not in without:
            verb = import_module(f"{run.__package__}.{stage.name}")
            list(verb.decide(recipe, store, engine, "default"))
