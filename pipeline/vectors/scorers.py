"""What a score is measured by: prompts, a head on the vector, an image classifier.

Each gives a number per class, of which the softmax is taken; with one output its logistic function.
The temperature of prompts and of prompt vectors is the model's own. SigLIP's bias adds the same to
every class, so it cancels out of the softmax: both families of models are scored alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.base import softmax
from pairsieve.pipeline.models import classifier, heads, pretrained
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.vectors import pair_head
from pairsieve.schemas.arrays import Floats, Vectors
from pairsieve.schemas.columns import Column
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed
from pairsieve.schemas.recipe_scores import Scorer

AESTHETIC = "embed.scores.aesthetic"  # the key of the score that is no probability


@dataclass(frozen=True)
class StoredImages:
    """The stored images of some pairs, and what else of the pairs a scorer may look at.

    Attributes:
        read: Yields every different image once, RGB, (h, w, 3).
        index_of: For each pair, which of them is its own, (n,).
        texts: Vectors of their texts, (n, d).
        gathered: The columns of `gather` that scorers read.
    """

    read: Callable[[], Iterator[NDArray[np.uint8]]]
    index_of: NDArray[np.intp]
    texts: Vectors | None = None
    gathered: pa.Table | None = None


@dataclass(frozen=True)
class PromptClasses:
    """Classes, each the mean of its prompts, that images are compared to.

    Attributes:
        vectors: A vector of length 1 per class, (classes, d).
        scale: What a cosine is multiplied by: the model's inverse temperature.
    """

    vectors: Vectors
    scale: float

    def logits(self, images: Vectors) -> Vectors:
        """Return the scaled cosines of image vectors to the classes, (n, classes)."""
        cosines = [np.sum(images * vector, axis=1, dtype=np.float64) for vector in self.vectors]
        return (self.scale * np.stack(cosines, axis=1)).astype(np.float32)


@dataclass(frozen=True)
class LoadedScorer:
    """What measures one score.

    Attributes:
        outputs: Gives a number per class, (n, classes), for image vectors and stored images.
        positive: Indices of the classes whose probabilities are added up.
        rating: True when the one number is the score itself.
        reads: The columns of `gather` that it needs.
    """

    outputs: Callable[[Vectors, StoredImages], NDArray[Any]]
    positive: tuple[int, ...]
    rating: bool
    reads: tuple[Column, ...] = ()

    def values(self, images: Vectors, stored: StoredImages) -> Floats:
        """Return the score of every pair, (n,); a probability in [0, 1] unless it is a rating."""
        outputs = self.outputs(images, stored)
        if self.rating:
            rating: Floats = outputs[:, 0].astype(np.float32)
            return rating
        if outputs.shape[1] == 1:  # with a second class of logit 0, the softmax is the logistic
            outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
        total = softmax(outputs)[:, list(self.positive)].sum(axis=1)
        probabilities: Floats = np.clip(total, 0, 1).astype(np.float32)
        return probabilities


def by_key(options: Embed) -> dict[str, Scorer]:
    """Return every scorer of the recipe by its key there, as `embed.scores.nsfw`."""
    scores = {f"embed.scores.{name}": scorer for name, scorer in options.scores if scorer}
    return scores | {f"embed.concepts.{name}": each for name, each in options.concepts.items()}


def check(options: Embed) -> None:
    """Refuse heads and classifiers that cannot be had or do not fit, without building a model.

    Raises:
        BadOption: a missing, broken or unsafe file, a head for vectors of another length, a class
            that there is not.
    """
    for key, scorer in by_key(options).items():
        if scorer.head:
            width = int(pretrained.find(options).config["embed_dim"])
            if pair_head.is_one(scorer.head):
                _pair_head(key, scorer, width)
                continue
            head = _head(key, scorer, width)
            _positive(key, scorer, head.output_count)
        elif scorer.classifier:
            source = classifier.find(key, scorer)
            _positive(key, scorer, source.arguments.get("num_classes"), source.labels)
        elif scorer.prompts:
            _positive(key, scorer, len(scorer.prompts), list(scorer.prompts))


def load(key: str, scorer: Scorer, model: ClipModel) -> LoadedScorer:
    """Return what measures the score that the recipe has at `key`."""
    if scorer.prompts:
        classes = prompt_classes(model, scorer.prompts)
        positive = _positive(key, scorer, len(scorer.prompts), list(scorer.prompts))
        return LoadedScorer(lambda images, _: classes.logits(images), positive, False)
    if scorer.head and pair_head.is_one(scorer.head):
        return _of_pairs(key, scorer, model)
    if scorer.head:
        head = _head(key, scorer, model.dimensions)
        scale = model.logit_scale if head.compares else 1.0
        positive = _positive(key, scorer, head.output_count)
        return LoadedScorer(
            lambda images, _: scale * head.outputs(images), positive, key == AESTHETIC
        )
    network = classifier.load(key, scorer, model.device)
    count, labels = network.network.num_classes, classifier.find(key, scorer).labels
    return LoadedScorer(
        lambda _, stored: network.logits(stored.read())[stored.index_of],
        _positive(key, scorer, count, labels),
        False,
    )


def prompt_classes(model: ClipModel, prompts: Mapping[str, tuple[str, ...]]) -> PromptClasses:
    """Return the classes of prompts as the model sees them."""
    return PromptClasses(model.classes(dict(prompts)), model.logit_scale)


def described(scorer: Scorer) -> str:
    """Return in words what measures a score; files by name and the start of their SHA-256."""
    if scorer.head:
        return f"the head {_file(scorer.head)}"
    if scorer.classifier:
        weights = f" {_file(scorer.weights)}" if scorer.weights else ""
        return f"the classifier {Path(scorer.classifier).name}{weights}"
    return f"the prompts of the recipe for {', '.join(scorer.prompts or {})}"


def identity(scorer: Scorer) -> dict[str, Any]:
    """Return what shapes the score: the recipe's words, and files by their content."""
    parts = scorer.model_dump(exclude={"head", "weights", "classifier"})
    parts["prompts"] = list(scorer.prompts.items()) if scorer.prompts else None
    parts["files"] = [heads.sha256(str(path)) for path in _files(scorer)]
    parts["classifier"] = Path(scorer.classifier).name if scorer.classifier else None
    return parts


