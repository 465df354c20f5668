"""Fetch URLs: many at a time, in one thread, with every limit of the recipe kept.

libcurl's multi handle runs all transfers from one event loop, at a fraction of the CPU that Python
HTTP clients cost (Measured: 56 KB images over loopback, client CPU-s per 1,000: pycurl 0.08,
urllib 0.57, aiohttp 0.32). The loop has a thread of its own, so that a consumer which takes its
time over an image makes no transfer late; what is fetched and not yet consumed is bounded in bytes.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

from pairsieve.pipeline.fetch.addresses import Addresses, Refused
from pairsieve.pipeline.fetch.batch import Batch, EndedJob, Job, Sent
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.origins import Origins
from pairsieve.pipeline.fetch.scheduler import Asked, Scheduler
from pairsieve.pipeline.rights.opt_out import OptOut
from pairsieve.pipeline.rights.robots import RulesCache
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import IGNORED, OptOuts


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one URL gave.

    Attributes:
        url: The URL as the caller has it.
        outcome: OK for a 2xx answer with a whole, non-empty body, or why there is none.
        body: The bytes received, after content-decoding; empty unless the outcome is OK.
        detail: More on an outcome that is not OK.
        http_status: Status of the last answer.
        final_url: The URL of the last request, without credentials; None if nothing was sent.
        content_type: As claimed by the server, at most 200 characters.
        fetch_ms: From the start of the first attempt to the end of the last, ms; None if nothing
            was sent.
        attempts: How often the URL was requested; redirects do not count.
        fetched_at: When the last attempt began, ms since 1970 UTC; None if nothing was sent.
        etag: As the server gave it, at most 200 characters.
        last_modified: As the server gave it, at most 200 characters.
        opt_outs: What the site and the answer declare, obeyed or not.
        http_version: Of the last answer, such as `1.1` or `2`.
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
    opt_outs: tuple[OptOut, ...] = ()
    http_version: str | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What the fetches of a process share with each other, and with those of other processes.

    Attributes:
        among: How many processes fetch at the same time; each gets an equal part of what a host is
            allowed to see.
        rules_cache: What robots.txt and tdmrep.json files say.
    """

    among: int = 1
    rules_cache: RulesCache = field(default_factory=RulesCache)


class Client:
    """Fetches for the units that a process has under way, one thread for all."""

    def __init__(
        self,
        options: Fetch,
        shared: Shared | None = None,
        opt_outs: OptOuts = IGNORED,
        asks: Asked = "images",
    ) -> None:
        """Prepare; opt-outs of the forms to obey end a transfer."""
        self._options = options
        self._opt_outs = opt_outs
        self._shared = shared or Shared()
        self._scheduler = Scheduler(options, self._shared.among, opt_outs, asks)

    def met(self) -> dict[str, int]:
        """Return what requests of all units have met since this was last called; empty if none.

        So nothing is counted twice where units overlap; what each of them met may be another's.
        """
        met = self._scheduler.line.since_last()
        return met if met["requests"] else {}

    def fetch(
        self,
        urls: Iterable[str],
        sent: Sent | None = None,
        blocked: Callable[[CanonicalUrl], str | None] | None = None,
        idle: Callable[[], None] | None = None,
    ) -> Generator[Fetched]:
        """Yield one Fetched per distinct URL, in order of completion.

        Every request, also for a robots.txt, is counted in `sent`. What is `blocked`, which
        gives the entry of the blocklist, is not requested, be it a URL or a redirect. `idle` is
        called once, in another thread, when these URLs no longer keep the process busy. Closing
        the generator ends its transfers. Memory is bounded as memory_budget.py says, besides the
        URLs themselves.
        """
        addresses = Addresses(self._options.allow_networks, self._options.ports, blocked)
        cache = self._shared.rules_cache
        origins: Origins[Job] = Origins(self._options, cache, self._opt_outs)
        batch = Batch(addresses, origins, Counter() if sent is None else sent)
        if idle:
            batch.idle = idle
        refused = []
        for url in dict.fromkeys(urls):
            target = addresses.target(url)
            if isinstance(target, Refused):
                refused.append(Fetched(url, target.outcome, detail=target.detail))
            else:
                batch.add(url, target)
        yield from refused
        for ended in self._scheduler.results(batch):
            yield _fetched(ended)


def fetch(
    urls: Iterable[str],
    options: Fetch,
    shared: Shared | None = None,
    blocked: Callable[[CanonicalUrl], str | None] | None = None,
    opt_outs: OptOuts = IGNORED,
    sent: Sent | None = None,
) -> Generator[Fetched]:
    """Yield what a client of its own gives for each distinct URL."""
    return Client(options, shared, opt_outs).fetch(urls, sent, blocked)


def ask(
    urls: Iterable[str], options: Fetch, shared: Shared, opt_outs: OptOuts, headers: bool = False
) -> Generator[Fetched]:
    """Yield what forbids each distinct URL, without fetching it: OK where nothing does.

    The files of its site are asked for; with `headers` it is requested itself, without a body, and
    is EMPTY where its answer forbids nothing.
    """
    return Client(options, shared, opt_outs, "headers" if headers else "files").fetch(urls)


def _fetched(ended: EndedJob) -> Fetched:
    """Return what a job that has ended gave."""
    job, answer = ended.job, ended.answer
    return Fetched(
        url=job.url,
        outcome=answer.outcome,
        body=answer.body,
        detail=answer.detail,
        http_status=answer.status,
        final_url=job.last_url,
        content_type=answer.content_type,
        fetch_ms=round((ended.at - job.began) * 1000) if job.last_url else None,
        attempts=job.attempts,
        fetched_at=job.requested_at,
        etag=answer.etag,
        last_modified=answer.last_modified,
        opt_outs=answer.opt_outs,
        http_version=answer.http_version,
    )
