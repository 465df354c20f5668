"""Colour profiles: what a file says its numbers mean, converted to sRGB."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SAME_COLOUR = 2  # a profile that moves no colour by more than this, of 255, is sRGB


@lru_cache(maxsize=32)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
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
    moved = np.abs(converted(colours, transform).astype(int) - colours).max()
    return transform if moved > SAME_COLOUR else None


def converted(
    pixels: NDArray[np.uint8], transform: ImageCms.ImageCmsTransform
) -> NDArray[np.uint8]:
    """Return RGB pixels after a colour transform."""
    return np.asarray(transform.apply(Image.fromarray(pixels)))
