"""`bench gpu`: is embedding on this GPU right, and how much of the bare model's speed is left.

It runs wherever PyTorch has a GPU and takes minutes: `python -m pairsieve.jobs.bench.gpu` or
`pairsieve bench gpu`. Every part runs in a process of its own, and what it found is written at
once, so whoever runs out of time keeps what there is. Parts that the time does not allow are left
out and named. `--device cpu` runs all that needs no GPU on a CPU, to try the benchmark itself.
"""

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.alternate import Result, answer, ours
from pairsieve.jobs.bench_data.random_weights import random_weights
from pairsieve.jobs.bench_data.stored_photographs import Slices, drawn_jpegs, put_slices
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.paths import EMBED_FOLDER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption, Stopped, nearest

NO_GPU = "PyTorch finds no GPU here, so nothing is measured; --device cpu tries a small version."
MODELS = ("ViT-B-32", "ViT-L-14")
DRAWN = 16  # JPEGs, of which all images of the tars are copies
WARM_PAIRS = 512  # of the slice that an actor embeds before it counts
BATCHES = 4  # of a measured round
# The worst vector's cosine to the CPU's in single precision, with any batch size.
MIN_COSINE = {"fp32": 0.99999, "bf16": 0.999, "fp16": 0.999}
COSINES = ("image_cosine", "text_cosine", "batch_cosine")
FAST = "fp16"  # the precision that is measured end to end on a GPU
GPU_MODEL, GPU_ACTOR, GPU_JPEGS = (
    f"pairsieve.jobs.bench_contestants.{name}" for name in ("gpu_model", "gpu_actor", "gpu_jpegs")
)


@dataclass(frozen=True, slots=True)
class GpuBenchmark:
    """What is measured.

    Attributes:
        device: `cuda`, or `cpu` for a small version.
        models: Names of open_clip's architectures, or paths of configs.
        slices: Task slices that are embedded end to end, by all actors together.
        pairs: Pairs of each.
        actors: How many actors share the GPU, each number for itself.
        seconds: How long a measurement repeats.
        minutes: After which no further part begins.
        weights: Folder that keeps the random weights; None for a temporary one.
        only: Words of which one is in a part's name, or the part is left out; all, if empty.
        out: The file of JSON that is written; None for none.
    """

    device: str = "cuda"
    models: tuple[str, ...] = MODELS
    slices: int = 8
    pairs: int = 4096
    actors: tuple[int, ...] = (1, 2, 4)
    seconds: float = 2.0
    minutes: float = 8.0
    weights: Path | None = None
    only: tuple[str, ...] = ()
    out: Path | None = None


SMALL = GpuBenchmark("cpu", slices=2, pairs=16, actors=(1,), seconds=0.1)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmark: its name in the results, and what does it."""

    name: str
    run: Callable[[], Result]


@dataclass(frozen=True, slots=True)
class Files:
    """What the parts read: a folder with the dataset, and the checkpoint of each model."""

    folder: Path
    weights: dict[str, Path]

    @property
    def dataset(self) -> Path:
        """Return the folder of the gathered slices."""
        return self.folder / "dataset"


def gpu_name() -> str | None:
    """Return the name of the GPU that PyTorch uses here, None where it has none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def choose_device(name: str) -> str | None:
    """Return `cuda` or `cpu`, None where `auto` finds no GPU.

    Raises:
        BadOption: another name, or `cuda` where there is no GPU.
    """
    if name not in ("auto", "cuda", "cpu"):
        raise BadOption(f"--device: {name!r}; {nearest(name, ['auto', 'cuda', 'cpu'])}")
    if name == "cpu" or gpu_name() is not None:
        return "cpu" if name == "cpu" else "cuda"
    if name == "cuda":
        raise BadOption(f"--device: cuda, but {NO_GPU}")
    return None


