"""Batches: the jobs of one unit, which one scheduler runs beside those of other units."""

import queue
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pairsieve.pipeline.fetch.addresses import Addresses
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.host_queue import back_off_s
from pairsieve.pipeline.fetch.origins import Origins, SiteFile
from pairsieve.pipeline.fetch.request import Answer

Sent = Counter[tuple[str, int]]  # requests, by host and second since 1970 UTC
MAX_WAIT_S = 30.0  # before another attempt of a URL on its own account
ITEM_BYTES = 1_000  # what a result costs besides its body


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Job:
    """A URL on its way.

    Attributes:
        url: As the caller has it.
        target: What is requested next: the URL, or where redirects have led.
        batch: What it is part of.
        site_file: Which file of the site this is, which other jobs wait for; None for an image.
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
    batch: "Batch"
    site_file: SiteFile | None = None
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

    def wait_s(self) -> float:
        """Return how long to wait before the next attempt, s: spread by the URL's hash."""
        spread: float = zlib.crc32(self.url.encode("utf-8", "replace")) / 2**32
        return min(back_off_s(self.attempts) * (0.5 + spread), MAX_WAIT_S)


@dataclass(slots=True)
class EndedJob:
    """A job and what it ended with, at a time of the monotonic clock."""

    job: Job
    answer: Answer
    at: float

    def cost(self) -> int:
        """Return what this counts for in the backlog, bytes."""
        return len(self.answer.body) + ITEM_BYTES


@dataclass(eq=False, slots=True)
class Batch:
    """The jobs of one unit.

    Handed over between two threads; each counter has one writer, so none needs a lock.

    Attributes:
        addresses: What may be reached.
        origins: What is known of the origins; each unit gives them another chance.
        sent: Requests sent; counted up here.
        idle: Called once, in the scheduler's thread, when this unit no longer keeps it busy.
        jobs: Those that were not begun when the scheduler took the batch.
        unfinished: Jobs without a result.
        done: Results, or the error that ended the scheduler.
        delivered: Bytes of all results.
        consumed: Bytes of those that were taken.
        slowed: Origins whose Crawl-delay is kept.
        told: Whether `idle` was called.
        left: Whether nobody takes results any more.
        gone: Set once the scheduler has let go of it.
    """

    addresses: Addresses
    origins: "Origins[Job]"
    sent: Sent
    idle: Callable[[], None] = _nothing
    jobs: list[Job] = field(default_factory=list)
    unfinished: int = 0
    done: "queue.SimpleQueue[EndedJob | BaseException]" = field(default_factory=queue.SimpleQueue)
    delivered: int = 0
    consumed: int = 0
    slowed: set[str] = field(default_factory=set)
    told: bool = False
    left: bool = False
    gone: threading.Event = field(default_factory=threading.Event)

    def add(self, url: str, target: CanonicalUrl) -> None:
        """Add a job, before the scheduler takes the batch."""
        self.jobs.append(Job(url, target, self))
        self.unfinished += 1

    def uncount(self, key: tuple[str, int]) -> None:
        """Take back a request that was counted in `sent`."""
        self.sent[key] -= 1
        if not self.sent[key]:
            del self.sent[key]

    def hand_over(self, ended: EndedJob) -> None:
        """Give what a job ended with to the consumer."""
        self.unfinished -= 1
        self.delivered += ended.cost()
        self.done.put(ended)

    def take(self) -> EndedJob:
        """Wait for a result and return it; what ended the scheduler is raised."""
        item = self.done.get()
        if isinstance(item, BaseException):
            raise item
        self.consumed += item.cost()
        return item

    def tell_idle(self) -> None:
        """Call `idle`, at most once."""
        if not self.told:
            self.told = True
            self.idle()


def backlog(batches: Iterable[Batch]) -> int:
    """Return the bytes of results that were not taken."""
    return sum(batch.delivered - batch.consumed for batch in batches)
