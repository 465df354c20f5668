"""Put a scene into words: true captions in varied English, and the captions that say nothing.

Alt texts of the web are the model: a few words to a sentence or two, with or without a full stop,
with synonyms. Everything a caption says about its scene is true.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pairsieve.jobs.demo_web.scenes import Scene, Shape, random_scene
from pairsieve.jobs.demo_web.translations import LANGUAGES, translated_caption

_COLOUR_WORDS = {"purple": ("purple", "violet"), "grey": ("grey", "gray")}
_KIND_WORDS = {
    "circle": ("circle", "disc", "round shape"),
    "square": ("square", "square block"),
    "ring": ("ring", "hoop"),
    "crescent": ("crescent", "crescent moon"),
    "star": ("star", "five-pointed star"),
    "heart": ("heart", "heart shape"),
    "diamond": ("diamond", "rhombus"),
}
_TEXTURE_WORDS = {
    "striped": ("striped",),
    "checked": ("checked", "checkered", "chequered"),
    "dotted": ("dotted", "polka-dot"),
    "wavy": ("wavy", "rippled"),
    "zigzag": ("zigzag", "chevron-patterned"),
    "gridded": ("gridded", "latticed"),
    "speckled": ("speckled", "flecked"),
    "mottled": ("mottled", "cloudy"),
    "shaded": ("softly shaded", "smooth"),
}
_COUNTS = ("", "a", "two", "three", "four", "five", "six")
_TEMPLATES = (
    "{shapes} shown here on a {ground} background",
    "A picture of {shapes} with a {ground} background behind.",
    "{shapes} lying in front of a {ground} background",
    "There is a {ground} background with {shapes} on it.",
    "This picture shows {shapes} lying on a {ground} surface.",
    "Photo of {shapes} against a {ground} wall",
    "We can see {shapes} on a {ground} cloth.",
    "An image with {shapes}; the background is {ground}.",
    "{shapes} placed on {ground} paper",
    "Close-up of {shapes}, and behind that a {ground} backdrop",
)
SHARED = "Free shipping on all orders over fifty dollars this weekend only"
_NAMES = ("Image", "photo", "picture 1", "logo", "thumbnail", "Untitled", "img", "banner image")
_CAMERAS = ("IMG_{:04d}.jpg", "DSC {:05d}", "P{:07d}", "screenshot-{}.png", "image {}")
_PHRASES = (
    "Click on the picture to enlarge it",
    "This image may be subject to copyright",
    "Photo for illustrative purposes only",
    "The image could not be displayed in your browser",
    "Share this picture with your friends",
    "You need to log in to see this image",
)


def true_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Return a caption that is true of `scene`: colours, kinds, counts, ground, often locations."""
    if len(scene.shapes) <= 2 and rng.random() < 0.5:
        shapes = _with_locations(scene, rng)
    else:
        phrases = [_group(*group, rng) for group in scene.groups]
        shapes = _joined([phrases[i] for i in rng.permutation(len(phrases))])
    ground = f"{_word(_TEXTURE_WORDS, scene.ground.texture, rng)} "
    ground += _word(_COLOUR_WORDS, scene.ground.colour, rng)
    caption = _TEMPLATES[rng.integers(len(_TEMPLATES))].format(shapes=shapes, ground=ground)
    caption = caption.replace("a orange", "an orange")
    return caption[0].upper() + caption[1:] if rng.random() < 0.7 else caption


def location(shape: Shape) -> str:
    """Return where in the picture the centre of `shape` is: one of nine fields."""
    row = ("top", "", "bottom")[(shape.y > 0.38) + (shape.y > 0.62)]
    column = ("left", "", "right")[(shape.x > 0.38) + (shape.x > 0.62)]
    if row and column:
        return f"in the {row} {column} corner"
    if row:
        return f"at the {row}"
    return f"on the {column} side" if column else "in the middle"


def wrong_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Return a true caption of another scene, which has no shape of this kind and colour."""
    here = {group[1:] for group in scene.groups}
    while True:
        other = random_scene(rng)
        if not here & {group[1:] for group in other.groups}:
            return true_caption(other, rng)


def boilerplate(rng: np.random.Generator) -> str:
    """Return a caption of one or two words that describes nothing, such as a file name."""
    if rng.random() < 0.5:
        return _NAMES[rng.integers(len(_NAMES))]
    return _CAMERAS[rng.integers(len(_CAMERAS))].format(rng.integers(1, 9999))


# What the list of defects asks for: from the scene, the pair's number and its random generator.
CAPTIONS: dict[str, Callable[[Scene, int, np.random.Generator], str | None]] = {
    "true": lambda scene, number, rng: true_caption(scene, rng),
    "wrong": lambda scene, number, rng: wrong_caption(scene, rng),
    "translated": lambda scene, number, rng: translated_caption(
        scene, LANGUAGES[number % len(LANGUAGES)], rng
    ),
    "none": lambda scene, number, rng: (None, "", "  ")[number % 3],
    "boilerplate": lambda scene, number, rng: boilerplate(rng),
    "phrase": lambda scene, number, rng: _PHRASES[rng.integers(len(_PHRASES))],
    "shared": lambda scene, number, rng: SHARED,
}


def _with_locations(scene: Scene, rng: np.random.Generator) -> str:
    """Return one or two shapes with their locations, or with how they stand to each other."""
    names = [_group(1, shape.colour, shape.kind, rng) for shape in scene.shapes]
    if len(names) == 2 and len(scene.groups) == 2 and rng.random() < 0.5:
        one, other = scene.shapes
        if abs(one.x - other.x) > abs(one.y - other.y):
            relation = "to the left of" if one.x < other.x else "to the right of"
        else:
            relation = "above" if one.y < other.y else "below"
        return f"{names[0]} {relation} {names[1]}"
    placed = zip(names, scene.shapes, strict=True)
    return _joined([f"{name} {location(shape)}" for name, shape in placed])


def _group(count: int, colour: str, kind: str, rng: np.random.Generator) -> str:
    """Return a phrase such as "three red stars"."""
    noun = _word(_KIND_WORDS, kind, rng)
    if count > 1:
        noun = {"cross": "crosses", "rhombus": "rhombuses"}.get(noun, f"{noun}s")
    return f"{_COUNTS[count]} {_word(_COLOUR_WORDS, colour, rng)} {noun}"


def _word(table: Mapping[str, tuple[str, ...]], name: str, rng: np.random.Generator) -> str:
    """Return one of the words for `name`."""
    words = table.get(name, (name,))
    return words[rng.integers(len(words))]


def _joined(phrases: Sequence[str]) -> str:
    """Return "a, b and c"."""
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
