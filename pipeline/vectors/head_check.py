"""Whether a head's scores over a dataset look like scores of that kind.

A head of another model whose vectors are as long fits, and what it gives is nonsense. Nothing in
the file tells; the scores do. So each marker of scores keeps, of every head, how many images have
a score in each of BINS equal steps, and status, report and the end of a run look at their sum.

Seen: a head for violence, on vectors of a model that was not its own, gave more than 0.5 to 93 % of
pictures of products.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors.slice_records import ScoreSources
from pairsieve.schemas.columns import AESTHETIC, CONCEPTS, NSFW, VIOLENCE
from pairsieve.schemas.recipe import Embed

KEY = "head_scores"  # in a marker's `extra`
BINS = 20
HIGHEST_RATING = 10.0  # ratings lie from 0 to this, probabilities from 0 to 1
OF_CONCEPT = "concepts."  # before the names of concepts, which may be those of scores
LEAST = 100  # images below which nothing is said
ALL = 0.99  # share above one half of what should tell some images from others
# Where the median should lie. Source: the published heads on 100 everyday photographs, medians
# 0.000, 0.004 and 5.6 with all ratings from 3.7 to 7.6 (docs/scores.md); wide, since pools differ.
MEDIANS = {NSFW.name: (0.0, 0.5), VIOLENCE.name: (0.0, 0.5), AESTHETIC.name: (3.0, 8.0)}


def heads_of(options: Embed) -> tuple[str, ...]:
    """Return the scores and concepts that heads measure, by name."""
    scores = (name for name, scorer in options.scores if scorer and scorer.head)
    concepts = (name for name, scorer in options.concepts.items() if scorer.head)
    return (*scores, *(f"{OF_CONCEPT}{name}" for name in concepts))


def to_json(scores: pa.Table, names: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Return what the marker of these scores keeps of the heads of these names; nothing of none."""
    if not names:
        return {}
    concepts = [dict(one or ()) for one in scores[CONCEPTS.name].to_pylist()]
    counts = {}
    for name in names:
        concept = name.removeprefix(OF_CONCEPT)
        of_column = concept == name
        values = scores[name].to_pylist() if of_column else [one.get(concept) for one in concepts]
        known = np.array([value for value in values if value is not None], np.float64)
        steps = np.clip(known / _highest(name) * BINS, 0, BINS - 1).astype(np.int64)
        counts[name] = np.bincount(steps, minlength=BINS).tolist()
    return {KEY: counts}


def sentences(store: Store, folders: Iterable[str]) -> Iterator[str]:
    """Yield a warning on every head, in these folders of scores, that gives what none should."""
    for folder in folders:
        markers = list(store.markers(vectors_folder(folder)).values())
        if any(KEY in marker.extra for marker in markers):
            described = ScoreSources.from_json(markers[-1].extra).by_column
            for name, counts in _summed(markers).items():
                if why := _implausible(name, counts):
                    yield f"{name}: {_head(described, name)} {why}"


def _summed(markers: Sequence[Marker]) -> dict[str, Any]:
    """Return the counts of each head over all task slices."""
    totals: dict[str, Any] = {}
    for marker in markers:
        for name, counts in marker.extra.get(KEY, {}).items():
            totals[name] = totals.get(name, 0) + np.array(counts)
    return totals


def _implausible(name: str, counts: Any) -> str:
    """Return what is odd about the counts of a head's scores; nothing where all is well."""
    images = int(counts.sum())
    if images < LEAST:
        return ""
    advice = (
        "this is what a head of another model does: check that it belongs to the one in `embed`"
    )
    if name in MEDIANS:
        low, high = MEDIANS[name]
        median = int(np.searchsorted(counts.cumsum(), images / 2)) / BINS * _highest(name)
        if low <= median < high:
            return ""
        return (
            f"gives half of {images:,} images a score of about {median:g} or more, and a median "
            f"from {low:g} to {high:g} is usual; {advice}"
        )
    share = counts[BINS // 2 :].sum() / images
    return (
        f"gives more than 0.5 to {share:.0%} of {images:,} images; {advice}" if share > ALL else ""
    )


def _head(described: Mapping[str, str], name: str) -> str:
    """Return the head of a score or concept in words."""
    own = f"{name.removeprefix(OF_CONCEPT)}: "
    parts = described.get(CONCEPTS.name, "").split("; ") if name.startswith(OF_CONCEPT) else ()
    found = (part.removeprefix(own) for part in parts if part.startswith(own))
    return described.get(name) or next(found, "its head")


def _highest(name: str) -> float:
    return HIGHEST_RATING if name == AESTHETIC.name else 1.0
