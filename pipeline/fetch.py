"""Fetch URLs: many at a time, in one thread, with every limit of the recipe kept.

libcurl's multi handle runs all transfers from one event loop, at a fraction of the CPU that Python
HTTP clients cost (Measured: 56 KB images over loopback, client CPU-s per 1,000: pycurl 0.08,
urllib 0.57, aiohttp 0.32). The loop has a thread of its own, so that a consumer which takes its
time over an image makes no transfer late; what is fetched and not yet consumed is bounded in bytes.
"""

import heapq
import itertools
import queue
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

from pairsieve.pipeline.addresses import Addresses, Refused, Target
from pairsieve.pipeline.hosts import Hosts
from pairsieve.pipeline.multi import Multi
from pairsieve.pipeline.transfer import Answer, Transfer
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

BACKLOG_BYTES = 32_000_000  # fetched and not yet consumed: beyond this no transfer starts
_ITEM_BYTES = 1_000  # what a result costs besides its body
BACKOFF_S = 0.5  # before the second attempt; doubles with each further one
MAX_WAIT_S = 30.0  # before another attempt, whatever Retry-After says
_RETRIED_STATUS = frozenset((408, 425, 429))  # besides the transient outcomes


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one URL gave.

    Attributes:
        url: The URL as asked for.
        outcome: OK for a 2xx answer with a whole, non-empty body, or why there is none.
        body: The bytes received, after content-decoding; empty unless the outcome is OK.
        detail: More on an outcome that is not OK.
        http_status: Status of the last answer.
        final_url: The URL of the last request, without credentials; None if nothing was asked.
        content_type: As claimed by the server, at most 200 characters.
        fetch_ms: From the start of the first attempt to the end of the last, ms.
        attempts: How often the URL was asked for; redirects do not count.
        fetched_at: When the last attempt began, ms since 1970 UTC; None if nothing was asked.
        etag: As the server gave it, at most 200 characters.
        last_modified: As the server gave it, at most 200 characters.
    """

    url: str
    outcome: Outcome
    body: bytes = b""
    detail: str | None = None
    http_status: int | None = None
    final_url: str | None = None
    content_type: str | None = None
    fetch_ms: int | None = None
    attempts: int = 0
    fetched_at: int | None = None
    etag: str | None = None
    last_modified: str | None = None


def fetch(
    urls: Iterable[str],
    options: Fetch,
    share: int = 1,
    seen: Counter[tuple[str, int]] | None = None,
    blocked: Callable[[Target], str | None] | None = None,
) -> Generator[Fetched]:
    """Yield one Fetched per distinct URL, in order of completion.

    Of what a host is allowed to see this takes the part of one among `share` that fetch at the same
    time. Every request sent is counted in `seen`, by host and second since 1970 UTC. What is
    `blocked`, which gives the entry of the blocklist, is not asked for, be it a URL or a redirect.

    Closing the generator ends all transfers. Memory is bounded by `options.concurrency` bodies and
    BACKLOG_BYTES, besides the URLs themselves.
    """
    addresses = Addresses(options.allow_networks, options.ports, blocked)
    loop = _Loop(options, addresses, share, Counter() if seen is None else seen)
    refused = []
    for url in dict.fromkeys(urls):
        target = addresses.target(url)
        if isinstance(target, Refused):
            refused.append(Fetched(url, target.outcome, detail=target.detail))
        else:
            loop.add(_Job(url, target, target, options.timeout_s))
    yield from refused
    yield from loop.results()


@dataclass(slots=True)
class _Job:
    """A URL on its way."""

    url: str
    first: Target
    target: Target  # where the redirects have led
    left_s: float  # of the whole-transfer limit of this attempt
    redirects: int = 0
    attempts: int = 0
    began: float = 0.0


class _Loop:
    """What happens to every job. Only `add` and `results` run outside its thread."""

    def __init__(
        self, options: Fetch, addresses: Addresses, share: int, seen: Counter[tuple[str, int]]
    ) -> None:
        self._options = options
        self._seen = seen
        self._addresses = addresses
        self._unfinished = 0
        self._hosts: Hosts[_Job] = Hosts(max(1, options.per_host_connections // share))
        self._later: list[tuple[float, int, _Job]] = []  # heap: due, ticket, job
        self._tickets = itertools.count()
        self._under_way: dict[Transfer, _Job] = {}
        self._idle: list[Transfer] = []
        # Handed over between the threads; each counter has one writer, so neither needs a lock.
        self._done: queue.SimpleQueue[Fetched | BaseException] = queue.SimpleQueue()
        self._given = 0
        self._taken = 0
        self._full = False
        self._stopping = False

    def add(self, job: _Job) -> None:
        """Queue `job`, before `results` is called."""
        self._unfinished += 1
        self._hosts.add(job.target.host, job)

    def results(self) -> Generator[Fetched]:
        """Yield what becomes of every job; the thread lives as long as this generator."""
        expected = self._unfinished
        if not expected:
            return
        multi = Multi(max_connections=self._options.concurrency)
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
            while self._unfinished and not self._stopping:
                self._start(multi)
                for transfer, code, message in multi.wait(self._next_due()):
                    multi.end(transfer)
                    job = self._under_way.pop(transfer)
                    self._idle.append(transfer)
                    self._hosts.leave(job.target.host)
                    self._settle(job, transfer.answer(code, message))
        except BaseException as error:
            self._done.put(error)

    def _next_due(self) -> float | None:
        """Return when the next attempt that was put off is due (monotonic clock), if there is."""
        return self._later[0][0] if self._later else None

    def _start(self, multi: Multi) -> None:
        """Start as many transfers as limits and backlog allow."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            self._hosts.add(job.target.host, job, first=True)
        while len(self._under_way) < self._options.concurrency and self._room():
            next_job = self._hosts.take()
            if next_job is None:
                return
            if not next_job.attempts:
                next_job.began = now
            next_job.attempts += not next_job.redirects
            transfer = self._idle.pop() if self._idle else Transfer(self._options, self._addresses)
            transfer.start(next_job.target.url, next_job.left_s)
            self._seen[next_job.target.host, int(time.time())] += 1
            self._under_way[transfer] = next_job
            multi.begin(transfer)

    def _room(self) -> bool:
        """Return whether the backlog has room; if not, ask the consumer to wake the loop."""
        self._full = True  # said before looking, so that no room made meanwhile goes unnoticed
        self._full = self._given - self._taken >= BACKLOG_BYTES
        return not self._full

    def _settle(self, job: _Job, answer: Answer) -> None:
        """Follow a redirect, put off another attempt, or hand over the result."""
        job.left_s -= answer.seconds
        if answer.redirect:
            answer = self._redirected(job, answer)
            if answer.redirect:
                return
        again = answer.outcome.transient or answer.status in _RETRIED_STATUS
        if again and job.attempts <= self._options.retries:
            due = time.monotonic() + _wait_s(job, answer)
            job.target, job.redirects, job.left_s = job.first, 0, self._options.timeout_s
            heapq.heappush(self._later, (due, next(self._tickets), job))
            return
        self._unfinished -= 1
        result = Fetched(
            url=job.url,
            outcome=answer.outcome,
            body=answer.body,
            detail=answer.detail,
            http_status=answer.status,
            final_url=job.target.url,
            content_type=answer.content_type,
            fetch_ms=round((time.monotonic() - job.began) * 1000),
            attempts=job.attempts,
        )
        self._given += _cost(result)
        self._done.put(result)

    def _redirected(self, job: _Job, answer: Answer) -> Answer:
        """Send `job` on, or return the answer with the outcome that ends it here."""
        assert answer.redirect is not None
        target = self._addresses.target(answer.redirect)
        if isinstance(target, Refused):
            # An unusable URL in a redirect is the server's fault, not the pair's.
            no_url = target.outcome is Outcome.NO_URL
            outcome = Outcome.BAD_RESPONSE if no_url else target.outcome
            return replace(
                answer, outcome=outcome, detail=f"redirect: {target.detail}", redirect=None
            )
        if job.redirects >= self._options.max_redirects:
            return replace(answer, outcome=Outcome.TOO_MANY_REDIRECTS, redirect=None)
        if job.left_s <= 0:
            return replace(answer, outcome=Outcome.TIMEOUT_TOTAL, redirect=None)
        job.target = target
        job.redirects += 1
        self._hosts.add(target.host, job, first=True)
        return answer


def _wait_s(job: _Job, answer: Answer) -> float:
    """Return how long to wait before the next attempt: exponential, spread by the URL's hash, s."""
    spread: float = zlib.crc32(job.url.encode("utf-8", "replace")) / 2**32
    wait: float = BACKOFF_S * 2 ** (job.attempts - 1) * (0.5 + spread)
    return min(max(wait, answer.retry_after_s), MAX_WAIT_S)


def _cost(result: Fetched) -> int:
    """Return what `result` counts for in the backlog, bytes."""
    return len(result.body) + _ITEM_BYTES