def sized(device: str, pairs: int | None, actors: tuple[int, ...]) -> GpuBenchmark:
    """Return a benchmark of so many pairs and actors, or of as many as suit the device."""
    usual = GpuBenchmark() if device == "cuda" else SMALL
    each = max(1, pairs // usual.slices) if pairs else usual.pairs
    return replace(usual, pairs=each, actors=actors or usual.actors)


def bench(benchmark: GpuBenchmark, echo: Callable[[str], None]) -> dict[str, Any]:
    """Measure part after part, print the tables; return what was measured, as the file has it.

    Raises:
        Stopped: a part failed, or something is not right; all the others were measured.
    """
    until = time.monotonic() + 60 * benchmark.minutes
    found: dict[str, Any] = {"environment": _environment(benchmark), "parts": {}}
    with tempfile.TemporaryDirectory() as temporary:
        files = _files(benchmark, Path(temporary))
        for part in _parts(benchmark, files):
            if benchmark.only and not any(word in part.name for word in benchmark.only):
                continue
            found["parts"][part.name] = run_part(part, until, echo)
            if benchmark.out:
                benchmark.out.write_text(json.dumps(found, indent=1))
    print_results(found)
    wrong = problems(found["parts"])
    if wrong:
        raise Stopped("bench gpu: " + "; ".join(wrong))
    if any(_models(found["parts"])):
        echo("Every cosine is within its tolerance, and the same input gives the same bits.")
    return found


def _environment(benchmark: GpuBenchmark) -> Result:
    import torch

    gpu = benchmark.device == "cuda"
    return {
        "device": (gpu_name() if gpu else None) or platform.processor() or platform.machine(),
        "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9 if gpu else None,
        "cpus": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _files(benchmark: GpuBenchmark, folder: Path) -> Files:
    """Make what the parts read."""
    kept = benchmark.weights or folder / "weights"
    weights = {model: random_weights(model, kept) for model in benchmark.models}
    files = Files(folder, weights)
    store, bodies = Store.at(files.dataset), drawn_jpegs(DRAWN)
    for slices in (_warm(benchmark), _measured(benchmark)):
        put_slices(store, slices, bodies)
    return files


def _warm(benchmark: GpuBenchmark) -> Slices:
    """Return the slices with which actors get warm, one for each."""
    return Slices(max(benchmark.actors), min(WARM_PAIRS, benchmark.pairs))


def _measured(benchmark: GpuBenchmark) -> Slices:
    return Slices(benchmark.slices, benchmark.pairs, first=max(benchmark.actors))


def _parts(benchmark: GpuBenchmark, files: Files) -> Iterator[Part]:
    """Yield the parts, those first that tell most."""
    gpu = benchmark.device == "cuda"
    precisions = tuple(MIN_COSINE) if gpu else ("fp32", "bf16")
    for model in benchmark.models:
        yield Part(f"model {model}", partial(_model, benchmark, files, model, precisions))
    yield Part("decoders", partial(_decoders, benchmark))
    for count in benchmark.actors:
        for model in benchmark.models:
            name = f"end to end {model}, actors {count}"
            yield Part(name, partial(_end_to_end, benchmark, files, model, count))
    for model in benchmark.models if gpu else ():
        compiled = partial(_model, benchmark, files, model, (FAST,), compiled=True)
        yield Part(f"compiled {model}", compiled)


def run_part(part: Part, until: float, echo: Callable[[str], None]) -> Result:
    """Return what a part finds, or why it has found nothing."""
    if time.monotonic() > until:
        echo(f"{part.name}: left out, the time is up")
        return {"left_out": "no time"}
    began = time.monotonic()
    try:
        result = part.run()
    except Stopped as error:
        result = {"failed": str(error)}
    took_s = time.monotonic() - began
    echo(f"{part.name}: {took_s:.0f} s" + (" FAILED" if "failed" in result else ""))
    return result | {"took_s": took_s}


def _embed(benchmark: GpuBenchmark, files: Files, model: str) -> dict[str, Any]:
    """Return the section `embed` of a recipe."""
    return {"model": model, "pretrained": str(files.weights[model]), "device": benchmark.device}


def _model(
    benchmark: GpuBenchmark,
    files: Files,
    model: str,
    precisions: tuple[str, ...],
    compiled: bool = False,
) -> Result:
    job = {
        "embed": _embed(benchmark, files, model) | {"compile": compiled},
        "precisions": precisions,
        "seconds": benchmark.seconds,
        "batches": BATCHES,
    }
    return answer(ours(model, GPU_MODEL), job)


def _decoders(benchmark: GpuBenchmark) -> Result:
    images = 1024 if benchmark.device == "cuda" else DRAWN
    job = {"device": benchmark.device, "images": images, "seconds": benchmark.seconds}
    return answer(ours("decoders", GPU_JPEGS), job)


def _end_to_end(benchmark: GpuBenchmark, files: Files, model: str, count: int) -> Result:
    """Return images per second from the tars to the committed vectors, by so many actors."""
    shutil.rmtree(files.dataset / EMBED_FOLDER, ignore_errors=True)
    gpu = benchmark.device == "cuda"
    settings = {"precision": FAST if gpu else "fp32", "num_gpus": 1 / count}
    warm, measured = _warm(benchmark).names, _measured(benchmark).names
    with tempfile.TemporaryDirectory(dir=files.folder) as waiting:
        jobs = [
            {
                "dataset": str(files.dataset),
                "slices": [warm[number], *measured[number::count]],
                "embed": _embed(benchmark, files, model) | settings,
                "number": number,
                "actors": count,
                "waiting": waiting,
            }
            for number in range(count)
        ]
        with ThreadPoolExecutor(count) as threads:
            done = list(threads.map(lambda job: answer(ours(model, GPU_ACTOR), job), jobs))
    return _together(done)


def _together(done: list[Result]) -> Result:
    """Return what actors did that worked side by side."""
    images = sum(each["images"] for each in done)
    seconds = max(each["ended"] for each in done) - min(each["began"] for each in done)
    return {
        "images": images,
        "images_s": images / seconds,
        "cpu_ms": 1000 * sum(each["cpu_s"] for each in done) / images,
        "model_share": sum(each["model_share"] for each in done) / len(done),
        "peak_mb": max(each["peak_mb"] for each in done),
    }


def problems(parts: dict[str, Result]) -> list[str]:
    """Return what failed or is not as it must be, in words."""
    wrong = [f"{name}: {part['failed'][-300:]}" for name, part in parts.items() if "failed" in part]
    for name, precision, one in _models(parts):
        where = f"{name}, {precision}"
        for key in COSINES:
            if not one.get(key, 1) >= MIN_COSINE[precision]:
                wrong.append(f"{where}: {key} {one[key]:.6f}, at least {MIN_COSINE[precision]}")
        for key in ("repeats", "company_changes_nothing"):
            if not one[key]:
                wrong.append(f"{where}: {key} is false")
        halved = one.get("halved")
        if halved and not (
            halved["after"] < halved["before"] and halved["cosine"] >= MIN_COSINE[precision]
        ):
            wrong.append(f"{where}: without memory, {halved}")
    return wrong


def _models(parts: dict[str, Result]) -> Iterator[tuple[str, str, Result]]:
    """Yield (part, precision, what was measured) of the models."""
    for name, part in parts.items():
        for precision in MIN_COSINE:
            if precision in part:
                yield name, precision, part[precision]


def print_results(found: dict[str, Any]) -> None:
    """Print a table of each kind of part, from what `bench` returns or has written."""
    parts, device = found["parts"], found["environment"]["device"]
    _print(
        f"{device}: images per second of a model with random weights; bare: prepared batches in, "
        "vectors out; network: no copies. Cosines: the worst vector's to the CPU's in fp32",
        ("", "", "batch", "bare", "network", "GB", "load, s", "image", "text", "other batch"),
        [
            (
                name,
                precision,
                one["batch"],
                f"{one['bare']:,.0f}",
                f"{one['network']:,.0f}",
                f"{one.get('memory_gb', 0):.1f}",
                f"{one['load_s']:.1f}",
                *(f"{one[key]:.6f}" if key in one else "-" for key in COSINES),
            )
            for name, precision, one in _models(parts)
        ],
    )
    _print_decoders(parts.get("decoders", {}))
    _print_end_to_end(parts)


def _print_decoders(decoders: Result) -> None:
    rows = [
        (
            name,
            f"{one['decoded']:,.0f}",
            f"{one['resized']:,.0f}",
            f"{one.get('mean_difference', 0):.2f}",
        )
        if "decoded" in one
        else (name, one["missing"], "", "")
        for name, one in decoders.items()
        if isinstance(one, dict)
    ]
    title = "Stored JPEGs per second, and how far their pixels are from those of `embed` (of 255)"
    _print(title, ("", "decoded", "and resized", "apart"), rows)


def _print_end_to_end(parts: dict[str, Result]) -> None:
    """Print the rates from the tars to the vectors, and their share of the bare model's."""
    bare = {
        name.removeprefix("model "): one["bare"]
        for name, precision, one in _models(parts)
        if precision == FAST and name.startswith("model ")
    }
    rows = []
    for name, part in parts.items():
        if "images_s" not in part:
            continue
        model, _, actors = name.removeprefix("end to end ").rpartition(", actors ")
        share = f"{part['images_s'] / bare[model]:.2f}" if model in bare else "-"
        rate, cost = f"{part['images_s']:,.0f}", f"{part['cpu_ms']:.2f}"
        rows.append((model, actors, rate, share, cost, f"{part['peak_mb']:,.0f}"))
    head = ("", "actors", "images/s", "of bare", "CPU-ms per image", "MB of memory")
    _print("From the tars to the committed vectors and scores", head, rows)


def _print(title: str, head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table if it has rows."""
    if rows:
        print_table(title, head, rows)


if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "gpu"]
    import_module("pairsieve.jobs.cli").main()
