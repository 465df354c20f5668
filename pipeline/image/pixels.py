"""From the bytes of a fetch to one trusted picture: upright 8-bit sRGB, stored size, no metadata.

The kind is read from the bytes (`format.py`), one decode (`decode.py`) serves the stored image and
every measure, and what costs by the pixel comes after the resizing (`resize.py`). The policies, one
row per kind of oddity, are in docs/pixels.md, and the tests show each.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.colour import CELLS
from pairsieve.pipeline.image import blur as blurring
from pairsieve.pipeline.image.blur import BlurBox
from pairsieve.pipeline.image.colour_profile import converted, to_srgb
from pairsieve.pipeline.image.decode import Decoded, Rejected, decode
from pairsieve.pipeline.image.encode import KINDS, bare, encoded
from pairsieve.pipeline.image.format import kind_of, other_kind_of
from pairsieve.pipeline.image.resize import SIDEWAYS, Fit, fit, padded, resized
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

FACE_DIGITS = 4  # of the fractions of a face's box
LUMA_SIDE = 256  # px, shorter side of the plane that most measures read


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that decoded.

    Attributes:
        kind: Kind of the bytes received, e.g. "jpeg".
        width: Width as published, upright, px.
        height: Height as published, upright, px.
        stored: The image to store, in the recipe's format, without metadata.
        stored_width: Its width, px.
        stored_height: Its height, px.
        luma: Its BT.601 luma before encoding, (stored_height, stored_width), 0 to 255.
        luma_256: The luma at a shorter side of at most `LUMA_SIDE` px; never enlarged.
        colours: Mean colour of each cell before encoding, (CELLS, CELLS, 3), RGB.
        trimmed_luma: `luma_256` without the borders of the picture; None if it has none.
        trimmed_colours: `colours` without them; None if it has none.
        faces: Boxes of the faces that were found and blurred, as fractions of the upright sides;
            None where none were looked for.
    """

    kind: str
    width: int
    height: int
    stored: bytes
    stored_width: int
    stored_height: int
    luma: NDArray[np.uint8]
    luma_256: NDArray[np.uint8]
    colours: NDArray[np.uint8]
    trimmed_luma: NDArray[np.uint8] | None
    trimmed_colours: NDArray[np.uint8] | None
    faces: tuple[BlurBox, ...] | None


def picture(
    body: bytes, options: recipe.Image, boxes: Sequence[BlurBox] = ()
) -> Picture | Rejected:
    """Return the picture in `body` as the recipe stores it, with `boxes` blurred.

    Where the recipe says `blur: faces`, those that are found are blurred as well. The same bytes,
    options and boxes give the same picture. Raises nothing for any `body`.
    """
    if not body:
        return Rejected(Outcome.EMPTY, None)
    kind = kind_of(body)
    if kind is None:
        other = other_kind_of(body)
        begins = f"begins with {body[:16]!r}"
        return Rejected(Outcome.NOT_AN_IMAGE, f"{other}: {begins}" if other else begins)
    # Pillow's words on odd files, as many as there are odd files; the outcome says what matters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    decoded = decode(body, kind, options)
    if isinstance(decoded, Rejected):
        return decoded
    return _picture(body, kind, decoded, options, boxes)


def _picture(
    body: bytes, kind: str, decoded: Decoded, options: recipe.Image, boxes: Sequence[BlurBox]
) -> Picture | Rejected:
    """Return the picture: resized first, so that colours, rotation and blurring cost less."""
    height, width = decoded.pixels.shape[:2]
    if decoded.orientation in SIDEWAYS:
        width, height = height, width
    given = blurring.in_px(boxes, options.blur_unit, width, height)
    if isinstance(given, str):
        return Rejected(Outcome.BAD_BOXES, given)
    to = fit(width, height, options)
    pixels = resized(decoded.pixels, decoded.orientation, to)
    transform = to_srgb(decoded.profile, "RGB") if decoded.profile else None
    if transform:
        pixels = converted(pixels, transform)
    faces = _faces(pixels, to, width, height) if options.blur == "faces" else None
    if isinstance(faces, Rejected):
        return faces
    hidden = [*given, *(_scaled(box, width, height) for box in faces or ())]
    if hidden:
        pixels = blurring.blurred(pixels, [_seen_in(to, box) for box in hidden])
    pixels = padded(pixels, to, options.background)
    fits = decoded.plain and not hidden and to == Fit(0, 0, *[(width, height)] * 3)
    stored = bare(body, kind) if fits and _may_be_copied(kind, options) else None
    luma = _luma(pixels)
    luma_256 = _reduced_luma(luma)
    trimmed = _trimmed(pixels, luma_256)
    return Picture(
        kind,
        width,
        height,
        stored or encoded(pixels, options),
        *to.canvas,
        luma,
        luma_256,
        _colours(pixels),
        trimmed[0],
        trimmed[1],
        faces,
    )


