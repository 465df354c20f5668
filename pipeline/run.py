"""Run: the whole pipeline, from pairs to shards and report; stop it anywhere and run it again.

Every verb commits its own work and skips what is committed, so this only puts them in order.
Embedding takes units as their gathering commits: the two overlap wherever the engine lets them. The
stages that decide over the whole pool follow in the order of the table of stages, each by the
function `decide` of its verb's file.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Protocol

from pairsieve.pipeline import embed, gather
from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.lease import CAPTIONS, POOL, Say, held, of_selection
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.marker_index import FOLD_AT
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, layer_of, vectors_folder
from pairsieve.pipeline.dataset.stages import DECIDING, Scope, Stage
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.unit.marker_folding import FOLD_EVERY, fold_embedded, fold_gathered
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.unit.retry_layers import BegunLayer
from pairsieve.pipeline.unit.task_slices import check_complete
from pairsieve.pipeline.vectors import folders
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


class ProgressListener(Protocol):
    """Hears of every stage that begins and of every commit, those of earlier runs first."""

    def __call__(self, stage: str, marker: Marker | None, new: bool = True) -> None:
        """Take note that `stage` has committed `marker`; not `new` if an earlier run did.

        Without a marker it begins, or goes on.
        """
        ...


Decide = Callable[[Recipe, Store, Engine, str], Iterable[Marker]]


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    name: str,
    listener: ProgressListener,
    say: Say = print,
) -> None:
    """Go through the whole pipeline for the selection `name`; `listener` hears of every commit.

    While another command decides over the same, this one waits and `say` hears of it.

    Raises:
        BadOption: the input or the model cannot be had as the recipe says.
        Stopped: the work cannot go on now; the same call goes on from there.
    """
    plan = plans.run(recipe, store)
    measure(recipe, store, engine, plan, listener)
    check_complete(store, plan)
    for lease, scopes in (
        *([(CAPTIONS, (Scope.MODEL,))] if recipe.captions else []),
        (POOL, (Scope.POOL,)),
        (of_selection(name), (Scope.SELECTION, Scope.DATASET)),
    ):
        with held(store, lease, say):
            stages = (stage for stage in DECIDING if stage.scope in scopes)
            decided(recipe, store, engine, name, stages, listener)


def measure(
    recipe: Recipe, store: Store, engine: Engine, plan: Plan, listener: ProgressListener
) -> None:
    """Gather and, if the recipe has a model, embed; each unit as soon as it is there."""
    listener("gather", None)  # embedding asks for its units, and so begins before it
    slice_names = gathered(recipe, store, engine, plan, listener)
    if recipe.embed:
        embedded(recipe, store, engine, plan, slice_names, listener)
    else:
        for _ in slice_names:
            continue


def gathered(
    recipe: Recipe, store: Store, engine: Engine, plan: Plan, listener: ProgressListener
) -> Iterator[str]:
    """Yield the name of every task slice: those committed before, then others as they commit.

    Those committed before are of all retry layers.
    """
    found = store.markers(GATHER_FOLDER)
    listener("gather", None)
    for slice_name, marker in found.items():
        listener("retry" if layer_of(slice_name) else "gather", marker, new=False)
        yield slice_name
    fold_gathered(store, plan, found)
    del found
    number = 0
    for number, (slice_name, marker) in enumerate(gather.run(recipe, store, plan, engine), 1):
        listener("gather", marker)
        yield slice_name
        if number % FOLD_EVERY == 0:
            fold_gathered(store, plan)
    if number >= FOLD_AT:
        fold_gathered(store, plan)


def decided(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    name: str,
    stages: Iterable[Stage],
    listener: ProgressListener,
) -> None:
    """Let some of the stages of `DECIDING` decide for the selection `name`, one after another."""
    for stage in stages:
        listener(stage.name, None)
        decide: Decide = import_module(f"{__package__}.{stage.name}").decide
        for marker in decide(recipe, store, engine, name):
            listener(stage.name, marker)


def retried(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    plan: Plan,
    begun: BegunLayer,
    listener: ProgressListener,
) -> None:
    """Finish a retry layer; every unit must be gathered."""
    listener("retry", None)
    for marker in begun.done.values():
        listener("retry", marker, new=False)
    for _, marker in gather.work(recipe, store, plan, engine, begun.todo):
        listener("retry", marker)
    if len(begun.todo) >= FOLD_AT:
        fold_gathered(store, plan)


def embedded(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    plan: Plan,
    slice_names: Iterable[str],
    listener: ProgressListener,
) -> None:
    """Embed the task slices as they come with the main model; then with each of the others.

    Raises:
        BadOption: the recipe names no model, or one that cannot be had.
    """
    if recipe.embed is None:
        raise BadOption("embed: missing; say which `model` and `pretrained`")
    for model in recipe.models:
        before = set(store.marker_names(vectors_folder(folders.scores_folder(model))))
        stage = f"embed {model.name}" if model.name else "embed"
        listener(stage, None)
        done = []
        for slice_name, marker in embed.run(recipe, store, engine, slice_names, model):
            listener(stage, marker, slice_name not in before)
            done.append(slice_name)
        if len(done) >= FOLD_AT:
            for folder in (folders.model_folder(model), folders.scores_folder(model)):
                fold_embedded(store, plan, vectors_folder(folder))
        slice_names = done
