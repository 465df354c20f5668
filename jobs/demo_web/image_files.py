"""Files of drawn scenes: every format, and every way in which a file or its picture can be bad."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.opt_out_marks import with_c2pa, with_xmp
from pairsieve.jobs.demo_web.placeholder_cards import blank_card, notice_card
from pairsieve.jobs.demo_web.scenes import Scene

Pixels = NDArray[np.uint8]  # (h, w, 3), RGB
Random = np.random.Generator

_HTML = """<!DOCTYPE html>
<html><head><title>Picture not available</title></head>
<body><h1>Sorry</h1><p>This picture ({}) has moved. <a href="/">Home</a></p></body></html>
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file as served.

    Attributes:
        body: The bytes.
        suffix: File name ending, without the dot.
        type: Content-Type.
        size: Upright (width, height) in px of the picture; None if there is none.
    """

    body: bytes
    suffix: str
    type: str
    size: tuple[int, int] | None


def pixels(scene: Scene, rng: Random) -> Pixels:
    """Return the scene drawn at a size met on the web: sides of 300 to 900 px, more small ones."""
    short = int(300 + 300 * rng.beta(1, 2.5))
    long = int(short * rng.uniform(1, 1.5))
    size = (long, short) if rng.random() < 0.65 else (short, long)
    return draw(scene, *size)


def jpeg(picture: Pixels, quality: int) -> Picture:
    """Return `picture` as a baseline JPEG with 4:2:0 chroma."""
    import simplejpeg

    body = simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality, colorspace="RGB", colorsubsampling="420"
    )
    return Picture(body, "jpg", "image/jpeg", (picture.shape[1], picture.shape[0]))


def _plain(scene: Scene, rng: Random) -> Picture:
    """Return the scene as a JPEG of some quality, now and then a progressive one."""
    picture, quality = pixels(scene, rng), int(rng.integers(72, 93))
    if rng.random() < 0.9:
        return jpeg(picture, quality)
    return _pillow(picture, "jpeg", quality=quality, progressive=True)


def _pillow(picture: Pixels, kind: str, mode: str = "RGB", **options: Any) -> Picture:
    """Return `picture` in a format that Pillow writes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, kind, **options)
    suffix = "jpg" if kind == "jpeg" else kind
    size = (picture.shape[1], picture.shape[0])
    return Picture(buffer.getvalue(), suffix, f"image/{kind}", size)


def _no_mining(scene: Scene, rng: Random) -> Picture:
    plain = _plain(scene, rng)
    return replace(plain, body=with_xmp(plain.body))


def _no_training(scene: Scene, rng: Random) -> Picture:
    plain = _plain(scene, rng)
    return replace(plain, body=with_c2pa(plain.body))


def _png(scene: Scene, rng: Random) -> Picture:
    mode = ("RGB", "RGBA", "P")[rng.integers(3)]
    return _pillow(pixels(scene, rng), "png", mode, compress_level=1)


def _webp(scene: Scene, rng: Random) -> Picture:
    return _pillow(pixels(scene, rng), "webp", quality=80, method=1)


def _gif(scene: Scene, rng: Random) -> Picture:
    return _pillow(pixels(scene, rng), "gif", "P")


def _avif(scene: Scene, rng: Random) -> Picture:
    # one thread: with more, the bytes could depend on how many cores there are
    return _pillow(pixels(scene, rng), "avif", quality=70, speed=9, max_threads=1)


def _cmyk(scene: Scene, rng: Random) -> Picture:
    return _pillow(pixels(scene, rng), "jpeg", "CMYK", quality=85)


def _png_16_bit(scene: Scene, rng: Random) -> Picture:
    import cv2

    picture = pixels(scene, rng)
    deep = picture[:, :, ::-1].astype(np.uint16) * 257
    _, body = cv2.imencode(".png", deep, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    size = (picture.shape[1], picture.shape[0])
    return Picture(body.tobytes(), "png", "image/png", size)


def _exif_rotated(scene: Scene, rng: Random) -> Picture:
    """Return a JPEG that lies on its side, with the EXIF orientation that puts it upright."""
    from PIL import Image

    upright = pixels(scene, rng)
    orientation, quarter_turns = ((3, 2), (6, 1), (8, 3))[rng.integers(3)]
    exif = Image.Exif()
    exif[0x0112] = orientation
    sideways = _pillow(np.rot90(upright, quarter_turns).copy(), "jpeg", quality=85, exif=exif)
    return replace(sideways, size=(upright.shape[1], upright.shape[0]))


def _blurred(scene: Scene, rng: Random) -> Picture:
    """Return the scene out of focus: sigma of 4 to 6 px where the shorter side has 256."""
    import cv2

    picture = pixels(scene, rng)
    sigma = float(rng.uniform(4, 6)) * min(picture.shape[:2]) / 256
    return jpeg(np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8), 85)


