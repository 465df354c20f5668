"""In which numbers the model computes: what `precision` allows, and what `auto` takes.

`auto` takes the first of a fixed order that this machine has instructions for and whose vectors of
a few drawn pictures and texts are as good as those in single precision: every cosine at least
0.999. Time is not measured, so the same machine chooses the same each time; what was chosen is
written beside the model's vectors, and later runs and other machines follow that.

Measured, ViT-B/32, CPU-ms of one image and of one text of at most 16 tokens, and the worst cosine:
fp32 81 and 12; bf16 23 and 3.1 (0.9999); int8 17 and 3.7 (0.9993).
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from pairsieve.pipeline.models.preprocess import Pixels
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

MIN_COSINE = 0.999  # to the vectors in single precision, of the worst row
PROBE_COUNT = 8  # pictures, and as many texts
ORDER = {"cpu": ("int8", "bf16", "fp32"), "cuda": ("fp16", "bf16", "fp32")}
TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
PROBE_TEXTS = (
    "a photo of a dog",
    "two red buses in front of a town hall on a rainy morning",
    "Portrait of a woman, oil on canvas, 1889",
    "IMG_2041.JPG",
    "Ein Fahrrad lehnt an einer gelben Wand",
    "una calle vacía de noche",
    "the best running shoes of the year: our complete guide to choosing the right pair for you",
    "白い猫",
)

Model = TypeVar("Model")


class PrecisionUnavailable(Exception):
    """A model that cannot be had at a precision, and why."""


def check(options: Embed) -> None:
    """Refuse a precision that cannot be had with these options.

    Raises:
        BadOption: it cannot.
    """
    if options.precision != "int8":
        return
    if options.compile:
        raise BadOption(
            "embed.compile: int8 is run by ONNX Runtime, not by what compiles; say false"
        )
    if options.device == "cuda":
        raise BadOption("embed.precision: int8 is for CPU; say fp16, bf16 or auto with `cuda`")
    if not _has_onnx():
        raise BadOption(
            "embed.precision: int8 needs ONNX Runtime, which is not installed: "
            "pip install 'pairsieve[onnx]'"
        )


def choose(
    name: str,
    device: str,
    make: Callable[[str], Model],
    probe: Callable[[Model], Vectors],
) -> Model:
    """Return the model at the precision of that name, or at the one that `auto` takes.

    Args:
        name: `auto`, or a precision.
        device: `cpu` or `cuda`.
        make: Returns the model at a precision.
        probe: Returns its vectors of what is compared, (n, d), each of length 1.

    Raises:
        BadOption: the precision cannot be had, or the weights give no numbers.
    """
    if name != "auto":
        try:
            model = make(name)
        except PrecisionUnavailable as error:
            raise BadOption(f"embed.precision: {name} does not fit this model: {error}") from error
        probe(model)
        return model
    exact = make("fp32")
    reference = probe(exact)
    for precision in ORDER[device]:
        candidate = _make_if_possible(precision, device, make) if precision != "fp32" else None
        if candidate and _min_cosine(probe, candidate, reference) >= MIN_COSINE:
            return candidate
    return exact


def probe_images() -> list[Pixels]:
    """Return the drawn pictures, of several shapes: patches of colour, from coarse to fine."""
    from PIL import Image

    random = np.random.default_rng(0)
    drawn = []
    for number in range(PROBE_COUNT):
        coarse = random.integers(0, 256, (2 + number, 3 + number, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((320 - 20 * number, 240), Image.Resampling.BICUBIC)
        drawn.append(np.asarray(smooth))
    return drawn


def _make_if_possible(precision: str, device: str, make: Callable[[str], Model]) -> Model | None:
    """Return the model at a precision, None where the machine or the model do not allow it."""
    if not _supported(precision, device):
        return None
    try:
        return make(precision)
    except PrecisionUnavailable:
        return None


def _min_cosine(probe: Callable[[Model], Vectors], model: Model, reference: Vectors) -> float:
    """Return the lowest cosine to the reference, -1 where the model gives no numbers."""
    try:
        return float(np.sum(probe(model) * reference, axis=1).min())
    except BadOption:  # overflow, as of some models in fp16
        return -1.0


def _supported(precision: str, device: str) -> bool:
    """Return True where this machine is faster at the precision than at fp32."""
    import torch

    if device == "cuda":
        return precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "int8":
        return _has_onnx() and sums_int8_exactly()
    return _has("avx512_bf16", "amx_tile")


def sums_int8_exactly() -> bool:
    """Return True where the processor adds products of 8-bit integers in 32 bits.

    Older x86 processors add two products in 16 bits, which are too few for 255 * 127 * 2.
    """
    return _has("vnni", "amx_tile")


def _has(*instructions: str) -> bool:
    """Return True when the processor has any of these instructions."""
    import torch

    tests: list[Any] = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in instructions]
    return any(test() for test in tests if test)


def _has_onnx() -> bool:
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None
