"""Stored images, read back from the tars of gather."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Place, Store
from pairsieve.pipeline.engine.ordered_threads import in_order
from pairsieve.schemas.errors import Stopped

IMAGES_AT_ONCE = 64  # stored images read together; bounds the memory for their bytes
READS_AHEAD = 3  # such readings under way while others are decoded
JPEG = b"\xff\xd8"


def bodies(store: Store, places: list[Place]) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of the stored images, and where they are; read some way ahead."""
    some = [
        (file, group[at : at + IMAGES_AT_ONCE])
        for file, group in _by_file(places)
        for at in range(0, len(group), IMAGES_AT_ONCE)
    ]

    def read(part: tuple[str, list[Place]]) -> list[tuple[bytes, str]]:
        file, within = part
        _, starts, lengths = zip(*within, strict=True)
        try:
            found = store.read_ranges(file, starts, lengths)
        except FileNotFoundError as error:
            raise Stopped(f"{store.location(file)}: committed, but gone") from error
        where = (f"{store.location(file)}: the image at byte {start}" for start in starts)
        return list(zip(found, where, strict=True))

    with ThreadPoolExecutor(READS_AHEAD) as pool:
        for part in in_order(pool, read, some, READS_AHEAD):
            yield from part


def _by_file(places: list[Place]) -> list[tuple[str, list[Place]]]:
    """Return the places, those that follow each other in a file together."""
    groups = itertools.groupby(places, key=lambda place: place[0])
    return [(file, list(group)) for file, group in groups]


def decoded(stored: tuple[bytes, str]) -> NDArray[np.uint8]:
    """Return a stored image as RGB, (h, w, 3), from its bytes and where they are."""
    import simplejpeg
    from PIL import Image, UnidentifiedImageError

    body, where = stored
    if body.startswith(JPEG):
        with suppress(ValueError):  # of other colours, or damaged: Pillow decides
            return np.asarray(simplejpeg.decode_jpeg(body, "RGB"))
    try:
        with Image.open(BytesIO(body)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Stopped(f"{where} cannot be read back: the file is damaged: {error}") from error
