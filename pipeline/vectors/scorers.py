"""The ways in which a score is measured: prompts, a head on the vector, an image classifier.

Each gives a number per class, of which the softmax is taken; with one output its logistic function.
The temperature of prompts and of prompt vectors is the model's own. SigLIP's bias adds the same to
every class, so it cancels out of the softmax: both families of models are scored alike.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import softmax
from pairsieve.pipeline.models import classifier, heads, pretrained
from pairsieve.pipeline.models.clip import Model
from pairsieve.schemas.arrays import Floats, Vectors
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed
from pairsieve.schemas.recipe_scores import Way

RATING = "embed.scores.aesthetic"  # the score that is no probability


@dataclass(frozen=True)
class Pictures:
    """The stored images of some pairs.

    Attributes:
        opened: Yields every different image once, RGB, (h, w, 3).
        places: For each pair, which of them is its own, (n,).
    """

    opened: Callable[[], Iterator[NDArray[np.uint8]]]
    places: NDArray[np.intp]


@dataclass(frozen=True)
class Compared:
    """Classes that images are compared to.

    Attributes:
        classes: A vector of length 1 per class, (classes, d).
        scale: What a cosine is multiplied by: the model's inverse temperature.
    """

    classes: Vectors
    scale: float

    def answers(self, images: Vectors) -> Vectors:
        """Return the scaled cosines of image vectors to the classes, (n, classes)."""
        cosines = [np.sum(images * vector, axis=1, dtype=np.float64) for vector in self.classes]
        return (self.scale * np.stack(cosines, axis=1)).astype(np.float32)


@dataclass(frozen=True)
class Score:
    """What measures one score.

    Attributes:
        answers: Gives a number per class, (n, classes), for image vectors and stored images.
        positive: Places of the classes whose probabilities are added up.
        rating: True when the one number is the score itself.
    """

    answers: Callable[[Vectors, Pictures], NDArray[Any]]
    positive: tuple[int, ...]
    rating: bool

    def values(self, images: Vectors, pictures: Pictures) -> Floats:
        """Return the score of every pair, (n,); a probability in [0, 1] unless it is a rating."""
        answers = self.answers(images, pictures)
        if self.rating:
            rating: Floats = answers[:, 0].astype(np.float32)
            return rating
        if answers.shape[1] == 1:  # with a second class of logit 0, the softmax is the logistic
            answers = np.concatenate([np.zeros_like(answers), answers], axis=1)
        total = softmax(answers)[:, list(self.positive)].sum(axis=1)
        probabilities: Floats = np.clip(total, 0, 1).astype(np.float32)
        return probabilities


def named(options: Embed) -> dict[str, Way]:
    """Return every way of the recipe by its place there."""
    known = {f"embed.scores.{name}": way for name, way in options.scores if way}
    return known | {f"embed.concepts.{name}": way for name, way in options.concepts.items()}


def check(options: Embed) -> None:
    """Refuse heads and classifiers that cannot be had or do not fit, without building a model.

    Raises:
        BadOption: a missing, broken or unsafe file, a head for vectors of another length, a class
            that there is not.
    """
    for place, way in named(options).items():
        if way.head:
            width = int(pretrained.find(options).config["embed_dim"])
            head = _head(place, way, width)
            _positive(place, way, head.outputs)
        elif way.classifier:
            source = classifier.find(place, way)
            count = source.arguments.get("num_classes")
            _positive(place, way, count, source.labels)
        elif way.prompts:
            _positive(place, way, len(way.prompts), list(way.prompts))


def prepare(place: str, way: Way, model: Model) -> Score:
    """Return what measures the score that the recipe names at `place`."""
    if way.prompts:
        classes = compared(model, way.prompts)
        positive = _positive(place, way, len(way.prompts), list(way.prompts))
        return Score(lambda images, _: classes.answers(images), positive, False)
    if way.head:
        head = _head(place, way, model.dimensions)
        scale = model.logit_scale if head.compares else 1.0
        positive = _positive(place, way, head.outputs)
        return Score(lambda images, _: scale * head.answers(images), positive, place == RATING)
    network = classifier.load(place, way, model.device)
    count, labels = network.network.num_classes, classifier.find(place, way).labels
    return Score(
        lambda _, pictures: network.answers(pictures.opened())[pictures.places],
        _positive(place, way, count, labels),
        False,
    )


def compared(model: Model, prompts: Mapping[str, tuple[str, ...]]) -> Compared:
    """Return the classes of prompts as the model sees them."""
    return Compared(model.classes(dict(prompts)), model.logit_scale)


def described(way: Way) -> str:
    """Return in words what measures a score; files by name and the start of their SHA-256."""
    if way.head:
        return f"the head {_file(way.head)}"
    if way.classifier:
        weights = f" {_file(way.weights)}" if way.weights else ""
        return f"the classifier {Path(way.classifier).name}{weights}"
    return f"the prompts of the recipe for {', '.join(way.prompts or {})}"


def shape(way: Way) -> dict[str, Any]:
    """Return what shapes the score: the recipe's words, and files by their content."""
    made = way.model_dump(exclude={"head", "weights", "classifier"})
    made["prompts"] = list(way.prompts.items()) if way.prompts else None
    made["files"] = [heads.sha256(str(path)) for path in _files(way)]
    made["classifier"] = Path(way.classifier).name if way.classifier else None
    return made


def _files(way: Way) -> Iterable[Path]:
    """Yield the files that a way reads.

    Raises:
        BadOption: one is missing.
    """
    paths = [Path(path) for path in (way.head, way.weights) if path]
    if way.classifier and Path(way.classifier).is_dir():
        paths += sorted(path for path in Path(way.classifier).iterdir() if path.is_file())
    for path in paths:
        if not path.is_file():
            raise BadOption(f"embed: {path}: no such file, and a score is measured by it")
        yield path


def _file(value: str) -> str:
    return f"{Path(value).name} ({heads.sha256(value)[:12]})"


def _head(place: str, way: Way, width: int) -> heads.Head:
    """Return the head of `way`, if it takes vectors of that length."""
    head = heads.load(f"{place}.head", str(way.head), way.activation)
    if head.width != width:
        raise BadOption(
            f"{place}.head: {way.head} takes vectors of length {head.width}, and the model gives "
            f"{width}: a head belongs to the model that it was trained on"
        )
    if place == RATING and head.outputs != 1:
        raise BadOption(
            f"{place}.head: {way.head} gives {head.outputs} numbers, and a rating is one"
        )
    return head


def _positive(
    place: str, way: Way, count: int | None, labels: Sequence[str] = ()
) -> tuple[int, ...]:
    """Return the places of the classes that are scored.

    Where the recipe names none: the first class of prompts, the only output, the second of two
    outputs of a head. `count` is how many there are, None where only the loaded model tells.
    """
    if way.positive is None:
        if way.prompts:
            return (0,)
        if count in (1, 2) and (count == 1 or way.head):
            return (1,)
        raise BadOption(
            f"{place}.positive: missing; say which of the {count or ''} classes is scored"
            + (f": {', '.join(labels)}" if labels else "")
        )
    if count == 1:
        raise BadOption(f"{place}.positive: there is one output, whose logistic is the score")
    places = []
    for name in way.positive:
        if isinstance(name, str) and name in labels:
            places.append(labels.index(name))
        elif isinstance(name, int) and 0 <= name < (count or name + 1):
            places.append(name)
        else:
            known = nearest(str(name), list(labels)) if labels else f"places from 0 to {count}"
            raise BadOption(f"{place}.positive: there is no class {name!r}; {known}")
    return tuple(dict.fromkeys(places))
