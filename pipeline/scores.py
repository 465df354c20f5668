"""The scores on a piece's vectors: every filter that reads nothing else, measured in one go.

They are arithmetic on the vectors as the dataset stores them, rounded to float16, so that anybody
can compute them again. Sums run row by row: a row's score does not depend on how many others there
are, as it would in a matrix product.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Measures, Prompted, measured
from pairsieve.pipeline.clip import Model
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import (
    EMBEDDED,
    IMAGE_EMBEDDING,
    PROMPT_LOGITS,
    ROW,
    TEXT_EMBEDDING,
    Column,
    arrow_schema,
)

READABLE = {IMAGE_EMBEDDING, TEXT_EMBEDDING, PROMPT_LOGITS}


@dataclass(frozen=True)
class Prompts:
    """What images are compared to.

    Attributes:
        classes: Per prompted filter, by the name of its class, a vector per class of prompts.
        scale: What a cosine is multiplied by: the model's inverse temperature.
    """

    classes: dict[str, Vectors]
    scale: float

    def logits(self, filter_: Prompted, images: Vectors) -> Vectors:
        """Return the scaled cosines of image vectors to the filter's classes, (n, classes)."""
        classes = self.classes[type(filter_).__name__]
        cosines = [np.sum(images * vector, axis=1, dtype=np.float64) for vector in classes]
        return (self.scale * np.stack(cosines, axis=1)).astype(np.float32)


def prompts(model: Model) -> Prompts:
    """Return the vectors of every filter's prompts."""
    prompted = [one for one in _filters() if isinstance(one, Prompted)]
    classes = {type(one).__name__: model.classes(one.prompts) for one in prompted}
    return Prompts(classes, model.logit_scale)


def measure(
    rows: pa.ChunkedArray,
    images: NDArray[np.float16],
    texts: NDArray[np.float16],
    compared: Prompts,
) -> pa.Table:
    """Return `row` and every column of EMBEDDED for vectors (n, d) of images and texts."""
    given: dict[Column, Any] = {
        IMAGE_EMBEDDING: images.astype(np.float32),
        TEXT_EMBEDDING: texts.astype(np.float32),
    }
    found: dict[Column, Any] = {ROW: rows}
    for one in _filters():
        if isinstance(one, Prompted):
            given[PROMPT_LOGITS] = compared.logits(one, given[IMAGE_EMBEDDING])
        found |= measured(one, given)
    columns = (ROW, *EMBEDDED)
    return pa.Table.from_arrays([found[c] for c in columns], schema=arrow_schema(columns))


def _filters() -> list[Measures]:
    """Return the filters that read vectors and nothing else."""
    made = (filter_() for filter_ in FILTERS)
    return [one for one in made if isinstance(one, Measures) and set(one.reads) <= READABLE]
