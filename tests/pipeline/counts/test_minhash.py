"""MinHash: what is alike shares a band about as often as computed, and Jaccard is exact."""

import numpy as np
import pytest

from pairsieve.pipeline.counts import minhash
from pairsieve.pipeline.counts.caption_ngrams import Ngrams, ngrams
from pairsieve.pipeline.counts.minhash import Bands, alike, band_keys, bands


def pairs_at(jaccard: float, count: int = 2000) -> tuple[Ngrams, Ngrams]:
    """Return sets of 20 n-grams, and others that share so much with them; drawn by chance."""
    rng = np.random.default_rng(1)
    shared = round(40 * jaccard / (1 + jaccard))
    one, other = rng.integers(0, 2**64, (2, count, 20), np.uint64)
    other[:, :shared] = one[:, :shared]
    sizes = np.full(count, 20)
    return Ngrams(one.ravel(), sizes), Ngrams(other.ravel(), sizes)


@pytest.mark.parametrize(("jaccard", "shared"), [(0.6, 15 / 25), (2 / 3, 16 / 24), (0.8, 18 / 22)])
def test_as_many_share_a_band_as_the_formula_says(jaccard: float, shared: float) -> None:
    shape = Bands(17, 4)
    one, other = (band_keys(sets, shape) for sets in pairs_at(jaccard))
    share = 1 - (1 - shared**4) ** 17
    found = float(np.mean(np.any(one == other, axis=1)))
    assert abs(found - share) < 4 * (share * (1 - share) / 2000) ** 0.5 + 1e-3


def test_bands_are_those_with_which_99_of_100_meet() -> None:
    assert bands(0.7) == (17, 4)  # 1 - (1 - 0.7 ** 4) ** 17 = 0.9906
    assert bands(1.0).bands == 1


def test_what_has_nothing_in_common_shares_no_band() -> None:
    one, other = (band_keys(sets, Bands(17, 4)) for sets in pairs_at(0.0))
    assert not np.any(one == other)


def joined(texts: list[str], min_jaccard: float) -> list[list[int]]:
    """Return which pairs of captions, all in one group, are joined."""
    found = ngrams(texts)
    sets = [np.unique(minhash.short(part)) for part in np.split(found.keys, found.sizes.cumsum())]
    ends = np.cumsum([len(part) for part in sets[:-1]])
    groups = np.array([0, len(texts)])
    pairs: list[list[int]] = alike(groups, ends, np.concatenate(sets), min_jaccard).tolist()
    return pairs


def test_a_word_more_of_four_is_seven_of_nine() -> None:
    texts = ["a red dog runs", "a red dog runs fast"]
    assert joined(texts, 7 / 9) == [[1, 0]]
    assert joined(texts, 7 / 9 + 1e-9) == []


def test_order_counts_and_case_and_marks_do_not() -> None:
    assert joined(["A RED dog!", "a red, dog"], 1.0) == [[1, 0]]
    assert joined(["red dog", "dog red"], 0.5) == [[1, 0]]  # 2 words of these and 2 pairs
    assert joined(["red dog", "dog red"], 0.51) == []


def test_a_character_is_a_word_where_no_spaces_part_them() -> None:
    assert joined(["一只红狗", "一只红狗跑"], 7 / 9) == [[1, 0]]
    assert joined(["一只红狗", "一只红狗跑"], 7 / 9 + 1e-9) == []
