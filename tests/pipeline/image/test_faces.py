import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.pipeline.image.drawn_face import FACE, SIZE, person

from pairsieve.pipeline.image import faces
from pairsieve.pipeline.image.blur import BlurBox
from pairsieve.pipeline.image.decode import Rejected
from pairsieve.pipeline.image.faces import find_faces
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]

BLURRED = recipe.Image(format="png", blur="faces")


def overlap(box: BlurBox, other: BlurBox) -> float:
    """Return intersection over union."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (box, other)]
    shared = max(0.0, width) * max(0.0, height)
    return shared / (sum(areas) - shared)


def in_px(fractions: BlurBox, size: tuple[int, int] = SIZE) -> BlurBox:
    x0, y0, x1, y1 = fractions
    return x0 * size[0], y0 * size[1], x1 * size[0], y1 * size[1]


def stored(got: Picture | Rejected) -> NDArray[np.uint8]:
    assert isinstance(got, Picture)
    with Image.open(io.BytesIO(got.stored)) as image:
        return np.asarray(image)


def only_face(got: Picture | Rejected) -> BlurBox:
    assert isinstance(got, Picture)
    (box,) = got.faces or ()
    return box


def sideways_jpeg(saved: Saved) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # upright when it is turned by 90 degrees clockwise
    return saved(person().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def test_the_box_is_that_of_the_face() -> None:
    (box,) = find_faces(np.asarray(person()))
    assert overlap(box, FACE) > 0.7


def test_a_face_is_blurred_and_the_rest_is_untouched(saved: Saved) -> None:
    body = saved(person(), "PNG")
    got, plain = picture(body, BLURRED), picture(body, recipe.Image(format="png"))
    assert overlap(in_px(only_face(got)), FACE) > 0.7
    hidden, seen = stored(got), stored(plain)
    eyes = np.s_[190:202, 308:332, 1]
    assert hidden[eyes].std() < 0.25 * seen[eyes].std()
    assert (hidden[:150] == seen[:150]).all()
    assert (hidden[250:] == seen[250:]).all()


def test_the_same_bytes_are_blurred_to_the_same_bytes(saved: Saved) -> None:
    body = saved(person(), "PNG")
    assert stored(picture(body, BLURRED)).tobytes() == stored(picture(body, BLURRED)).tobytes()


def test_a_box_is_of_the_upright_picture_as_published(saved: Saved) -> None:
    assert overlap(in_px(only_face(picture(sideways_jpeg(saved), BLURRED))), FACE) > 0.7
    cropped = recipe.Image(format="png", blur="faces", center_crop=240)
    assert overlap(in_px(only_face(picture(saved(person(), "PNG"), cropped))), FACE) > 0.7
    padded = recipe.Image(format="png", blur="faces", pad=480)
    assert overlap(in_px(only_face(picture(saved(person(), "PNG"), padded))), FACE) > 0.6


def test_a_picture_without_faces_is_stored_as_without_the_key(saved: Saved) -> None:
    wall = np.random.default_rng(3).integers(80, 120, (90, 160, 3), np.uint8)
    body = saved(Image.fromarray(wall), "JPEG")
    got = picture(body, recipe.Image(reencode="needed", blur="faces"))
    plain = picture(body, recipe.Image(reencode="needed"))
    assert isinstance(got, Picture)
    assert isinstance(plain, Picture)
    assert got.faces == ()
    assert plain.faces is None
    assert got.stored == plain.stored


def test_faces_of_real_people_are_found_and_nothing_else(real: Path) -> None:
    # Three portraits of one or two people; dolphins, and a basketball.
    people = {"110": 1, "116": 2, "85": 1, "1": 0, "10": 0}
    found = {}
    for name in people:
        got = picture((real / f"www/unsplash/image_{name}.jpg").read_bytes(), BLURRED)
        assert isinstance(got, Picture)
        found[name] = len(got.faces or ())
    assert found == people


def test_a_picture_of_any_shape_is_looked_at() -> None:
    for shape in ((1, 1), (1, 3000), (900, 2)):
        assert find_faces(np.full((*shape, 3), 200, np.uint8)) == []


def test_a_picture_the_detector_gives_up_on_is_refused_alone(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The network as its file has it takes pictures of 32 x 32 px alone, and says so.
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    as_filed = onnxruntime.InferenceSession(faces._weights(), quiet)
    monkeypatch.setattr(faces, "_session", lambda: as_filed)
    got = picture(saved(person(), "PNG"), BLURRED)
    assert isinstance(got, Rejected)
    assert got.outcome is Outcome.CRASHED
    assert got.detail is not None
    assert got.detail.startswith("face detector: ")
