"""Star clusters: which pictures of a component stay, and the keeper of each of the others.

The pictures of a component are taken in the order of preference. One that is similar to a picture
that stays already goes to the best of these; one that is not stays too. So every picture is similar
to its keeper, and no two keepers are similar. What a chain of likenesses would join, different
pictures at its ends, falls apart here.

Similar are two whose pHashes are near and that no other signal in use keeps apart. A signal that is
missing says nothing; only a missing pHash does.

Colours are compared in two ways. Plain pictures, a third of whose cells look the same, as in cards,
graphics and logos, have little else to be told apart by: of them a copy may be dimmer and nothing
else. Others have so much in them that a copy may be graded: of each channel the best gain and
offset are taken off first, and where one of two is monochrome, only the brightness counts.

What a gain and an offset can hide is another graphic of the same shape in other colours, so a plain
picture never gets them: with them, 200 to 375 of 2,000 drawn graphics took another for a copy in
place of 15.

Where a component is large, those that stay are looked up by blocks of their pHash, one more than
bits may differ: two that are near have a block in common. So a long chain does not cost the square
of its pictures.

It imports numba at its top, so import it where it is used.
"""

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dedup.features import (
    HAS_COLOUR,
    HAS_DHASH,
    HAS_HASH,
    HAS_VECTOR,
    IS_PLAIN,
    Features,
    Ints,
    Limits,
)
from pairsieve.pipeline.hamming.popcount import popcount

INDEXED = 2048  # pictures of a component that are worth an index
WIDEST = 12  # bits of a block
FAR = 65  # bits: more than any two hashes differ in
DIMMEST = 0.5  # of the brightness of a picture, to which it is dimmed for comparing
LEAST_CONTRAST = 4.0  # levels added to the contrast, so that next to none does not count
LEAST_GAIN, MOST_GAIN = 0.4, 2.5  # of a channel of a graded copy
GRADED = 0.7  # what a difference left after grading counts of one that is left after dimming
MONOCHROME = 20  # levels by which colours of one brightness differ, less, in a monochrome picture
BRIGHTNESS = (299, 587, 114)  # of red, green and blue, thousandths (ITU-R BT.601)


@compiled
def bits_between(features: Features, one: int, other: int, orientation: int) -> int:
    """Return the distance of the pHashes, the other picture turned; FAR if one is missing."""
    if not features.known[one] & features.known[other] & HAS_HASH:
        return FAR
    return int(popcount(features.hashes[one, 0] ^ features.hashes[other, orientation]))


@compiled
def dhash_between(features: Features, one: int, other: int, orientation: int) -> int:
    """Return the distance of the dhashes, the other picture turned; -1 if one is missing."""
    if not features.known[one] & features.known[other] & HAS_DHASH:
        return -1
    return int(popcount(features.dhashes[one, 0] ^ features.dhashes[other, orientation]))


@compiled
def colour_between(features: Features, one: int, other: int, orientation: int) -> float:
    """Return how much the colours differ, in contrasts; -1 if they are missing."""
    if not features.known[one] & features.known[other] & HAS_COLOUR:
        return -1.0
    other_cells = features.colours[other][features.cells[orientation]]
    plain = (features.known[one] | features.known[other]) & IS_PLAIN
    return _difference(features.colours[one], other_cells, plain != 0)


@compiled
def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8], plain: bool) -> float:
    """Return the largest difference of a cell over the contrast of two pictures, (75,) each.

    `plain`: whether one of them is.
    """
    if plain:
        return _dimmed_difference(a, b)
    brightness_a, brightness_b = _brightness(a), _brightness(b)
    if _is_monochrome(a, brightness_a) or _is_monochrome(b, brightness_b):
        return GRADED * _graded_difference(brightness_a, brightness_b, 1000.0)
    return GRADED * _graded_difference(_levels(a), _levels(b), 1.0)