def _files(scorer: Scorer) -> Iterator[Path]:
    """Yield the files that a scorer reads.

    Raises:
        BadOption: one is missing.
    """
    paths = [Path(path) for path in (scorer.head, scorer.weights) if path]
    if scorer.classifier and Path(scorer.classifier).is_dir():
        paths += sorted(path for path in Path(scorer.classifier).iterdir() if path.is_file())
    for path in paths:
        if not path.is_file():
            raise BadOption(f"embed: {path}: no such file, and a score is measured by it")
        yield path


def _file(value: str) -> str:
    return f"{Path(value).name} ({heads.sha256(value)[:12]})"


def _of_pairs(key: str, scorer: Scorer, model: ClipModel) -> LoadedScorer:
    """Return what measures by a head on pairs, if it was learnt on this model's vectors."""
    head = _pair_head(key, scorer, model.dimensions)
    learnt_on = head.record["model"]
    if learnt_on["weights_sha256"] != model.weights_sha256:
        raise BadOption(
            f"{key}.head: {scorer.head} was learnt on vectors of {learnt_on['model']} "
            f"({learnt_on['pretrained']}) with other weights than the model in `embed` has"
        )

    def outputs(images: Vectors, stored: StoredImages) -> NDArray[Any]:
        if stored.texts is None or stored.gathered is None:
            raise ValueError("a head on pairs needs texts and columns")
        columns = [stored.gathered[name].cast(pa.float64()) for name in head.columns]
        values = [column.fill_null(np.nan).to_numpy() for column in columns]
        none = np.zeros((len(images), 0))
        return head.outputs(images, stored.texts, np.stack(values, axis=1) if values else none)

    return LoadedScorer(outputs, (1,), False, head.reads)


def _pair_head(key: str, scorer: Scorer, width: int) -> pair_head.PairHead:
    """Return the scorer's head on pairs, if it takes vectors of that length."""
    head = pair_head.load(f"{key}.head", str(scorer.head))
    if head.width != width or scorer.positive is not None or key == AESTHETIC:
        raise BadOption(
            f"{key}.head: {scorer.head} is a head on pairs, for a probability by vectors of length "
            f"{head.width}, without `positive`; the model gives {width}"
        )
    return head


def _head(key: str, scorer: Scorer, width: int) -> heads.Head:
    """Return the scorer's head, if it takes vectors of that length."""
    head = heads.load(f"{key}.head", str(scorer.head), scorer.activation)
    if head.width != width:
        raise BadOption(
            f"{key}.head: {scorer.head} takes vectors of length {head.width}, and the model gives "
            f"{width}: a head belongs to the model that it was trained on"
        )
    if key == AESTHETIC and head.output_count != 1:
        raise BadOption(
            f"{key}.head: {scorer.head} gives {head.output_count} numbers, and a rating is one"
        )
    return head


def _positive(
    key: str, scorer: Scorer, count: int | None, labels: Sequence[str] = ()
) -> tuple[int, ...]:
    """Return the indices of the classes that are scored.

    Where the recipe names none: the first class of prompts, the only output, the second of two
    outputs of a head. `count` is how many there are, None where only the loaded model tells.
    """
    if scorer.positive is None:
        if scorer.prompts:
            return (0,)
        if count in (1, 2) and (count == 1 or scorer.head):
            return (1,)
        raise BadOption(
            f"{key}.positive: missing; say which of the {count or ''} classes is scored"
            + (f": {', '.join(labels)}" if labels else "")
        )
    if count == 1:
        raise BadOption(f"{key}.positive: there is one output, whose logistic is the score")
    indices = []
    for name in scorer.positive:
        if isinstance(name, str) and name in labels:
            indices.append(labels.index(name))
        elif isinstance(name, int) and 0 <= name < (count or name + 1):
            indices.append(name)
        else:
            last = f" to {count - 1}" if count else ""
            known = nearest(str(name), list(labels)) if labels else f"indices count from 0{last}"
            raise BadOption(f"{key}.positive: there is no class {name!r}; {known}")
    return tuple(dict.fromkeys(indices))
