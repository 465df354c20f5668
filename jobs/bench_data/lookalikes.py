"""Pictures of which no two are the same, many of them similar: what must not be joined.

Of ten, six are drawn scenes, two cards with a text and two flat graphics: one or two plain shapes
on a plain ground, as logos and icons are. Cards and graphics have little but their layout to be
told apart by, and are what a pHash alone takes for one another.
"""

from collections.abc import Iterator

import numpy as np

from pairsieve.jobs.bench_data.edits import Pixels
from pairsieve.jobs.demo_web.captions import true_caption
from pairsieve.jobs.demo_web.drawing import draw, outline
from pairsieve.jobs.demo_web.scenes import COLOURS, random_scene
from pairsieve.jobs.demo_web.scenes import KINDS as KINDS_OF_SHAPE

SHORT = 256  # px, shorter side: enough for every measure
KINDS = ("scene",) * 6 + ("card",) * 2 + ("graphic",) * 2
CENTRES = (0.3, 0.5, 0.7)  # of a shape's middle, shares of width and height
RADII = (0.18, 0.27, 0.4)  # of a shape, shares of the shorter side
PAPERS = ((255, 255, 255), (250, 246, 235), (238, 238, 238), (20, 20, 24), (20, 60, 140))

# Colour of the ground; kind, colour, x, y and radius of each shape.
Graphic = tuple[str, tuple[tuple[str, str, float, float, float], ...]]


def lookalikes(count: int, seed: int) -> Iterator[tuple[str, Pixels]]:
    """Yield (kind, pixels) of `count` different pictures; the same for the same seed."""
    seen: set[Graphic] = set()
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        kind = KINDS[number % len(KINDS)]
        if kind == "scene":
            yield kind, draw(random_scene(rng), *_size(rng))
        elif kind == "card":
            yield kind, _card(rng)
        else:
            while (graphic := _random_graphic(rng)) in seen:
                pass
            seen.add(graphic)
            yield kind, _draw_graphic(graphic, *_size(rng))


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Return a width and a height."""
    long = int(SHORT * rng.uniform(1, 1.5))
    return (long, SHORT) if rng.random() < 0.65 else (SHORT, long)


def _card(rng: np.random.Generator) -> Pixels:
    """Return two to eight lines of words on plain paper, as quotes and notices are."""
    import cv2

    width, height = _size(rng)
    paper = PAPERS[rng.integers(len(PAPERS))]
    ink = (30, 30, 30) if sum(paper) > 384 else (240, 240, 240)
    card = np.full((height, width, 3), paper, np.uint8)
    words = true_caption(random_scene(rng), rng).split()
    words += true_caption(random_scene(rng), rng).split()
    across = int(rng.integers(2, 5))
    lines = [" ".join(words[start : start + across]) for start in range(0, len(words), across)]
    lines = lines[: rng.integers(2, 9)]
    font = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX)[rng.integers(2)]
    widest = max(cv2.getTextSize(line, font, 1, 2)[0][0] for line in lines)
    step = height / (len(lines) + 1)
    scale = min(0.9 * width / widest, step / 36)
    centred = rng.random() < 0.5
    for index, line in enumerate(lines, start=1):
        long = cv2.getTextSize(line, font, scale, 2)[0][0]
        left = (width - long) // 2 if centred else int(0.05 * width)
        origin = (left, int(index * step + 10 * scale))
        cv2.putText(card, line, origin, font, scale, ink, max(1, round(2 * scale)), cv2.LINE_AA)
    return card


def _random_graphic(rng: np.random.Generator) -> Graphic:
    """Return a ground and one or two shapes; two in three stand in the middle."""
    names = [str(name) for name in rng.permutation(list(COLOURS))]
    ground = "white" if names[1] != "white" and rng.random() < 0.5 else names[0]
    middle = rng.random() < 2 / 3
    shapes = []
    for index in range(int(rng.integers(1, 3))):
        kind = KINDS_OF_SHAPE[rng.integers(len(KINDS_OF_SHAPE))]
        x, y = (0.5, 0.5) if middle else (float(v) for v in rng.choice(CENTRES, 2))
        shapes.append((kind, names[1 + index], x, y, float(rng.choice(RADII)) / (1 + index)))
    return ground, tuple(shapes)


def _draw_graphic(graphic: Graphic, width: int, height: int) -> Pixels:
    import cv2

    ground, shapes = graphic
    canvas = np.full((height, width, 3), COLOURS[ground], np.uint8)
    for kind, colour, x, y, radius in shapes:
        points = outline(kind)[0] * radius * min(width, height) + (x * width, y * height)
        cv2.fillPoly(canvas, [points.round().astype(np.int32)], COLOURS[colour], cv2.LINE_AA)
    return canvas
