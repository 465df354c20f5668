"""The other engine of the fetch: img2dataset's downloader, for those who depend on it.

It gives what pairsieve's own fetch gives, one Fetched per distinct URL, and keeps the checks of
addresses: an audit hook sees every connection that its threads are about to make, after DNS and
redirects, and refuses those that are not allowed. What it cannot keep is in docs/img2dataset.md;
keys of the recipe that need such a thing are refused with the recipe.
"""

import importlib
import os
import queue
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.pool import ThreadPool
from typing import Any

from pairsieve.pipeline.fetch.addresses import Addresses, Refused
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import IGNORED, Form, OptOuts

WARNING = (
    "fetch.engine: img2dataset has no limit on a whole transfer or on bytes, no limits per host, "
    "reads no robots.txt and calls itself a browser; see docs/img2dataset.md"
)
SEEN = frozenset((Form.PAGE, Form.X_ROBOTS_TAG, Form.XMP, Form.C2PA))  # forms of opt-outs
OPT_OUTS = ("noai", "noimageai", "noindex", "noimageindex")  # img2dataset's own default
_DETAIL_CHARS = 200
_BLOCKED = "blocked: "
# What the text of an error says, the first that fits; img2dataset hands on nothing else. Those with
# a status come first: what follows it is the server's own words.
_OUTCOMES = tuple(
    (re.compile(sign, re.IGNORECASE | re.DOTALL), outcome)
    for sign, outcome in (
        (r"HTTP Error 3\d\d:.*infinite loop", Outcome.TOO_MANY_REDIRECTS),
        (r"HTTP Error 3\d\d:.*redirection to url", Outcome.BLOCKED_SCHEME),
        (r"HTTP Error 4\d\d", Outcome.HTTP_4XX),
        (r"HTTP Error 5\d\d", Outcome.HTTP_5XX),
        (r"HTTP Error", Outcome.HTTP_OTHER),
        (rf"<urlopen error {_BLOCKED}", Outcome.BLOCKED_ADDRESS),
        (r"<urlopen error unknown url type", Outcome.BLOCKED_SCHEME),
        (r"Use of image disallowed by X-Robots-Tag", Outcome.OPT_OUT),
        (r"<urlopen error \[SSL|.*CERTIFICATE_VERIFY_FAILED|.*_ssl\.c", Outcome.TLS),
        (r"<urlopen error (\[Errno 110\]|timed out)", Outcome.TIMEOUT_CONNECT),
        (r".*timed out", Outcome.TIMEOUT_TOTAL),
        (r".*Connection refused", Outcome.REFUSED),
        (r"<urlopen error \[Errno -\d+\]|.*nodename nor servname", Outcome.DNS),
        (r".*(unreachable|no route)", Outcome.UNREACHABLE),
        (
            r"IncompleteRead|.*(connection reset|broken pipe|closed connection)",
            Outcome.INTERRUPTED,
        ),
    )
)
_STATUS = re.compile(r"HTTP Error (\d{3})")
_here = threading.local()  # `addresses`: what this thread may connect to


def check(opt_outs: OptOuts = IGNORED) -> None:
    """Refuse to begin without img2dataset, or with opt-outs to obey that it cannot see.

    Raises:
        BadOption: it cannot be imported; or such a form is listed, as `all` is not.
    """
    lost = () if opt_outs.obey == "all" else sorted(opt_outs.forms - SEEN)
    if lost:
        raise BadOption(
            f"opt_outs.obey: engine img2dataset cannot see {', '.join(lost)}: remove them, say "
            "`all` for those that it can, or leave the engine out"
        )
    _downloader()


def fetch(urls: Iterable[str], options: Fetch) -> Generator[Fetched]:
    """Yield one Fetched per distinct URL, in order of completion.

    Closing the generator lets go of the transfers under way. There are at most
    `options.concurrency` of them, or of bodies that wait to be taken.
    """
    addresses = Addresses(options.allow_networks, options.ports)
    targets = ((url, addresses.target(url)) for url in dict.fromkeys(urls))
    done: queue.SimpleQueue[Fetched | BaseException] = queue.SimpleQueue()
    _guard()
    with _own_opener(), ThreadPool(options.concurrency, _enter, (addresses,)) as pool:
        under_way, more = 0, True
        while more or under_way:
            while more and under_way < options.concurrency:
                url, target = next(targets, (None, None))
                more = url is not None
                if isinstance(target, Refused):
                    yield Fetched(str(url), target.outcome, detail=target.detail)
                elif isinstance(target, CanonicalUrl):
                    arguments = (url, target, options)
                    pool.apply_async(
                        _fetched, arguments, callback=done.put, error_callback=done.put
                    )
                    under_way += 1
            if under_way:
                item = done.get()
                if isinstance(item, BaseException):
                    raise item
                under_way -= 1
                yield item


def outcome_of(error: str) -> Outcome:
    """Return what the text of an error of img2dataset's means."""
    outcomes = (outcome for sign, outcome in _OUTCOMES if sign.match(error))
    return next(outcomes, Outcome.BAD_RESPONSE)


def _fetched(url: str, target: CanonicalUrl, options: Fetch) -> Fetched:
    """Return what a URL gives, requested again while its failure may pass."""
    load, attempts, began = _downloader(), 0, time.monotonic()
    while True:
        attempts += 1
        at = round(time.time() * 1000)
        _, stream, error = load((0, target.url), options.timeout_s, 0, options.user_agent, OPT_OUTS)
        body = b"" if stream is None else stream.getvalue()
        error = None if error is None else str(error)
        outcome = outcome_of(error) if error else Outcome.OK if body else Outcome.EMPTY
        if not outcome.transient or attempts > options.retries:
            break
    status = _STATUS.search(error or "")
    return Fetched(
        url,
        outcome,
        body,
        detail=error[:_DETAIL_CHARS] if error else None,
        http_status=int(status[1]) if status else None,
        fetch_ms=round((time.monotonic() - began) * 1000),
        attempts=attempts,
        fetched_at=at,
    )


@lru_cache(maxsize=1)
def _downloader() -> Callable[..., Any]:
    """Return img2dataset's function, imported without a look at the network for updates."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        module = importlib.import_module("img2dataset.downloader")
    except ImportError as error:
        raise BadOption(
            f"fetch.engine: img2dataset cannot be imported ({error}); install it with "
            "pip install 'pairsieve[img2dataset]', or leave the key out for pairsieve's own"
        ) from error
    load: Callable[..., Any] = module.download_image_with_retry
    return load


@contextmanager
def _own_opener() -> Iterator[None]:
    """Let urllib know http and https alone, and no proxy of the environment's, meanwhile."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    urllib.request.install_opener(opener)
    try:
        yield
    finally:
        urllib.request.install_opener(None)


def _enter(addresses: Addresses) -> None:
    """Say what this thread may connect to."""
    _here.addresses = addresses


@lru_cache(maxsize=1)
def _guard() -> None:
    """Have every connection of the threads that `_enter` checked; for good, and for them alone."""
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise if a thread is about to connect to what it may not; Python gives the address itself."""
    if event != "socket.connect":
        return
    addresses = getattr(_here, "addresses", None)
    if addresses is None:
        return
    address = arguments[1]
    refusal = addresses.refusal(*address[:2]) if isinstance(address, tuple) else "no IP address"
    if refusal:
        raise OSError(_BLOCKED + refusal)