def _enlarged(scene: Scene, rng: Random) -> Picture:
    """Return the scene at 56 to 72 px, enlarged to a size met on the web."""
    import cv2

    short, ratio = int(rng.integers(56, 73)), float(rng.uniform(1, 1.5))
    small = draw(scene, int(short * ratio), short)
    scale = float(rng.uniform(300, 500)) / short
    large = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return jpeg(np.asarray(large, np.uint8), 88)


def _placeholder_card(scene: Scene, rng: Random) -> Picture:
    """Return what is served where there is no picture: every third a blank card."""
    width, height = (int(side) for side in rng.integers(300, 600, 2))
    draw_card = blank_card if rng.random() < 1 / 3 else notice_card
    return jpeg(draw_card(rng, width, height), 85)


def _dark(scene: Scene, rng: Random) -> Picture:
    return jpeg((pixels(scene, rng) * rng.uniform(0.1, 0.25)).astype(np.uint8), 85)


def _washed_out(scene: Scene, rng: Random) -> Picture:
    return jpeg((pixels(scene, rng) * rng.uniform(0.08, 0.16) + 170).astype(np.uint8), 85)


def _tiny(scene: Scene, rng: Random) -> Picture:
    width, height = (int(side) for side in rng.integers(40, 120, 2))
    return jpeg(draw(scene, width, min(max(height, width // 2), width * 2)), 85)


def _banner(scene: Scene, rng: Random) -> Picture:
    short = int(rng.integers(150, 220))
    size = (int(short * rng.uniform(4, 7)), short)
    return jpeg(draw(scene, *(size if rng.random() < 0.7 else size[::-1])), 85)


def _truncated(scene: Scene, rng: Random) -> Picture:
    whole = _plain(scene, rng)
    return Picture(
        whole.body[: int(len(whole.body) * rng.uniform(0.3, 0.8))], "jpg", whole.type, None
    )


def _html(scene: Scene, rng: Random) -> Picture:
    return Picture(_HTML.format(scene.seed).encode(), "jpg", "text/html; charset=utf-8", None)


def _empty(scene: Scene, rng: Random) -> Picture:
    """Return no bytes; also for what is never served."""
    return Picture(b"", "jpg", "image/jpeg", None)


def _huge(scene: Scene, rng: Random) -> Picture:
    """Return a PNG of a few bytes whose header declares 30,000 x 30,000 px."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(rng.bytes(16) + bytes(90_001))
    body = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return Picture(body, "png", "image/png", None)


PICTURES: dict[str, Callable[[Scene, Random], Picture]] = {
    "jpeg": _plain,
    "no_mining": _no_mining,
    "no_training": _no_training,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "avif": _avif,
    "cmyk": _cmyk,
    "png_16_bit": _png_16_bit,
    "exif_rotated": _exif_rotated,
    "blurred": _blurred,
    "enlarged": _enlarged,
    "placeholder_card": _placeholder_card,
    "dark": _dark,
    "washed_out": _washed_out,
    "tiny": _tiny,
    "banner": _banner,
    "truncated": _truncated,
    "html": _html,
    "empty": _empty,
    "huge": _huge,
}


def _same_bytes(original: Picture, rng: Random) -> Picture:
    return original


def _recompressed(original: Picture, rng: Random) -> Picture:
    return jpeg(_decode(original), int(rng.integers(35, 66)))


def _resized(original: Picture, rng: Random) -> Picture:
    """Return a smaller copy that still has its 256 x 256 px."""
    import cv2

    picture = _decode(original)
    scale = float(rng.uniform(0.9, 0.95)) if min(picture.shape[:2]) < 400 else 0.7
    smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return jpeg(np.asarray(smaller, np.uint8), 88)


def _cropped(original: Picture, rng: Random) -> Picture:
    """Return a copy without 0.4 % at each edge, about two pixels: pHash sees no more of it."""
    picture = _decode(original)
    height, width = picture.shape[:2]
    y, x = max(1, round(height * 0.004)), max(1, round(width * 0.004))
    return jpeg(picture[y : height - y, x : width - x], 88)


def _decode(picture: Picture) -> Pixels:
    import simplejpeg

    return np.asarray(simplejpeg.decode_jpeg(picture.body), np.uint8)


COPIES: dict[str, Callable[[Picture, Random], Picture]] = {
    "same_bytes": _same_bytes,
    "recompressed": _recompressed,
    "resized": _resized,
    "cropped": _cropped,
}
