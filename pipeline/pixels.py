"""From the bytes of a fetch to one trusted picture: upright 8-bit sRGB, stored size, no metadata.

The kind is told from the bytes, which then go to that one decoder and not to whichever claims them.
Pillow's classes are called directly because `PIL.Image.open` warns and raises by a process-wide
limit; here the limit is the recipe's, checked against the header before anything is decoded. JPEG,
most of the web, goes through simplejpeg. One decode serves the stored image and every measure.

What becomes of the odd ones: EXIF orientation is applied; an ICC profile is converted to sRGB, a
broken one ignored; alpha lies on white; 16-bit samples keep their high byte; 32-bit samples have no
defined range and are refused; CMYK JPEGs are read as inverted, as Adobe writes and browsers read
them; of an animation the first frame counts; a truncated file is a bad image.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

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
DAMAGE = ("premature end", "bad huffman code", "instead of rst")
DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}
MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the second header, bytes
AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383, "png": 65_500}  # px, of libjpeg and libwebp
SAME_COLOUR = 2  # a profile that moves no colour by more than this, of 255, is sRGB
LUMA_SIDE = 256  # px, shorter side of the plane that most measures read
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height


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
    """

    kind: str
    width: int
    height: int
    stored: bytes
    stored_width: int
    stored_height: int
    luma: NDArray[np.uint8]
    luma_256: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that give no picture, and why."""

    outcome: Outcome
    detail: str | None


def picture(body: bytes, options: recipe.Image) -> Picture | Rejected:
    """Return the picture in `body` with its shorter side at most `options.min_side` px.

    The same bytes and options give the same picture. Raises nothing for any `body`.
    """
    if not body:
        return Rejected(Outcome.EMPTY, None)
    kind = kind_of(body)
    if kind is None:
        return Rejected(Outcome.NOT_AN_IMAGE, f"begins with {body[:16]!r}")
    if kind not in DECODERS:
        return Rejected(Outcome.BAD_IMAGE, f"{kind}: no decoder")
    # Pillow's words on odd files, as many as there are odd files; the outcome says what matters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        image = DECODERS[kind](io.BytesIO(body))
        width, height = image.size
        if width * height > options.max_pixels:
            return Rejected(Outcome.TOO_MANY_PIXELS, f"{kind}: {width} x {height} px")
        pixels = _decoded(image, body)
        orientation = _orientation(image)
    except Image.DecompressionBombError as error:
        return Rejected(Outcome.TOO_MANY_PIXELS, f"{kind}: {error}"[:200])
    except DECODER_ERRORS as error:
        return Rejected(Outcome.BAD_IMAGE, f"{kind}: {error}"[:200])
    return _stored(kind, pixels, orientation, image.info.get("icc_profile"), options)


def kind_of(body: bytes) -> str | None:
    """Return the kind of image that `body` begins as; None when it is no known kind.

    Source: the formats' signatures; ISO/IEC 14496-12 for the brands of AVIF and HEIF.
    """
    for magic, kind in MAGIC:
        if body.startswith(magic):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in BMP_HEADERS:
        return "bmp"
    if body[4:8] == b"ftyp":
        end = min(int.from_bytes(body[:4], "big"), 256)
        brands = {body[at : at + 4] for at in range(8, end, 4)}
        return "avif" if brands & AVIF_BRANDS else "heif" if brands & HEIF_BRANDS else None
    return None


def _decoded(image: ImageFile.ImageFile, body: bytes) -> Pixels:
    """Return the pixels as they lie in the file; RGB ones still in the file's own profile."""
    grey = image.mode == "L" and "icc_profile" not in image.info
    if image.format == "JPEG" and (image.mode == "RGB" or grey):
        pixels = _jpeg(body, image.size)
        if pixels is not None:
            return pixels
    image.load()
    return np.asarray(_rgb(image))


def _jpeg(body: bytes, size: tuple[int, int]) -> Pixels | None:
    """Return the pixels of a grey or RGB JPEG; None where simplejpeg refuses but Pillow may not."""
    import simplejpeg

    try:
        height, width = simplejpeg.decode_jpeg_header(body)[:2]
        if (width, height) == size:
            pixels: Pixels = simplejpeg.decode_jpeg(body, "RGB")
            return pixels
    except ValueError as error:
        if any(sign in str(error).lower() for sign in DAMAGE):
            raise
        return None
    # The limit was checked on what Pillow read: a file that reads otherwise here is a trap.
    raise ValueError(f"declares {size[0]} x {size[1]} px and {width} x {height} px")


def _rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as RGB on white."""
    profile, mode = image.info.get("icc_profile"), image.mode
    if mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif mode in ("I", "F"):
        raise ValueError("32-bit samples have no defined range")
    elif image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), above)
        image = image.convert("L" if mode in ("1", "L", "LA", "La") else "RGB")
    if profile and image.mode in ("L", "CMYK"):
        transform = _to_srgb(profile, image.mode)
        image = transform.apply(image) if transform else image
    return image.convert("RGB")


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB, None where there is nothing to do.

    That is: where the profile is broken, is not one for `mode`, or is sRGB already. Relative
    colorimetric with black point compensation, cached because building takes milliseconds.
    """
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    if mode != "RGB":
        return transform
    levels = np.array([0, 51, 102, 153, 204, 255], np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    moved = np.abs(_converted(colours, transform).astype(int) - colours).max()
    return transform if moved > SAME_COLOUR else None


def _converted(pixels: Pixels, transform: ImageCms.ImageCmsTransform) -> Pixels:
    """Return RGB pixels after a colour transform."""
    return np.asarray(transform.apply(Image.fromarray(pixels)))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image; 1, upright, where it is missing or broken."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return pixels (h, w, ...) turned upright; numbers beyond 1 to 8 turn nothing.

    Source: EXIF 2.3, tag 0x0112.
    """
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _stored(
    kind: str, pixels: Pixels, orientation: int, profile: bytes | None, options: recipe.Image
) -> Picture:
    """Return the picture: resized first, so that colours and turning cost less."""
    import cv2

    height, width = pixels.shape[:2]
    size = _stored_size(width, height, options)
    if size != (width, height):
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    transform = _to_srgb(profile, "RGB") if profile else None
    if transform:
        pixels = _converted(pixels, transform)
    pixels = _upright(pixels, orientation)
    if orientation in SIDEWAYS:
        width, height = height, width
    stored_height, stored_width = pixels.shape[:2]
    luma = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    stored = _encoded(pixels, options)
    luma_256 = _reduced_luma(luma)
    return Picture(kind, width, height, stored, stored_width, stored_height, luma, luma_256)


def _reduced_luma(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `luma` by area averages with a shorter side of at most `LUMA_SIDE` px."""
    import cv2

    height, width = luma.shape
    scale = LUMA_SIDE / min(height, width)
    if scale >= 1:
        return luma
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _stored_size(width: int, height: int, options: recipe.Image) -> tuple[int, int]:
    """Return (width, height) to store: never larger, at least 1 px, within the format's limit."""
    limit = LONGEST_SIDE[options.format]
    scale = min(1.0, options.min_side / min(width, height), limit / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _encoded(pixels: Pixels, options: recipe.Image) -> bytes:
    """Return the pixels in the recipe's format: JPEG 4:2:0, WebP lossy, or PNG."""
    if options.format == "jpg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(pixels, options.quality, "RGB", "420"))
    file = io.BytesIO()
    if options.format == "webp":
        Image.fromarray(pixels).save(file, "WEBP", quality=options.quality, method=4)
    else:
        Image.fromarray(pixels).save(file, "PNG", compress_level=6)
    return file.getvalue()
