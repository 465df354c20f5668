"""A model of pairsieve's for `bench gpu`: what it embeds in a second, and how right that is.

Rates are over the wall clock, since a GPU works beside the processor: a measurement repeats for a
few seconds after a first run that does not count, and the median is taken. Reading the vectors
waits for the GPU.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.bench.alternate import Result, serve_job
from pairsieve.jobs.bench_data.stored_photographs import drawn_jpegs
from pairsieve.pipeline.image.stored import decode_image
from pairsieve.pipeline.models import clip, precision
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.recipe import Embed

PHOTOGRAPHS = 8  # compared with the CPU, beside the probe pictures
MOST_ROUNDS = 7  # of a measurement
CPU_BATCH = 2  # of the reference, so that all processors have a part of it
ROOM_BYTES = 1 << 30  # that are left on the GPU to see the batch halved; cuBLAS takes a part
GB = 1e9


def work(job: Result) -> Result:
    """Return what was measured at every precision, by its name.

    Args:
        job: `embed` options, `precisions`, `seconds` of a measurement, `batches` of a round but
            in fp32, which is slow.
    """
    pictures = [*precision.probe_images(), *_photographs()]
    options = Embed.model_validate(job["embed"])
    exact = options.model_copy(
        update={"device": "cpu", "precision": "fp32", "compile": False, "batch": CPU_BATCH}
    )
    reference = _both(clip.load(exact), pictures)
    return {name: _measured(job, options, name, reference, pictures) for name in job["precisions"]}


def _photographs() -> list[NDArray[np.uint8]]:
    return [decode_image((body, "drawn")) for body in drawn_jpegs(PHOTOGRAPHS)]


def _both(model: Any, pictures: list[NDArray[np.uint8]]) -> tuple[Vectors, Vectors]:
    """Return the vectors of the pictures and of a few texts."""
    return model.images(pictures), model.texts(precision.PROBE_TEXTS)


def _measured(
    job: Result,
    options: Embed,
    name: str,
    reference: tuple[Vectors, Vectors],
    pictures: list[NDArray[np.uint8]],
) -> Result:
    """Return what a precision gives: first whether it is right, then how fast."""
    began = time.monotonic()
    model: Any = clip.load(options.model_copy(update={"precision": name}))
    result: Result = {"load_s": time.monotonic() - began, "batch": model.image.batch}
    found = _both(model, pictures)
    for kind, of_cpu, of_device in zip(("image", "text"), reference, found, strict=True):
        result[f"{kind}_cosine"] = lowest_cosine(of_cpu, of_device)
        result[f"{kind}_centred_cosine"] = lowest_cosine(*_centred(of_cpu, of_device))
    result |= _steadiness(model, pictures, found[0])
    if not options.compile:  # for other sizes it would be compiled again
        result["batch_cosine"] = _other_batches(model, pictures, found[0])
    result |= _rates(model, job["seconds"], 2 if name == "fp32" else job["batches"])
    result |= _memory(model)
    if model.device == "cuda" and not options.compile:
        result["halved"] = _halved(model, pictures, found[0])
    return result


def lowest_cosine(some: Vectors, others: Vectors) -> float:
    """Return the cosine of the two rows that are least alike."""
    cosines = np.sum(some.astype(float) * others, axis=1)
    return float(np.min(cosines / np.linalg.norm(some, axis=1) / np.linalg.norm(others, axis=1)))


def _centred(reference: Vectors, found: Vectors) -> tuple[Vectors, Vectors]:
    """Return both less the reference's mean: random weights give vectors much alike."""
    mean = reference.mean(axis=0)
    return reference - mean, found - mean


def _steadiness(model: Any, pictures: list[NDArray[np.uint8]], whole: Vectors) -> Result:
    """Return whether bits repeat, and whether a picture has them in other company."""
    return {
        "repeats": model.images(pictures).tobytes() == whole.tobytes(),
        "company_changes_nothing": model.images(pictures[3:5]).tobytes() == whole[3:5].tobytes(),
    }


def _other_batches(model: Any, pictures: list[NDArray[np.uint8]], whole: Vectors) -> float:
    """Return the lowest cosine between vectors of this batch size and of smaller ones."""
    batch, cosines = model.image.batch, []
    for size in {max(1, batch // 2), max(1, batch // 8)}:
        model.image.batch = size
        cosines.append(lowest_cosine(whole, model.images(pictures)))
    model.image.batch = batch
    return min(cosines)


def _rates(model: Any, seconds: float, batches: int) -> Result:
    """Return images per second of the embedding of prepared batches, and of the network alone."""
    import torch

    size, encoder = model.image.batch, model.image
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (size, *model.preprocess.size, 3), np.uint8)
    rows = list(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    bare = replace(model, preprocess=lambda row: row)
    bare_rate = rate(lambda: bare.images(rows * batches), size * batches, seconds)
    with torch.inference_mode():
        resident = torch.stack(rows).to(model.device).contiguous(memory_format=torch.channels_last)

    def network() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                vectors = encoder.tower(resident)
            vectors.cpu()

    return {"bare": bare_rate, "network": rate(network, size * batches, seconds)}


def rate(work: Callable[[], object], count: int, seconds: float) -> float:
    """Return how many of the `count` things that `work` does it does in a second: the median."""
    work()
    spent: list[float] = []
    while not spent or (sum(spent) < seconds and len(spent) < MOST_ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return count / statistics.median(spent)


def _memory(model: Any) -> Result:
    """Return the most memory of the GPU that was in use, GB."""
    import torch

    if model.device == "cpu":
        return {}
    return {"memory_gb": torch.cuda.max_memory_allocated() / GB}


def _halved(model: Any, pictures: list[NDArray[np.uint8]], whole: Vectors) -> Result:
    """Return the batch before and after memory was made scarce, and what that changed."""
    import torch

    before = model.image.batch
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    allowed = torch.cuda.memory_allocated() + ROOM_BYTES
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    found = model.images(pictures)
    torch.cuda.set_per_process_memory_fraction(1.0)
    return {
        "before": before,
        "after": model.image.batch,
        "cosine": lowest_cosine(whole, found),
        "over_the_limit": torch.cuda.memory_reserved() > allowed + ROOM_BYTES,
    }


if __name__ == "__main__":
    serve_job(work)
