"""The scheduler of a process's transfers: what is started when, and what becomes of each answer.

A thread of its own follows redirects, puts off further attempts, waits for the files of a site
before anything else of it, slows down and leaves alone. Units come as batches. One that leaves room
for more than it can fill is told so, and the next unit may begin: both share the limits on hosts
and memory, connections, names and TLS sessions. Only `results` runs outside, in a unit's thread.
"""

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Literal

from pairsieve.pipeline.fetch.addresses import Addresses, Refused
from pairsieve.pipeline.fetch.batch import Batch, EndedJob, Job, backlog
from pairsieve.pipeline.fetch.concurrency import Line
from pairsieve.pipeline.fetch.curl_options import Names, TlsSessions
from pairsieve.pipeline.fetch.event_loop import EventLoop
from pairsieve.pipeline.fetch.host_queue import HostQueue, back_off_s
from pairsieve.pipeline.fetch.memory_budget import MemoryBudget
from pairsieve.pipeline.fetch.request import Answer, Transfer
from pairsieve.pipeline.rights.robots import MAX_REDIRECTS, TIMEOUT_S, product_token
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import IGNORED, OptOuts

IDLE_S = 1.0  # with room and nothing to start: the next unit may begin
Asked = Literal["images", "headers", "files"]
_RETRIED_STATUS = frozenset((408, 425, 429))  # besides the transient outcomes


