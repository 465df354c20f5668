"""The `embed` stage as one actor of several on a GPU, for `bench gpu`.

Ray gives an actor on a GPU two task slices in hand, each in a thread; here threads do so without
Ray. A first slice warms everything; then the actors wait for each other, so that all work at once.
"""

import resource
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.pipeline import embed
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import ITEMS_IN_HAND, Serial
from pairsieve.pipeline.engine.ordered_threads import in_order
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_resources import Held

WAIT_S = 300  # for the other actors


class Actor(Serial):
    """Runs the first item for itself, waits, and then the others, two at a time."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self.began = self.ended = self.cpu_s = 0.0

    def map_with(
        self,
        setup: Callable[[], Any],
        function: Callable[[Any, Any], Any],
        items: Iterable[Any],
        gpus: float = 0,
        per_cpu: int = 0,
        held: Held | None = None,
    ) -> Generator[tuple[Any, Any]]:
        """Yield (item, result) in the order of `items`."""
        first, *others = items
        state = setup()
        yield first, function(state, first)
        self._wait()
        self.began, used_s = time.monotonic(), cpu_s()
        with ThreadPoolExecutor(ITEMS_IN_HAND) as threads:
            results = in_order(threads, lambda item: function(state, item), others, ITEMS_IN_HAND)
            yield from zip(others, results, strict=True)
        self.ended, self.cpu_s = time.monotonic(), cpu_s() - used_s


def work(job: Result) -> Result:
    """Embed the job's slices; say when that began and ended, on a clock that processes share.

    Args:
        job: `dataset`, `slices` of which the first does not count, `embed` options, `number` of
            this actor of `actors`, and the folder `waiting`.
    """
    recipe = Recipe.model_validate({"input": {"path": "drawn"}, "embed": job["embed"]})
    actor = Actor(lambda: _wait(Path(job["waiting"]), job["number"], job["actors"]))
    _, *markers = embed.run(recipe, Store.at(job["dataset"]), actor, job["slices"])
    times = [EmbedTime.from_json(marker.extra) for _, marker in markers]
    return {
        "began": actor.began,
        "ended": actor.ended,
        "cpu_s": actor.cpu_s,
        "images": sum(marker.counts["images"] for _, marker in markers),
        "model_share": sum(one.model_s for one in times) / sum(one.seconds for one in times),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _wait(folder: Path, number: int, actors: int) -> None:
    """Say that this actor is ready, and wait until all are."""
    (folder / str(number)).touch()
    until = time.monotonic() + WAIT_S
    while len(list(folder.iterdir())) < actors and time.monotonic() < until:
        time.sleep(0.01)


if __name__ == "__main__":
    serve_job(work)
