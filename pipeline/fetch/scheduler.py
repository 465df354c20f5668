"""The scheduler of one unit's transfers: what is started when, and what becomes of each answer.

A thread of its own runs them: it follows redirects, puts off further attempts, waits for a host's
robots.txt before anything else of the host, slows down and leaves alone. Only `add` and `results`
run outside of it.
"""

import heapq
import itertools
import queue
import threading
import time
import zlib
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from pairsieve.pipeline.fetch.addresses import Addresses, Refused
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.event_loop import EventLoop
from pairsieve.pipeline.fetch.host_queue import HostQueue
from pairsieve.pipeline.fetch.memory_budget import MemoryBudget
from pairsieve.pipeline.fetch.origins import Origins
from pairsieve.pipeline.fetch.request import Answer, Transfer
from pairsieve.pipeline.fetch.robots import MAX_REDIRECTS, TIMEOUT_S, RulesCache, product_token
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

BACKOFF_S = 0.5  # before the second attempt; doubles with each further one
MAX_WAIT_S = 30.0  # before another attempt of a URL on its own account
ITEM_BYTES = 1_000  # what a result costs besides its body
_RETRIED_STATUS = frozenset((408, 425, 429))  # besides the transient outcomes


@dataclass(slots=True)
class Job:
    """A URL on its way.

    Attributes:
        url: As the caller has it.
        target: What is requested next: the URL, or where redirects have led.
        robots_txt: Whether this is a robots.txt, which other jobs wait for.
        left_s: What is left of the limit for one attempt, s.
        redirects: Followed in this attempt.
        attempts: Begun.
        began: When the first attempt began, monotonic clock.
        last_url: The URL of the last request, if there was one.
        requested_at: When the last attempt began, ms since 1970 UTC.
        cookies: Set by the redirects of this attempt.
        first: What every attempt starts from.
    """

    url: str
    target: CanonicalUrl
    robots_txt: bool = False
    left_s: float = 0.0
    redirects: int = 0
    attempts: int = 0
    began: float = 0.0
    last_url: str | None = None
    requested_at: int | None = None
    cookies: tuple[bytes, ...] = ()
    first: CanonicalUrl = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.target


@dataclass(slots=True)
class EndedJob:
    """A job and what it ended with, at a time of the monotonic clock."""

    job: Job
    answer: Answer
    at: float


@dataclass(frozen=True, slots=True)
class Shared:
    """What a unit's transfers share with those of other units.

    Attributes:
        among: How many units are fetched at the same time; each gets an equal part of what a host
            is allowed to see.
        rules_cache: What robots.txt files say.
        sent: Requests sent, by host and second since 1970 UTC; counted up here.
    """

    among: int = 1
    rules_cache: RulesCache = field(default_factory=RulesCache)
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)


