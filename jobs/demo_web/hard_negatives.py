"""Scenes that differ from another in one attribute, and captions that are wrong in just that one.

A caption that is false in a single word is what a model finds hardest to tell from a true one; it
is what `pairsieve-tiny` learns from and is judged by. Both captions come from the same random
generator, so that they mostly share their wording as well.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from pairsieve.jobs.demo_web.captions import location, true_caption
from pairsieve.jobs.demo_web.scenes import COLOURS, KINDS, TEXTURES, Scene, Shape, random_discs

MAX_SHAPES, MAX_GROUP = 6, 4  # in a scene, and of a kind and colour, as in random scenes
MIN_MOVE = 0.25  # along one side, as a fraction of it: no doubt that the location is another

RELATION_WORDS = re.compile(r"\b(to the left of|to the right of|above|below)\b")
LOCATION_WORDS = re.compile(r"\b(corner|side|in the middle|at the top|at the bottom)\b")
_SEEDS = 2**62


def hard_negative(scene: Scene, attribute: str, rng: np.random.Generator) -> Scene | None:
    """Return a scene that differs from `scene` in one of ATTRIBUTES; None if it has no such."""
    other = ATTRIBUTES[attribute](scene, rng)
    return other and replace(other, seed=int(rng.integers(_SEEDS)))


def caption_pair(scene: Scene, other: Scene, attribute: str, seed: int) -> tuple[str, str] | None:
    """Return captions of both in the same words; None if the wrong one would not be plainly wrong.

    A caption that names locations and has another number of shapes could still be true, and so
    could one that says how two shapes stand to each other when one of them was moved slightly.
    """
    ours, theirs = (true_caption(one, np.random.default_rng(seed)) for one in (scene, other))
    placed, related = (
        bool(words.search(ours + theirs)) for words in (LOCATION_WORDS, RELATION_WORDS)
    )
    plain = {
        "count": not placed and not related,
        "location": placed and not related,
        "relation": related,
    }
    return (ours, theirs) if ours != theirs and plain.get(attribute, True) else None


def _colour(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Give one group a colour that nothing else in the scene has."""
    _, colour, kind = scene.groups[rng.integers(len(scene.groups))]
    new = _other(COLOURS, _colours(scene), rng)
    return _each(scene, colour, kind, lambda shape: replace(shape, colour=new))


def _kind(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Make one group shapes of a kind that the scene does not have."""
    _, colour, kind = scene.groups[rng.integers(len(scene.groups))]
    new = _other(KINDS, {shape.kind for shape in scene.shapes}, rng)
    return _each(scene, colour, kind, lambda shape: replace(shape, kind=new))


def _count(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Put one shape more or less into one group, and all shapes elsewhere."""
    groups = list(scene.groups)
    index = int(rng.integers(len(groups)))
    count, colour, kind = groups[index]
    more = len(scene.shapes) < MAX_SHAPES and count < MAX_GROUP
    steps = [step for step, can in ((1, more), (-1, count > 1)) if can]
    if not steps:
        return None
    groups[index] = count + steps[rng.integers(len(steps))], colour, kind
    labels = [(colour, kind) for count, colour, kind in groups for _ in range(count)]
    shapes = tuple(
        Shape(kind, colour, x, y, radius, float(rng.uniform(-18, 18)))
        for (colour, kind), (x, y, radius) in zip(
            labels, random_discs(rng, len(labels)), strict=True
        )
    )
    return replace(scene, shapes=shapes)


def _ground_colour(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Give the ground a colour that nothing else in the scene has."""
    new = _other(COLOURS, _colours(scene), rng)
    return replace(scene, ground=replace(scene.ground, colour=new))


def _ground_texture(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Give the ground another texture."""
    new = _other(TEXTURES, {scene.ground.texture}, rng)
    return replace(scene, ground=replace(scene.ground, texture=new))


def _location(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Move one shape to another of the nine fields, MIN_MOVE or more away."""
    index = int(rng.integers(len(scene.shapes)))
    shape = scene.shapes[index]
    rest = [other for other in scene.shapes if other is not shape]
    for _ in range(50):
        x, y = (float(v) for v in rng.uniform(shape.radius + 0.02, 0.98 - shape.radius, 2))
        moved = replace(shape, x=x, y=y)
        far = max(abs(x - shape.x), abs(y - shape.y)) >= MIN_MOVE
        free = all(np.hypot(x - o.x, y - o.y) > shape.radius + o.radius for o in rest)
        if far and free and location(moved) != location(shape):
            shapes = (*scene.shapes[:index], moved, *scene.shapes[index + 1 :])
            return replace(scene, shapes=shapes)
    return None


def _relation(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Swap the two shapes of two groups."""
    if len(scene.shapes) != 2 or len(scene.groups) != 2:
        return None
    one, two = scene.shapes
    swapped = (
        replace(one, x=two.x, y=two.y, radius=two.radius),
        replace(two, x=one.x, y=one.y, radius=one.radius),
    )
    return replace(scene, shapes=swapped)


ATTRIBUTES: dict[str, Callable[[Scene, np.random.Generator], Scene | None]] = {
    "colour": _colour,
    "kind": _kind,
    "count": _count,
    "ground colour": _ground_colour,
    "ground texture": _ground_texture,
    "location": _location,
    "relation": _relation,
}


def _each(scene: Scene, colour: str, kind: str, change: Callable[[Shape], Shape]) -> Scene:
    """Return the scene with every shape of one group changed."""
    shapes = (
        change(shape) if (shape.colour, shape.kind) == (colour, kind) else shape
        for shape in scene.shapes
    )
    return replace(scene, shapes=tuple(shapes))


def _colours(scene: Scene) -> set[str]:
    """Return the colours of the shapes and of the ground."""
    return {scene.ground.colour, *(shape.colour for shape in scene.shapes)}


def _other(names: Collection[str], used: set[str], rng: np.random.Generator) -> str:
    """Return one of `names` that is not in use."""
    free = [name for name in names if name not in used]
    return free[rng.integers(len(free))]
