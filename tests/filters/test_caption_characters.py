import duckdb
import numpy as np
import pytest

from pairsieve.filters.caption_characters import CHARS_READ, CaptionCharacters

# (text, letters, digits, symbols, capitals): counted by hand.
CASES = [
    ("", 0, 0, 0, 0),
    ("  ", 0, 0, 0, 0),
    ("Dog", 1, 0, 0, 1 / 3),
    ("AB 12 !?", 2 / 6, 2 / 6, 2 / 6, 1),
    ("犬は3", 2 / 3, 1 / 3, 0, 0),
    ("हिन्दी", 1, 0, 0, 0),  # half of it marks
    ("١٢٣ dog", 0.5, 0.5, 0, 0),
    ("🐶🐶 a", 1 / 3, 0, 2 / 3, 0),
]


@pytest.mark.parametrize("case", CASES)
def test_shares_are_those_counted_by_hand(case: tuple[str, float, float, float, float]) -> None:
    columns = CaptionCharacters().measure(np.array([case[0]], object))
    assert [float(column[0]) for column in columns] == pytest.approx(case[1:])


@pytest.mark.parametrize(
    ("option", "row"),
    [
        ("min_letters", (0.5, 0, 0, 0)),
        ("max_digits", (1, 0.5, 0, 0)),
        ("max_symbols", (1, 0, 0.5, 0)),
        ("max_capitals", (1, 0, 0, 0.5)),
    ],
)
def test_a_bound_is_kept_and_what_is_beyond_is_dropped(option: str, row: tuple[float, ...]) -> None:
    beyond = tuple(v + (-0.01 if option == "min_letters" else 0.01) if v == 0.5 else v for v in row)
    names = "t(letter_share, digit_share, symbol_share, capital_share)"
    rule = CaptionCharacters(**{option: 0.5}).rule()
    query = f"SELECT {rule} FROM (VALUES {row}, {beyond}) {names}"
    assert duckdb.execute(query).fetchall() == [(True,), (False,)]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["min_letters", "max_digits", "max_symbols", "max_capitals"])
def test_refuses_what_is_no_share(name: str, share: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], got {share}"):
        CaptionCharacters(**{name: share})


def test_only_the_beginning_is_read() -> None:
    columns = CaptionCharacters().measure(np.array(["a" * CHARS_READ + "1" * 10**6], object))
    assert [column.tolist() for column in columns[:2]] == [[1], [0]]


def test_order_and_batches_do_not_matter() -> None:
    texts = np.array([case[0] for case in CASES], object)
    whole = np.stack(CaptionCharacters().measure(texts))
    back = np.concatenate(
        [np.stack(CaptionCharacters().measure(part)) for part in (texts[:0], texts[:3], texts[3:])],
        axis=1,
    )
    assert np.array_equal(whole, back)
