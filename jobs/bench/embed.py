"""`bench embed`: what a stored picture costs from the tar to its vector, beside open_clip.

open_clip is used as its README shows: single precision, the transform of Pillow's pictures, batches
from PyTorch's DataLoader. The weights are random: they cost what trained ones do.
"""

import io
import statistics
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.alternate import Result, alternating, median, ours
from pairsieve.jobs.bench_data.random_weights import random_weights
from pairsieve.jobs.bench_data.stored_photographs import QUALITY, SIDE, drawn_jpegs
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.checksums import StoredAt, of_image

DRAWN = 8  # pictures; the tar repeats them, as drawing takes longer than embedding
TAR = "gather.tar"
OPEN_CLIP = "open_clip"
TARGET_SPEED = 2.5  # times open_clip's images per second
TARGET_SHARE = 0.95  # of the bare model's images per second


@dataclass(frozen=True, slots=True)
class EmbedBenchmark:
    """What is measured.

    Attributes:
        images: Pictures of a run.
        model: Name of open_clip's architecture, or the path of a config.
        precisions: pairsieve's contestants.
        weights: Folder that keeps the random weights for the next time; None for a temporary one.
        runs: Runs of each contestant.
    """

    images: int = 128
    model: str = "ViT-B-32"
    precisions: tuple[str, ...] = ("auto", "bf16")
    weights: Path | None = None
    runs: int = 5


def bench(benchmark: EmbedBenchmark, echo: Callable[[str], None]) -> dict[str, list[Result]]:
    """Measure every contestant, print the tables, return what was measured."""
    with tempfile.TemporaryDirectory() as temporary, _weights(benchmark) as weights:
        folder = Path(temporary)
        echo(f"{benchmark.images} pictures, shorter side {SIDE} px, JPEG of quality {QUALITY}")
        job = {
            "folder": str(folder),
            "byte_ranges": _tar(folder / TAR, benchmark.images),
            "model": benchmark.model,
            "pretrained": str(weights),
        }
        contestants = [
            ours(precision, "pairsieve.jobs.bench_contestants.our_embed", precision)
            for precision in benchmark.precisions
        ]
        contestants.append(ours(OPEN_CLIP, "pairsieve.jobs.bench_contestants.open_clip_embed"))
        echo(f"{', '.join(each.name for each in contestants)}: {benchmark.runs} runs each ...")
        results = alternating(contestants, job, benchmark.runs)
    _print(benchmark, results)
    return results


@contextmanager
def _weights(benchmark: EmbedBenchmark) -> Iterator[Path]:
    """Yield the file of random weights, the same for every contestant and run."""
    with tempfile.TemporaryDirectory() as temporary:
        yield random_weights(benchmark.model, benchmark.weights or Path(temporary))


def _tar(path: Path, count: int) -> list[StoredAt]:
    """Write the tar of stored pictures; return the byte range of each."""
    bodies = drawn_jpegs(DRAWN)
    byte_ranges = []
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            body = bodies[number % DRAWN]
            member = tarfile.TarInfo(f"{number:08d}.jpg")
            member.size = len(body)
            offset = tar.offset + tarfile.BLOCKSIZE
            byte_ranges.append(StoredAt(TAR, offset, len(body), of_image(body)))
            tar.addfile(member, io.BytesIO(body))
    return byte_ranges


def _print(benchmark: EmbedBenchmark, results: dict[str, list[Result]]) -> None:
    """Print who makes how many images per CPU-second, and where pairsieve's time goes."""
    theirs = median(results[OPEN_CLIP])
    rows: list[tuple[Any, ...]] = []
    for name, runs in results.items():
        cost, own = median(runs), name != OPEN_CLIP
        rows.append(
            (
                _label(name, runs) if own else name,
                f"{1000 * cost / benchmark.images:.1f}",
                f"{benchmark.images / cost:.1f}",
                f"{theirs / cost:.2f}",
                f"{_of_bare(runs):.3f}" if own else "-",
            )
        )
    print_table(
        f"{benchmark.model}, random weights, from the tar to the vector; "
        f"median of {benchmark.runs} alternating runs; target: {TARGET_SPEED} times open_clip, "
        f"{TARGET_SHARE} of the bare model",
        ("", "CPU-ms/image", "images/s, core", "times open_clip", "of bare model"),
        rows,
    )
    steps = [
        (_label(name, runs), *(f"{100 * share:.1f} %" for share in runs[-1]["steps"].values()))
        for name, runs in results.items()
        if name != OPEN_CLIP
    ]
    head = ("", *results[benchmark.precisions[0]][-1]["steps"])
    print_table("Where pairsieve's CPU time goes", head, steps)


def _of_bare(runs: list[Result]) -> float:
    """Return the median over the runs of the share that the bare model has of the whole."""
    return float(statistics.median(run["bare_s"] / run["cpu_s"] for run in runs))


def _label(precision: str, runs: list[Result]) -> str:
    """Return a precision as printed: also what `auto` chose."""
    return f"auto: {runs[0]['precision']}" if precision == "auto" else precision
