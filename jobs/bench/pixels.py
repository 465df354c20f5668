"""`bench pixels`: what a JPEG costs from its bytes to a stored image, beside img2dataset's Resizer.

pairsieve also hashes and measures, which the Resizer does not.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pairsieve.jobs.bench.alternate import alternating, answer, median, ours, ratio, theirs
from pairsieve.jobs.bench_data.photos import BASELINE, KINDS, Sample, corpus, own_photographs
from pairsieve.jobs.console import print_table
from pairsieve.schemas.errors import BadOption, Stopped

SIDE = 256  # px, shorter side of the stored image
QUALITY = 95  # img2dataset's default
OURS = "pairsieve.jobs.bench_contestants.our_pixels"
PAIRSIEVE, IMG2DATASET = "pairsieve", "img2dataset"
MIN_SHARE = 0.005  # steps below it are not shown


@dataclass(frozen=True, slots=True)
class PixelsBenchmark:
    """What is measured.

    Attributes:
        images: Images drawn.
        seed: Of the drawing.
        folder: JPEGs to measure instead of drawn ones.
        passes: How often each run works through them.
        runs: Runs of each contestant.
        python: The interpreter of img2dataset's environment; None leaves img2dataset out.
    """

    images: int = 36
    seed: int = 0
    folder: Path | None = None
    passes: int = 2
    runs: int = 5
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Which of the images, and what pairsieve does; `max_share` is of the Resizer's CPU time."""

    name: str
    task: str
    kinds: tuple[str, ...] = KINDS
    max_share: float | None = None


CASES = (
    Case("all, with sha256, pHash and sharpness", "whole", max_share=0.56),
    Case("all, the same work", "alone"),
    *(
        Case(f"{kind}, the same work", "alone", (kind,), 0.48 if kind == BASELINE else None)
        for kind in KINDS
    ),
)


def bench(benchmark: PixelsBenchmark, echo: Callable[[str], None]) -> None:
    """Measure every case, print one table, and where pairsieve's time goes."""
    samples = _samples(benchmark)
    _describe(samples, echo)
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, sample in enumerate(samples):
            path = Path(folder) / f"{number:04d}.jpg"
            path.write_bytes(sample.body)
            files[str(path)] = sample
        rows = []
        for case in CASES:
            paths = [path for path, each in files.items() if each.kind in case.kinds]
            if paths:
                echo(f"{case.name}: {benchmark.runs} runs ...")
                rows.append((case, len(paths), compare(case, paths, benchmark)))
        shares = answer(
            ours(PAIRSIEVE, OURS, "whole"), {**_job(list(files), benchmark), "steps": True}
        )["steps"]
    _print(benchmark, rows, shares)


def compare(case: Case, files: list[str], benchmark: PixelsBenchmark) -> dict[str, float]:
    """Return the CPU-milliseconds per image of each contestant, the median of its runs."""
    contestants = [ours(PAIRSIEVE, OURS, case.task)]
    if benchmark.python:
        contestants.append(theirs(IMG2DATASET, benchmark.python, "img2dataset_resizer.py"))
    results = alternating(contestants, _job(files, benchmark), benchmark.runs)
    images = len(files) * benchmark.passes
    done = {name: {run["done"] for run in runs} for name, runs in results.items()}
    if len(set.union(*done.values())) > 1:
        raise Stopped(f"bench: not the same work was done: {done} of {images}")
    return {name: median(runs) * 1000 / images for name, runs in results.items()}


def _samples(benchmark: PixelsBenchmark) -> list[Sample]:
    if not benchmark.folder:
        return corpus(benchmark.seed, benchmark.images)
    samples = own_photographs(benchmark.folder)
    if not samples:
        raise BadOption(f"--folder: no JPEG in {benchmark.folder}")
    return samples


def _job(files: list[str], benchmark: PixelsBenchmark) -> dict[str, object]:
    return {"files": files, "side": SIDE, "quality": QUALITY, "passes": benchmark.passes}


def _describe(samples: list[Sample], echo: Callable[[str], None]) -> None:
    """Say what is measured."""
    pixels = sum(sample.pixels for sample in samples)
    bits = 8 * sum(len(sample.body) for sample in samples)
    kinds = Counter(sample.kind for sample in samples)
    echo(
        f"{len(samples)} JPEGs ({', '.join(f'{count} {kind}' for kind, count in kinds.items())}); "
        f"{pixels / len(samples) / 1e6:.2f} megapixels and {bits / pixels:.2f} bits per pixel each"
    )


def _print(
    benchmark: PixelsBenchmark,
    measured: list[tuple[Case, int, dict[str, float]]],
    shares: list[tuple[str, float]],
) -> None:
    """Print both tables."""
    rows = [
        (
            case.name,
            images,
            *(f"{cost[who]:.2f}" if who in cost else "-" for who in (PAIRSIEVE, IMG2DATASET)),
            ratio(cost[PAIRSIEVE], cost.get(IMG2DATASET, 0)),
            f"{case.max_share:.2f}" if case.max_share else "-",
        )
        for case, images, cost in measured
    ]
    print_table(
        f"CPU-milliseconds per image, to {SIDE} px at quality {QUALITY}; median of "
        f"{benchmark.runs} alternating runs",
        ("", "images", PAIRSIEVE, IMG2DATASET, "of img2dataset's", "at most"),
        rows,
    )
    shown = [(name, f"{100 * share:.1f} %") for name, share in shares if share >= MIN_SHARE]
    print_table("Where pairsieve's time goes, everything done", ("function", "share"), shown)
