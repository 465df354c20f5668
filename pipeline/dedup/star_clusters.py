"""Star clusters: which pictures of a component stay, and the keeper of each of the others.

The pictures of a component are taken in the order of preference. One that is similar to a picture
that stays already goes to the best of these; one that is not stays too. So every picture is similar
to its keeper, and no two keepers are similar. What a chain of likenesses would join, different
pictures at its ends, falls apart here.

Similar are two whose pHashes are near and that no other signal in use keeps apart. A signal that is
missing says nothing; only a missing pHash does.

Two pictures are compared in several ways: as they are, the other in each orientation, and views of
them, a picture without its borders or its middle with the whole of the other. The middle shows a
crop, of which the dhash and the colours differ little from those of the whole. Of plain pictures
the middle is not compared: on a plain ground other shapes have its hash.

Where a component is large, those that stay are looked up by blocks of their pHash, one more than
bits may differ: two that are near have a block in common. So a long chain does not cost the square
of its pictures.

It imports numba at its top, so import it where it is used.
"""

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dedup.colour_difference import difference
from pairsieve.pipeline.dedup.features import (
    CENTRE,
    HAS,
    HAS_COLOUR,
    HAS_DHASH,
    HAS_HASH,
    HAS_VECTOR,
    IS_PLAIN,
    IS_TRIMMED_PLAIN,
    TRIMMED,
    VIEWS,
    WHOLE,
    Features,
    Ints,
    Limits,
)
from pairsieve.pipeline.hamming.popcount import popcount

INDEXED = 2048  # pictures of a component that are worth an index
WIDEST = 12  # bits of a block
FAR = 65  # bits: more than any two hashes differ in


@compiled
def _views(features: Features, way: int) -> tuple[int, int, int]:
    """Return the views of one picture and of the other, and the other's orientation, of a way.

    The ways are first all orientations, then `VIEWS`.
    """
    beyond = way - features.hashes.shape[1]
    if beyond < 0:
        return WHOLE, WHOLE, way
    first, second = VIEWS[beyond]
    return first, second, 0


@compiled
def _hash(features: Features, index: int, view: int, orientation: int) -> np.uint64:
    """Return the pHash of a view of a picture, of the whole in an orientation."""
    if view == TRIMMED:
        return np.uint64(features.trimmed[index, 0])
    whole = features.hashes[index, orientation]
    return np.uint64(features.centres[index] if view == CENTRE else whole)


@compiled
def _dhash(features: Features, index: int, view: int, orientation: int) -> np.uint64:
    """Return the dhash of a view of a picture; that of the middle is the whole's."""
    whole = features.dhashes[index, orientation]
    return np.uint64(features.trimmed[index, 1] if view == TRIMMED else whole)


@compiled
def _colours(features: Features, index: int, view: int) -> NDArray[np.uint8]:
    """Return the colours of a view of a picture; those of the middle are the whole's."""
    colours = features.trimmed_colours if view == TRIMMED else features.colours
    cells: NDArray[np.uint8] = colours[index]
    return cells


@compiled
def _is_plain(features: Features, index: int, view: int) -> bool:
    """Return whether a view of a picture is plain."""
    return bool(features.known[index] & (IS_TRIMMED_PLAIN if view == TRIMMED else IS_PLAIN))


@compiled
def bits_between(features: Features, one: int, other: int, way: int) -> int:
    """Return the distance of the pHashes; FAR if one is missing or they cannot be compared."""
    first, second, orientation = _views(features, way)
    if not features.known[one] & HAS[first] or not features.known[other] & HAS[second]:
        return FAR
    middle = CENTRE in (first, second)
    if middle and (_is_plain(features, one, first) or _is_plain(features, other, second)):
        return FAR
    own, others = _hash(features, one, first, 0), _hash(features, other, second, orientation)
    return int(popcount(own ^ others))


@compiled
def dhash_between(features: Features, one: int, other: int, way: int) -> int:
    """Return the distance of the dhashes; -1 if one is missing."""
    first, second, orientation = _views(features, way)
    if not features.known[one] & features.known[other] & HAS_DHASH:
        return -1
    own, others = _dhash(features, one, first, 0), _dhash(features, other, second, orientation)
    return int(popcount(own ^ others))


