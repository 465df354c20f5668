import pytest

from pairsieve.jobs.live.words import size_in_words, time_in_words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (25_400_000, "25 MB"), (3e15, "3,000.0 TB")],
)
def test_a_size_has_the_unit_that_suits_it(size: float, words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (119, "119 s"), (120, "2.0 min"), (9000, "2.5 h"), (864_000, "10.0 days")],
)
def test_a_time_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
