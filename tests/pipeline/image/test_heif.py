import importlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline.image.pixels import Picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]
Refused = Callable[..., tuple[Outcome, str | None]]

COLOURS = [(220, 30, 30), (30, 200, 40), (20, 40, 210), (255, 255, 255)]


@pytest.fixture(scope="module")
def heic(four_corners: Image.Image) -> Callable[..., bytes]:
    """Return a function that gives `four_corners` as HEIF with the options of its writer."""
    pillow_heif = pytest.importorskip("pillow_heif")

    def encoded(**options: object) -> bytes:
        import io

        file = io.BytesIO()
        pillow_heif.from_pillow(four_corners).save(file, **options)
        return file.getvalue()

    return encoded


def test_heif_decodes_to_its_colours(heic: Callable[..., bytes], decoded: Decoded) -> None:
    got, pixels = decoded(heic(quality=95))
    assert (got.kind, got.width, got.height) == ("heif", 64, 48)
    corners = np.array([pixels[y, x] for x, y in ((4, 4), (59, 4), (4, 43), (59, 43))]).astype(int)
    assert np.abs(corners - COLOURS).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heif_comes_out_upright(
    heic: Callable[..., bytes], decoded: Decoded, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    got, pixels = decoded(heic(quality=95, exif=exif.tobytes()))
    sides = (48, 64) if orientation >= 5 else (64, 48)
    assert (got.width, got.height) == sides == pixels.shape[1::-1]
    # Where the red corner goes when the pixels that lie in the file are turned upright.
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0)}
    corner |= {5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert np.abs(pixels[corner[orientation]].astype(int) - COLOURS[0]).max() <= 8


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_heif_is_a_bad_image(
    heic: Callable[..., bytes], refused: Refused, share: float
) -> None:
    body = heic()
    for truncated in ("drop", "keep_if_decodes"):
        options = recipe.Image.model_validate({"format": "png", "truncated": truncated})
        assert refused(body[: int(len(body) * share)], options)[0] is Outcome.BAD_IMAGE


def test_heif_without_the_extra_is_a_bad_image_that_says_so() -> None:
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from pairsieve.pipeline.image.pixels import picture\n"
        "from pairsieve.schemas.recipe import Image\n"
        "body = b'\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic' + bytes(100)\n"
        "print(picture(body, Image()).detail)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "heif: no decoder; `pip install pairsieve[heif]` brings one"


def test_the_extra_changes_nothing_in_pillow() -> None:
    importlib.import_module("pairsieve.pipeline.image.decode").decoder_of("heif")
    assert "HEIF" not in Image.OPEN
