"""Random scenes of coloured shapes: what is in a picture, before it is drawn or put into words.

A scene is a value of its own, so that the picture (`drawing.py`) and the caption (`captions.py`)
are two pure functions of the same thing and agree by construction.
"""

from dataclasses import dataclass

import numpy as np

# sRGB, 0..255. Eleven basic colour terms, distinct also in shade.
COLOURS = {
    "red": (208, 32, 36),
    "orange": (245, 133, 20),
    "yellow": (246, 218, 40),
    "green": (38, 148, 62),
    "blue": (34, 84, 196),
    "purple": (126, 44, 160),
    "pink": (246, 142, 186),
    "brown": (122, 74, 36),
    "black": (28, 28, 32),
    "white": (246, 246, 242),
    "grey": (122, 124, 130),
}
# Colours that a shape and its ground, or two groups, should not have at once: too easily confused.
_CLASHES = {
    frozenset(pair)
    for pair in (
        ("red", "pink"), ("red", "orange"), ("red", "brown"), ("orange", "yellow"),
        ("orange", "brown"), ("blue", "purple"), ("pink", "purple"), ("grey", "white"),
        ("grey", "black"), ("brown", "black"), ("pink", "white"),
    )
}  # fmt: skip
KINDS = (
    "circle", "square", "triangle", "star", "ring", "cross", "heart", "hexagon", "diamond",
    "crescent",
)  # fmt: skip
TEXTURES = (
    "striped", "checked", "dotted", "wavy", "zigzag", "gridded", "speckled", "mottled", "shaded",
)  # fmt: skip
_RADII = (0.38, 0.27, 0.22, 0.19, 0.17, 0.155)  # largest radius by number of shapes


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape; lengths are fractions of the picture.

    Attributes:
        kind: One of KINDS.
        colour: One of COLOURS.
        x: Centre from the left, as a fraction of the width.
        y: Centre from the top, as a fraction of the height.
        radius: Of the circle around it, as a fraction of the shorter side.
        angle: Rotated clockwise by this, degrees.
    """

    kind: str
    colour: str
    x: float
    y: float
    radius: float
    angle: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What the shapes lie on.

    Attributes:
        texture: One of TEXTURES.
        colour: One of COLOURS; the pattern has this colour in two tones.
        periods: How often the pattern repeats along the longer side.
        angle: Direction of the pattern, degrees.
    """

    texture: str
    colour: str
    periods: float
    angle: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes on a ground; `seed` fixes light and grain, so that a scene has exactly one picture."""

    shapes: tuple[Shape, ...]
    ground: Ground
    seed: int

    @property
    def groups(self) -> tuple[tuple[int, str, str], ...]:
        """Return (count, colour, kind) of every group of like shapes, in order of appearance."""
        counts: dict[tuple[str, str], int] = {}
        for shape in self.shapes:
            counts[shape.colour, shape.kind] = counts.get((shape.colour, shape.kind), 0) + 1
        return tuple((count, colour, kind) for (colour, kind), count in counts.items())


def random_scene(rng: np.random.Generator) -> Scene:
    """Return a scene of one to three groups, six shapes at most, that do not touch."""
    ground = Ground(
        texture=TEXTURES[rng.integers(len(TEXTURES))],
        colour=list(COLOURS)[rng.integers(len(COLOURS))],
        periods=float(rng.uniform(9, 26)),
        angle=float(rng.uniform(0, 180)),
    )
    groups = _random_groups(rng, ground.colour)
    discs = random_discs(rng, len(groups))
    shapes = tuple(
        Shape(kind, colour, x, y, radius, float(rng.uniform(-18, 18)))
        for (colour, kind), (x, y, radius) in zip(groups, discs, strict=True)
    )
    return Scene(shapes, ground, int(rng.integers(2**62)))


def _random_groups(rng: np.random.Generator, ground: str) -> list[tuple[str, str]]:
    """Return (colour, kind) of one to six shapes, those of a group side by side."""
    used = [ground]
    shapes: list[tuple[str, str]] = []
    kinds = rng.permutation(KINDS)
    for kind in kinds[: rng.choice((1, 2, 3), p=(0.25, 0.45, 0.3))]:
        free = [c for c in COLOURS if not any(c == u or {c, u} in _CLASHES for u in used)]
        if not free:
            break
        used.append(free[rng.integers(len(free))])
        count = int(rng.choice((1, 2, 3, 4), p=(0.6, 0.2, 0.12, 0.08)))
        shapes += [(used[-1], str(kind))] * count
    return shapes[: len(_RADII)]


def random_discs(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Return x, y and radius of `count` discs inside the unit square that do not overlap."""
    placed: list[tuple[float, float, float]] = []
    largest = _RADII[count - 1]
    while len(placed) < count:
        radius = float(rng.uniform(0.6, 1)) * largest
        x, y = (float(v) for v in rng.uniform(radius + 0.02, 0.98 - radius, 2))
        if all(np.hypot(x - px, y - py) > radius + pr for px, py, pr in placed):
            placed.append((x, y, radius))
        else:
            largest *= 0.98  # never stuck: smaller discs fit at last
    return placed
