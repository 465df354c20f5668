"""Pictures that are fine, and how to degrade them, each in one thing only.

Sizes of blur are px of the picture at a shorter side of 256 px, where most measures look at it; of
a picture that is smaller than that, its own. Every degradation takes and returns a luma plane.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.bench_data.text_overlays import captioned, text_card
from pairsieve.jobs.demo_web import placeholder_cards
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene

Plane = NDArray[np.uint8]  # (h, w), luma
Random = np.random.Generator
Degradation = Callable[[Plane, Random], Plane]

SIDE = 256  # px, shorter side at which blur is measured
STORED = 512  # px, shorter side beyond which a picture is reduced first
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp")


def scenes(count: int, seed: int) -> Iterator[Plane]:
    """Yield drawn scenes with shorter sides of 300 to 500 px."""
    import cv2

    for number in range(count):
        rng = np.random.default_rng((seed, number))
        scene = random_scene(rng)
        short = int(rng.integers(300, 501))
        pixels = draw(scene, int(short * rng.uniform(1, 1.5)), short)
        yield np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def photographs(folder: Path) -> Iterator[Plane]:
    """Yield the pictures in `folder`, by name, with shorter sides of at most 512 px."""
    from PIL import Image

    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            with Image.open(path) as image:
                plane = np.asarray(image.convert("RGB").convert("L"))
            yield _resized(plane, min(1.0, STORED / min(plane.shape)))


def _resized(plane: Plane, scale: float) -> Plane:
    """Return a smaller picture by area averages."""
    import cv2

    size = tuple(max(1, round(side * scale)) for side in plane.shape[::-1])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _unit(plane: Plane) -> float:
    """Return how many px of `plane` are one px at 256."""
    return max(1.0, float(min(plane.shape)) / SIDE)


def _gauss(sigma: float) -> Degradation:
    def blurred(plane: Plane, rng: Random) -> Plane:
        import cv2

        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma * _unit(plane)), np.uint8)

    return blurred


def _motion(length: float) -> Degradation:
    """Return a shake of `length` px along a line in any direction."""

    def shaken(plane: Plane, rng: Random) -> Plane:
        import cv2

        px, angle = length * _unit(plane), rng.uniform(0, np.pi)
        side, fine = int(np.ceil(px)) // 2 * 2 + 5, 8
        middle, half = side * fine / 2, px * fine / 2
        ends = [
            (
                round(middle + sign * half * np.cos(angle)),
                round(middle + sign * half * np.sin(angle)),
            )
            for sign in (-1, 1)
        ]
        line = np.zeros((side * fine, side * fine), np.float32)
        cv2.line(line, ends[0], ends[1], 1, fine)
        kernel = cv2.resize(line, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.filter2D(plane, -1, kernel / kernel.sum()), np.uint8)

    return shaken


def _enlarged(scale_of: Callable[[Plane], float]) -> Degradation:
    """Return the enlarging, by cubic interpolation, of what is `scale_of(plane)` times smaller."""

    def enlarged(plane: Plane, rng: Random) -> Plane:
        import cv2

        small = _resized(plane, scale_of(plane))
        size = (plane.shape[1], plane.shape[0])
        return _jpeg(85)(np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)), rng)

    return enlarged


def _jpeg(quality: int) -> Degradation:
    def coded(plane: Plane, rng: Random) -> Plane:
        import simplejpeg

        body = simplejpeg.encode_jpeg(np.ascontiguousarray(plane[:, :, None]), quality, "GRAY")
        return np.asarray(simplejpeg.decode_jpeg(body, "GRAY")[:, :, 0])

    return coded


def _noisy(plane: Plane, rng: Random) -> Plane:
    """Return the picture with noise of a standard deviation of 5 levels."""
    return np.clip(plane + rng.normal(0, 5, plane.shape), 0, 255).astype(np.uint8)


def _levels(low: float, high: float, floor: int) -> Degradation:
    """Return the picture with `low` to `high` of its contrast, from `floor` levels up."""

    def changed(plane: Plane, rng: Random) -> Plane:
        return (plane * rng.uniform(low, high) + floor).astype(np.uint8)

    return changed


def _both(first: Degradation, second: Degradation) -> Degradation:
    return lambda plane, rng: second(first(plane, rng), rng)


def _card(plane: Plane, rng: Random) -> Plane:
    pixels = placeholder_cards.notice_card(rng, plane.shape[1], plane.shape[0])
    return _jpeg(85)(pixels[:, :, 1], rng)


def _text(draw: Callable[[Plane, Random, float], Plane], share: float) -> Degradation:
    return lambda plane, rng: _jpeg(85)(draw(plane, rng, share), rng)


def _bordered(plane: Plane, rng: Random) -> Plane:
    """Return the picture at a quarter of its sides in a white or black border."""
    small = _resized(plane, 0.25)
    top, left = ((a - b) // 2 for a, b in zip(plane.shape, small.shape, strict=True))
    paper = np.full(plane.shape, 255 if rng.random() < 0.5 else 0, np.uint8)
    paper[top : top + small.shape[0], left : left + small.shape[1]] = small
    return paper


NUISANCES: dict[str, Degradation] = {  # what a measure of blur should not mind
    "jpeg_50": _jpeg(50),
    "noise": _noisy,
    "half_contrast": _levels(0.5, 0.5, 64),
}
DEGRADATIONS: dict[str, Degradation] = {
    "fine": lambda plane, rng: plane,
    **{f"gauss_{sigma}": _gauss(sigma) for sigma in (1, 2, 4)},
    **{f"motion_{length}": _motion(length) for length in (5, 9)},
    "from_128_px": _enlarged(lambda plane: 0.5 / _unit(plane)),
    "from_85_px": _enlarged(lambda plane: 1 / 3 / _unit(plane)),
    **NUISANCES,
    **{f"gauss_2_{name}": _both(_gauss(2), other) for name, other in NUISANCES.items()},
    "twice": _enlarged(lambda plane: 1 / 2),
    "three_times": _enlarged(lambda plane: 1 / 3),
    "four_times": _enlarged(lambda plane: 1 / 4),
    "dark": _levels(0.08, 0.25, 0),
    "washed_out": _levels(0.08, 0.18, 170),
    "card": _card,
    "bordered": _bordered,
    **{f"text_card_{share}": _text(text_card, share / 100) for share in (10, 30)},
    **{f"captioned_{share}": _text(captioned, share / 100) for share in (10, 30)},
}
