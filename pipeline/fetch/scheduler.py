"""All transfers of one unit: what is started when, and what becomes of each answer.

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
from dataclasses import dataclass, replace

from pairsieve.pipeline.fetch.addresses import Addresses, Refused, Target
from pairsieve.pipeline.fetch.event_loop import Multi
from pairsieve.pipeline.fetch.host_queue import Hosts
from pairsieve.pipeline.fetch.memory_budget import Held
from pairsieve.pipeline.fetch.origins import Sites
from pairsieve.pipeline.fetch.request import Answer, Transfer
from pairsieve.pipeline.fetch.robots import MAX_REDIRECTS, TIMEOUT_S, product
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
        url: As it was given.
        target: What is asked for next: the URL, or where redirects have led.
        robots_txt: Whether this is a robots.txt, which other jobs wait for.
        first: What every attempt starts from.
        left_s: What is left of the limit for one attempt, s.
        redirects: Followed in this attempt.
        attempts: Begun.
        began: When the first attempt began, monotonic clock.
        asked: The URL of the last request, if there was one.
        asked_at: When the last attempt began, ms since 1970 UTC.
    """

    url: str
    target: Target
    robots_txt: bool = False
    first: Target | None = None
    left_s: float = 0.0
    redirects: int = 0
    attempts: int = 0
    began: float = 0.0
    asked: str | None = None
    asked_at: int | None = None


@dataclass(slots=True)
class Ended:
    """A job and what it ended with, at a time of the monotonic clock."""

    job: Job
    answer: Answer
    at: float


