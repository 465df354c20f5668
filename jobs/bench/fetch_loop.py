"""The second half of `bench fetch`: what one unit costs inside pairsieve's own loop.

That its memory does not grow with the unit, what it costs to give every host its turn, and how
much of the loop's CPU time is libcurl's and the kernel's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pairsieve.jobs.bench.alternate import Contestant, alternating, median, ours
from pairsieve.jobs.bench_data.certificates import Authority
from pairsieve.jobs.bench_data.server import HOST, Served, serving
from pairsieve.jobs.console import print_table

CONCURRENCY = 256
LARGE_BODY = 200_000  # bytes, for memory: 256 of them under way are 51 MB
PAUSE_S = 0.0005  # a consumer that is slower than the web, so that the backlog is full
TIMES_AS_LARGE = 4
LEAST_SHARE = 0.9  # of libcurl and the kernel
MOST_TURN_US = 50
NOTHING, LIBCURL, TURNS = "nothing", "libcurl", "turns"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: `images` in a unit, `hosts` host names, so many runs."""

    images: int
    hosts: int
    runs: int


def bench(setting: Setting, made: Authority, served: Served, told: Callable[[str], None]) -> None:
    """Print a table each for time, turns and memory."""
    told(f"the loop's time: {setting.runs} runs ...")
    _profile(setting, made, served)
    told(f"{setting.hosts:,} hosts: {setting.runs} runs ...")
    _turns(setting, made, served)
    told("memory ...")
    with serving(made, LARGE_BODY) as large:
        _memory(setting, made, large)


def _watching(what: str, made: Authority) -> Contestant:
    return ours(
        what,
        "pairsieve.jobs.bench_contestants.our_fetch_loop",
        what,
        SSL_CERT_FILE=str(made.bundle),
    )


def _unit(urls: list[str], port: int, pause_s: float = 0) -> dict[str, Any]:
    return {"urls": urls, "port": port, "concurrency": CONCURRENCY, "pause_s": pause_s}


def _profile(setting: Setting, made: Authority, served: Served) -> None:
    """Print how much of the loop's CPU time is spent in libcurl and the kernel."""
    rows = []
    entered = [_watching(NOTHING, made), _watching(LIBCURL, made)]
    for scheme, port in (("http", served.http), ("https", served.https)):
        for path, name in (("close", "new connections"), ("keep", "keep-alive")):
            urls = [f"{scheme}://{HOST}:{port}/{path}/{n}" for n in range(setting.images)]
            found = alternating(entered, _unit(urls, port), setting.runs)
            whole, inside = median(found[NOTHING], "loop_us"), median(found[LIBCURL], "watched_us")
            share = f"{100 * min(1, inside / whole):.0f} %"
            rows.append((f"{scheme}, {name}", f"{whole:.0f}", f"{inside:.0f}", share))
    print_table(
        f"CPU-microseconds per request of the loop's thread, {CONCURRENCY} at once; "
        f"wanted in libcurl and the kernel: {100 * LEAST_SHARE:.0f} %",
        ("", "all", "libcurl and kernel", "share"),
        rows,
    )


def _turns(setting: Setting, made: Authority, served: Served) -> None:
    """Print what it costs to decide whose turn it is, with one host and with many."""
    rows = []
    entered = [_watching(NOTHING, made), _watching(TURNS, made)]
    for hosts in (1, setting.hosts):
        # One request for each host: names that end in localhost are loopback for libcurl itself.
        names = [f"h{n % hosts}.localhost" for n in range(setting.hosts)]
        urls = [f"http://{name}:{served.http}/close/{n}" for n, name in enumerate(names)]
        found = alternating(entered, _unit(urls, served.http), setting.runs)
        whole, turns = median(found[NOTHING], "loop_us"), median(found[TURNS], "watched_us")
        rows.append((f"{hosts:,}", f"{whole:.0f}", f"{turns:.1f}"))
    print_table(
        f"CPU-microseconds per request by hosts in a unit of {setting.hosts:,}; "
        f"at most {MOST_TURN_US} for turns",
        ("hosts", "all", "turns"),
        rows,
    )


def _memory(setting: Setting, made: Authority, served: Served) -> None:
    """Print the peak of memory for two sizes of unit."""
    rows = []
    for images in (setting.images, TIMES_AS_LARGE * setting.images):
        urls = [f"http://{HOST}:{served.http}/keep/{n}" for n in range(images)]
        unit = _unit(urls, served.http, PAUSE_S)
        (found,) = alternating([_watching(NOTHING, made)], unit, 1).values()
        rows.append((images, round(images * LARGE_BODY / 1e6), round(found[0]["peak_mb"])))
    print_table(
        f"Memory of a unit, {CONCURRENCY} at once, bodies of {LARGE_BODY:,} bytes, slow consumer",
        ("images", "fetched, MB", "peak, MB"),
        rows,
    )
