import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline.dataset.checksums import StoredAt, of_image
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.image.stored import IMAGES_AT_ONCE, decode_image, read_images
from pairsieve.schemas.errors import Stopped


def pixels(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (5 + number % 7, 6, 3), np.uint8)


def file_of(image: Image.Image, kind: str) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind)
    return sink.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path)


@pytest.fixture
def ranges(store: Store) -> list[StoredAt]:
    """Return where more images than are read at once are, in two files that take turns."""
    bodies = {"gather/a.tar": b"", "gather/b.tar": b""}
    ranges = []
    for number in range(2 * IMAGES_AT_ONCE + 10):
        path = "gather/a.tar" if number < IMAGES_AT_ONCE + 5 or number % 2 else "gather/b.tar"
        body = file_of(Image.fromarray(pixels(number)), "PNG")
        ranges.append(StoredAt(path, len(bodies[path]), len(body), of_image(body)))
        bodies[path] += body
    for path, body in bodies.items():
        store.write(path, body)
    return ranges


def test_images_come_in_the_order_of_their_ranges(store: Store, ranges: list[StoredAt]) -> None:
    images = [decode_image(stored) for stored in read_images(store, ranges)]
    assert len(images) == len(ranges)
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, pixels(number))


def test_no_range_gives_no_image(store: Store) -> None:
    assert list(read_images(store, [])) == []


def test_an_image_comes_with_its_location(store: Store, ranges: list[StoredAt]) -> None:
    _, (_, location) = read_images(store, ranges[:2])
    assert location == f"{store.url}/gather/a.tar: the image at byte {ranges[1][1]}"


def test_a_file_that_is_gone_is_named(store: Store, ranges: list[StoredAt]) -> None:
    store.delete(["gather/b.tar"])
    with pytest.raises(Stopped, match=r"gather/b\.tar: committed, but gone"):
        list(read_images(store, ranges))


def test_an_image_with_a_flipped_bit_is_named(store: Store, ranges: list[StoredAt]) -> None:
    at = ranges[3]
    body = bytearray(store.read(at.file))
    body[at.offset + at.bytes - 5] ^= 1
    store.write(at.file, bytes(body))
    told = rf"a\.tar: the image at byte {at.offset}: its bytes are not those that were committed"
    with pytest.raises(Stopped, match=told):
        list(read_images(store, ranges))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_image_is_named(kind: str) -> None:
    body = file_of(Image.fromarray(pixels(3)), kind)
    with pytest.raises(Stopped, match="a.tar, byte 9 cannot be read back: the file is damaged"):
        decode_image((body[:40], "a.tar, byte 9"))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_is_read_as_rgb(mode: str) -> None:
    grey = Image.new("L", (8, 6), 100).convert(mode)
    image = decode_image((file_of(grey, "JPEG"), "a.tar"))
    assert image.shape == (6, 8, 3)
    assert np.abs(image.astype(int) - 100).max() <= 2
