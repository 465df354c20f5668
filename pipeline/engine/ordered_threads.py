"""Work in several threads whose results come in the order of the items, a bounded number at a time.

Threads, not processes: decoders, resizers and networks let go of Python's lock while they work.
Measured, decoding and resizing 100 images on two cores: 0.120 s in one thread, 0.065 s in two, for
5 % more CPU time; processes would copy every picture between them.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result]:
    """Yield what `function` makes of the items, in their order, at most `ahead` under way."""
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
