"""pairsieve's pixels as a contestant of `bench pixels`: what `gather` does with a body.

`picture` alone is decode, resize and encode; `whole` adds the hash of the bytes and the measures,
a few pictures at a time as in `gather`. `steps` says which function the time goes to.
"""

import cProfile
import hashlib
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.filters.base import Measures, measured
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.sharpness import Sharpness
from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.unit.stored_images import PICTURES_AT_ONCE
from pairsieve.schemas.columns import Column
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Image

MEASURES: tuple[Measures, ...] = (PerceptualHash(), Sharpness())


def decoded(body: bytes, options: Image) -> Picture:
    """Return the picture in `body`, which must have one."""
    result = picture(body, options)
    if not isinstance(result, Picture):
        raise Stopped(f"bench: {result.outcome}: {result.detail}")
    return result


def alone(bodies: list[bytes], options: Image) -> int:
    """Decode, resize and encode; return how many came out at the side of the job."""
    pictures = (decoded(body, options) for body in bodies)
    return sum(min(p.stored_width, p.stored_height) == options.min_side for p in pictures)


def whole(bodies: list[bytes], options: Image) -> int:
    """Do that, and hash and measure."""
    done = 0
    for start in range(0, len(bodies), PICTURES_AT_ONCE):
        pictures = []
        for body in bodies[start : start + PICTURES_AT_ONCE]:
            sha256(body)
            pictures.append(decoded(body, options))
        for measure in MEASURES:
            measured(measure, {column: values(column, pictures) for column in measure.reads})
        done += sum(min(p.stored_width, p.stored_height) == options.min_side for p in pictures)
    return done


def sha256(body: bytes) -> str:
    """Return the hash of the bytes, as the ledger has it."""
    return hashlib.sha256(body).hexdigest()


def values(column: Column, pictures: list[Picture]) -> Any:
    """Return what the pictures have in `column`: planes as an object array, (n,)."""
    cells = [getattr(each, column.name) for each in pictures]
    array = np.empty(len(cells), object if np.ndim(cells[0]) else np.int32)
    array[:] = cells
    return array


def steps(work: Callable[[], Any]) -> list[tuple[str, float]]:
    """Return the functions of pairsieve that `work` spends its CPU time in, with their shares.

    What a function calls outside pairsieve, such as a decoder, counts as its own.
    """
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(work)
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    spent: dict[str, float] = {}
    for function, (_, _, own, _, callers) in stats.items():
        if _ours(function):
            spent[_function_name(function)] = spent.get(_function_name(function), 0) + own
            continue
        for caller, (_, _, _, cumulative) in callers.items():
            if _ours(caller):
                spent[_function_name(caller)] = spent.get(_function_name(caller), 0) + cumulative
    total = sum(spent.values())
    shares = [(name, used / total) for name, used in spent.items()]
    return sorted(shares, key=lambda each: -each[1])


def _ours(function: tuple[str, int, str]) -> bool:
    return "pairsieve" in Path(function[0]).parts and not function[2].startswith("<")


def _function_name(function: tuple[str, int, str]) -> str:
    return f"{Path(function[0]).stem}.{function[2]}"


def work(job: Result) -> Result:
    """Do the job; once before it counts, to have everything imported and compiled."""
    options = Image(min_side=job["side"], format="jpg", quality=job["quality"])
    bodies = [Path(path).read_bytes() for path in job["files"]]
    task = {"whole": whole, "alone": alone}[sys.argv[1]]
    task(bodies, options)
    if job.get("steps"):
        return {"steps": steps(lambda: task(bodies, options))}
    began = cpu_s()
    done = sum(task(bodies, options) for _ in range(job["passes"]))
    return {"cpu_s": cpu_s() - began, "done": done}


def main() -> None:
    """Answer one job, with OpenCV on one thread."""
    import cv2

    cv2.setNumThreads(1)
    serve_job(work)


if __name__ == "__main__":
    main()
