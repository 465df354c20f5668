"""Asking many questions at once: attempts, waits between them, the rate, and when to stop.

Threads, since all of the time is spent waiting for the service. What ends all of it (a key that is
refused, money spent) is noted once; requests under way are then given up within a second.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from pairsieve.pipeline.captions.answers import Answer, CaptionOutcome, judged
from pairsieve.pipeline.captions.endpoint import Endpoint
from pairsieve.pipeline.captions.usage import Usage
from pairsieve.schemas.recipe_captions import Captions

LONGEST_WAIT_S = 60.0
AHEAD = 2  # questions in hand for each thread


@dataclass(frozen=True, slots=True)
class Share:
    """What a task may take of the recipe's limits.

    Attributes:
        concurrency: Requests under way.
        per_s: Requests per second; None for any.
        cost: What its answers may cost; None for any.
    """

    concurrency: int
    per_s: float | None = None
    cost: float | None = None


class Pace:
    """When the next request may begin."""

    def __init__(self, per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Let so many begin per second by this clock; None for any."""
        self._clock = clock
        self._interval = 1 / per_s if per_s else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def turn(self) -> float:
        """Return how long to wait for a turn, which is taken, s."""
        with self._lock:
            now = self._clock()
            begin = max(now, self._next)
            self._next = begin + self._interval
            return begin - now

    def pause(self, seconds: float) -> None:
        """Let none begin for a while."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class Asker:
    """Asks; what it has asked costs."""

    def __init__(self, options: Captions, share: Share) -> None:
        """Take the recipe's section and what may be taken of its limits.

        Raises:
            Stopped: the key is not in the environment.
        """
        self.reason = ""
        self.stopping = threading.Event()
        self._options = options
        self._share = share
        self._endpoint = Endpoint(options, self.stopping)
        self._pace = Pace(share.per_s)
        self._cost = 0.0
        self._lock = threading.Lock()

    def stop(self, reason: str) -> None:
        """Ask no more, and give up what is under way; the first reason counts."""
        with self._lock:
            self.reason = self.reason or reason
        self.stopping.set()

    def ask(self, question: bytes) -> Answer:
        """Return the answer after as many attempts as it needs and may have."""
        usage = Usage()
        answer = Answer(None)
        for attempt in range(self._options.retries + 1):
            if self.stopping.wait(self._pace.turn()):
                return Answer(None, usage=usage)
            answer, wait_s = self._attempt(question, attempt)
            usage += answer.usage
            if answer.outcome is None:
                self.stop(f"{self._options.url}: {answer.detail}")
            if answer.final or (attempt < self._options.retries and self.stopping.wait(wait_s)):
                break
        if self.stopping.is_set() and not answer.final:
            return Answer(None, usage=usage)
        return replace(answer, usage=usage)

    def _attempt(self, question: bytes, attempt: int) -> tuple[Answer, float]:
        """Return what one request came to, and how long to wait before another, s."""
        began = time.monotonic()
        reply = self._endpoint.post(question)
        answer = judged(reply, self._options)
        sent = Usage(requests=1, retries=int(attempt > 0), seconds=time.monotonic() - began)
        self._spend(answer.usage.cost)
        asked = min(reply.retry_after_s or 0.0, LONGEST_WAIT_S)
        if asked:
            self._pace.pause(asked)
        doubled = self._options.backoff_s * 2**attempt * random.uniform(0.75, 1.25)
        return replace(answer, usage=answer.usage + sent), max(asked, min(doubled, LONGEST_WAIT_S))

    def _spend(self, cost: float) -> None:
        """Count what an answer cost, and stop where no more may be spent."""
        with self._lock:
            self._cost += cost
            spent = self._share.cost is not None and self._cost >= self._share.cost
        if spent:
            self.stop(f"captions.max_cost: {self._options.max_cost:g} are spent; raise it to go on")


def ask_all(
    asker: Asker, questions: Iterable[bytes], concurrency: int
) -> Iterator[tuple[int, Answer]]:
    """Yield the number of a question, from 0, and its answer, in the order in which they come.

    Some have no outcome once the asker stops.
    """
    with ThreadPoolExecutor(concurrency) as pool:
        under_way: dict[Future[Answer], int] = {}
        try:
            for number, question in enumerate(questions):
                under_way[pool.submit(asker.ask, question)] = number
                while len(under_way) >= AHEAD * concurrency:
                    yield from _finished(under_way)
                if asker.stopping.is_set():
                    break
            while under_way:
                yield from _finished(under_way)
        finally:
            asker.stopping.set()


def _finished(under_way: dict[Future[Answer], int]) -> Iterator[tuple[int, Answer]]:
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    for future in done:
        yield under_way.pop(future), future.result()


def failures_in_a_row(before: int, answer: Answer) -> int:
    """Return how many pairs in a row have no answer, with this one."""
    failed = (CaptionOutcome.NO_ANSWER, CaptionOutcome.DECLINED, CaptionOutcome.MALFORMED)
    return before + 1 if answer.outcome in failed else 0
