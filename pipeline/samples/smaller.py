"""Stored images made smaller while they are packed: by area averages, as `gather` makes them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa

from pairsieve.pipeline.image.encode import encoded
from pairsieve.pipeline.image.resize import fit, resized
from pairsieve.pipeline.image.stored import decode_image
from pairsieve.pipeline.samples.sample_tar import Bytes
from pairsieve.schemas import recipe
from pairsieve.schemas.columns import STORED_HEIGHT, STORED_WIDTH

UPRIGHT = 1  # the orientation of stored images


@dataclass(frozen=True, slots=True)
class Smaller:
    """Makes stored images smaller.

    Attributes:
        options: The size, the format and its quality.
        threads: How many are made at a time; None for as many as there are processors.
    """

    options: recipe.Image
    threads: int | None = 1

    @classmethod
    def of(cls, content: recipe.Recipe, threads: int | None) -> "Smaller | None":
        """Return what a recipe wants; None where images stay as they are stored."""
        wanted = content.shard.image
        if wanted is None:
            return None
        sizes = {"max_side": None, "center_crop": None, "pad": None, "min_side": wanted.min_side}
        options = content.image.model_copy(update=sizes | {"resize": True, "upscale": False})
        return cls(options, threads)

    def images(self, bodies: Sequence[Bytes]) -> list[Bytes]:
        """Return images, (n,), each with its shorter side at most that of the options.

        One that is no larger keeps its bytes.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self.image, bodies))

    def image(self, body: Bytes) -> Bytes:
        """Return one image."""
        from PIL import Image

        with Image.open(BytesIO(body)) as stored:
            width, height = stored.size
        to = fit(width, height, self.options)
        if to.size == (width, height):
            return body
        pixels = decode_image((bytes(body), "a stored image"))
        return encoded(resized(pixels, UPRIGHT, to), self.options)

    def described(self, samples: pa.Table) -> pa.Table:
        """Return samples whose columns say the size that their images will have, px."""
        columns = [column.name for column in (STORED_WIDTH, STORED_HEIGHT)]
        stored = zip(*(samples[name].to_pylist() for name in columns), strict=True)
        sizes = [fit(w, h, self.options).size if w and h else (w, h) for w, h in stored]
        for index, name in enumerate(columns):
            place = samples.column_names.index(name)
            values = pa.array([size[index] for size in sizes], pa.int32())
            samples = samples.set_column(place, name, values)
        return samples
