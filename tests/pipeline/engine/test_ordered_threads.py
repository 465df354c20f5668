import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pairsieve.pipeline.engine.ordered_threads import in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def late(number: int) -> int:
        time.sleep(0.01 if number == 0 else 0)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        assert list(in_order(pool, late, range(9), 4)) == [n * n for n in range(9)]


def test_no_more_items_are_taken_than_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, str, items(), 3)
        next(results)
        assert taken == [0, 1, 2]
        results.close()


def test_an_error_reaches_the_reader_and_ends_the_work() -> None:
    done = []

    def fail(number: int) -> None:
        done.append(number)
        raise ValueError(f"item {number}")

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="item 0"):
        list(in_order(pool, fail, range(1000), 4))
    assert len(done) <= 4
