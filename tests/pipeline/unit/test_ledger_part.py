import io
import tarfile
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Filters
from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.pipeline.unit.expected_hashes import ExpectedHashes
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.retry_layers import EarlierLayers
from pairsieve.pipeline.unit.stored_images import Checks, Images
from pairsieve.schemas.columns import (
    ASPECT_RATIO,
    CAPTION_CHARS,
    CAPTION_WORDS,
    LANGUAGE,
    LOW_INFORMATION,
    LUMA,
    ORIENTATIONS,
    SHARPNESS,
    TEXT,
    WIDTH,
    Column,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

RECIPE = Recipe.model_validate({"input": {"path": "p"}})
Array = NDArray[Any]


class Words:
    """Counts words; null where there are three."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS,)

    def measure(self, text: Array) -> Array:
        counts = [len(one.split()) for one in text]
        return np.array([None if count == 3 else count for count in counts], object)


class TenTimesWords:
    """Reads another filter's column."""

    reads: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_CHARS, LANGUAGE)

    def measure(self, caption_words: Array) -> tuple[Array, Array]:
        assert caption_words.dtype == np.int32
        return 10 * caption_words, np.array([f"l{count}" for count in caption_words], object)


class WordsPerPixel:
    """Mixes a text column, another's text column and a pixel column."""

    reads: ClassVar[tuple[Column, ...]] = (CAPTION_CHARS, TEXT, WIDTH)
    writes: ClassVar[tuple[Column, ...]] = (ASPECT_RATIO,)

    def measure(self, caption_chars: Array, text: Array, width: Array) -> Array:
        assert len(caption_chars) == len(text) == len(width)
        return caption_chars / width


class Bright:
    """Reads pixels, and counts how many images it saw."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA,)
    writes: ClassVar[tuple[Column, ...]] = (SHARPNESS,)
    seen: ClassVar[list[int]] = []

    def measure(self, luma: Array) -> Array:
        self.seen.append(len(luma))
        return np.array([plane.mean() for plane in luma])


class HalfBright:
    """Reads pixels and what another measured of them."""

    reads: ClassVar[tuple[Column, ...]] = (SHARPNESS, LUMA)
    writes: ClassVar[tuple[Column, ...]] = (LOW_INFORMATION,)
    seen: ClassVar[list[int]] = []

    def measure(self, sharpness: Array, luma: Array) -> Array:
        self.seen.append(len(luma))
        return sharpness / 2


TOYS = (HalfBright, WordsPerPixel, TenTimesWords, Bright, Words)


def gathered(filters: Filters, pairs: list[tuple[str, str]], pictures: dict[str, bytes]) -> Part:
    """Return the part of (url, text), with the picture of each URL."""
    urls, texts = zip(*pairs, strict=True)
    part = Part(pa.table({"row": range(len(pairs)), "url": urls, "text": texts}), filters=filters)
    rows = part.usable()
    part.measure_texts(rows)
    checks = Checks(None, ExpectedHashes(part.extra_columns, RECIPE.input), None)
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as tar:
        images = Images(part, RECIPE, tar, "images.tar", checks)
        for url, body in pictures.items():
            images.add([r for r in rows if urls[r] == url], Fetched(url, Outcome.OK, body))
        images.flush()
    return part


def grey(width: int, level: int) -> bytes:
    sink = io.BytesIO()
    Image.new("L", (width, 50), level).save(sink, "PNG")
    return sink.getvalue()


PAIRS = [("a", "one two"), ("b", "one two three"), ("a", "one two three four"), ("c", "one")]
PICTURES = {"a": grey(100, 100), "b": grey(200, 50)}


@pytest.mark.parametrize("filters", [TOYS, TOYS[::-1]])
def test_a_filter_gets_what_another_has_measured(filters: Filters) -> None:
    values = gathered(filters, PAIRS, PICTURES).values
    assert values["caption_words"] == [2, None, 4, 1]
    assert values["caption_chars"] == [20, None, 40, 10]
    assert values["language"] == ["l2", None, "l4", "l1"]
    assert values["sharpness"] == [100, 50, 100, None]
    assert values["low_information"] == [50, 25, 50, None]


def test_a_filter_that_mixes_text_and_pixels_measures_every_pair_of_an_image() -> None:
    part = gathered(TOYS, PAIRS, PICTURES)
    assert part.of_pair
    assert part.values["aspect_ratio"] == [0.2, None, 0.4, None]
    assert not gathered(FILTERS, PAIRS, PICTURES).of_pair


def test_only_a_picture_with_a_border_is_measured_inside_it() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    bodies = []
    for plane in (noise, np.pad(noise, 12, constant_values=255)):
        sink = io.BytesIO()
        Image.fromarray(plane).save(sink, "PNG")
        bodies.append(sink.getvalue())
    values = gathered(FILTERS, PAIRS, dict(zip("ab", bodies, strict=True))).values
    hashes = values["trimmed_hashes"]
    assert (hashes[0], hashes[2], hashes[3]) == (None, None, None)
    assert hashes[1][0] == values["perceptual_hash"][0]
    assert values["trimmed_colour"][1] == values["colour"][0]


def test_pairs_that_share_a_url_take_over_its_image_but_not_what_mixes_text_and_pixels() -> None:
    earlier = gathered((Bright, Words), PAIRS[:1], PICTURES)
    before = EarlierLayers(earlier.table(), [])
    for filters, to_fetch, bright in (((Bright, Words), [], 100), (TOYS, [0], None)):
        part = Part(pa.table({"row": [2], "url": ["a"], "text": ["one"]}), filters=filters)
        part.measure_texts([0])
        assert before.take_over(part, [0]) == to_fetch
        assert part.values["sharpness"] == [bright]
        assert part.values["caption_words"] == [1]


def test_an_image_that_pairs_share_is_measured_once() -> None:
    Bright.seen.clear()
    HalfBright.seen.clear()
    gathered(TOYS, PAIRS, PICTURES)
    assert (Bright.seen, HalfBright.seen) == ([2], [2])


def test_what_reads_pixels_that_the_recipe_does_not_want_stays_null() -> None:
    class Rotated:
        reads = (ORIENTATIONS,)
        writes = (SHARPNESS,)

        def measure(self, orientations: Array) -> Array:
            raise AssertionError(orientations)

    assert gathered((Rotated,), PAIRS, PICTURES).values["sharpness"] == [None] * 4


def test_the_order_of_the_filters_changes_nothing() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, "PNG")
    pictures = PICTURES | {"c": sink.getvalue()}
    tables = [gathered(order, PAIRS, pictures).table() for order in (FILTERS, FILTERS[::-1])]
    assert tables[0].equals(tables[1])
    assert tables[0]["perceptual_hash"].null_count == 0
