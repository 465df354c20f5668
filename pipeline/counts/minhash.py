"""MinHash: captions whose n-grams are alike share a band, and whether they are alike is computed.

Of each caption the least of every permutation of its n-grams is taken; some of them make a band.
Two captions with Jaccard similarity s share one with 1 - (1 - s ** rows) ** bands. What shares a
band is a candidate; the similarity of candidates is computed from all their n-grams, by 32 bits of
each: two different ones of a pair of captions are the same once in ten million pairs.

Source: Broder, "On the resemblance and containment of documents" (1997); bands as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
Measured: 0.4 us of CPU per caption of 18 n-grams with 68 permutations; rensa 0.5 takes 0.8 us and
hands out lists of Python numbers.
"""

from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.counts.caption_ngrams import Hashes, Ngrams, mixed

RECALL = 0.99  # of pairs that are as alike as asked share a band
MOST_BANDS = 20
COMPARED = 1000  # earlier captions of a band with which one is compared, at most
Ints = NDArray[np.int64]


class Bands(NamedTuple):
    """How many bands there are, and of how many permutations each is."""

    bands: int
    rows: int


def bands(min_jaccard: float) -> Bands:
    """Return the bands of most rows with which so many pairs at that similarity share one."""
    for rows in range(16, 0, -1):
        missed = 1 - min_jaccard**rows
        count = 1 if missed <= 0 else ceil(log(1 - RECALL) / log(missed))
        if count <= MOST_BANDS:
            return Bands(count, rows)
    return Bands(MOST_BANDS, 1)


def band_keys(ngrams: Ngrams, shape: Bands) -> Hashes:
    """Return the number of each band of captions, (n, bands); none of them has no n-gram."""
    seeds = np.arange(1, 2 * shape.bands * shape.rows + 1, dtype=np.uint64)
    factors, terms = mixed(seeds * np.uint64(0x9E3779B97F4A7C15)).reshape(2, -1)
    ends = np.cumsum(ngrams.sizes)
    least = _least(ngrams.keys, ends, factors | np.uint64(1), terms)
    keys = np.broadcast_to(np.arange(shape.bands, dtype=np.uint64), (len(ends), shape.bands))
    for row in range(shape.rows):
        keys = mixed(keys * np.uint64(0xD6E8FEB86659FD93) + least[:, row :: shape.rows])
    return keys


@compiled
def _least(keys: Hashes, ends: Ints, factors: Hashes, terms: Hashes) -> NDArray[np.uint32]:
    """Return of each caption the least of every permutation, (n, permutations)."""
    found = np.full((len(ends), len(factors)), 0xFFFFFFFF, np.uint32)
    begin = 0
    for caption in range(len(ends)):
        own = found[caption]
        for index in range(begin, ends[caption]):
            key = keys[index]
            for place in range(len(factors)):
                own[place] = min(own[place], np.uint32((key * factors[place] + terms[place]) >> 32))
        begin = ends[caption]
    return found


def short(keys: Hashes) -> NDArray[np.uint32]:
    """Return 32 bits of n-grams."""
    return (keys ^ (keys >> np.uint64(32))).astype(np.uint32)


@compiled
def alike(
    groups: Ints, ends: Ints, ngrams: NDArray[np.uint32], min_jaccard: float
) -> NDArray[np.uint32]:
    """Return pairs of captions, (k, 2), that connect all that are alike within a group.

    Captions that others connect are not compared, so there are less pairs than captions. In a group
    of more than `COMPARED` each is compared with so many before it.

    Args:
        groups: Where each group begins among the captions, and the end of the last, (groups + 1,).
        ends: Where the n-grams of each caption end, (n,).
        ngrams: All n-grams, those of a caption ascending, each once.
        min_jaccard: The least similarity.
    """
    parents = np.arange(len(ends))
    pairs = np.empty((len(ends), 2), np.uint32)
    count = 0
    for group in range(len(groups) - 1):
        for one in range(groups[group] + 1, groups[group + 1]):
            for other in range(one - 1, max(groups[group], one - COMPARED) - 1, -1):
                first, second = _root(parents, one), _root(parents, other)
                if first != second and _jaccard(ngrams, ends, one, other) >= min_jaccard:
                    parents[max(first, second)] = min(first, second)
                    pairs[count, 0], pairs[count, 1] = one, other
                    count += 1
    return pairs[:count]


@compiled
def _root(parents: Ints, caption: int) -> int:
    while parents[caption] != caption:
        parents[caption] = parents[parents[caption]]
        caption = parents[caption]
    return caption


@compiled
def _jaccard(ngrams: NDArray[np.uint32], ends: Ints, one: int, other: int) -> float:
    """Return how many n-grams two captions share, of all that either has."""
    i, i_end = (ends[one - 1] if one else 0), ends[one]
    j, j_end = (ends[other - 1] if other else 0), ends[other]
    total, shared = (i_end - i) + (j_end - j), 0
    while i < i_end and j < j_end:
        if ngrams[i] == ngrams[j]:
            shared += 1
            i += 1
            j += 1
        elif ngrams[i] < ngrams[j]:
            i += 1
        else:
            j += 1
    share: float = shared / (total - shared)
    return share
