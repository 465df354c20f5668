"""The second half of `bench fetch`: what one unit costs inside pairsieve's own loop.

That its memory does not grow with the unit, what scheduling the hosts costs, and how much of the
loop's CPU time is libcurl's and the kernel's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pairsieve.jobs.bench.alternate import Contestant, alternating, median, ours
from pairsieve.jobs.bench_data.certificates import Authority
from pairsieve.jobs.bench_data.server import HOST, ServerPorts, serving
from pairsieve.jobs.console import print_table

CONCURRENCY = 256
LARGE_BODY = 200_000  # bytes, for memory: 256 of them under way are 51 MB
PAUSE_S = 0.0005  # a consumer that is slower than the web, so that the backlog is full
TIMES_AS_LARGE = 4
TARGET_SHARE = 0.9  # of libcurl and the kernel
MAX_SCHEDULING_US = 50
NOTHING, LIBCURL, SCHEDULING = "nothing", "libcurl", "scheduling"


@dataclass(frozen=True, slots=True)
class FetchLoopBenchmark:
    """What is measured: `images` in a unit, `hosts` host names, so many runs."""

    images: int
    hosts: int
    runs: int


def bench(
    benchmark: FetchLoopBenchmark,
    certificates: Authority,
    ports: ServerPorts,
    echo: Callable[[str], None],
) -> None:
    """Print a table each for time, scheduling and memory."""
    echo(f"the loop's time: {benchmark.runs} runs ...")
    _profile(benchmark, certificates, ports)
    echo(f"{benchmark.hosts:,} hosts: {benchmark.runs} runs ...")
    _scheduling(benchmark, certificates, ports)
    echo("memory ...")
    with serving(certificates, LARGE_BODY) as large:
        _memory(benchmark, certificates, large)


def _watching(what: str, certificates: Authority) -> Contestant:
    return ours(
        what,
        "pairsieve.jobs.bench_contestants.our_fetch_loop",
        what,
        SSL_CERT_FILE=str(certificates.bundle),
    )


def _unit(urls: list[str], port: int, pause_s: float = 0) -> dict[str, Any]:
    return {"urls": urls, "port": port, "concurrency": CONCURRENCY, "pause_s": pause_s}


def _profile(benchmark: FetchLoopBenchmark, certificates: Authority, ports: ServerPorts) -> None:
    """Print how much of the loop's CPU time is spent in libcurl and the kernel."""
    rows = []
    contestants = [_watching(NOTHING, certificates), _watching(LIBCURL, certificates)]
    for scheme, port in (("http", ports.http), ("https", ports.https)):
        for path, name in (("close", "new connections"), ("keep", "keep-alive")):
            urls = [f"{scheme}://{HOST}:{port}/{path}/{n}" for n in range(benchmark.images)]
            results = alternating(contestants, _unit(urls, port), benchmark.runs)
            whole = median(results[NOTHING], "loop_us")
            inside = median(results[LIBCURL], "watched_us")
            share = f"{100 * min(1, inside / whole):.0f} %"
            rows.append((f"{scheme}, {name}", f"{whole:.0f}", f"{inside:.0f}", share))
    print_table(
        f"CPU-microseconds per request of the loop's thread, {CONCURRENCY} at once; "
        f"target in libcurl and the kernel: {100 * TARGET_SHARE:.0f} %",
        ("", "all", "libcurl and kernel", "share"),
        rows,
    )


def _scheduling(benchmark: FetchLoopBenchmark, certificates: Authority, ports: ServerPorts) -> None:
    """Print what it costs to decide which host is next, with one host and with many."""
    rows = []
    contestants = [_watching(NOTHING, certificates), _watching(SCHEDULING, certificates)]
    for hosts in (1, benchmark.hosts):
        # One request for each host: names that end in localhost are loopback for libcurl itself.
        names = [f"h{n % hosts}.localhost" for n in range(benchmark.hosts)]
        urls = [f"http://{name}:{ports.http}/close/{n}" for n, name in enumerate(names)]
        results = alternating(contestants, _unit(urls, ports.http), benchmark.runs)
        whole = median(results[NOTHING], "loop_us")
        scheduling = median(results[SCHEDULING], "watched_us")
        rows.append((f"{hosts:,}", f"{whole:.0f}", f"{scheduling:.1f}"))
    print_table(
        f"CPU-microseconds per request by hosts in a unit of {benchmark.hosts:,}; "
        f"at most {MAX_SCHEDULING_US} for scheduling",
        ("hosts", "all", "scheduling"),
        rows,
    )


def _memory(benchmark: FetchLoopBenchmark, certificates: Authority, ports: ServerPorts) -> None:
    """Print the peak of memory for two sizes of unit."""
    rows = []
    for images in (benchmark.images, TIMES_AS_LARGE * benchmark.images):
        urls = [f"http://{HOST}:{ports.http}/keep/{n}" for n in range(images)]
        unit = _unit(urls, ports.http, PAUSE_S)
        (results,) = alternating([_watching(NOTHING, certificates)], unit, 1).values()
        rows.append((images, round(images * LARGE_BODY / 1e6), round(results[0]["peak_mb"])))
    print_table(
        f"Memory of a unit, {CONCURRENCY} at once, bodies of {LARGE_BODY:,} bytes, slow consumer",
        ("images", "fetched, MB", "peak, MB"),
        rows,
    )