class Scheduler:
    """The jobs of one unit."""

    def __init__(self, options: Fetch, addresses: Addresses, shared: Shared) -> None:
        self._options = options
        self._addresses = addresses
        self._robot = product_token(options.user_agent)
        self._sent = shared.sent
        self._added: list[Job] = []
        self._unfinished = 0
        connections = max(1, options.per_host_connections // shared.among)
        self._hosts: HostQueue[Job] = HostQueue(connections, options.per_host_per_s / shared.among)
        self._origins: Origins[Job] = Origins(options, shared.rules_cache)
        self._slowed: set[str] = set()  # origins whose Crawl-delay is kept
        self._among = shared.among
        self._later: list[tuple[float, int, Job]] = []  # heap: due, ticket, job
        self._checks: list[tuple[float, int, Transfer]] = []  # heap: due, serial, transfer
        self._tickets = itertools.count(1)
        self._under_way: dict[Transfer, Job] = {}
        self._idle: list[Transfer] = []
        self._budget = MemoryBudget()
        # Handed over between the threads; each counter has one writer, so neither needs a lock.
        self._done: queue.SimpleQueue[EndedJob | BaseException] = queue.SimpleQueue()
        self._delivered = 0  # bytes
        self._consumed = 0
        self._full = False
        self._stopping = False

    def add(self, job: Job) -> None:
        """Queue `job`, before `results` is called."""
        self._added.append(job)

    def results(self) -> Generator[EndedJob]:
        """Yield what becomes of every job; the thread lives as long as this generator."""
        self._unfinished = expected = len(self._added)
        if not expected:
            return
        loop = EventLoop(max_connections=2 * self._options.concurrency)
        thread = threading.Thread(target=self._run, args=(loop,), name="fetch", daemon=True)
        thread.start()
        try:
            for _ in range(expected):
                item = self._done.get()
                if isinstance(item, BaseException):
                    raise item
                self._consumed += _cost(item)
                if self._full:
                    loop.wake()
                yield item
        finally:
            self._stopping = True
            loop.wake()
            thread.join()
            self._close(loop)

    def _close(self, loop: EventLoop) -> None:
        for transfer in self._under_way:
            loop.end(transfer)
        for transfer in (*self._under_way, *self._idle):
            transfer.close()
        loop.close()

    # From here on: in the thread.

    def _run(self, loop: EventLoop) -> None:
        """Run until all is done or the consumer has gone; hand any error to the consumer."""
        try:
            for job in self._added:
                self._admit(job)
            self._added.clear()
            while self._unfinished and not self._stopping:
                now = time.monotonic()
                self._start(loop, now)
                self._balance(now)
                for transfer, code, message in loop.wait(self._next_due()):
                    self._end(loop, transfer, code, message)
                self._check(loop)
        except BaseException as error:
            self._done.put(error)

    def _next_due(self) -> float | None:
        """Return when something has to be done even if nothing happens (monotonic clock)."""
        checks = self._checks
        while checks and checks[0][2].serial != checks[0][1]:
            heapq.heappop(checks)
        dues = [heap[0][0] for heap in (self._later, checks) if heap]
        due = self._hosts.next_due()
        if due is not None and len(self._under_way) < self._options.concurrency and not self._full:
            dues.append(due)
        return min(dues, default=None)

    def _start(self, loop: EventLoop, now: float) -> None:
        """Start as many transfers as limits and backlog allow."""
        while self._later and self._later[0][0] <= now:
            self._admit(heapq.heappop(self._later)[2], first=True)
        while len(self._under_way) < self._options.concurrency and self._room():
            job = self._hosts.take(now)
            if job is None:
                return
            target = job.target
            if not job.redirects:
                self._begin_attempt(job, now)
            job.last_url = target.url
            if self._idle:
                transfer = self._idle.pop()
            else:
                transfer = Transfer(self._options, self._addresses, self._budget, self._robot)
            transfer.start(target, job.left_s, now, job.robots_txt, job.cookies)
            transfer.counted = target.host_name, int(time.time())
            self._sent[transfer.counted] += 1
            self._under_way[transfer] = job
            loop.begin(transfer)
            transfer.serial = next(self._tickets)
            heapq.heappush(self._checks, (transfer.first_check(), transfer.serial, transfer))

    def _begin_attempt(self, job: Job, now: float) -> None:
        if not job.attempts:
            job.began = now
        job.attempts += 1
        job.requested_at = int(time.time() * 1000)
        job.left_s = self._options.timeout_s
        job.cookies = ()
        if job.robots_txt:
            job.left_s = min(job.left_s, TIMEOUT_S)

    def _room(self) -> bool:
        """Return whether the backlog has room; if not, let the consumer wake the loop."""
        self._full = True  # set before looking, so that no room made meanwhile goes unnoticed
        self._budget.waiting = self._delivered - self._consumed
        self._full = self._budget.full()
        return not self._full

    def _balance(self, now: float) -> None:
        """Let transfers pause while too much is buffered, all but the oldest."""
        budget = self._budget
        budget.oldest = next(iter(self._under_way), None)
        budget.waiting = self._delivered - self._consumed
        if not budget.pausing:
            return
        self._full = True  # set before looking, as in `_room`
        budget.waiting = self._delivered - self._consumed
        concerned, budget.pausing = budget.pausing, []
        for transfer in dict.fromkeys(concerned):
            if transfer not in self._under_way:
                continue
            if budget.must_pause(transfer):
                if not transfer.paused:
                    transfer.pause(now)
                budget.pausing.append(transfer)
            elif transfer.paused:
                transfer.resume(now)

    def _check(self, loop: EventLoop) -> None:
        """End the transfers that do not keep a limit on time or speed."""
        now = time.monotonic()
        while self._checks and self._checks[0][0] <= now:
            _, serial, transfer = heapq.heappop(self._checks)
            if transfer.serial != serial:
                continue
            late = transfer.late(now)
            if isinstance(late, float):
                heapq.heappush(self._checks, (late, serial, transfer))
            else:
                self._end(loop, transfer, late=late)

    def _end(
        self,
        loop: EventLoop,
        transfer: Transfer,
        code: int = 0,
        message: str = "",
        late: tuple[Outcome, str] | None = None,
    ) -> None:
        """Let go of `transfer` and settle its job; `late` is the limit it did not keep."""
        loop.end(transfer)
        transfer.serial = 0
        job = self._under_way.pop(transfer)
        self._budget.arriving -= transfer.buffered
        self._idle.append(transfer)
        self._hosts.release(job.target.host_name)
        now = time.monotonic()
        answer = transfer.answer(code, message, now, late)
        if answer.redirect:
            job.cookies = transfer.cookies()
        if answer.outcome is Outcome.BLOCKED_ADDRESS:  # there was no socket, so nobody saw it
            self._uncount(transfer.counted)
        self._settle(job, answer, now)

    def _uncount(self, key: tuple[str, int]) -> None:
        self._sent[key] -= 1
        if not self._sent[key]:
            del self._sent[key]

    def _settle(self, job: Job, answer: Answer, now: float) -> None:
        """Follow a redirect, put off another attempt, or hand over the result."""
        job.left_s -= answer.seconds
        target = job.target
        failures = self._origins.count(target.origin, answer)
        if failures and (answer.status in (429, 503) or answer.retry_after_s):
            wait = max(answer.retry_after_s, BACKOFF_S * 2 ** min(failures - 1, 20))
            self._hosts.back_off(target.host_name, now + min(wait, self._options.retry_after_max_s))
        if self._origins.paused(target.origin) and failures == self._options.host_failures:
            for other in self._hosts.withdraw(
                target.host_name, lambda j: j.target.origin == target.origin
            ):
                self._admit(other)
        if answer.redirect:
            ended = self._redirected(job, answer.redirect)
            if not ended:
                return
            answer.outcome, answer.detail = ended
        transient = answer.outcome.transient or answer.status in _RETRIED_STATUS
        if (
            transient
            and job.attempts <= self._options.retries
            and not self._origins.paused(target.origin)
        ):
            due = now + _wait_s(job)
            job.target, job.redirects = job.first, 0
            heapq.heappush(self._later, (due, next(self._tickets), job))
        else:
            self._finish(job, answer, now)

    def _finish(self, job: Job, answer: Answer, now: float) -> None:
        """Hand over what `job` ended with, or let go on what waited for a robots.txt."""
        if job.robots_txt:
            self._origins.learn(job.first.origin, answer)
            for waiting in self._origins.waiting.pop(job.first.origin):
                self._admit(waiting, first=True)
            return
        self._unfinished -= 1
        ended = EndedJob(job, answer, now)
        self._delivered += _cost(ended)
        self._budget.waiting = self._delivered - self._consumed
        self._done.put(ended)

    def _admit(self, job: Job, first: bool = False) -> None:
        """Let `job` wait for its turn, or for its host's robots.txt, or end where it may not go."""
        target = job.target
        if job.robots_txt:
            self._hosts.add(target.host_name, job, first)
            return
        verdict = self._origins.verdict(target)
        if verdict == "allowed":
            if target.origin not in self._slowed:
                self._slowed.add(target.origin)
                self._hosts.slow_down(
                    target.host_name, self._origins.delay_s(target.origin) * self._among
                )
            self._hosts.add(target.host_name, job, first)
        elif isinstance(verdict, Answer):
            self._finish(job, verdict, time.monotonic())
        elif target.origin in self._origins.waiting:
            self._origins.waiting[target.origin].append(job)
        else:
            self._origins.waiting[target.origin] = [job]
            url = f"{target.origin}/robots.txt"
            robots_txt = Job(url, replace(target, url=url), robots_txt=True)
            self._hosts.add(target.host_name, robots_txt, first=True)

    def _redirected(self, job: Job, location: str) -> tuple[Outcome, str | None] | None:
        """Send `job` on, or return the outcome that ends it here and its detail."""
        target = self._addresses.target(location, job.target)
        if isinstance(target, Refused):
            # An unusable URL in a redirect is the server's fault, not the pair's.
            no_url = target.outcome is Outcome.NO_URL
            outcome = Outcome.BAD_RESPONSE if no_url else target.outcome
            return outcome, f"redirect: {target.detail}"
        max_redirects = MAX_REDIRECTS if job.robots_txt else self._options.max_redirects
        if job.redirects >= max_redirects:
            return Outcome.TOO_MANY_REDIRECTS, None
        if job.left_s <= 0:
            return Outcome.TIMEOUT_TOTAL, None
        job.target = target
        job.redirects += 1
        self._admit(job, first=True)
        return None


def _wait_s(job: Job) -> float:
    """Return how long to wait before the next attempt: exponential, spread by the URL's hash, s."""
    spread: float = zlib.crc32(job.url.encode("utf-8", "replace")) / 2**32
    wait: float = BACKOFF_S * 2 ** (job.attempts - 1) * (0.5 + spread)
    return min(wait, MAX_WAIT_S)


def _cost(ended: EndedJob) -> int:
    """Return what a result counts for in the backlog, bytes."""
    return len(ended.answer.body) + ITEM_BYTES