class Transfers:
    """The jobs of one unit."""

    def __init__(
        self, options: Fetch, addresses: Addresses, share: int, seen: Counter[tuple[str, int]]
    ) -> None:
        self._options = options
        self._addresses = addresses
        self._robot = product(options.user_agent)
        self._seen = seen
        self._added: list[Job] = []
        self._unfinished = 0
        connections = max(1, options.per_host_connections // share)
        self._hosts: Hosts[Job] = Hosts(connections, options.per_host_per_s / share)
        self._sites: Sites[Job] = Sites(options)
        self._met: set[str] = set()  # origins whose Crawl-delay is kept
        self._share = share
        self._later: list[tuple[float, int, Job]] = []  # heap: due, ticket, job
        self._checks: list[tuple[float, int, Transfer]] = []  # heap: due, serial, transfer
        self._tickets = itertools.count(1)
        self._under_way: dict[Transfer, Job] = {}
        self._idle: list[Transfer] = []
        self._held = Held()
        # Handed over between the threads; each counter has one writer, so neither needs a lock.
        self._done: queue.SimpleQueue[Ended | BaseException] = queue.SimpleQueue()
        self._given = 0
        self._taken = 0
        self._full = False
        self._stopping = False

    def add(self, job: Job) -> None:
        """Queue `job`, before `results` is called."""
        self._added.append(job)

    def results(self) -> Generator[Ended]:
        """Yield what becomes of every job; the thread lives as long as this generator."""
        self._unfinished = expected = len(self._added)
        if not expected:
            return
        multi = Multi(max_connections=2 * self._options.concurrency)
        thread = threading.Thread(target=self._run, args=(multi,), name="fetch", daemon=True)
        thread.start()
        try:
            for _ in range(expected):
                item = self._done.get()
                if isinstance(item, BaseException):
                    raise item
                self._taken += _cost(item)
                if self._full:
                    multi.wake()
                yield item
        finally:
            self._stopping = True
            multi.wake()
            thread.join()
            self._close(multi)

    def _close(self, multi: Multi) -> None:
        for transfer in self._under_way:
            multi.end(transfer)
        for transfer in (*self._under_way, *self._idle):
            transfer.close()
        multi.close()

    # From here on: in the thread.

    def _run(self, multi: Multi) -> None:
        """Run until all is done or the consumer has gone; hand any error to the consumer."""
        try:
            for job in self._added:
                self._admit(job)
            self._added.clear()
            while self._unfinished and not self._stopping:
                now = time.monotonic()
                self._start(multi, now)
                self._balance(now)
                for transfer, code, message in multi.wait(self._next_due()):
                    self._end(multi, transfer, code, message)
                self._check(multi)
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

    def _start(self, multi: Multi, now: float) -> None:
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
            job.asked = target.url
            if self._idle:
                transfer = self._idle.pop()
            else:
                transfer = Transfer(self._options, self._addresses, self._held, self._robot)
            transfer.start(target, job.left_s, now, job.robots_txt)
            transfer.counted = target.host, int(time.time())
            self._seen[transfer.counted] += 1
            self._under_way[transfer] = job
            multi.begin(transfer)
            transfer.serial = next(self._tickets)
            heapq.heappush(self._checks, (transfer.first_check(), transfer.serial, transfer))

    def _begin_attempt(self, job: Job, now: float) -> None:
        if not job.attempts:
            job.began, job.first = now, job.target
        job.attempts += 1
        job.asked_at = int(time.time() * 1000)
        job.left_s = self._options.timeout_s
        if job.robots_txt:
            job.left_s = min(job.left_s, TIMEOUT_S)

    def _room(self) -> bool:
        """Return whether the backlog has room; if not, ask the consumer to wake the loop."""
        self._full = True  # said before looking, so that no room made meanwhile goes unnoticed
        self._held.waiting = self._given - self._taken
        self._full = self._held.full()
        return not self._full

    def _balance(self, now: float) -> None:
        """Let transfers pause while too much is held, all but the oldest."""
        held = self._held
        held.oldest = next(iter(self._under_way), None)
        held.waiting = self._given - self._taken
        if not held.pausing:
            return
        self._full = True  # said before looking, as in `_room`
        held.waiting = self._given - self._taken
        concerned, held.pausing = held.pausing, []
        for transfer in dict.fromkeys(concerned):
            if transfer not in self._under_way:
                continue
            if held.must_pause(transfer):
                if not transfer.paused:
                    transfer.pause(now)
                held.pausing.append(transfer)
            elif transfer.paused:
                transfer.resume(now)

    def _check(self, multi: Multi) -> None:
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
                self._end(multi, transfer, late=late)

    def _end(
        self,
        multi: Multi,
        transfer: Transfer,
        code: int = 0,
        message: str = "",
        late: tuple[Outcome, str] | None = None,
    ) -> None:
        """Let go of `transfer` and settle its job; `late` is the limit it did not keep."""
        multi.end(transfer)
        transfer.serial = 0
        job = self._under_way.pop(transfer)
        self._held.bytes -= transfer.kept
        self._idle.append(transfer)
        self._hosts.leave(job.target.host)
        now = time.monotonic()
        answer = transfer.answer(code, message, now, late)
        if answer.outcome is Outcome.BLOCKED_ADDRESS:  # there was no socket, so nobody saw it
            self._uncount(transfer.counted)
        self._settle(job, answer, now)

    def _uncount(self, key: tuple[str, int]) -> None:
        self._seen[key] -= 1
        if not self._seen[key]:
            del self._seen[key]

    def _settle(self, job: Job, answer: Answer, now: float) -> None:
        """Follow a redirect, put off another attempt, or hand over the result."""
        job.left_s -= answer.seconds
        target = job.target
        failures = self._sites.note(target.origin, answer)
        if failures and (answer.status in (429, 503) or answer.retry_after_s):
            wait = max(answer.retry_after_s, BACKOFF_S * 2 ** min(failures - 1, 20))
            self._hosts.hold(target.host, now + min(wait, self._options.retry_after_max_s))
        if self._sites.paused(target.origin) and failures == self._options.host_failures:
            for other in self._hosts.withdraw(
                target.host, lambda j: j.target.origin == target.origin
            ):
                self._admit(other)
        if answer.redirect:
            ended = self._redirected(job, answer.redirect)
            if not ended:
                return
            answer.outcome, answer.detail = ended
        again = answer.outcome.transient or answer.status in _RETRIED_STATUS
        if (
            again
            and job.attempts <= self._options.retries
            and not self._sites.paused(target.origin)
        ):
            assert job.first is not None
            due = now + _wait_s(job)
            job.target, job.redirects = job.first, 0
            heapq.heappush(self._later, (due, next(self._tickets), job))
        else:
            self._finish(job, answer, now)

    def _finish(self, job: Job, answer: Answer, now: float) -> None:
        """Hand over what `job` ended with, or let go on what waited for a robots.txt."""
        if job.robots_txt:
            assert job.first is not None
            self._sites.learn(job.first.origin, answer)
            for waiting in self._sites.waiting.pop(job.first.origin):
                self._admit(waiting, first=True)
            return
        self._unfinished -= 1
        ended = Ended(job, answer, now)
        self._given += _cost(ended)
        self._held.waiting = self._given - self._taken
        self._done.put(ended)

    def _admit(self, job: Job, first: bool = False) -> None:
        """Let `job` wait for its turn, or for its host's robots.txt, or end where it may not go."""
        target = job.target
        if job.robots_txt:
            self._hosts.add(target.host, job, first)
            return
        found = self._sites.look(target)
        if found == "go":
            if target.origin not in self._met:
                self._met.add(target.origin)
                self._hosts.slow(target.host, self._sites.delay_s(target.origin) * self._share)
            self._hosts.add(target.host, job, first)
        elif isinstance(found, Answer):
            self._finish(job, found, time.monotonic())
        elif target.origin in self._sites.waiting:
            self._sites.waiting[target.origin].append(job)
        else:
            self._sites.waiting[target.origin] = [job]
            url = f"{target.origin}/robots.txt"
            robots_txt = Job(url, replace(target, url=url), robots_txt=True)
            self._hosts.add(target.host, robots_txt, first=True)

    def _redirected(self, job: Job, location: str) -> tuple[Outcome, str | None] | None:
        """Send `job` on, or return the outcome that ends it here and its detail."""
        target = self._addresses.target(location)
        if isinstance(target, Refused):
            # An unusable URL in a redirect is the server's fault, not the pair's.
            no_url = target.outcome is Outcome.NO_URL
            outcome = Outcome.BAD_RESPONSE if no_url else target.outcome
            return outcome, f"redirect: {target.detail}"
        most = MAX_REDIRECTS if job.robots_txt else self._options.max_redirects
        if job.redirects >= most:
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


def _cost(ended: Ended) -> int:
    """Return what a result counts for in the backlog, bytes."""
    return len(ended.answer.body) + ITEM_BYTES
