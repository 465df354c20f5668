"""The stars of a component, by properties and against slow ways to find the same."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.filters.colour import CELLS
from pairsieve.filters.orientation_hashes import ORIENTED
from pairsieve.pipeline.dedup import star_clusters as module
from pairsieve.pipeline.dedup.features import (
    EDITS,
    HAS_CENTRE,
    HAS_TRIMMED,
    IS_PLAIN,
    VIEWS,
    Features,
    Limits,
    oriented_cells,
    plain_pictures,
)
from pairsieve.pipeline.dedup.star_clusters import (
    INDEXED,
    are_similar,
    bits_between,
    chain_clusters,
    colour_between,
    distances,
    failed_signals,
    star_clusters,
)

DHASH, COLOUR, EMBEDDING = 1, 2, 4
SIMILAR = Limits(4, 6, 0.65, 0.9, DHASH | COLOUR)


def features(
    hashes: list[Any],
    dhashes: list[Any] | None = None,
    colours: list[int] | None = None,
    vectors: list[list[float]] | None = None,
    orientations: tuple[str, ...] = (),
    insides: list[Any] | None = None,
    centres: list[Any] | None = None,
) -> Features:
    """Return features; a hash of None is missing, a colour stands for all cells but the first.

    Of a picture with a border, `insides` has pHash and dhash inside it; colours are the whole's.
    """
    known = np.full(len(hashes), 7 if dhashes else 5, np.uint8)
    for place, value in enumerate(hashes):
        if value is None:
            known[place] &= ~np.uint8(1)
    upright = np.array([value or 0 for value in hashes], np.uint64).reshape(len(hashes), -1)
    cells = np.zeros((len(hashes), CELLS * CELLS * 3), np.uint8)
    cells[:, 3:] = np.array(colours or [100] * len(hashes))[:, None]
    if vectors:
        known |= 8
    known |= plain_pictures(cells).astype(np.uint8) * np.uint8(IS_PLAIN)
    insides, centres = insides or [None] * len(hashes), centres or [None] * len(hashes)
    known |= np.array([HAS_TRIMMED * (each is not None) for each in insides], np.uint8)
    known |= np.array([HAS_CENTRE * (each is not None) for each in centres], np.uint8)
    return Features(
        upright,
        np.array(dhashes or [0] * upright.size, np.uint64).reshape(upright.shape),
        cells,
        np.array(vectors or [[]] * len(hashes), np.float32).reshape(len(hashes), -1),
        known,
        np.array([each or (0, 0) for each in insides], np.uint64),
        cells.copy(),
        np.array([each or 0 for each in centres], np.uint64),
        oriented_cells([ORIENTED[orientation] for orientation in orientations], CELLS),
    )


def standing(found: Features, limits: Limits = SIMILAR) -> list[int]:
    parents, _ = star_clusters(found, limits, np.array([len(found.known)]))
    return [int(parent) for parent in parents]


def greedy(found: Features, limits: Limits) -> list[int]:
    """Return the stars by the definition: the best left takes all that are left and alike."""
    left, standing = list(range(len(found.known))), list(range(len(found.known)))
    while left:
        keeper = left[0]
        ones = np.full(len(left), keeper)
        similar_pairs = are_similar(found, limits, ones, np.array(left))
        taken = [
            other
            for other, same in zip(left, similar_pairs, strict=True)
            if same or other == keeper
        ]
        for other in taken:
            standing[other] = keeper
        left = [other for other in left if other not in taken]
    return standing


@st.composite
def crowds(draw: st.DrawFn) -> Features:
    """Draw pictures of a few colours and dhashes, a few bits of pHash from one another."""
    hashes = [draw(st.integers(0, 2**64 - 1))]
    for bits in draw(st.lists(st.lists(st.integers(0, 63), max_size=6), max_size=30)):
        hashes.append(draw(st.sampled_from(hashes)) ^ sum(1 << bit for bit in set(bits)))
    count = len(hashes)
    dhashes = draw(st.lists(st.sampled_from([0, 0x3F, 0xFFF]), min_size=count, max_size=count))
    colours = draw(st.lists(st.sampled_from([60, 100, 240]), min_size=count, max_size=count))
    others = st.lists(st.sampled_from([None, *hashes]), min_size=count, max_size=count)
    insides = [value and (value, 0x3F) for value in draw(others)]
    found = features(hashes, dhashes, colours, insides=insides, centres=draw(others))
    found.known[:] &= draw(st.sampled_from([0xFF, 0xFF ^ IS_PLAIN]))
    return found


@settings(max_examples=repeated(60, 200), deadline=None, derandomize=True)
@given(found=crowds(), distance=st.integers(0, 10), uses=st.integers(0, 3))
def test_stars_are_those_of_the_definition(found: Features, distance: int, uses: int) -> None:
    limits = SIMILAR._replace(distance=distance, uses=uses)
    assert standing(found, limits) == greedy(found, limits)


@settings(max_examples=repeated(40, 100), deadline=None, derandomize=True)
@given(found=crowds(), distance=st.integers(0, 10))
def test_all_are_alike_to_who_stands_for_them_and_no_two_of_these_are(
    found: Features, distance: int
) -> None:
    limits = SIMILAR._replace(distance=distance)
    keepers = standing(found, limits)
    for place, keeper in enumerate(keepers):
        assert keeper <= place
        ways = [
            way
            for way in range(1 + len(VIEWS))
            if bits_between(found, keeper, place, way) <= distance
        ]
        assert 0 in [failed_signals(found, limits, keeper, place, way) for way in ways]
    for one, other in combinations(sorted(set(keepers)), 2):
        assert not are_similar(found, limits, np.array([one]), np.array([other]))[0]


@settings(max_examples=repeated(40, 100), deadline=None, derandomize=True)
@given(found=crowds(), distance=st.integers(0, 10))
def test_chains_are_what_alike_pairs_connect(found: Features, distance: int) -> None:
    limits = SIMILAR._replace(distance=distance)
    wanted = list(range(len(found.known)))
    for one, other in combinations(range(len(wanted)), 2):
        if are_similar(found, limits, np.array([one]), np.array([other]))[0]:
            kept, gone = sorted((wanted[one], wanted[other]))
            wanted = [kept if label == gone else label for label in wanted]
    assert chain_clusters(found, limits, np.array([len(wanted)]))[0].tolist() == wanted


@pytest.mark.parametrize(
    ("chain", "distance"), [*((False, d) for d in (0, 3, 4, 10)), *((True, d) for d in (0, 3, 7))]
)
def test_the_index_of_large_components_changes_nothing(chain: bool, distance: int) -> None:
    generator = np.random.default_rng(distance)
    count = INDEXED + 100
    hashes = generator.integers(0, 2**64, count, np.uint64)
    for place in range(1, count):  # a long chain with short side arms
        steps = generator.integers(0, 64, generator.integers(0, 5)).astype(np.uint64)
        hashes[place] = hashes[generator.integers(max(0, place - 40), place)]
        for step in steps:
            hashes[place] ^= np.uint64(1) << step
    dhashes = generator.choice([0, 0x7F, 0xFFFF], count).tolist()
    insides = [(other, 0) if other % 3 == 0 else None for other in np.roll(hashes, 7).tolist()]
    centres = np.roll(hashes, 50).tolist()
    found = features(hashes.tolist(), dhashes, insides=insides, centres=centres)
    found.known[:] &= ~np.uint8(IS_PLAIN)
    limits = SIMILAR._replace(distance=distance)
    way = chain_clusters if chain else star_clusters
    whole = way(found, limits, np.array([count]))
    slow_parents, slow_objected = np.arange(count), np.zeros(count, np.int64)
    for place in range(count):
        module._settle_among(found, limits, 0, place, chain, slow_parents, slow_objected)
    for place in range(count):
        slow_parents[place] = slow_parents[slow_parents[place]]
    assert (whole[0] == slow_parents).all()
    assert (whole[1] == slow_objected).all()
    assert 10 < len(set(whole[0].tolist())) < count - 10 or chain or distance == 0


def test_the_ends_of_a_chain_are_not_joined_by_a_star() -> None:
    chain = features([0, 0xF, 0xFF, 0xFFF])
    assert standing(chain) == [0, 0, 2, 2]
    assert chain_clusters(chain, SIMILAR, np.array([4]))[0].tolist() == [0, 0, 0, 0]


def test_components_are_apart_whatever_they_hold() -> None:
    assert star_clusters(features([0, 0, 0, 0]), SIMILAR, np.array([1, 4]))[0].tolist() == [
        0,
        1,
        1,
        1,
    ]


def test_a_missing_phash_is_near_none() -> None:
    assert standing(features([None, 0, None, 0])) == [0, 1, 2, 1]


def test_who_objected_is_told_of_those_that_stay_alone_only() -> None:
    found = features([0, 1, 2, 3], [0, 0xFF, 0xFF, 0], [100, 100, 180, 100])
    keepers, failed_verification = star_clusters(found, SIMILAR, np.array([4]))
    assert keepers.tolist() == [0, 1, 1, 0]  # 180 is dimmed to 100
    assert failed_verification.tolist() == [0, DHASH, 0, 0]


@pytest.mark.parametrize(("bits", "similar_pairs"), [(6, True), (7, False)])
def test_the_bound_of_the_dhash_is_kept(bits: int, similar_pairs: bool) -> None:
    assert (standing(features([0, 0], [0, 2**bits - 1])) == [0, 0]) is similar_pairs


def test_a_signal_that_is_not_asked_or_missing_does_not_object() -> None:
    found = features([0, 0], [0, 2**64 - 1])
    assert standing(found) == [0, 1]
    assert standing(found, SIMILAR._replace(uses=COLOUR)) == [0, 0]
    found.known[1] &= ~np.uint8(2)
    assert standing(found) == [0, 0]


@pytest.mark.parametrize(("cosine", "similar_pairs"), [(0.9, True), (0.89, False)])
def test_vectors_are_compared_by_their_cosine(cosine: float, similar_pairs: bool) -> None:
    vectors = [[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]]
    limits = SIMILAR._replace(uses=EMBEDDING, cosine=0.8999999)
    assert (standing(features([0, 0], vectors=vectors), limits) == [0, 0]) is similar_pairs


def cells(*levels: int) -> NDArray[np.uint8]:
    """Return 75 levels: these grey cells first, the others black."""
    grey = np.zeros(CELLS * CELLS, np.uint8)
    grey[: len(levels)] = levels
    return np.repeat(grey, 3)


def between(one: NDArray[np.uint8], other: NDArray[np.uint8], orientation: int = 0) -> float:
    found = features([[0, 0], [0, 0]], orientations=("mirrored",))
    found.colours[0], found.colours[1] = one, other
    plain = plain_pictures(found.colours).astype(np.uint8) * np.uint8(IS_PLAIN)
    found.known[:] = found.known & ~np.uint8(IS_PLAIN) | plain
    return float(colour_between(found, 0, 1, orientation))


def test_the_difference_of_colours_is_as_worked_out_by_hand() -> None:
    # One cell of 25 is 100: mean 4, mean square 400, so the contrast is sqrt(400 - 16) = 19.596.
    # The other picture has 100 in the next cell: no brightness helps (their product is 0, so the
    # first is dimmed to a half): the second stays 100 away, over half the contrast of the first.
    assert between(cells(100), cells(0, 100)) == pytest.approx(100 / (19.596 / 2 + 4), rel=1e-4)


def test_a_darker_copy_is_no_different_down_to_half() -> None:
    assert between(cells(100, 200), cells(50, 100)) == 0
    assert between(cells(50, 100), cells(100, 200)) == 0
    # At a quarter: dimmed to a half, 100 to 50 is left of 200 to 50, over the darker's contrast.
    contrast = ((50**2 + 25**2) / 25 - (75 / 25) ** 2) ** 0.5
    assert between(cells(100, 200), cells(25, 50)) == pytest.approx(50 / (contrast + 4))


def test_the_colour_of_one_channel_counts() -> None:
    red, blue = np.zeros(75, np.uint8), np.zeros(75, np.uint8)
    red[0::3], blue[2::3] = 200, 200
    assert between(red, blue) == 200 / 4  # no contrast within either


def test_turned_colours_are_compared_in_their_places() -> None:
    corner = np.zeros((CELLS, CELLS, 3), np.uint8)
    corner[0, 0] = 200
    mirrored = corner[:, ::-1]
    assert between(corner.ravel(), mirrored.ravel(), orientation=1) == 0
    assert between(corner.ravel(), mirrored.ravel(), orientation=0) > 1


def test_a_turned_copy_is_found_and_its_turn_told() -> None:
    found = features(
        [[0, 0xFFFF], [0xFFFF_0000, 1]], [[0, 0xFF], [0xFF, 0]], orientations=("mirrored",)
    )
    limits = SIMILAR._replace(uses=DHASH)
    assert standing(found, limits) == [0, 0]
    orientations, bits, dhashes, colours = distances(found, limits, np.array([0]), np.array([1]))
    assert (orientations[0], bits[0], dhashes[0]) == (1, 1, 0)
    assert colours[0] > 0  # the black cell is at the other side


FRAMED, CROPPED = "borders", "crops"


@pytest.mark.parametrize(
    ("views", "edit"),
    [
        ({"insides": [None, (1, 0)]}, FRAMED),
        ({"insides": [(0xFFFF_0001, 0), None]}, FRAMED),
        ({"insides": [(0xF0007, 0), (0xF0006, 0)]}, FRAMED),
        ({"centres": [0xFFFF_0001, None]}, CROPPED),
        ({"centres": [None, 1]}, CROPPED),
        ({"centres": [0xF0007, 0xF0006]}, None),  # two middles show no crop
        ({}, None),
    ],
)
def test_a_framed_or_cropped_copy_is_found_and_the_edit_told(
    views: dict[str, Any], edit: str | None
) -> None:
    found = features([0, 0xFFFF_0000], [0, 0], **views)
    found.known[:] &= ~np.uint8(IS_PLAIN)
    assert standing(found) == ([0, 0] if edit else [0, 1])
    ways, bits, dhashes, colours = distances(found, SIMILAR, np.array([0]), np.array([1]))
    assert (dhashes[0], colours[0]) == (0, 0)
    if edit:
        assert (bits[0], EDITS[ways[0] - 1]) == (1, edit)
    else:
        assert bits[0] > SIMILAR.distance


def test_the_middle_of_a_plain_picture_is_not_compared() -> None:
    found = features([0, 0xFFFF], [0, 0], centres=[0xFFFF, None])
    assert found.known[0] & IS_PLAIN
    assert standing(found) == [0, 1]


def test_what_is_inside_a_border_is_verified_by_its_own_dhash_and_colours() -> None:
    found = features([0, 0xFFFF], [0, 2**64 - 1], insides=[None, (0, 0)])
    found.known[:] &= ~np.uint8(IS_PLAIN)
    found.trimmed_colours[1] = found.colours[0][::-1]  # black at the other end
    assert standing(found) == [0, 1]
    found.trimmed_colours[1] = found.colours[0]
    assert standing(found) == [0, 0]
    found.trimmed[1, 1] = 2**7 - 1
    assert standing(found) == [0, 1]


def scene(seed: int = 0) -> NDArray[np.int64]:
    """Return the levels, (25, 3), of a picture of which no cells look the same."""
    return np.random.default_rng(seed).integers(40, 180, (CELLS * CELLS, 3))


def levels(cells: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.round(cells), 0, 255).astype(np.uint8).ravel()


GRADED = {
    "gain": scene() * 0.6,
    "offset": scene() * 0.7 + 70,
    "each channel": scene() * [1.2, 1.0, 0.7] + [10, 0, 20],
    "grey": np.repeat(scene() @ [[0.299], [0.587], [0.114]], 3, axis=1),
    "sepia": (scene() @ [[0.299], [0.587], [0.114]]) * [1.07, 0.9, 0.7],
}


@pytest.mark.parametrize("graded", GRADED.values(), ids=GRADED.keys())
def test_a_picture_full_of_detail_may_be_graded(graded: NDArray[Any]) -> None:
    original = levels(scene())
    assert not plain_pictures(np.stack((original, levels(graded)))).any()
    assert between(original, levels(graded)) < 0.05
    assert between(levels(graded), original) < 0.05
    assert between(levels(scene(1)), levels(graded)) > 1


def test_what_is_left_after_grading_is_as_worked_out_by_hand() -> None:
    # 12 cells at 50, 12 at 150, one at 100; in the copy this one is at 112. Nothing of it is in the
    # gain, because it lies at the mean, and the offset takes a 25th: 11.52 of 12 are left.
    def picture(middle: int) -> NDArray[np.uint8]:
        return cells(*([50, 150] * 12), middle)

    found = features([0, 0])
    found.colours[:] = picture(100), picture(112)
    found.known[:] = 7  # graded, though half of the cells look the same
    contrast = (24 * 50**2 / 25) ** 0.5
    expected = 0.7 * 11.52 / (contrast + 4)
    assert colour_between(found, 0, 1, 0) == pytest.approx(expected, rel=0.01)


def test_a_graphic_in_other_colours_is_another_picture() -> None:
    white, shape = np.full((CELLS * CELLS, 3), 255), slice(6, 14)
    blue, green = white.copy(), white.copy()
    blue[shape], green[shape] = (20, 60, 140), (20, 120, 60)
    both = np.stack((levels(blue), levels(green)))
    assert plain_pictures(both).all()
    assert between(*both) > 0.55


@pytest.mark.parametrize(("alike", "plain"), [(7, False), (8, True)])
def test_a_picture_is_plain_when_a_third_of_its_cells_look_the_same(
    alike: int, plain: bool
) -> None:
    picture = np.arange(CELLS * CELLS)[:, None] * [10, 0, 0] + [0, 90, 200]
    picture[:alike] = 120
    assert plain_pictures(levels(picture)[None]).tolist() == [plain]
