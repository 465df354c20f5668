"""The edits that make copies of a picture: what the web does to pictures that it passes on.

Every edit takes and returns RGB pixels, (h, w, 3); what it makes is served as a JPEG of quality 90,
unless compressing is the edit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (h, w, 3), RGB
Edit = Callable[[Pixels], Pixels]

QUALITY = 90  # of a JPEG whose compression is not the edit
MARK = "example.org"
CAPTION = "When the weekend is over"
FILTERS = {  # new red, green and blue from old red, green, blue and 1
    "warm": ((1.15, 0, 0, 8), (0, 1.02, 0, 2), (0, 0, 0.8, 0)),
    "cool": ((0.85, 0, 0, 0), (0, 1.0, 0, 2), (0, 0, 1.15, 8)),
    "faded": ((0.75, 0, 0, 45), (0, 0.75, 0, 42), (0, 0, 0.7, 50)),
    "sepia": ((0.393, 0.769, 0.189, 0), (0.349, 0.686, 0.168, 0), (0.272, 0.534, 0.131, 0)),
}


def _recompressed(quality: int, pixels: Pixels) -> Pixels:
    """Return what is left after a JPEG of that quality."""
    import simplejpeg

    body = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420")
    return np.asarray(simplejpeg.decode_jpeg(body), np.uint8)


def _resized(scale: float, pixels: Pixels) -> Pixels:
    """Return the picture with sides `scale` times as long, but never less than 32 px."""
    import cv2

    size = tuple(max(32, round(side * scale)) for side in pixels.shape[1::-1])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def _cropped(share: float, pixels: Pixels) -> Pixels:
    """Return the picture without `share` of its width and of its height, half at each edge."""
    height, width = pixels.shape[:2]
    y, x = max(1, round(height * share / 2)), max(1, round(width * share / 2))
    return np.ascontiguousarray(pixels[y : height - y, x : width - x], np.uint8)


def _brighter(factor: float, pixels: Pixels) -> Pixels:
    """Return the picture `factor` times as bright, clipped."""
    return np.asarray(np.clip(pixels * np.float32(factor) + 0.5, 0, 255), np.uint8)


def _grey(pixels: Pixels) -> Pixels:
    """Return the picture without its colours."""
    import cv2

    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def _contrasted(factor: float, pixels: Pixels) -> Pixels:
    """Return the picture with `factor` times the distance of all levels from mid-grey, clipped."""
    return np.asarray(np.clip((pixels - np.float32(128)) * factor + 128.5, 0, 255), np.uint8)


def _curved(gamma: float, pixels: Pixels) -> Pixels:
    """Return the picture with its levels, from 0 to 1, raised to a power."""
    levels = 255 * (np.arange(256) / 255) ** gamma + 0.5
    return levels.astype(np.uint8)[pixels]


def _saturated(factor: float, pixels: Pixels) -> Pixels:
    """Return the picture with `factor` times the distance of all colours from their grey."""
    grey = _grey(pixels).astype(np.float32)
    return np.asarray(np.clip(grey + factor * (pixels - grey) + 0.5, 0, 255), np.uint8)


def _filtered(matrix: tuple[tuple[float, float, float, float], ...], pixels: Pixels) -> Pixels:
    """Return the picture with new red, green and blue: weights of the old ones, and a constant."""
    weights = np.array(matrix, np.float32)
    new = pixels @ weights[:, :3].T + weights[:, 3] + 0.5
    return np.asarray(np.clip(new, 0, 255), np.uint8)


def _barred(top: float, bottom: float, level: int, text: str, pixels: Pixels) -> Pixels:
    """Return the picture with bars above and below, shares of its height, and text in the lower."""
    import cv2

    height, width = pixels.shape[:2]
    above, below = round(top * height), round(bottom * height)
    colour = (level, level, level)
    barred: Any = cv2.copyMakeBorder(
        pixels, above, below, 0, 0, cv2.BORDER_CONSTANT, value=colour
    )  # fmt: skip
    if text:
        (across, down), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1, 2)
        scale = min(0.9 * width / across, 0.5 * below / down)
        corner = (int(0.05 * width), int(above + height + (below + down * scale) / 2))
        cv2.putText(
            barred, text, corner, cv2.FONT_HERSHEY_DUPLEX, scale, (255 - level,) * 3,
            max(1, round(2 * scale)), cv2.LINE_AA,
        )  # fmt: skip
    return np.asarray(barred, np.uint8)


def _marked(share: float, pixels: Pixels) -> Pixels:
    """Return the picture with a half transparent mark, `share` of it wide, at its lower right."""
    import cv2

    height, width = pixels.shape[:2]
    (across, down), below = cv2.getTextSize(MARK, cv2.FONT_HERSHEY_DUPLEX, 1, 2)
    scale = share * width / across
    corner = (int(width * (0.98 - share)), int(height * 0.97 - below * scale))
    over: Any = pixels.copy()
    cv2.putText(
        over, MARK, corner, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255),
        max(1, round(2 * scale)), cv2.LINE_AA,
    )  # fmt: skip
    return np.asarray(cv2.addWeighted(over, 0.6, pixels, 0.4, 0), np.uint8)


def _bordered(share: float, level: int, pixels: Pixels) -> Pixels:
    """Return the picture in a frame, `share` of its shorter side wide at each edge."""
    import cv2

    wide = max(1, round(share * min(pixels.shape[:2])))
    colour = (level, level, level)
    framed = cv2.copyMakeBorder(pixels, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(framed, np.uint8)


def _rotated(degrees: float, pixels: Pixels) -> Pixels:
    """Return the picture rotated by a few degrees, without the corners that are not covered."""
    import cv2

    height, width = pixels.shape[:2]
    angle = np.deg2rad(degrees)
    long, short = max(width, height), min(width, height)
    zoom = np.cos(angle) + np.sin(angle) * long / short
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, float(zoom))
    rotated = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(rotated, np.uint8)


def _mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _quarter_rotated(quarters: int, pixels: Pixels) -> Pixels:
    """Return the picture rotated anticlockwise by a number of right angles."""
    return np.ascontiguousarray(np.rot90(pixels, quarters))


EDITS: dict[str, dict[str, Edit]] = {
    "re-compress": {
        f"quality {quality}": partial(_recompressed, quality) for quality in (30, 50, 70, 95)
    },
    "resize": {
        f"x {scale:g}": partial(_resized, scale) for scale in (0.25, 0.5, 0.75, 1.5, 2)
    },
    "crop": {f"{share:.0%}": partial(_cropped, share) for share in (0.01, 0.02, 0.05, 0.1)},
    "brightness": {f"x {by:g}": partial(_brighter, by) for by in (0.6, 0.8, 1.2, 1.4)},
    "watermark": {f"{share:.0%} wide": partial(_marked, share) for share in (0.2, 0.4, 0.8)},
    "border": {
        f"{share:.0%} {name}": partial(_bordered, share, level)
        for share in (0.01, 0.03, 0.08)
        for name, level in (("white", 255), ("black", 0))
    },
    "colour": {
        "grey": _grey,
        **{f"contrast x {by:g}": partial(_contrasted, by) for by in (0.6, 0.8, 1.25, 1.5)},
        **{f"gamma {by:g}": partial(_curved, by) for by in (0.6, 1.6)},
        **{f"saturation x {by:g}": partial(_saturated, by) for by in (0.5, 1.5)},
        **{f"filter {name}": partial(_filtered, matrix) for name, matrix in FILTERS.items()},
    },
    "bars": {
        "letterbox": partial(_barred, 0.15, 0.15, 0, ""),
        "caption white": partial(_barred, 0.0, 0.15, 255, CAPTION),
        "caption black": partial(_barred, 0.0, 0.2, 0, CAPTION),
    },
    "rotate": {f"{degrees:g} degrees": partial(_rotated, degrees) for degrees in (0.5, 1, 2, 5)},
}  # fmt: skip
# Found only when the recipe names the orientation.
ORIENTATIONS: dict[str, Edit] = {
    "mirrored": _mirrored,
    "rotated_90": partial(_quarter_rotated, 1),
    "rotated_180": partial(_quarter_rotated, 2),
    "rotated_270": partial(_quarter_rotated, 3),
}


def jpeg(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """Return the pixels as a JPEG with 4:2:0 chroma."""
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420"))
