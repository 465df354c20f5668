"""Whether a head's scores over a dataset look like scores of that head.

A head of another model whose vectors are as long fits, and what it gives is nonsense. Nothing in
the file tells; the scores do. So each marker of scores keeps, of every head, how many images have
a score in each of BINS equal steps, and status, report and the end of a run look at their sum. What
is usual a head that was learnt here says itself; of the published ones it is in the table below.

Seen: a head for violence, on vectors of a model that was not its own, gave more than 0.5 to 93 % of
pictures of products.

Measured: on real vectors of ViT-B/32 (Flickr8k). The bounds were chosen on 48 photographs, with
rotations of these and of 52 others in view; the scores of the 52 were not, and are within them. For
the vectors of another model stand 100 new random rotations of the 52: 72 are beyond the bounds for
violence (with a bound of 0.5: 55), 83 for aesthetic, none beyond the median for NSFW; whether any
of 1,000 images reaches SOME cannot be told by 52.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import pair_head, scorers
from pairsieve.schemas.columns import AESTHETIC, CONCEPTS, NSFW, VIOLENCE
from pairsieve.schemas.recipe import Embed
from pairsieve.schemas.recipe_scores import Scorer

KEY = "heads"  # in a marker's `extra`
BINS = 20
HIGHEST_RATING = 10.0  # ratings lie from 0 to this, probabilities from 0 to 1
OF_CONCEPT = "concepts."  # before the names of concepts, which may be those of scores
LEAST = 100  # images below which nothing is said
ALL = 0.99  # share above one half of what should tell some images from others
SOME, MANY = 0.05, 1000  # a score that some image of so many should reach


class Usual(NamedTuple):
    """Between which scores the median of a pool should lie, and whether every pool has some."""

    low: float
    high: float
    always_some: bool = False


# Probabilities: 95 % of the photographs on which this was chosen lie below 0.29 and 0.31. Ratings:
# 98 % of these below 6.8 and 1 % below 4.5, lower here, since pictures of the web are rated lower;
# of LAION-5B, 2 % are above 7. Source: LAION-AI/laion-datasets, laion-aesthetic.md.
USUAL = {
    NSFW.name: Usual(0.0, 0.3, always_some=True),
    VIOLENCE.name: Usual(0.0, 0.3, always_some=True),
    AESTHETIC.name: Usual(4.0, 7.0),
}
OF_OTHER_MODEL = (
    "this is what a head of another model does: check that it belongs to the one in `embed`"
)
OF_OTHER_PAIRS = "these pairs are unlike those among which it was learnt: look at some"


@dataclass(frozen=True)
class HeadScores:
    """What a head gave.

    Attributes:
        head: The head in words.
        learnt: Between which scores most pairs lay where it was learnt; None if it does not say.
        counts: How many images have a score in each step, (BINS,).
    """

    head: str
    learnt: tuple[float, float] | None = None
    counts: tuple[int, ...] = (0,) * BINS

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what a marker keeps of a head."""
        learnt = said["learnt"]
        return cls(said["head"], (learnt[0], learnt[1]) if learnt else None, tuple(said["counts"]))

    def to_json(self) -> dict[str, Any]:
        """Return what a marker is to keep."""
        return {"head": self.head, "learnt": self.learnt, "counts": list(self.counts)}


def heads_of(options: Embed) -> dict[str, HeadScores]:
    """Return the heads that measure scores and concepts, by the name of these; nothing counted."""
    by_name = {name: scorer for name, scorer in options.scores if scorer}
    by_name |= {f"{OF_CONCEPT}{name}": scorer for name, scorer in options.concepts.items()}
    return {name: _head(scorer, scorer.head) for name, scorer in by_name.items() if scorer.head}


def _head(scorer: Scorer, file: str) -> HeadScores:
    learnt = pair_head.load("embed", file).usual if pair_head.is_one(file) else None
    return HeadScores(scorers.described(scorer), learnt)


def to_json(scores: pa.Table, heads: Mapping[str, HeadScores]) -> dict[str, Any]:
    """Return what the marker of these scores keeps of the heads; nothing of none."""
    if not heads:
        return {}
    concepts = [dict(one or ()) for one in scores[CONCEPTS.name].to_pylist()]
    kept = {}
    for name, head in heads.items():
        concept = name.removeprefix(OF_CONCEPT)
        of_column = concept == name
        values = scores[name].to_pylist() if of_column else [one.get(concept) for one in concepts]
        known = np.array([value for value in values if value is not None], np.float64)
        steps = np.clip(known / _highest(name) * BINS, 0, BINS - 1).astype(np.int64)
        counts = np.bincount(steps, minlength=BINS).tolist()
        kept[name] = replace(head, counts=counts).to_json()
    return {KEY: kept}


def sentences(store: Store, folders: Iterable[str]) -> Iterator[str]:
    """Yield a warning on every head, in these folders of scores, that gives what none should."""
    for folder in folders:
        markers = store.markers(vectors_folder(folder)).values()
        for name, found in _summed(markers).items():
            if why := _implausible(name, found):
                yield f"{name}: {found.head} {why}"


def _summed(markers: Iterable[Marker]) -> dict[str, HeadScores]:
    """Return what each head gave over all task slices."""
    totals: dict[str, HeadScores] = {}
    for marker in markers:
        for name, said in marker.extra.get(KEY, {}).items():
            one = HeadScores.from_json(said)
            before = totals.get(name, HeadScores("")).counts
            counts = tuple(a + b for a, b in zip(one.counts, before, strict=True))
            totals[name] = replace(one, counts=counts)
    return totals


def _implausible(name: str, found: HeadScores) -> str:
    """Return what is odd about a head's scores; nothing where all is well."""
    counts, images = np.array(found.counts), sum(found.counts)
    step = _highest(name) / BINS
    if images < LEAST:
        return ""
    usual = Usual(*found.learnt) if found.learnt else USUAL.get(name)
    if usual is None:
        share = counts[BINS // 2 :].sum() / images
        few = f"gives more than 0.5 to {share:.0%} of {images:,} images; {OF_OTHER_MODEL}"
        return few if share > ALL else ""
    median = int(np.searchsorted(counts.cumsum(), images / 2)) * step
    advice = OF_OTHER_PAIRS if found.learnt else OF_OTHER_MODEL
    if median >= usual.high or median + step <= usual.low:
        return (
            f"gives half of {images:,} images a score of about {median:g} or more, and a median "
            f"from {usual.low:g} to {usual.high:g} is usual; {advice}"
        )
    if usual.always_some and images >= MANY and not counts[round(SOME / step) :].any():
        return f"gives none of {images:,} images a score of {SOME:g}; {advice}"
    return ""


def _highest(name: str) -> float:
    return HIGHEST_RATING if name == AESTHETIC.name else 1.0
