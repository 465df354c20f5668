"""Draw a scene: coloured shapes on a textured ground, lit unevenly, with photographic grain.

Unevenness is what makes the measures mean something: pHash sees only the lowest frequencies, so
every scene has its own light; sharpness looks at the finest detail of a picture about 256 px
wide, so pattern and grain have detail at that scale, whatever the size drawn. Patterns are looked
up from 8-bit phases that wrap around: no trigonometry per pixel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.demo_web.scenes import COLOURS, Ground, Scene, Shape

Bytes = NDArray[Any]  # uint8, (h, w) or (h, w, 3)

_ANGLES = np.arange(256) * (2 * np.pi / 256)
_SINE = np.sin(_ANGLES).astype(np.float32)
_FRACTION_BITS = 4  # OpenCV's sub-pixel coordinates


def draw(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture of `scene`, RGB (height, width, 3); the same for the same scene."""
    import cv2

    rng = np.random.default_rng(scene.seed)
    canvas = _ground(scene.ground, width, height, rng)
    canvas = _shade(canvas, _shadows(scene, width, height))
    for shape in scene.shapes:
        _paint(canvas, shape)
    light = _light(rng, width, height)
    cv2.add(light, _grain(rng, width, height), dst=light, dtype=cv2.CV_8U)
    return np.asarray(_shade(canvas, light), np.uint8)


def _shade(canvas: Bytes, factor: Bytes) -> Bytes:
    """Return `canvas` times `factor` / 200, per pixel."""
    import cv2

    shaded: Bytes = cv2.multiply(canvas, cv2.merge((factor, factor, factor)), scale=1 / 200)
    return shaded


