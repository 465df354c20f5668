"""Stored JPEGs to what the model reads, for `bench gpu`: threads of the CPU beside GPU decoders.

Threads are what `embed` uses. The others decode on the GPU, where a picture is then resized and
cropped by itself, since no two have the same size.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from pairsieve.jobs.bench.alternate import Result, serve_job
from pairsieve.jobs.bench_contestants.gpu_model import rate
from pairsieve.jobs.bench_data.stored_photographs import drawn_jpegs
from pairsieve.pipeline.image.stored import decode_image
from pairsieve.pipeline.models.clip_model import TOGETHER, available_cpus
from pairsieve.pipeline.models.preprocess import Preprocess, preprocess

DRAWN = 16
AT_ONCE = 64  # JPEGs that a GPU decoder is given together
CONFIG = {
    "size": 224,
    "mean": 0.5,
    "std": 0.5,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}

Pixels = Any  # a tensor, uint8 (3, h, w)
Decode = Callable[[list[bytes]], list[Pixels]]


def work(job: Result) -> Result:
    """Return by decoder JPEGs per second, decoded and also resized, or why there are none.

    Args:
        job: `device`, `images` of a round, `seconds` of a measurement.
    """
    import torch

    torch.set_num_threads(1)
    drawn, prepare = drawn_jpegs(DRAWN), preprocess(CONFIG)
    bodies = (drawn * -(-job["images"] // DRAWN))[: job["images"]]
    expected = [prepare(decode_image((body, "drawn"))) for body in drawn]
    result: Result = {}
    for threads in sorted({1, available_cpus()}):
        result[f"simplejpeg, {threads} threads"] = _by_threads(threads, bodies, prepare, job)
    for name, find in (("torchvision", _torchvision), ("nvimgcodec", _nvimgcodec)):
        result[name] = _on_gpu(find, bodies, expected, prepare, job)
    return result


def _by_threads(threads: int, bodies: list[bytes], prepare: Preprocess, job: Result) -> Result:
    """Return what so many threads decode, and decode and resize, in a second."""
    parts = [bodies[start : start + TOGETHER] for start in range(0, len(bodies), TOGETHER)]

    def decode(part: list[bytes]) -> None:
        for body in part:
            decode_image((body, "drawn"))

    def decode_and_resize(part: list[bytes]) -> None:
        for body in part:
            prepare(decode_image((body, "drawn")))

    with ThreadPoolExecutor(threads) as pool:
        return {
            "decoded": rate(lambda: list(pool.map(decode, parts)), len(bodies), job["seconds"]),
            "resized": rate(
                lambda: list(pool.map(decode_and_resize, parts)), len(bodies), job["seconds"]
            ),
        }


def _on_gpu(
    find: Callable[[], Decode],
    bodies: list[bytes],
    expected: list[Pixels],
    prepare: Preprocess,
    job: Result,
) -> Result:
    """Return the same of a decoder on the GPU, and how far its pixels are from those of `embed`."""
    import torch

    if job["device"] == "cpu":
        return {"missing": "no GPU"}
    try:
        decode = find()
        found = [_resized(pixels, prepare) for pixels in decode(bodies[:DRAWN])]
    except (ImportError, OSError, RuntimeError, AttributeError, TypeError) as error:
        return {"missing": f"{type(error).__name__}: {error}"[:200]}
    parts = [bodies[start : start + AT_ONCE] for start in range(0, len(bodies), AT_ONCE)]

    def all_decoded(resized: bool) -> None:
        for part in parts:
            for pixels in decode(part):
                if resized:
                    _resized(pixels, prepare)
        torch.cuda.synchronize()

    apart = (torch.stack(found).cpu().int() - torch.stack(expected).int()).abs()
    return {
        "decoded": rate(lambda: all_decoded(False), len(bodies), job["seconds"]),
        "resized": rate(lambda: all_decoded(True), len(bodies), job["seconds"]),
        "mean_difference": float(apart.float().mean()),
        "most_difference": int(apart.max()),
    }


def _resized(pixels: Pixels, prepare: Preprocess) -> Pixels:
    """Return the middle of a decoded picture at the model's size, uint8 (3, h, w), on the GPU."""
    from torch.nn.functional import interpolate

    side, height, width = prepare.size[0], pixels.shape[1], pixels.shape[2]
    longer = int(side * max(height, width) / min(height, width))
    to = (side, longer) if height <= width else (longer, side)
    whole = interpolate(pixels[None].float(), to, mode="bicubic", antialias=True)[0]
    top, left = round((to[0] - side) / 2), round((to[1] - side) / 2)
    part = whole[:, top : top + side, left : left + side]
    return part.round().clamp(0, 255).byte()


def _torchvision() -> Decode:
    """Return torchvision's decoder, which is nvJPEG."""
    import numpy as np
    import torch

    io: Any = import_module("torchvision.io")

    def decode(bodies: list[bytes]) -> list[Pixels]:
        tensors = [torch.from_numpy(np.frombuffer(body, np.uint8).copy()) for body in bodies]
        decoded: list[Pixels] = io.decode_jpeg(tensors, mode=io.ImageReadMode.RGB, device="cuda")
        return decoded

    return decode


def _nvimgcodec() -> Decode:
    """Return NVIDIA's nvImageCodec, which uses the GPU's JPEG engines where it has some."""
    from torch.utils.dlpack import from_dlpack

    decoder: Any = import_module("nvidia.nvimgcodec").Decoder()

    def decode(bodies: list[bytes]) -> list[Pixels]:
        images = decoder.decode(bodies)
        if not all(images):
            raise RuntimeError("an image was not decoded")
        return [from_dlpack(image).permute(2, 0, 1) for image in images]

    return decode


if __name__ == "__main__":
    serve_job(work)
