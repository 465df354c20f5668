"""Stored images, read back from the tars of gather as RGB.

Whoever needs pixels again (embed, classifiers, evaluation sets) reads them here. Reading and
decoding are two steps, because threads read some way ahead while others decode: object stores
answer slowly, and memory must stay bounded however many images a task slice has.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.checksums import StoredAt, check_image
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.ordered_threads import in_order
from pairsieve.schemas.errors import Stopped

IMAGES_AT_ONCE = 64  # stored images read together; bounds the memory for their bytes
READS_AHEAD = 3  # such readings under way while others are decoded
JPEG = b"\xff\xd8"


def read_images(store: Store, ranges: list[StoredAt]) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of the stored images, and where they are; read some way ahead.

    Raises:
        Stopped: a file is gone, or an image is not what was stored.
    """
    batches = [
        (path, in_file[start : start + IMAGES_AT_ONCE])
        for path, in_file in _by_file(ranges)
        for start in range(0, len(in_file), IMAGES_AT_ONCE)
    ]

    def read(batch: tuple[str, list[StoredAt]]) -> list[tuple[bytes, str]]:
        path, in_file = batch
        offsets, lengths = [at.offset for at in in_file], [at.bytes for at in in_file]
        try:
            bodies = store.read_ranges(path, offsets, lengths)
        except FileNotFoundError as error:
            raise Stopped(f"{store.location(path)}: committed, but gone") from error
        locations = (f"{store.location(path)}: the image at byte {offset}" for offset in offsets)
        checked = (check_image(store, at, body) for at, body in zip(in_file, bodies, strict=True))
        return list(zip(checked, locations, strict=True))

    with ThreadPoolExecutor(READS_AHEAD) as pool:
        for images in in_order(pool, read, batches, READS_AHEAD):
            yield from images


def _by_file(ranges: list[StoredAt]) -> list[tuple[str, list[StoredAt]]]:
    """Return the ranges in their order, those that follow each other in a file together."""
    groups = itertools.groupby(ranges, key=lambda one: one.file)
    return [(path, list(group)) for path, group in groups]


def decode_image(stored: tuple[bytes, str]) -> NDArray[np.uint8]:
    """Return a stored image as RGB, (h, w, 3), from its bytes and where they are.

    Raises:
        Stopped: they are damaged; gather decoded them once, so the file has changed since.
    """
    import simplejpeg
    from PIL import Image, UnidentifiedImageError

    body, location = stored
    if body.startswith(JPEG):
        with suppress(ValueError):  # of other colours, or damaged: Pillow decides
            return np.asarray(simplejpeg.decode_jpeg(body, "RGB"))
    try:
        with Image.open(BytesIO(body)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Stopped(f"{location} cannot be read back: the file is damaged: {error}") from error
