"""From the bytes of an image of known kind to RGB pixels as they lie in the file.

Pillow's classes are called directly because `PIL.Image.open` warns and raises by a process-wide
limit; here the limits are the recipe's, checked against the header before anything is decoded.
JPEG, most of the web, goes through simplejpeg where its colours are plain.

What becomes of the odd ones is the table in docs/pixels.md; each row of it has a test.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from pairsieve.pipeline.image.colour_profile import to_srgb
from pairsieve.pipeline.image.png_chunks import MAX_METADATA, without_metadata
from pairsieve.pipeline.image.resize import fit
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Pixels = NDArray[np.uint8]  # (h, w, 3), RGB

# What the decoders raise on damaged or hostile bytes; anything else is a bug and crashes. The first
# four were seen in half a million damaged files; the others guard against what was not seen.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
# libjpeg's warnings that mean lost pixels; after any other, Pillow decides whether to accept.
CUT_SHORT = "premature end"
DAMAGE = (CUT_SHORT, "bad huffman code", "instead of rst")
PILLOW: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}
PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA  # beyond it, it is left out before
LOSSY = ("jpg", "webp")  # stored as 4:2:0
ORIENTATION = 0x0112  # EXIF tag
# Scans x pixels of a progressive JPEG, beyond which it is a trap: 1 KB of scans can cost what a
# whole picture does. 10 scans, as encoders write, of the largest image allowed are half of it.
MOST_SCANNED = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels as they lie in the file, and what is left to do with them.

    Attributes:
        pixels: RGB, (h, w, 3), in the colours of `profile` if there is one.
        orientation: EXIF orientation, 1 to 8 or nonsense.
        profile: ICC profile of RGB pixels that are not in sRGB yet.
        plain: True when the file itself has three channels, upright, in sRGB.
    """

    pixels: Pixels
    orientation: int
    profile: bytes | None
    plain: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that give no picture, and why."""

    outcome: Outcome
    detail: str | None


def decoder_of(kind: str) -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    """Return Pillow's reader of a kind; None where the library for it is not installed."""
    return _heif() if kind == "heif" else PILLOW.get(kind)


def decode(body: bytes, kind: str, options: recipe.Image) -> Decoded | Rejected:
    """Return the pixels of an image of `kind`. Raises nothing for any `body`."""
    reader = decoder_of(kind)
    if reader is None:
        hint = "no decoder; `pip install pairsieve[heif]` brings one"
        return Rejected(Outcome.BAD_IMAGE, f"{kind}: {hint}")
    try:
        image = reader(io.BytesIO(without_metadata(body) if kind == "png" else body))
        refused = _outside(image.size, kind, options)
        if refused:
            return refused
        pixels = _pixels(image, body, options, _may_repeat_colours(image.size, options))
        orientation = _orientation(image)
    except Image.DecompressionBombError as error:
        return Rejected(Outcome.TOO_MANY_PIXELS, f"{kind}: {error}"[:200])
    except DECODER_ERRORS as error:
        return Rejected(Outcome.BAD_IMAGE, f"{kind}: {error}"[:200])
    profile = image.info.get("icc_profile")
    if profile and not to_srgb(profile, "RGB"):
        profile = None
    plain = image.mode == "RGB" and not image.has_transparency_data and not profile
    return Decoded(pixels, orientation, profile, plain and orientation not in range(2, 9))


def _outside(size: tuple[int, int], kind: str, options: recipe.Image) -> Rejected | None:
    """Return why an image of this size is not decoded; None when it is within the limits."""
    detail = f"{kind}: {size[0]} x {size[1]} px"
    if size[0] * size[1] > options.max_pixels:
        return Rejected(Outcome.TOO_MANY_PIXELS, detail)
    if min(size) < options.min_source_side:
        return Rejected(Outcome.SIDE_TOO_SHORT, detail)
    if options.max_source_side is not None and max(size) > options.max_source_side:
        return Rejected(Outcome.SIDE_TOO_LONG, detail)
    return None


def _may_repeat_colours(size: tuple[int, int], options: recipe.Image) -> bool:
    """Return True when a JPEG's colours, mostly at half the sides, need not be interpolated.

    They are averaged again anyway where the picture is reduced to at most half its sides, or stored
    by a lossy format, whose colours have half the sides too. Measured in docs/pixels.md.
    """
    to = fit(*size, options)
    most = 1 if options.format in LOSSY else 0.5  # of the sides
    return all(after <= most * before for after, before in zip(to.size, to.part, strict=True))


def _pixels(image: ImageFile.ImageFile, body: bytes, options: recipe.Image, repeat: bool) -> Pixels:
    """Return the pixels as they lie in the file; RGB ones still in the file's own profile."""
    keep = options.truncated == "keep_if_decodes"
    if image.format == "JPEG":
        if "progressive" in image.info:
            _check_scans(body, image.size)
        if image.mode == "RGB" or (image.mode == "L" and "icc_profile" not in image.info):
            pixels = _jpeg(body, image.size, repeat, keep)
            if pixels is not None:
                return pixels
    size = image.size
    if keep and image.format != "HEIF":
        _load_what_there_is(image)
    else:
        image.load()
    if image.size != size:
        raise ValueError(f"declares {size} px and has {image.size} px")
    return np.asarray(_rgb(image, options.background))


def _load_what_there_is(image: ImageFile.ImageFile) -> None:
    """Load an image that may end early; Pillow's switch for that is of the whole process."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _check_scans(body: bytes, size: tuple[int, int]) -> None:
    """Refuse a JPEG with so many scans that decoding it would take minutes."""
    scans = body.count(b"\xff\xda")
    if scans * size[0] * size[1] > MOST_SCANNED:
        raise ValueError(f"{scans} scans of {size[0]} x {size[1]} px")


def _jpeg(body: bytes, size: tuple[int, int], repeat: bool, keep: bool) -> Pixels | None:
    """Return the pixels of a grey or RGB JPEG; None where simplejpeg refuses but Pillow may not."""
    import simplejpeg

    try:
        height, width = simplejpeg.decode_jpeg_header(body)[:2]
        if (width, height) == size:
            return np.asarray(simplejpeg.decode_jpeg(body, "RGB", fastupsample=repeat))
    except ValueError as error:
        if keep and CUT_SHORT in str(error).lower():
            return np.asarray(
                simplejpeg.decode_jpeg(body, "RGB", fastupsample=repeat, strict=False)
            )
        if any(sign in str(error).lower() for sign in DAMAGE):
            raise
        return None
    # The limit was checked on what Pillow read: a file that reads otherwise here is a trap.
    raise ValueError(f"declares {size[0]} x {size[1]} px and {width} x {height} px")


def _rgb(image: Image.Image, background: str) -> Image.Image:
    """Return a loaded image of any mode as RGB on the background."""
    profile, mode = image.info.get("icc_profile"), image.mode
    if mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif mode in ("I", "F"):
        raise ValueError("32-bit samples have no defined range")
    elif image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), above)
        grey = mode in ("1", "L", "LA", "La") and len({*bytes.fromhex(background[1:])}) == 1
        image = image.convert("L" if grey else "RGB")
    if profile and image.mode in ("L", "CMYK"):
        transform = to_srgb(profile, image.mode)
        image = transform.apply(image) if transform else image
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image; 1, upright, where it is missing or broken."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


@cache
def _heif() -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    """Return the reader of HEIF, which comes with the extra `heif`."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return None
    reader: Callable[[io.BytesIO], ImageFile.ImageFile] = HeifImageFile
    return reader
