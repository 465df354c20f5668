"""pairsieve's `embed` as a contestant of `bench embed`: from byte ranges of a tar to vectors.

The bare model computes the same batches from what is prepared already, in as many threads.
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any, TypeVar

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.pipeline.dataset.checksums import StoredAt
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.image.stored import decode_image, read_images
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.encoder import Encoder
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.recipe import Embed

Argument = TypeVar("Argument")
Value = TypeVar("Value")
WARM = 8  # pictures before it counts
ROUNDS = 3  # of a run: from the tar, then the bare model, as both must see the same machine


class Clock:
    """Adds up the CPU time of each step over all threads, s."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._lock = threading.Lock()

    def timed(
        self, step: str, function: Callable[[Argument], Value]
    ) -> Callable[[Argument], Value]:
        """Return the function with its CPU time added to the step."""

        def timed_function(argument: Argument) -> Value:
            began = time.thread_time()
            value = function(argument)
            spent = time.thread_time() - began
            with self._lock:
                self.spent[step] = self.spent.get(step, 0) + spent
            return value

        return timed_function


class Timed:
    """An encoder whose time a clock takes."""

    def __init__(self, encoder: Encoder, clock: Clock) -> None:
        self.batch = encoder.batch
        self._encode = clock.timed("model", encoder)

    def __call__(self, rows: Any) -> Vectors:
        """Return what the encoder makes of the rows."""
        return self._encode(rows)


def work(job: Result) -> Result:
    """Do the job; some of it before it counts, to have everything imported and compiled."""
    options = Embed(
        model=job["model"], pretrained=job["pretrained"], device="cpu", precision=sys.argv[1]
    )
    model: Any = clip.load(options)
    store, byte_ranges = Store.at(job["folder"]), [StoredAt(*each) for each in job["byte_ranges"]]
    model.images_from(read_images(store, byte_ranges[:WARM]), decode_image)
    prepared = [model.preprocess(decode_image(each)) for each in read_images(store, byte_ranges)]
    bare = replace(model, preprocess=lambda row: row)
    wholes, alones = [], []
    for _ in range(ROUNDS):
        wholes.append(
            _cpu_s(lambda: model.images_from(read_images(store, byte_ranges), decode_image))
        )
        alones.append(_cpu_s(lambda: bare.images(prepared)))
    return {
        "cpu_s": median(wholes),
        "bare_s": median(alones),
        "precision": model.precision,
        "steps": _steps(model, store, byte_ranges),
    }


def _cpu_s(work: Callable[[], Vectors]) -> float:
    """Return the CPU time of the work, s."""
    began = cpu_s()
    work()
    return cpu_s() - began


def _steps(model: Any, store: Store, byte_ranges: list[Any]) -> dict[str, float]:
    """Return the share of the CPU time that each step takes."""
    clock = Clock()
    timed: Any = replace(
        model,
        image=Timed(model.image, clock),
        preprocess=clock.timed("resizing", model.preprocess),
    )
    began = cpu_s()
    timed.images_from(read_images(store, byte_ranges), clock.timed("decoding", decode_image))
    whole = cpu_s() - began
    shares = {step: clock.spent[step] / whole for step in ("decoding", "resizing", "model")}
    return shares | {"the rest": 1 - sum(shares.values())}


if __name__ == "__main__":
    serve_job(work)