@compiled
def colour_between(features: Features, one: int, other: int, way: int) -> float:
    """Return how much the colours differ, in contrasts; -1 if they are missing."""
    first, second, orientation = _views(features, way)
    if not features.known[one] & features.known[other] & HAS_COLOUR:
        return -1.0
    others = _colours(features, other, second)[features.cells[orientation]]
    plain = _is_plain(features, one, first) or _is_plain(features, other, second)
    return float(difference(_colours(features, one, first), others, plain))


@compiled
def failed_signals(features: Features, limits: Limits, one: int, other: int, way: int) -> int:
    """Return the bits of the signals that keep two pictures apart; 0 if they are verified."""
    found = 0
    if limits.uses & 1 and dhash_between(features, one, other, way) > limits.dhash:
        found |= 1
    if limits.uses & 2 and colour_between(features, one, other, way) > limits.colour:
        found |= 2
    if limits.uses & 4 and features.known[one] & features.known[other] & HAS_VECTOR:
        cosine = 0.0
        for index in range(features.vectors.shape[1]):
            cosine += features.vectors[one, index] * features.vectors[other, index]
        if cosine < limits.cosine:
            found |= 4
    return found


@compiled
def are_similar(features: Features, limits: Limits, ones: Ints, others: Ints) -> NDArray[np.bool_]:
    """Return which pairs are alike, (n,), the others in any turn."""
    found = np.zeros(len(ones), np.bool_)
    for pair in range(len(ones)):
        found[pair] = _meeting(features, limits, ones[pair], others[pair]) == 0
    return found


@compiled
def distances(
    features: Features, limits: Limits, ones: Ints, others: Ints
) -> tuple[Ints, Ints, Ints, NDArray[np.float64]]:
    """Return way, distance, dhash distance and colour difference of each pair, (n,) each.

    The way is the first in which the two are similar, else that in which their pHashes are nearest.
    What is missing is FAR or -1.
    """
    ways, bits = np.zeros(len(ones), np.int64), np.full(len(ones), FAR, np.int64)
    dhashes, colours = np.empty(len(ones), np.int64), np.empty(len(ones), np.float64)
    for pair in range(len(ones)):
        one, other, similar_pairs = ones[pair], others[pair], False
        for way in range(features.hashes.shape[1] + len(VIEWS)):
            distance = bits_between(features, one, other, way)
            if similar_pairs or distance == FAR:
                continue
            similar_pairs = distance <= limits.distance and not failed_signals(
                features, limits, one, other, way
            )
            if similar_pairs or distance < bits[pair]:
                ways[pair], bits[pair] = way, distance
        dhashes[pair] = dhash_between(features, one, other, ways[pair])
        colours[pair] = colour_between(features, one, other, ways[pair])
    return ways, bits, dhashes, colours


def star_clusters(features: Features, limits: Limits, ends: Ints) -> tuple[Ints, Ints]:
    """Return for each picture the index of the one that stands for it, and who objected, (n,) each.

    Args:
        features: Of all pictures, those of a component side by side, the preferred first.
        limits: What alike means.
        ends: Where each component ends.

    The second array has the bits of the signals that kept a picture, near by its pHash to one or
    more that stay, from every one of these; 0 for all other pictures.
    """
    found = np.arange(len(features.known)), np.zeros(len(features.known), np.int64)
    _gather(features, limits, ends, False, *found)
    return found


def chain_clusters(features: Features, limits: Limits, ends: Ints) -> tuple[Ints, Ints]:
    """Return the same of chains: the first of all that likenesses connect stands for the others."""
    parents, failed_verification = (
        np.arange(len(features.known)),
        np.zeros(len(features.known), np.int64),
    )
    _gather(features, limits, ends, True, parents, failed_verification)
    return parents, failed_verification


