"""A loaded CLIP model: images and texts in, vectors of length 1 out.

Threads decode and resize pictures while others compute; batches are packed across images. A row's
vector must not depend on what else is in its batch, or a unit cut in two after a crash would give
other bytes: `encoder.py` sees to that.

On CPU as many threads as there are processors each prepare batches of their own and run the network
on them, so its bits do not depend on how many there are.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Self, TypeVar

import numpy as np

from pairsieve.pipeline.engine.ordered_threads import in_order
from pairsieve.pipeline.models.encoder import GPU_BATCHES_AT_ONCE, Encoder
from pairsieve.pipeline.models.preprocess import Pixels, Preprocess
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption

AHEAD = 2  # batches in hand for every one that is computed
TOGETHER = 8  # pictures that a thread prepares before it hands them over, for a GPU

Item = TypeVar("Item")


class Meter:
    """Adds up the time that threads spend inside `with meter:`, s."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._lock = threading.Lock()
        self._began = threading.local()

    def __enter__(self) -> Self:
        self._began.at = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        spent = time.monotonic() - self._began.at
        with self._lock:
            self.spent_s += spent


@dataclass(frozen=True)
class ClipModel:
    """A CLIP model ready to embed.

    Attributes:
        image: Turns batches of preprocessed images into vectors.
        text: Turns batches of token ids into vectors.
        precision: Numbers it computes in: `fp32`, `bf16`, `fp16` or `int8`.
        preprocess: Turns a picture into what the model reads.
        tokenize: Its tokenizer: a text to token ids, (context length,).
        needed_tokens: How many of these determine the vector.
        device: `cpu` or `cuda`.
        dimensions: Length of a vector.
        logit_scale: What cosines are multiplied by before a softmax: the inverse temperature.
        logit_bias: What SigLIP adds after that; 0 for models without one.
        weights_sha256: Of the weights, hex.
        settings_sha256: Of architecture, preprocessing and tokenizer, hex.
        meter: The time that threads have spent in the network.
    """

    image: Encoder
    text: Encoder
    precision: str
    preprocess: Preprocess
    tokenize: Callable[[str], Any]
    needed_tokens: Callable[[Any], int]
    device: str
    dimensions: int
    logit_scale: float
    logit_bias: float
    weights_sha256: str
    settings_sha256: str
    meter: Meter = field(default_factory=Meter)

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for all that shapes a vector."""
        both = self.weights_sha256 + self.settings_sha256
        return hashlib.sha256(both.encode()).hexdigest()[:16]

    @property
    def batches_at_once(self) -> int:
        """Return how many batches are computed at once."""
        return GPU_BATCHES_AT_ONCE if self.device == "cuda" else available_cpus()

    @property
    def busy_s(self) -> float:
        """Return how long the model has computed so far: the mean over its threads, s."""
        return self.meter.spent_s / self.batches_at_once

    def images(self, arrays: Iterable[Pixels]) -> Vectors:
        """Return the vectors of upright RGB images (h, w, 3), (n, d), each of length 1."""
        return self.images_from(arrays, _unchanged)

    def images_from(self, items: Iterable[Item], decode: Callable[[Item], Pixels]) -> Vectors:
        """Return the vectors of the images that `decode` makes of the items, as `images` does.

        Decoding and resizing happen in threads.
        """
        return self._vectors(self.image, items, lambda item: self.preprocess(decode(item)))

    def texts(self, texts: Iterable[str]) -> Vectors:
        """Return the vectors of texts, (n, d), each of length 1.

        Texts that need as many tokens are computed together.
        """
        rows = [self.tokenize(text) for text in texts]
        of_length: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            of_length.setdefault(self.needed_tokens(row), []).append(number)
        vectors = np.zeros((len(rows), self.dimensions), np.float32)
        for length, numbers in sorted(of_length.items()):
            cut = (rows[number][:length] for number in numbers)
            vectors[numbers] = self._vectors(self.text, cut, _unchanged)
        return vectors

    def classes(self, prompts: dict[str, tuple[str, ...]]) -> Vectors:
        """Return a vector per class, (classes, d), of length 1: the mean of its prompts' vectors.

        Source: CLIP (arXiv:2103.00020), section 3.1.4.
        """
        means = [self.texts(texts).mean(axis=0) for texts in prompts.values()]
        return np.stack([mean / np.linalg.norm(mean) for mean in means]).astype(np.float32)

    def _vectors(
        self, encoder: Encoder, items: Iterable[Item], prepare: Callable[[Item], Any]
    ) -> Vectors:
        """Return what `encoder` makes of the prepared items, in batches.

        For a GPU, threads prepare while it computes. On CPU each thread prepares its own batches:
        with more threads than processors, ViT-B/32 in bfloat16 took 2 % more CPU time.
        """
        vectors = [np.zeros((0, self.dimensions), np.float32)]
        ahead = AHEAD * self.batches_at_once
        with (
            ThreadPoolExecutor(available_cpus()) as preparing,
            ThreadPoolExecutor(self.batches_at_once) as computing,
        ):
            inputs: Iterable[Any] = items
            prepare_in_batch: Callable[[Any], Any] = prepare
            if self.device != "cpu" and prepare is not _unchanged:
                inputs = _prepared(preparing, prepare, items, ahead * encoder.batch)
                prepare_in_batch = _unchanged
            compute = partial(self._compute, encoder, prepare_in_batch)
            vectors += in_order(computing, compute, _batches(iter(inputs), encoder.batch), ahead)
        if not all(np.isfinite(part).all() for part in vectors):
            raise BadOption("embed: the model gives vectors that are not numbers: broken weights")
        return np.concatenate(vectors)

    def _compute(
        self, encoder: Encoder, prepare: Callable[[Item], Any], items: list[Item]
    ) -> Vectors:
        """Return the vectors of one batch; the encoder's time counts as the model's."""
        rows = [prepare(item) for item in items]
        with self.meter:
            return encoder(rows)


def _unchanged(item: Item) -> Item:
    """Return what is prepared already as it is."""
    return item


def _prepared(
    pool: Executor, prepare: Callable[[Item], Any], items: Iterable[Item], ahead: int
) -> Iterator[Any]:
    """Yield the prepared items in their order, about `ahead` of them under way in the pool."""

    def prepare_each(some: list[Item]) -> list[Any]:
        return [prepare(item) for item in some]

    parts = _batches(iter(items), TOGETHER)
    return chain.from_iterable(in_order(pool, prepare_each, parts, max(2, ahead // TOGETHER)))


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    while batch := list(islice(items, size)):
        yield batch


def available_cpus() -> int:
    """Return the CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
