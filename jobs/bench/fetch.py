"""`bench fetch`: what an image costs to fetch, beside img2dataset and urllib."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pairsieve.jobs.bench import fetch_loop
from pairsieve.jobs.bench.alternate import (
    Contestant,
    Result,
    alternating,
    img2dataset_python,
    median,
    ours,
    ratio,
    theirs,
)
from pairsieve.jobs.bench_data.certificates import Authority, make_authority
from pairsieve.jobs.bench_data.server import HOST, ServerPorts, serving
from pairsieve.jobs.console import print_table
from pairsieve.schemas.errors import Stopped

NO_FILE = "/nonexistent"  # names no bundle, so that the folder alone is searched
BUNDLE_SHARE = 10  # the case with a bundle takes ten times as long: a tenth of the images
CONTESTANTS = PAIRSIEVE, IMG2DATASET, URLLIB = "pairsieve", "img2dataset", "urllib"


@dataclass(frozen=True, slots=True)
class FetchBenchmark:
    """What is measured.

    Attributes:
        images: Images per run.
        body_bytes: Size of each, bytes.
        concurrency: Transfers at once; threads of the others, whose default is 256 too.
        hosts: Host names in a unit, to measure scheduling.
        runs: Runs of each contestant.
        python: The interpreter of img2dataset's environment; None leaves img2dataset out.
    """

    images: int = 1000
    body_bytes: int = 56_000
    concurrency: int = 256
    hosts: int = 10_000
    runs: int = 5
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One way of connecting; `max_share` is of img2dataset's CPU time."""

    name: str
    scheme: str
    path: str
    max_share: float | None = None
    bundle: bool = False


CASES = (
    Case("http, new connections", "http", "close", 1 / 4),
    Case("http, keep-alive", "http", "keep", 1 / 4),
    Case("https, full handshakes", "https", "close", 1 / 2.5),
    Case("https, keep-alive", "https", "keep"),
    Case("https, full handshakes, bundle", "https", "close", bundle=True),
)


def bench(benchmark: FetchBenchmark, echo: Callable[[str], None]) -> None:
    """Measure every case and print one table, then what one unit costs inside."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = make_authority(Path(folder), ("localhost",), (HOST,))
        with serving(certificates, benchmark.body_bytes) as ports:
            costs = []
            for case in CASES:
                echo(f"{case.name}: {benchmark.runs} runs ...")
                costs.append((case, compare(case, benchmark, certificates, ports)))
            _print(benchmark, costs)
            inside = fetch_loop.FetchLoopBenchmark(
                benchmark.images, benchmark.hosts, benchmark.runs
            )
            fetch_loop.bench(inside, certificates, ports, echo)


def compare(
    case: Case, benchmark: FetchBenchmark, certificates: Authority, ports: ServerPorts
) -> dict[str, float]:
    """Return the CPU-seconds per 1,000 images of each contestant, the median of its runs."""
    port = ports.https if case.scheme == "https" else ports.http
    images = max(1, benchmark.images // BUNDLE_SHARE) if case.bundle else benchmark.images
    urls = [f"{case.scheme}://{HOST}:{port}/{case.path}/{n}.jpg" for n in range(images)]
    job = {"urls": urls, "port": port, "concurrency": benchmark.concurrency}
    results = alternating(_contestants(case, benchmark, certificates), job, benchmark.runs)
    for name, runs in results.items():
        _check(name, runs, images * benchmark.body_bytes)
    return {name: median(runs) * 1000 / images for name, runs in results.items()}


def _contestants(
    case: Case, benchmark: FetchBenchmark, certificates: Authority
) -> list[Contestant]:
    """Return who takes part. pairsieve always has the bundle: it reads it once for all."""
    bundle = {"SSL_CERT_FILE": str(certificates.bundle), "SSL_CERT_DIR": NO_FILE}
    folder = {"SSL_CERT_FILE": NO_FILE, "SSL_CERT_DIR": str(certificates.folder)}
    trusted = bundle if case.bundle else folder
    contestants = [ours(PAIRSIEVE, "pairsieve.jobs.bench_contestants.our_fetch", **bundle)]
    if benchmark.python:
        python = img2dataset_python(benchmark.python)
        contestants.append(theirs(IMG2DATASET, python, "their_fetch.py", IMG2DATASET, **trusted))
    if not case.bundle:
        python = benchmark.python or Path(contestants[0].command[0])
        contestants.append(theirs(URLLIB, python, "their_fetch.py", URLLIB, **trusted))
    return contestants


def _check(name: str, runs: list[Result], expected: int) -> None:
    """Refuse to compare who did not do the whole work."""
    short = [run["bytes"] for run in runs if run["bytes"] != expected]
    if short:
        raise Stopped(f"bench: {name} received {short[0]:,} bytes of {expected:,}")


def _print(benchmark: FetchBenchmark, costs: list[tuple[Case, dict[str, float]]]) -> None:
    """Print the table: a row per case."""
    rows = []
    for case, cost in costs:
        own = cost[PAIRSIEVE]
        rows.append(
            (
                case.name,
                *(f"{cost[who]:.3f}" if who in cost else "-" for who in CONTESTANTS),
                ratio(own, cost.get(IMG2DATASET, 0)),
                f"{case.max_share:.2f}" if case.max_share else "-",
            )
        )
    title = (
        f"Client CPU-seconds per 1,000 images of {benchmark.body_bytes:,} bytes; median of "
        f"{benchmark.runs} alternating runs, {benchmark.concurrency} at once"
    )
    print_table(title, ("", *CONTESTANTS, "of img2dataset's", "at most"), rows)
