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
from pairsieve.jobs.bench_data.certificates import Authority, authority
from pairsieve.jobs.bench_data.server import HOST, Served, serving
from pairsieve.jobs.console import print_table
from pairsieve.schemas.errors import Stopped

NO_FILE = "/nonexistent"  # names no bundle, so that the folder alone is asked
BUNDLE_SHARE = 10  # the case with a bundle takes ten times as long: a tenth of the images
WHO = PAIRSIEVE, IMG2DATASET, URLLIB = "pairsieve", "img2dataset", "urllib"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Attributes:
        images: Images per run.
        body_bytes: Size of each, bytes.
        concurrency: Transfers at once; threads of the others, whose default is 256 too.
        hosts: Host names in a unit, for what turns cost.
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
    """One way of connecting; `most` is the share of img2dataset's CPU that pairsieve may use."""

    name: str
    scheme: str
    path: str
    most: float | None = None
    bundle: bool = False


CASES = (
    Case("http, new connections", "http", "close", 1 / 4),
    Case("http, keep-alive", "http", "keep", 1 / 4),
    Case("https, full handshakes", "https", "close", 1 / 2.5),
    Case("https, keep-alive", "https", "keep"),
    Case("https, full handshakes, bundle", "https", "close", bundle=True),
)


def bench(setting: Setting, told: Callable[[str], None]) -> None:
    """Measure every case and print one table, then what one unit costs inside."""
    with tempfile.TemporaryDirectory() as folder:
        made = authority(Path(folder), ("localhost",), (HOST,))
        with serving(made, setting.body_bytes) as served:
            measured = []
            for case in CASES:
                told(f"{case.name}: {setting.runs} runs ...")
                measured.append((case, compare(case, setting, made, served)))
            _print(setting, measured)
            inside = fetch_loop.Setting(setting.images, setting.hosts, setting.runs)
            fetch_loop.bench(inside, made, served, told)


def compare(case: Case, setting: Setting, made: Authority, served: Served) -> dict[str, float]:
    """Return the CPU-seconds per 1,000 images of each contestant, the median of its runs."""
    port = served.https if case.scheme == "https" else served.http
    images = max(1, setting.images // BUNDLE_SHARE) if case.bundle else setting.images
    urls = [f"{case.scheme}://{HOST}:{port}/{case.path}/{n}.jpg" for n in range(images)]
    job = {"urls": urls, "port": port, "concurrency": setting.concurrency}
    results = alternating(_contestants(case, setting, made), job, setting.runs)
    for name, runs in results.items():
        _check(name, runs, images * setting.body_bytes)
    return {name: median(runs) * 1000 / images for name, runs in results.items()}


def _contestants(case: Case, setting: Setting, made: Authority) -> list[Contestant]:
    """Return who takes part. pairsieve always has the bundle: it reads it once for all."""
    bundle = {"SSL_CERT_FILE": str(made.bundle), "SSL_CERT_DIR": NO_FILE}
    folder = {"SSL_CERT_FILE": NO_FILE, "SSL_CERT_DIR": str(made.folder)}
    trusted = bundle if case.bundle else folder
    entered = [ours(PAIRSIEVE, "pairsieve.jobs.bench_contestants.our_fetch", **bundle)]
    if setting.python:
        python = img2dataset_python(setting.python)
        entered.append(theirs(IMG2DATASET, python, "their_fetch.py", IMG2DATASET, **trusted))
    if not case.bundle:
        python = setting.python or Path(entered[0].command[0])
        entered.append(theirs(URLLIB, python, "their_fetch.py", URLLIB, **trusted))
    return entered


def _check(name: str, runs: list[Result], expected: int) -> None:
    """Refuse to compare who did not do the whole work."""
    short = [run["bytes"] for run in runs if run["bytes"] != expected]
    if short:
        raise Stopped(f"bench: {name} received {short[0]:,} bytes of {expected:,}")


def _print(setting: Setting, measured: list[tuple[Case, dict[str, float]]]) -> None:
    """Print the table: a row per case."""
    rows = []
    for case, cost in measured:
        mine = cost[PAIRSIEVE]
        rows.append(
            (
                case.name,
                *(f"{cost[who]:.3f}" if who in cost else "-" for who in WHO),
                ratio(mine, cost.get(IMG2DATASET, 0)),
                f"{case.most:.2f}" if case.most else "-",
            )
        )
    title = (
        f"Client CPU-seconds per 1,000 images of {setting.body_bytes:,} bytes; median of "
        f"{setting.runs} alternating runs, {setting.concurrency} at once"
    )
    print_table(title, ("", *WHO, "of img2dataset's", "at most"), rows)