def _light(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Return a smooth random light, (height, width), 120 to 236 of 200."""
    import cv2

    coarse = rng.normal(184, 27, (6, 6)).astype(np.float32)
    small = cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)
    small = np.clip(small, 120, 236).astype(np.uint8)
    light: Bytes = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return light


def _grain(rng: np.random.Generator, width: int, height: int) -> NDArray[np.int8]:
    """Return signed noise, (height, width): some at the pixel, more at 1/256 of the long side."""
    import cv2

    scale = min(1.0, 256 / max(width, height))
    cells = max(1, round(height * scale)), max(1, round(width * scale))
    coarse = rng.integers(-36, 37, cells, dtype=np.int8).astype(np.int16)
    grain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return (grain + rng.integers(-3, 4, (height, width), dtype=np.int8)).astype(np.int8)


def _ground(ground: Ground, width: int, height: int, rng: np.random.Generator) -> Bytes:
    """Return the textured ground, (height, width, 3): one colour in two tones."""
    import cv2

    if ground.texture in ("speckled", "mottled"):
        pattern = _blotches(rng, ground, width, height)
    elif ground.texture == "shaded":
        pattern = _wave(_phase(width, height, 0.5, ground.angle))
    else:
        along = _phase(width, height, ground.periods, ground.angle)
        across = _phase(width, height, ground.periods, ground.angle + 90)
        period_px = max(width, height) / ground.periods
        pattern = _PATTERNS[ground.texture](along, across, max(1.5, period_px / 5))
    base = np.array(COLOURS[ground.colour], np.float32)
    other = base * 0.55 if base.mean() > 120 else base + (255 - base) * 0.38
    steps = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    tones = (base * (1 - steps) + other * steps).astype(np.uint8)
    canvas: Bytes = cv2.LUT(cv2.merge((pattern, pattern, pattern)), tones[None])
    return canvas


def _phase(width: int, height: int, periods: float, angle: float) -> Bytes:
    """Return the phase of a plane wave, (height, width), in 256ths of a period."""
    step = 65536 * periods / max(width, height)
    dx, dy = step * np.cos(np.deg2rad(angle)), step * np.sin(np.deg2rad(angle))
    columns = (np.arange(width) * dx).astype(np.int64).astype(np.uint16)
    rows = (np.arange(height) * dy).astype(np.int64).astype(np.uint16)
    phase: Bytes = ((columns[None, :] + rows[:, None]) >> 8).astype(np.uint8)
    return phase


def _blotches(rng: np.random.Generator, ground: Ground, width: int, height: int) -> Bytes:
    """Return random blotches, (height, width): hard (speckled) or soft at two scales (mottled)."""
    import cv2

    fine = _noise(rng, ground.periods * 4, width, height)
    if ground.texture == "speckled":
        steep: Bytes = np.clip((np.arange(256) - 150) * 8, 0, 255).astype(np.uint8)
        return np.take(steep, fine)
    coarse = _noise(rng, ground.periods, width, height)
    mixed: Bytes = cv2.addWeighted(coarse, 0.7, fine, 0.3, 0)
    return mixed


def _noise(rng: np.random.Generator, cells: float, width: int, height: int) -> Bytes:
    """Return smooth noise, (height, width), with `cells` random values along the longer side."""
    import cv2

    scale = min(1.0, cells / max(width, height))
    shape = max(2, round(height * scale)), max(2, round(width * scale))
    coarse = rng.integers(0, 256, shape, dtype=np.uint8)
    noise: Bytes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return noise


def _edge(values: NDArray[np.float32], hardness: float) -> Bytes:
    """Return 256 values in [-1, 1] as a table of tones, steeper around 0 when harder."""
    table: Bytes = ((np.clip(values * hardness, -1, 1) + 1) * 127.5).astype(np.uint8)
    return table


def _wave(phase: Bytes) -> Bytes:
    """Return a sine of `phase` as tones."""
    return np.take(_edge(_SINE, 1), phase)


# The patterns: from two crossed phases and how hard the edges are, so that they are a pixel wide.


def _stripes(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    return np.take(_edge(_SINE, hardness), along)


def _checks(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    table = (_edge(_SINE, hardness).astype(np.int16) - 127) >> 1
    product: Bytes = (table[along] * table[across] >> 5) + 127
    return np.clip(product, 0, 255).astype(np.uint8)


def _dots(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    half = ((_SINE + 1) * 63.5).astype(np.uint8)
    disc = np.linspace(-1.7, 0.9, 256, dtype=np.float32)
    sums: Bytes = half[along] + half[across]
    return np.take(_edge(disc, 2 * hardness), sums)


def _waves(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    ripple = (_SINE * 44).astype(np.int8).astype(np.uint8)
    bent: Bytes = along + ripple[across]
    return np.take(_edge(_SINE, hardness), bent)


def _zigzag(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    teeth = (np.abs(np.arange(256) - 128) - 64).astype(np.int8).astype(np.uint8)
    bent: Bytes = along + teeth[across]
    return np.take(_edge(_SINE, hardness), bent)


def _grid(along: Bytes, across: Bytes, hardness: float) -> Bytes:
    lines = _edge(_SINE - np.float32(0.8), 2 * hardness)
    return np.maximum(lines[along], lines[across])


_PATTERNS: dict[str, Callable[[Bytes, Bytes, float], Bytes]] = {
    "striped": _stripes,
    "checked": _checks,
    "dotted": _dots,
    "wavy": _waves,
    "zigzag": _zigzag,
    "gridded": _grid,
}


def outline(kind: str) -> list[NDArray[np.float64]]:
    """Return the closed outlines of a shape of radius 1 around 0, each (n, 2); y points down."""
    if kind in _CORNERS:
        return [_CORNERS[kind]]
    return [_polygon(64, 1.0), _polygon(64, 0.55)]  # ring: the second is the hole


def _polygon(corners: int, radius: float, start: float = -90) -> NDArray[np.float64]:
    """Return a regular polygon, (corners, 2), first corner at `start` degrees."""
    angles = np.deg2rad(start + np.arange(corners) * 360 / corners)
    return radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _star() -> NDArray[np.float64]:
    """Return a five-pointed star, (10, 2)."""
    points = _polygon(10, 1.0)
    points[1::2] *= 0.42
    return points


def _cross() -> NDArray[np.float64]:
    """Return an upright cross, (12, 2)."""
    a, b = 0.3, 0.95
    corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)]
    return np.array(corners + [(-x, -y) for x, y in corners])


def _heart() -> NDArray[np.float64]:
    """Return the usual heart curve, (64, 2)."""
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack((x, y), axis=1) / 17


def _crescent() -> NDArray[np.float64]:
    """Return a moon open to the right, (64, 2)."""
    outer = np.deg2rad(np.linspace(50, 310, 40))
    inner = np.deg2rad(np.linspace(298, 62, 24))
    far = np.stack((np.cos(outer), np.sin(outer)), axis=1)
    near = np.stack((np.cos(inner) * 0.82 + 0.26, np.sin(inner) * 0.86), axis=1)
    return np.concatenate((far, near))


_CORNERS = {
    "circle": _polygon(64, 1.0),
    "square": _polygon(4, 1.0, start=-45),
    "triangle": _polygon(3, 1.0),
    "diamond": _polygon(4, 1.0) * (0.62, 1.0),
    "hexagon": _polygon(6, 1.0),
    "star": _star(),
    "cross": _cross(),
    "heart": _heart(),
    "crescent": _crescent(),
}


def _points(
    shape: Shape, width: int, height: int, offset: float = 0, scale: float = 1
) -> list[NDArray[np.int32]]:
    """Return the outlines in sub-pixels, moved right and down by `offset` radii."""
    angle = np.deg2rad(shape.angle)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    radius = shape.radius * min(width, height)
    centre = np.array((shape.x * width, shape.y * height)) + offset * radius
    return [
        ((ring @ rotation * radius * scale + centre) * 2**_FRACTION_BITS).round().astype(np.int32)
        for ring in outline(shape.kind)
    ]


def _paint(canvas: Bytes, shape: Shape) -> None:
    """Paint one shape with a darker rim onto `canvas`."""
    import cv2

    height, width = canvas.shape[:2]
    colour = COLOURS[shape.colour]
    rim = tuple(int(c * 0.6) for c in colour)
    outlines = _points(shape, width, height)
    cv2.fillPoly(canvas, outlines, colour, cv2.LINE_AA, _FRACTION_BITS)
    thickness = max(1, round(shape.radius * min(width, height) / 24))
    cv2.polylines(canvas, outlines, True, rim, thickness, cv2.LINE_AA, _FRACTION_BITS)


def _shadows(scene: Scene, width: int, height: int) -> Bytes:
    """Return what the shapes leave of the light, (height, width), 200 where there is no shadow."""
    import cv2

    small = np.full((max(1, height // 4), max(1, width // 4)), 200, np.uint8)
    for shape in scene.shapes:
        points = _points(shape, small.shape[1], small.shape[0], offset=0.12)
        cv2.fillPoly(small, points, 110, cv2.LINE_AA, _FRACTION_BITS)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.5, min(small.shape) / 60))
    shadows: Bytes = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return shadows
