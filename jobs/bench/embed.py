"""`bench embed`: what a stored picture costs from the tar to its vector, beside open_clip.

open_clip is used as its README shows: single precision, the transform of Pillow's pictures, batches
from PyTorch's DataLoader. The weights are random: they cost what trained ones do.
"""

import io
import json
import statistics
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pairsieve.jobs.bench.alternate import Result, alternating, median, ours
from pairsieve.jobs.bench_data.photos import ASPECTS, photograph
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.store import ByteRange

SIDE = 512  # px, shorter side of a stored picture by default
QUALITY = 90  # of a stored picture by default
DRAWN = 8  # pictures; the tar repeats them, as drawing takes longer than embedding
TAR = "gather.tar"
OPEN_CLIP = "open_clip"
FASTER, BUSY = 2.5, 0.95  # wanted: images per second of open_clip's, share of the bare model's


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Attributes:
        images: Pictures of a run.
        model: Name of open_clip's architecture, or the path of a config.
        precisions: pairsieve's contestants.
        weights: Folder that keeps the random weights for the next time; None for a passing one.
        runs: Runs of each contestant.
    """

    images: int = 128
    model: str = "ViT-B-32"
    precisions: tuple[str, ...] = ("auto", "bf16")
    weights: Path | None = None
    runs: int = 5


def bench(setting: Setting, told: Callable[[str], None]) -> dict[str, list[Result]]:
    """Measure every contestant, print the tables, return what was measured."""
    with tempfile.TemporaryDirectory() as place, _weights(setting) as weights:
        folder = Path(place)
        told(f"{setting.images} pictures, shorter side {SIDE} px, JPEG of quality {QUALITY}")
        job = {
            "folder": str(folder),
            "places": _tar(folder / TAR, setting.images),
            "model": setting.model,
            "pretrained": str(weights),
        }
        entered = [
            ours(precision, "pairsieve.jobs.bench_contestants.our_embed", precision)
            for precision in setting.precisions
        ]
        entered.append(ours(OPEN_CLIP, "pairsieve.jobs.bench_contestants.open_clip_embed"))
        told(f"{', '.join(each.name for each in entered)}: {setting.runs} runs each ...")
        results = alternating(entered, job, setting.runs)
    _print(setting, results)
    return results


@contextmanager
def _weights(setting: Setting) -> Iterator[Path]:
    """Yield the file of random weights, the same for every contestant and run."""
    import open_clip
    import torch

    with tempfile.TemporaryDirectory() as passing:
        folder = setting.weights or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{Path(setting.model).stem}.pt"
        if not path.exists():
            config = open_clip.get_model_config(setting.model) or json.loads(
                Path(setting.model).read_text()
            )
            kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
            torch.manual_seed(0)
            torch.save(kind(**config).state_dict(), path)
        yield path


def _tar(path: Path, count: int) -> list[ByteRange]:
    """Write the tar of stored pictures; return where each is."""
    random = np.random.default_rng(0)
    bodies = []
    for number in range(DRAWN):
        aspect = ASPECTS[number % len(ASPECTS)]
        width, height = (round(SIDE * max(1, side)) for side in (aspect, 1 / aspect))
        file = io.BytesIO()
        Image.fromarray(photograph(random, width, height)).save(file, "JPEG", quality=QUALITY)
        bodies.append(file.getvalue())
    places = []
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            body = bodies[number % DRAWN]
            member = tarfile.TarInfo(f"{number:08d}.jpg")
            member.size = len(body)
            places.append((TAR, tar.offset + tarfile.BLOCKSIZE, len(body)))
            tar.addfile(member, io.BytesIO(body))
    return places


def _print(setting: Setting, results: dict[str, list[Result]]) -> None:
    """Print who makes how many images per CPU-second, and where pairsieve's time goes."""
    theirs = median(results[OPEN_CLIP])
    rows: list[tuple[Any, ...]] = []
    for name, runs in results.items():
        cost, mine = median(runs), name != OPEN_CLIP
        rows.append(
            (
                _named(name, runs) if mine else name,
                f"{1000 * cost / setting.images:.1f}",
                f"{setting.images / cost:.1f}",
                f"{theirs / cost:.2f}",
                f"{_of_bare(runs):.3f}" if mine else "-",
            )
        )
    print_table(
        f"{setting.model}, random weights, from the tar to the vector; median of {setting.runs} "
        f"alternating runs; wanted: {FASTER} times open_clip, {BUSY} of the bare model",
        ("", "CPU-ms/image", "images/s, core", "times open_clip", "of bare model"),
        rows,
    )
    steps = [
        (_named(name, runs), *(f"{100 * share:.1f} %" for share in runs[-1]["steps"].values()))
        for name, runs in results.items()
        if name != OPEN_CLIP
    ]
    head = ("", *results[setting.precisions[0]][-1]["steps"])
    print_table("Where pairsieve's CPU time goes", head, steps)


def _of_bare(runs: list[Result]) -> float:
    """Return the median over the runs of the share that the bare model has of the whole."""
    return float(statistics.median(run["bare_s"] / run["cpu_s"] for run in runs))


def _named(asked: str, runs: list[Result]) -> str:
    """Return a precision as shown: also what `auto` took."""
    return f"auto: {runs[0]['precision']}" if asked == "auto" else asked
