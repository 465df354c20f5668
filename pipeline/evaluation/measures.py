"""Zero-shot accuracy and retrieval from vectors, as open_clip and clip_benchmark define them.

Of equal cosines the first counts as higher, so that a model whose vectors are all the same does no
better than chance.

Source: open_clip_train/zero_shot.py; clip_benchmark/metrics/zeroshot_retrieval.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.evaluation.sets import filled
from pairsieve.pipeline.learning import intervals
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.schemas.arrays import Vectors

TOP = (1, 5)  # classes among which the right one is looked for
NEAREST = (1, 5, 10)
QUERIES_AT_ONCE = 256

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure.

    Attributes:
        name: What it is.
        value: In [0, 1].
        low: End of its 95 % interval.
        high: The other end.
        trials: Of how many images or captions.
    """

    name: str
    value: float
    low: float
    high: float
    trials: int


def class_vectors(model: ClipModel, classes: Sequence[str], templates: Sequence[str]) -> Vectors:
    """Return a vector per class, (classes, d), made by open_clip's own function."""
    import open_clip
    import torch

    class Network:
        """What that function asks of a network."""

        def encode_text(self, tokens: Any, normalize: bool) -> Any:
            return torch.from_numpy(model.text(list(tokens)))

    def tokenize(texts: Sequence[str]) -> Any:
        return torch.stack([model.tokenize(text) for text in texts])

    said = [lambda name, template=each: filled(template, name) for each in templates]
    made = open_clip.build_zero_shot_classifier(Network(), tokenize, list(classes), said)
    return np.asarray(made.numpy().T, np.float32)


def zero_shot(images: Vectors, labels: Numbers, classes: Vectors) -> list[Measure]:
    """Return the accuracy over images, (n, d), whose classes are `labels`, (n,)."""
    ranks = ranks_of(images, classes, [labels])
    hits = ranks[:, None] < np.array(TOP)
    measures = [
        Measure(f"top_{top}", *intervals.wilson(int(hits[:, number].sum()), len(hits)), len(hits))
        for number, top in enumerate(TOP)
        if top < len(classes)
    ]
    of_class = [hits[labels == label, 0] for label in np.unique(labels)]
    mean = intervals.of_classes(of_class)
    return [*measures, Measure("mean_class_top_1", *mean, len(of_class))]


def retrieval(images: Vectors, texts: Vectors, owners: Numbers) -> list[Measure]:
    """Return how often the right one is among the nearest, both ways.

    Args:
        images: (n, d).
        texts: (m, d).
        owners: Which image each text is of, ascending, (m,).
    """
    starts = np.searchsorted(owners, np.arange(len(images) + 1))
    own = np.diff(starts)
    of_texts = ranks_of(texts, images, [owners])
    most = int(own.max())
    numbers = np.minimum(starts[:-1, None] + np.arange(most), starts[1:, None] - 1)
    of_images = ranks_of(images, texts, list(numbers.T))
    measures = []
    for nearest in (k for k in NEAREST if k < len(images)):
        hits = of_texts < nearest
        found = np.add.reduceat(hits.astype(np.int64), starts[:-1])
        share = intervals.of_groups(found, own)
        measures.append(Measure(f"text_to_image_r{nearest}", *share, len(texts)))
    for nearest in (k for k in NEAREST if k < len(texts)):
        share = intervals.wilson(int((of_images < nearest).sum()), len(images))
        measures.append(Measure(f"image_to_text_r{nearest}", *share, len(images)))
    return measures


def ranks_of(queries: Vectors, candidates: Vectors, right: Sequence[Numbers]) -> Numbers:
    """Return how many candidates come before the first right one of each query, (n,).

    `right` says in each array of one right candidate of each query, (n,).
    """
    ranks = np.zeros(len(queries), np.int64)
    order = np.arange(len(candidates))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        cosines = queries[part] @ candidates.T
        rows = np.arange(len(cosines))
        best = np.full(len(cosines), len(candidates))
        for each in right:
            own = each[part]
            height = cosines[rows, own][:, None]
            before = (cosines > height) | ((cosines == height) & (order < own[:, None]))
            best = np.minimum(best, before.sum(1))
        ranks[part] = best
    return ranks