def _faces(
    pixels: NDArray[np.uint8], to: Fit, width: int, height: int
) -> tuple[BlurBox, ...] | Rejected:
    """Return the faces in the pixels to store, as fractions of the upright picture's sides.

    They are rounded, so that the column says of every pixel whether it was blurred.
    """
    from pairsieve.pipeline.image.faces import DetectorFailed, find_faces

    try:
        found = [_seen_of(to, box) for box in find_faces(pixels)]
    except DetectorFailed as error:
        return Rejected(Outcome.CRASHED, str(error))
    fractions = np.round(np.array(found).reshape(-1, 2) / (width, height), FACE_DIGITS)
    return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in fractions.reshape(-1, 4).tolist())


def _trimmed(
    pixels: NDArray[np.uint8], luma_256: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | tuple[None, None]:
    """Return `luma_256` and the colours of a picture without its borders."""
    from pairsieve.pipeline.image.borders import inside

    found = inside(luma_256)
    if found is None:
        return None, None
    top, bottom, left, right = found
    down, across = (
        large / small for large, small in zip(pixels.shape, luma_256.shape, strict=False)
    )
    rows = slice(round(top * down), round(bottom * down))
    columns = slice(round(left * across), round(right * across))
    return luma_256[top:bottom, left:right], _colours(pixels[rows, columns])


def _may_be_copied(kind: str, options: recipe.Image) -> bool:
    """Return True when `kind` is the recipe's format and it avoids needless encoding."""
    return options.reencode == "needed" and kind == KINDS[options.format]


def _seen_in(to: Fit, box: BlurBox) -> BlurBox:
    """Return a box of the upright picture as it lies in the resized part."""
    across, down = to.size[0] / to.part[0], to.size[1] / to.part[1]
    x0, y0, x1, y1 = box
    return (
        (x0 - to.left) * across,
        (y0 - to.top) * down,
        (x1 - to.left) * across,
        (y1 - to.top) * down,
    )


def _seen_of(to: Fit, box: BlurBox) -> BlurBox:
    """Return a box of the resized part as it lies in the upright picture."""
    across, down = to.part[0] / to.size[0], to.part[1] / to.size[1]
    x0, y0, x1, y1 = box
    return x0 * across + to.left, y0 * down + to.top, x1 * across + to.left, y1 * down + to.top


def _scaled(box: BlurBox, width: int, height: int) -> BlurBox:
    """Return a box of fractions in px."""
    x0, y0, x1, y1 = box
    return x0 * width, y0 * height, x1 * width, y1 * height


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the BT.601 luma of RGB pixels, (h, w)."""
    import cv2

    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _reduced_luma(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `luma` by area averages with a shorter side of at most `LUMA_SIDE` px."""
    from pairsieve.pipeline.image.area_resize import reduced

    height, width = luma.shape
    scale = LUMA_SIDE / min(height, width)
    if scale >= 1:
        return luma
    return reduced(luma, max(1, round(width * scale)), max(1, round(height * scale)))


def _colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean colour of each cell of the picture, (CELLS, CELLS, 3).

    Of a side with fewer pixels than cells, a pixel is the mean of several.
    """
    from pairsieve.pipeline.image.area_resize import reduced

    height, width = pixels.shape[:2]
    small = reduced(pixels, min(CELLS, width), min(CELLS, height))
    rows, columns = (np.arange(CELLS) * side // CELLS for side in small.shape[:2])
    return np.asarray(small[rows[:, None], columns])
