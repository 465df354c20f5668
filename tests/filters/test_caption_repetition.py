import duckdb
import numpy as np
import pytest

from pairsieve.filters.caption_repetition import CaptionRepetition

# (text, share in the pair of words, share of runs of 5 that occurred before): by hand.
CASES = [
    ("", 0, 0),
    ("a dog in the snow", 0, 0),
    ("red dog red dog", 1, 3 / 11),  # "red d", "ed do" and "d dog" come again
    ("red dog and red dog", 12 / 15, 3 / 15),
    ("Red dog RED DOG x", 12 / 13, 4 / 13),
    ("aaaaaaaaaa", 0, 5 / 6),
    ("犬猫鳥魚馬犬猫鳥魚馬", 0, 1 / 6),
    ("one two one three one four", 0, 2 / 22),  # "one t" and " one ",
]


@pytest.mark.parametrize(("text", "words", "chars"), CASES)
def test_shares_are_those_counted_by_hand(text: str, words: float, chars: float) -> None:
    by_words, by_chars = CaptionRepetition().measure(np.array([text], object))
    assert float(by_words[0]) == pytest.approx(words)
    assert float(by_chars[0]) == pytest.approx(chars)


def test_bounds_are_kept_and_what_is_beyond_is_dropped() -> None:
    rule = CaptionRepetition(max_words=0.5, max_chars=0.5).rule()
    values = "(VALUES (0.5, 0.5), (0.51, 0), (0, 0.51), (NULL, 0))"
    query = f"SELECT {rule} FROM {values} t(repeated_words, repeated_chars)"
    rows = duckdb.execute(query).fetchall()
    assert rows == [(True,), (False,), (False,), (None,)]


@pytest.mark.parametrize("name", ["max_words", "max_chars"])
def test_refuses_what_is_no_share(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], got 2"):
        CaptionRepetition(**{name: 2})


def test_no_texts_give_no_shares() -> None:
    columns = CaptionRepetition().measure(np.array([], object))
    assert [(c.shape, c.dtype.name) for c in columns] == [((0,), "float32")] * 2


def test_order_and_batches_do_not_matter() -> None:
    texts = np.array([text for text, _, _ in CASES], object)
    whole = np.stack(CaptionRepetition().measure(texts))
    back = np.stack(CaptionRepetition().measure(texts[::-1]))[:, ::-1]
    assert np.array_equal(whole, back)