class Scheduler:
    """The transfers of a process, one of `among` that share what a host is allowed to see.

    The thread lives as long as there is a batch.
    It `asks` for images, only their headers, or only the files of their sites.

    Attributes:
        line: How many transfers may be under way, and what they have met.
    """

    def __init__(
        self, options: Fetch, among: int, opt_outs: OptOuts = IGNORED, asks: Asked = "images"
    ) -> None:
        self._options, self._asks, self._obeyed = options, asks, opt_outs.forms
        # A socket is no matter of the blocklist, and all else of a unit's own addresses.
        self._addresses = Addresses(options.allow_networks, options.ports)
        self._robot, self._names = product_token(options.user_agent), Names(options)
        self._hosts: HostQueue[Job] = HostQueue.of(options, among)
        self._among = among
        self._later: list[tuple[float, int, Job]] = []  # heap: due, ticket, job
        self._checks: list[tuple[float, int, Transfer]] = []  # heap: due, serial, transfer
        self._tickets = itertools.count(1)
        self._under_way: dict[Transfer, Job] = {}
        self._idle: list[Transfer] = []
        self._idle_since: float | None = None  # room, and nothing to start (monotonic clock)
        self._budget, self._sessions = MemoryBudget(), TlsSessions()
        self.line = Line(options.concurrency)
        self._batches: list[Batch] = []
        self._full = False
        # Between the threads: batches that wait to be taken in, and the loop while one runs.
        self._lock = threading.Lock()
        self._entering: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._loop: EventLoop | None = None
        self._thread = threading.Thread()

    def results(self, batch: Batch) -> Generator[EndedJob]:
        """Yield what becomes of every job of `batch`; to close this ends those under way."""
        expected = batch.unfinished
        if not expected:
            batch.tell_idle()
            return
        thread = self._enter(batch)
        try:
            for _ in range(expected):
                ended = batch.take()
                if self._full:
                    self._wake()
                yield ended
        finally:
            batch.left = True
            self._wake()
            batch.gone.wait()
            if not self._loop:
                thread.join()

    def _enter(self, batch: Batch) -> threading.Thread:
        """Hand `batch` to the thread, which is started if there is none, and return it."""
        with self._lock:
            self._entering.put(batch)
            if self._loop:
                self._loop.wake()
            else:
                self._loop = EventLoop(max_connections=2 * self._options.concurrency)
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="fetch", daemon=True
                )
                self._thread.start()
            return self._thread

    def _wake(self) -> None:
        """Let the thread, if there is still one, look at what has changed."""
        with self._lock:
            if self._loop:
                self._loop.wake()

    # From here on: in the thread.

    def _run(self, loop: EventLoop) -> None:
        """Run until every batch was left; hand any error to the consumers."""
        try:
            while self._take_in(loop):
                now = time.monotonic()
                self._start(loop, now)
                self._balance(now)
                for transfer, code, message in loop.wait(self._next_due()):
                    self._end(loop, transfer, code, message)
                self._check(loop)
        except BaseException as error:
            with self._lock:
                while not self._entering.empty():
                    self._batches.append(self._entering.get())
                self._close(loop)
            for batch in self._batches:
                batch.done.put(error)
        for batch in self._batches:
            batch.gone.set()
        self._batches = []

    def _take_in(self, loop: EventLoop) -> bool:
        """Take in what has come and let go of what was left; return whether to go on.

        The last batch is gone once everything is closed.
        """
        while not self._entering.empty():
            batch = self._entering.get()
            self._batches.append(batch)
            for job in batch.jobs:
                self._admit(job)
            batch.jobs.clear()
        for batch in [batch for batch in self._batches if batch.left]:
            self._drop(loop, batch)
            if len(self._batches) > 1:
                self._batches.remove(batch)
                batch.gone.set()
        if any(not batch.left for batch in self._batches):
            return True
        with self._lock:
            if not self._entering.empty():
                return True
            self._close(loop)
        return False

    def _close(self, loop: EventLoop) -> None:
        """End what is under way and close every connection; the lock is held."""
        for transfer in self._under_way:
            loop.end(transfer)
            self.line.give_up(transfer)
        for transfer in (*self._under_way, *self._idle):
            transfer.close()
        self._under_way.clear()
        self._idle.clear()
        loop.close()
        self._names.close()
        self._loop = None

    def _drop(self, loop: EventLoop, batch: Batch) -> None:
        """Forget the jobs of `batch`, and hosts that nobody waits for."""
        if batch.unfinished:
            for transfer in [t for t, job in self._under_way.items() if job.batch is batch]:
                self._let_go(loop, transfer)
                self.line.give_up(transfer)
            self._later = [entry for entry in self._later if entry[2].batch is not batch]
            heapq.heapify(self._later)
        self._hosts.discard(lambda job: job.batch is batch, time.monotonic())
        for other in self._batches:
            other.slowed.clear()  # a host that was forgotten is to be slowed down again

    def _next_due(self) -> float | None:
        """Return when something has to be done even if nothing happens (monotonic clock)."""
        checks = self._checks
        while checks and checks[0][2].serial != checks[0][1]:
            heapq.heappop(checks)
        dues = [heap[0][0] for heap in (self._later, checks) if heap]
        if len(self._under_way) < self.line.limit and not self._full:
            due = self._hosts.next_due()
            if due is not None:
                dues.append(due)
            if self._idle_since is not None and any(not batch.told for batch in self._batches):
                dues.append(self._idle_since + IDLE_S)
        return min(dues, default=None)

    def _start(self, loop: EventLoop, now: float) -> None:
        """Start as many transfers as limits and backlog allow."""
        while self._later and self._later[0][0] <= now:
            self._admit(heapq.heappop(self._later)[2], first=True)
        while len(self._under_way) < self.line.limit and self._room():
            job = self._hosts.take(now)
            if job is None:
                return self._have_room(now)
            self._idle_since = None
            target = job.target
            if not job.redirects:
                self._begin_attempt(job, now)
            job.last_url = target.url
            if self._idle:
                transfer = self._idle.pop()
            else:
                transfer = Transfer(
                    self._options, self._addresses, self._budget, self._robot, self._obeyed
                )
                transfer.headers_only, transfer.names = self._asks == "headers", self._names
                transfer.sessions = self._sessions
            transfer.start(target, job.left_s, now, bool(job.site_file), job.cookies)
            transfer.counted = target.host_name, int(time.time())
            job.batch.sent[transfer.counted] += 1
            self._under_way[transfer] = job
            transfer.window = self.line.begin()
            loop.begin(transfer)
            transfer.serial = next(self._tickets)
            heapq.heappush(self._checks, (transfer.first_check(), transfer.serial, transfer))

    def _have_room(self, now: float) -> None:
        """Tell the batches that can fill no more, or have not for a while, that there is room."""
        if self._idle_since is None:
            self._idle_since = now
        late = now >= self._idle_since + IDLE_S
        for batch in self._batches:
            if late or batch.unfinished <= self.line.limit:
                batch.tell_idle()

    def _begin_attempt(self, job: Job, now: float) -> None:
        if not job.attempts:
            job.began = now
        job.attempts += 1
        job.requested_at = int(time.time() * 1000)
        job.left_s = self._options.timeout_s
        job.cookies = ()
        if job.site_file:
            job.left_s = min(job.left_s, TIMEOUT_S)

    def _room(self) -> bool:
        """Return whether the backlog has room; if not, let the consumer wake the loop."""
        self._full = True  # set before looking, so that no room made meanwhile goes unnoticed
        self._budget.waiting = backlog(self._batches)
        self._full = self._budget.full()
        return not self._full

    def _balance(self, now: float) -> None:
        """Let transfers pause while too much is buffered, all but the oldest."""
        budget = self._budget
        budget.oldest = next(iter(self._under_way), None)
        budget.waiting = backlog(self._batches)
        if not budget.pausing:
            return
        self._full = True  # set before looking, as in `_room`
        budget.waiting = backlog(self._batches)
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
        job = self._let_go(loop, transfer)
        now = time.monotonic()
        answer = transfer.answer(code, message, now, late)
        self.line.end(transfer, job.target.origin, answer)
        if answer.redirect:
            job.cookies = transfer.cookies()
        if answer.outcome is Outcome.BLOCKED_ADDRESS:  # there was no socket, so nobody saw it
            job.batch.uncount(transfer.counted)
        self._settle(job, answer, now)

    def _let_go(self, loop: EventLoop, transfer: Transfer) -> Job:
        """Take `transfer` out of the loop, to be used again, and return its job."""
        loop.end(transfer)
        transfer.serial = 0
        job = self._under_way.pop(transfer)
        self._budget.arriving -= transfer.buffered
        self._idle.append(transfer)
        self._hosts.release(job.target.host_name)
        return job

    def _settle(self, job: Job, answer: Answer, now: float) -> None:
        """Follow a redirect, put off another attempt, or hand over the result."""
        job.left_s -= answer.seconds
        target, origins = job.target, job.batch.origins
        failures = origins.count(target.origin, answer)
        if failures and (answer.status in (429, 503) or answer.retry_after_s):
            wait = max(answer.retry_after_s, back_off_s(failures))
            self._hosts.back_off(target.host_name, now + min(wait, self._options.retry_after_max_s))
        if origins.paused(target.origin) and failures == self._options.host_failures:
            for other in self._hosts.withdraw(
                target.host_name,
                lambda j: j.target.origin == target.origin and j.batch is job.batch,
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
            and not origins.paused(target.origin)
        ):
            due = now + job.wait_s()
            job.target, job.redirects = job.first, 0
            heapq.heappush(self._later, (due, next(self._tickets), job))
        else:
            self._finish(job, answer, now)

    def _finish(self, job: Job, answer: Answer, now: float) -> None:
        """Hand over what `job` ended with, or let go on what waited for a file of the site."""
        origins = job.batch.origins
        if job.site_file:
            origins.learn(job.first.origin, job.site_file, answer)
            for waiting in origins.waiting.pop(job.first.origin):
                self._admit(waiting, first=True)
            return
        answer.opt_outs = (*origins.opt_outs(job.target), *answer.opt_outs)
        job.batch.hand_over(EndedJob(job, answer, now))
        self._budget.waiting = backlog(self._batches)

    def _admit(self, job: Job, first: bool = False) -> None:
        """Let `job` wait for its turn, or for a file of its host, or end where it may not go."""
        target, batch, origins = job.target, job.batch, job.batch.origins
        self._names.ahead(target)
        if job.site_file:
            self._hosts.add(target.host_name, job, first)
            return
        verdict = origins.verdict(target)
        if verdict == "allowed" and target.origin not in batch.slowed:
            batch.slowed.add(target.origin)
            delay_s = origins.delay_s(target.origin) * self._among
            self._hosts.slow_down(target.host_name, delay_s)
        if verdict == "allowed" and self._asks == "files":
            self._finish(job, Answer(Outcome.OK), time.monotonic())
        elif verdict == "allowed":
            self._hosts.add(target.host_name, job, first)
        elif isinstance(verdict, Answer):
            self._finish(job, verdict, time.monotonic())
        elif target.origin in origins.waiting:
            origins.waiting[target.origin].append(job)
        else:
            origins.waiting[target.origin] = [job]
            url = f"{target.origin}{verdict}"
            file = Job(url, replace(target, url=url), batch, site_file=verdict)
            self._hosts.add(target.host_name, file, first=True)

    def _redirected(self, job: Job, location: str) -> tuple[Outcome, str | None] | None:
        """Send `job` on, or return the outcome that ends it here and its detail."""
        target = job.batch.addresses.target(location, job.target)
        if isinstance(target, Refused):
            # An unusable URL in a redirect is the server's fault, not the pair's.
            no_url = target.outcome is Outcome.NO_URL
            outcome = Outcome.BAD_RESPONSE if no_url else target.outcome
            return outcome, f"redirect: {target.detail}"
        max_redirects = MAX_REDIRECTS if job.site_file else self._options.max_redirects
        if job.redirects >= max_redirects:
            return Outcome.TOO_MANY_REDIRECTS, None
        if job.left_s <= 0:
            return Outcome.TIMEOUT_TOTAL, None
        job.target = target
        job.redirects += 1
        self._admit(job, first=True)
        return None