@compiled
def _dimmed_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the largest difference over the contrast, the brighter picture dimmed to the other."""
    aa, bb, ab = 0, 0, 0
    for index in range(a.shape[0]):
        x, y = int(a[index]), int(b[index])
        aa += x * x
        bb += y * y
        ab += x * y
    dim = min(1.0, max(DIMMEST, ab / max(aa, bb, 1)))
    dim_a, dim_b = (dim, 1.0) if aa >= bb else (1.0, dim)
    largest = 0.0
    for index in range(a.shape[0]):
        largest = max(largest, abs(dim_a * a[index] - dim_b * b[index]))
    return largest / (min(dim_a * _contrast(a), dim_b * _contrast(b)) + LEAST_CONTRAST)


@compiled
def _graded_difference(a: Ints, b: Ints, unit: float) -> float:
    """Return the largest difference over the contrast, a gain and an offset per channel taken off.

    The picture with more contrast is graded to the other. Both are (cells, channels), their levels
    in parts of a `unit`.
    """
    count, channels = a.shape
    spread_a, spread_b = 0, 0
    for channel in range(channels):
        sum_a, sum_b, squares_a, squares_b, _ = _sums(a[:, channel], b[:, channel])
        spread_a += count * squares_a - sum_a * sum_a
        spread_b += count * squares_b - sum_b * sum_b
    x, y = (a, b) if spread_a >= spread_b else (b, a)
    largest = 0.0
    for channel in range(channels):
        sum_x, sum_y, squares, _, products = _sums(x[:, channel], y[:, channel])
        own = count * squares - sum_x * sum_x
        gain = min(MOST_GAIN, max(LEAST_GAIN, (count * products - sum_x * sum_y) / max(own, 1)))
        for cell in range(count):
            left = (count * y[cell, channel] - sum_y) - gain * (count * x[cell, channel] - sum_x)
            largest = max(largest, abs(left) / count)
    contrast = np.sqrt(min(spread_a, spread_b) / (channels * count * count))
    return float(largest / (contrast + LEAST_CONTRAST * unit))


@compiled
def _sums(a: Ints, b: Ints) -> tuple[int, int, int, int, int]:
    """Return the sum of each, the sums of their squares, and that of their products."""
    sum_a, sum_b, squares_a, squares_b, products = 0, 0, 0, 0, 0
    for x, y in zip(a, b):  # noqa: B905 - numba knows no `strict`
        sum_a += x
        sum_b += y
        squares_a += x * x
        squares_b += y * y
        products += x * y
    return sum_a, sum_b, squares_a, squares_b, products


@compiled
def _is_monochrome(colours: NDArray[np.uint8], brightness: Ints) -> bool:
    """Return whether the brightness of a cell tells its colour, as in grey and sepia pictures."""
    count, levels = len(brightness), _levels(colours)
    for channel in range(3):
        sum_x, sum_y, squares, _, products = _sums(brightness[:, 0], levels[:, channel])
        gain = (count * products - sum_x * sum_y) / max(count * squares - sum_x * sum_x, 1)
        for cell in range(count):
            left = (count * levels[cell, channel] - sum_y) - gain * (
                count * brightness[cell, 0] - sum_x
            )
            if abs(left) >= count * MONOCHROME:
                return False
    return True


@compiled
def _levels(colours: NDArray[np.uint8]) -> Ints:
    """Return the levels of the cells of a picture, (cells, 3)."""
    found = np.empty((colours.shape[0] // 3, 3), np.int64)
    for cell in range(len(found)):
        for channel in range(3):
            found[cell, channel] = colours[3 * cell + channel]
    return found


@compiled
def _brightness(colours: NDArray[np.uint8]) -> Ints:
    """Return the brightness of the cells of a picture, (cells, 1), thousandths of a level."""
    found = np.empty((colours.shape[0] // 3, 1), np.int64)
    for cell in range(len(found)):
        found[cell, 0] = 0
        for channel in range(3):
            found[cell, 0] += BRIGHTNESS[channel] * int(colours[3 * cell + channel])
    return found


@compiled
def _contrast(colours: NDArray[np.uint8]) -> float:
    """Return the standard deviation of the cells of a picture from its mean colour, levels."""
    count, spread = colours.shape[0] // 3, 0
    for channel in range(3):
        total, squares = 0, 0
        for index in range(channel, colours.shape[0], 3):
            level = int(colours[index])
            total += level
            squares += level * level
        spread += count * squares - total * total
    return float(np.sqrt(spread / (3.0 * count * count)))


@compiled
def failed_signals(
    features: Features, limits: Limits, one: int, other: int, orientation: int
) -> int:
    """Return the bits of the signals that keep two pictures apart; 0 if they are verified."""
    found = 0
    if limits.uses & 1 and dhash_between(features, one, other, orientation) > limits.dhash:
        found |= 1
    if limits.uses & 2 and colour_between(features, one, other, orientation) > limits.colour:
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
    """Return turn, distance, dhash distance and colour difference of each pair, (n,) each.

    The turn is the first in which the two are alike, else that in which their pHashes are nearest.
    What is missing is FAR or -1.
    """
    orientations, bits = np.zeros(len(ones), np.int64), np.full(len(ones), FAR, np.int64)
    dhashes, colours = np.empty(len(ones), np.int64), np.empty(len(ones), np.float64)
    for pair in range(len(ones)):
        one, other, similar_pairs = ones[pair], others[pair], False
        for orientation in range(features.hashes.shape[1]):
            distance = bits_between(features, one, other, orientation)
            if similar_pairs or distance == FAR:
                continue
            similar_pairs = distance <= limits.distance and not failed_signals(
                features, limits, one, other, orientation
            )
            if similar_pairs or distance < bits[pair]:
                orientations[pair], bits[pair] = orientation, distance
        dhashes[pair] = dhash_between(features, one, other, orientations[pair])
        colours[pair] = colour_between(features, one, other, orientations[pair])
    return orientations, bits, dhashes, colours


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
    after = np.empty((limits.distance + 1, len(parents)), np.int64)
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
    width = int(np.log2(values))
    refused, best = 0, index
    if not features.known[index] & HAS_HASH:
        return
    for orientation in range(features.hashes.shape[1]):
        for block in range(blocks):
            value = features.hashes[index, orientation] >> np.uint64(block * width) & np.uint64(
                values - 1
            )
            other = heads[block, value]
            while other >= 0:
                if chain or other < best:
                    failed = _meeting(features, limits, other, index)
                    if failed > 0:
                        refused |= failed
                    elif failed == 0:
                        best = min(best, other)
                        if chain:
                            _join(parents, other, index)
                other = after[block, other]
    if best == index:
        failed_verification[index] = refused
    elif not chain:
        _join(parents, best, index)
    if chain or best == index:
        for block in range(blocks):
            value = features.hashes[index, 0] >> np.uint64(block * width) & np.uint64(values - 1)
            after[block, index] = heads[block, value]
            heads[block, value] = index


@compiled
def _meeting(features: Features, limits: Limits, one: int, other: int) -> int:
    """Return 0 if two pictures are alike, who objects if they are near only, -1 if not even that.

    They may be alike in any turn; who objects is told of the first in which they are near.
    """
    found = -1
    for orientation in range(features.hashes.shape[1]):
        distance = bits_between(features, one, other, orientation)
        if distance != FAR and distance <= limits.distance:
            failed = failed_signals(features, limits, one, other, orientation)
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
