"""Evaluate: how well a model does that was trained on a selection, beside that selection.

Zero-shot classification and retrieval over sets of the user's own; so "which selection trains
better" is answered with intervals. The model is any that `embed` takes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.evaluation import measures, results
from pairsieve.pipeline.evaluation.results import Row
from pairsieve.pipeline.evaluation.sets import ZERO_SHOT, Sample, Source, find, samples
from pairsieve.pipeline.image.decode import Rejected, decode
from pairsieve.pipeline.image.format import kind_of
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.selections.record import selected
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.evaluation_sets import KEY, EvaluationSet
from pairsieve.schemas.recipe import Embed, Image

_AS_THEY_ARE = Image(resize=False, format="png")
_OPTIONS = {"embed.model": "--model", "embed.pretrained": "--checkpoint"}


def options(model: str, checkpoint: str, precision: str, device: str) -> Embed:
    """Return how the model is to be loaded; BadOption for what is none of the known words."""
    for key, value in (("precision", precision), ("device", device)):
        allowed = get_args(Embed.model_fields[key].annotation)
        known = [each for each in allowed if (key, each) != ("precision", "auto")]
        if value not in known:
            raise BadOption(f"--{key}: unknown `{value}`; {nearest(value, known)}")
    return Embed.model_validate(
        {"model": model, "pretrained": checkpoint, "precision": precision, "device": device}
    )


def check(
    options: Embed, sets: Mapping[str, EvaluationSet], store: Store | None, name: str
) -> list[Source]:
    """Return where the sets are, after a look at all that can be wrong before a picture is read.

    Raises:
        BadOption: the model cannot be had, a set is not as it must be, or there is no selection.
    """
    if store:
        selected(store, name)
    found = [find(each, asked) for each, asked in sets.items()]
    try:
        clip.check(options)
    except BadOption as error:
        raise BadOption(_in_own_words(str(error))) from error
    return found


def run(
    options: Embed, sets: Mapping[str, EvaluationSet], store: Store | None, name: str = "default"
) -> list[Row]:
    """Return what a model does on each set; with a dataset, it is put beside the selection.

    Raises:
        BadOption: what `check` refuses, a broken tar, or a set of which no picture can be read.
    """
    found = check(options, sets, store, name)
    selection = selected(store, name).extra[results.FINGERPRINT] if store else ""
    model = clip.load(options)
    made = {
        "selection": selection,
        "model": Path(options.model).stem,
        "checkpoint": Path(options.pretrained).name,
        "weights_sha256": model.weights_sha256,
        "precision": model.precision,
    }
    rows = [made | row for source in found for row in _evaluated(model, source)]
    if store:
        results.add(store, name, rows)
    return rows


def _evaluated(model: ClipModel, source: Source) -> Iterator[Row]:
    """Yield the results of one set."""
    digest = hashlib.sha256(repr((source.task, source.classes, source.templates)).encode())
    told: list[Sample] = []  # without their pictures
    images, readable = _embedded(model, _noted(source, told, digest))
    if not readable.any():
        raise BadOption(f"{KEY}: {source.name}: none of its {len(told)} pictures can be decoded")
    kept = [sample for sample, good in zip(told, readable, strict=True) if good]
    if source.task == ZERO_SHOT:
        labels = np.array([sample.label for sample in kept])
        classes = measures.class_vectors(model, source.classes, source.templates)
        found = measures.zero_shot(images, labels, classes)
    else:
        owners = np.repeat(np.arange(len(kept)), [len(sample.captions) for sample in kept])
        texts = model.texts(text for sample in kept for text in sample.captions)
        found = measures.retrieval(images, texts, owners)
    for one in found:
        yield {
            "set": source.name,
            "set_sha256": digest.hexdigest(),
            "task": source.task,
            "images": len(kept),
            "unreadable": len(told) - len(kept),
            "measure": one.name,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "trials": one.trials,
        }


def _noted(source: Source, told: list[Sample], digest: Any) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each picture; note what else is known of it, and the digest."""
    for number, sample in enumerate(samples(source)):
        digest.update(hashlib.sha256(sample.body).digest())
        digest.update(repr((sample.label, sample.captions)).encode())
        told.append(Sample(b"", sample.label, sample.captions))
        yield number, sample.body


def _embedded(
    model: ClipModel, bodies: Iterator[tuple[int, bytes]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the vectors of the pictures that can be decoded, and which these are, (n,)."""
    unreadable: set[int] = set()

    def pixels(numbered: tuple[int, bytes]) -> NDArray[np.uint8]:
        number, body = numbered
        kind = kind_of(body)
        decoded = decode(body, kind, _AS_THEY_ARE) if kind else None
        if decoded is None or isinstance(decoded, Rejected):
            unreadable.add(number)
            return np.zeros((1, 1, 3), np.uint8)
        return decoded.pixels

    vectors = model.images_from(bodies, pixels)
    readable = ~np.isin(np.arange(len(vectors)), list(unreadable))
    return vectors[readable], readable


def _in_own_words(text: str) -> str:
    for key, option in _OPTIONS.items():
        text = text.replace(f"{key}:", f"{option}:")
    return text
