"""Caption: a model behind an endpoint of the recipe's describes images or translates texts.

Nothing is asked twice: answers are kept by pair, model and prompt, whatever else the recipe says
later. The limits of the recipe hold for all workers together; each task takes its share of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from pairsieve.filters.order import Phase
from pairsieve.pipeline.captions.answers import CaptionOutcome
from pairsieve.pipeline.captions.asking import Share
from pairsieve.pipeline.captions.folders import OF, claim
from pairsieve.pipeline.captions.slices import Item, Task, caption_slice
from pairsieve.pipeline.captions.usage import Usage
from pairsieve.pipeline.dataset.commit import damaged, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.marker_index import Markers
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    captions_folder,
    marker_path,
    parsed,
    select_marker,
)
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.files import ResultFile, ResultFiles, overlapping, result_files
from pairsieve.pipeline.ledger.rules import Rule, gates
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_captions import ALL, Captions


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker of each task slice, if the recipe has captions; so `run` calls a stage."""
    if recipe.captions:
        for _, marker in run(recipe, store, engine):
            yield marker


def run(
    recipe: Recipe, store: Store, engine: Engine, again: bool = False
) -> Iterator[tuple[str, Marker]]:
    """Ask of the gathered pairs that the recipe names; yield (slice, marker) as they commit.

    With `again`, pairs for which no attempt gave an answer are asked once more.

    Raises:
        BadOption: the recipe has no captions, or the selection is not there.
        Stopped: the service answers nobody, or the money is spent.
    """
    options = recipe.captions
    if options is None:
        raise BadOption("captions: missing; say which `url`, `model` and `prompt`")
    selection = _selection(store, options)
    rules = [*gates(recipe, Phase.TEXT), *gates(recipe, Phase.IMAGE)]
    of = _of(store, options, rules)
    folder = claim(store, options)
    committed = _committed(store, folder)
    todo = []
    for name in store.marker_names(GATHER_FOLDER):
        if name in committed and not _unfinished(committed[name], of, again):
            yield name, committed[name]
        else:
            todo.append(name)
    if not todo:
        return
    width = min(engine.workers, len(todo), options.concurrency)
    per_s = options.requests_per_s
    share = Share(options.concurrency // width, per_s / width if per_s else None)
    task = Task(store, options, folder, of, rules, recipe.image.format, share, again)
    items = _Items(options, selection, committed, width)
    for item, result in _mapped(engine, partial(caption_slice, task), items.of(todo), width):
        if isinstance(result, Crashed):
            raise Stopped(
                f"caption: the process of task slice {item.name} died at every attempt "
                f"({result.reason}); the same command goes on from there"
            )
        items.spend(item.name, result)
        yield item.name, result


@dataclass
class _Items:
    """The task slices to do, each with what of the money is left for it."""

    options: Captions
    selection: ResultFiles | None
    committed: Markers
    width: int
    spent: float = 0.0

    def of(self, names: Iterable[str]) -> Iterator[Item]:
        """Yield them.

        Raises:
            Stopped: the money is spent.
        """
        budget = self.options.max_cost
        if budget is not None:
            self.spent = sum(Usage.of(marker).cost for marker in self.committed.values())
        for name in names:
            left = None if budget is None else budget - self.spent
            if left is not None and left <= 0:
                raise Stopped(
                    f"captions.max_cost: {self.spent:g} of {budget:g} are spent; raise it to go on"
                )
            yield Item(name, self._verdicts(name), left and left / self.width)

    def spend(self, name: str, marker: Marker) -> None:
        """Count what a slice has cost since it was begun here."""
        before = Usage.of(self.committed.get(name))
        self.spent += Usage.of(marker).cost - before.cost

    def _verdicts(self, name: str) -> tuple[ResultFile, ...] | None:
        unit = parsed(name)[0]
        return overlapping(self.selection, (unit, unit)).files if self.selection else None


def _selection(store: Store, options: Captions) -> ResultFiles | None:
    """Return the files of the selection whose survivors the model is asked of; None for all.

    Raises:
        BadOption: there is none of that name.
    """
    if options.of == ALL:
        return None
    if store.marker(select_marker(options.of)) is None:
        raise BadOption(
            f"captions.of: there is no selection `{options.of}`; make it with a recipe without "
            "`captions`, or say `of: all`"
        )
    return result_files(store, SELECT, options.of)


def _of(store: Store, options: Captions, rules: Iterable[Rule]) -> str:
    """Return what stands for the pairs that the model is asked of."""
    selected = store.marker(select_marker(options.of)) if options.of != ALL else None
    made = selected.extra["fingerprint"] if selected else None
    return fingerprint(options.of, made, [rule.sql for rule in rules])


def _committed(store: Store, folder: str) -> Markers:
    """Return the markers of slices; those of what is gone or cut are deleted, to be asked anew."""
    path = captions_folder(folder)
    markers = store.markers(path)
    files = {file for file, _ in damaged(store, markers.values())}
    if not files:
        return markers
    lost = [name for name, marker in markers.items() if files & marker.files.keys()]
    store.delete(marker_path(path, name) for name in lost)
    return store.markers(path)


def _unfinished(marker: Marker, of: str, again: bool) -> bool:
    """Return whether more is to be asked of a slice."""
    return marker.extra[OF] != of or (again and CaptionOutcome.NO_ANSWER in marker.counts)


def _mapped(
    engine: Engine, function: Callable[[Item], Marker], items: Iterable[Item], width: int
) -> Iterator[tuple[Item, Marker | Crashed]]:
    """Yield (item, result), at most `width` tasks under way."""
    source = iter(items)
    while some := tuple(islice(source, width)):
        yield from engine.map(function, some if width < engine.workers else chain(some, source))