@compiled
def _gather(
    features: Features,
    limits: Limits,
    ends: Ints,
    chain: bool,
    parents: Ints,
    failed_verification: Ints,
) -> None:
    """Fill `parents` and `failed_verification`, component by component."""
    width = min(WIDEST, 64 // (limits.distance + 1))
    heads = np.empty((limits.distance + 1, 1 << width), np.int64)
    after = np.empty((limits.distance + 1, len(HAS) * len(parents)), np.int64)
    for number, end in enumerate(ends):
        low = ends[number - 1] if number else 0
        if end - low <= INDEXED:
            for index in range(low, end):
                _settle_among(features, limits, low, index, chain, parents, failed_verification)
        else:
            heads[:] = -1
            for index in range(low, end):
                _settle_by_index(
                    features, limits, index, chain, parents, failed_verification, heads, after
                )
    for index in range(len(parents)):  # a parent comes before its children
        parents[index] = parents[parents[index]]


@compiled
def _settle_among(
    features: Features,
    limits: Limits,
    low: int,
    index: int,
    chain: bool,
    parents: Ints,
    failed_verification: Ints,
) -> None:
    """Find who stands for a picture by comparing it with all before it, in order."""
    refused, joined = 0, False
    for other in range(low, index):
        if chain or parents[other] == other:
            failed = _meeting(features, limits, other, index)
            if failed == 0:
                _join(parents, other, index)
                joined = True
                if not chain:
                    break
            elif failed > 0:
                refused |= failed
    if not joined:
        failed_verification[index] = refused


@compiled
def _settle_by_index(
    features: Features, limits: Limits, index: int, chain: bool, parents: Ints,
    failed_verification: Ints, heads: Ints, after: Ints,
) -> None:  # fmt: skip
    """Find the same by looking up those that share a block; then add the picture to the index."""
    blocks, values = heads.shape
    width, count = int(np.log2(values)), len(parents)
    refused, best = 0, index
    if not features.known[index] & HAS_HASH:
        return
    for number in range(features.hashes.shape[1] + CENTRE):
        view = max(WHOLE, number + 1 - features.hashes.shape[1])  # orientations of the whole first
        if not features.known[index] & HAS[view]:
            continue
        for block in range(blocks):
            entry = heads[block, _value(features, index, view, number, block * width, values)]
            while entry >= 0:
                other = entry % count
                if chain or other < best:
                    failed = _meeting(features, limits, other, index)
                    if failed > 0:
                        refused |= failed
                    elif failed == 0:
                        best = min(best, other)
                        if chain:
                            _join(parents, other, index)
                entry = after[block, entry]
    if best == index:
        failed_verification[index] = refused
    elif not chain:
        _join(parents, best, index)
    if chain or best == index:
        _add_to_index(features, index, count, heads, after)


@compiled
def _add_to_index(features: Features, index: int, count: int, heads: Ints, after: Ints) -> None:
    """Let the views of a picture be found by their blocks: one is `view * count + index`."""
    blocks, values = heads.shape
    width = int(np.log2(values))
    for view in range(len(HAS)):
        if features.known[index] & HAS[view]:
            for block in range(blocks):
                value = _value(features, index, view, 0, block * width, values)
                after[block, view * count + index] = heads[block, value]
                heads[block, value] = view * count + index


@compiled
def _value(features: Features, index: int, view: int, way: int, bit: int, values: int) -> np.uint64:
    """Return the block that begins at a bit of the pHash of a view."""
    return _hash(features, index, view, way) >> np.uint64(bit) & np.uint64(values - 1)


@compiled
def _meeting(features: Features, limits: Limits, one: int, other: int) -> int:
    """Return 0 if two pictures are alike, who objects if they are near only, -1 if not even that.

    They may be alike in any way; who objects is told of the first in which they are near.
    """
    found = -1
    for way in range(features.hashes.shape[1] + len(VIEWS)):
        distance = bits_between(features, one, other, way)
        if distance != FAR and distance <= limits.distance:
            failed = failed_signals(features, limits, one, other, way)
            if failed == 0:
                return 0
            if found < 0:
                found = failed
    return found


@compiled
def _join(parents: Ints, one: int, other: int) -> None:
    """Join the trees of two pictures; the smaller root stays root."""
    while parents[one] != one:
        one = parents[one]
    while parents[other] != other:
        other = parents[other]
    parents[max(one, other)] = min(one, other)
