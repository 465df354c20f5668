"""`bench pool`: what it costs to make a dataset, to take pairs out of it, and to add some.

The input is tars of drawn pictures with captions, no two alike. Each command runs in a process of
its own whose every process counts. First all is made, up to the report; then one pair leaves, then
a hundred from all over the pool, then a further file comes, a tenth as large.
"""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from pairsieve.jobs.bench_contestants.process_costs import ProcessCost, measured
from pairsieve.jobs.console import print_table

SIDES = (128, 96)  # of a picture, px
COLOURS = (8, 6)  # drawn in each, between which it is smooth
FEW = 100  # pairs that leave together
TENTH = 10
NAME = "default"
Command = Callable[[list[str]], ProcessCost]


@dataclass(frozen=True, slots=True)
class GrowingBenchmark:
    """What is measured.

    Attributes:
        pairs: Of the pool.
        unit: Pairs of a unit.
        samples: Of a shard.
        seed: Of the pictures.
        folder: Where to work; None for the temporary folder.
        command: Runs a command and says what it has cost.
    """

    pairs: int
    unit: int
    samples: int
    seed: int = 0
    folder: Path | None = None
    command: Command = measured


class Step(NamedTuple):
    """What a command has cost, s, CPU-s and MB; and how many shards are new, other, as before."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    new: int
    changed: int
    kept: int


def pool(
    pairs: Annotated[int, typer.Option("--pairs", min=10, help="Pairs of the pool.")] = 100_000,
    unit: Annotated[int, typer.Option("--unit", min=1, help="Pairs of a unit.")] = 10_000,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples per shard.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the pictures.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Work in here; default: the temporary folder.")
    ] = None,
) -> None:
    """Measure what it costs to make a dataset, to take pairs out of it, and to add a tenth."""
    bench(GrowingBenchmark(pairs, unit, samples, seed, folder), typer.echo)


def bench(benchmark: GrowingBenchmark, echo: Callable[[str], None]) -> None:
    """Draw the pool, let it be made, shrink and grow, and print what each step has cost.

    Raises:
        Stopped: a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="pairsieve-bench-", dir=benchmark.folder) as made:
        _print(benchmark, measure(benchmark, Path(made), echo))


def measure(benchmark: GrowingBenchmark, folder: Path, echo: Callable[[str], None]) -> list[Step]:
    """Return what each step has cost, in their order."""
    dataset, recipe = str(folder / "dataset"), str(folder / "recipe.yaml")
    Path(recipe).write_text(
        f"input: {{path: {folder / 'in'}, format: webdataset, unit_pairs: {benchmark.unit}}}\n"
        f"keep: [{{duplicate: {{}}}}]\nshard: {{samples: {benchmark.samples}}}\n"
    )
    run = ["run", recipe, "--dataset", dataset, "--engine", "serial", "--quiet"]
    forget = ["forget", dataset, "--engine", "serial"]
    step = partial(_step, benchmark.command, folder)
    echo(f"drawing {benchmark.pairs:,} pictures ...")
    draw(folder / "in" / "a.tar", 0, benchmark.pairs, benchmark.seed)
    steps = [step(f"make {benchmark.pairs:,} pairs", run)]
    uids = _uids(folder)
    steps.append(step("take out 1", [*forget, "--uid", uids[0]]))
    few = uids[1 :: max(1, len(uids) // FEW)][:FEW]
    (folder / "list.txt").write_text("".join(f"uid {uid}\n" for uid in few))
    listed = [*forget, "--list", str(folder / "list.txt")]
    steps.append(step(f"take out {len(few)} from everywhere", listed))
    further = benchmark.pairs // TENTH
    draw(folder / "in" / "b.tar", benchmark.pairs, further, benchmark.seed)
    steps.append(step(f"append {further:,} pairs", run))
    return steps


def draw(path: Path, first: int, count: int, seed: int) -> None:
    """Write a tar of so many pictures with captions, numbered from `first`."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + count):
            random = np.random.default_rng((seed, number))
            colours = random.integers(0, 256, (*reversed(COLOURS), 3), np.uint8)
            sink = io.BytesIO()
            smooth = Image.fromarray(colours).resize(SIDES, Image.Resampling.BICUBIC)
            smooth.save(sink, "JPEG", quality=85)
            for suffix, body in (("jpg", sink.getvalue()), ("txt", b"picture no %d" % number)):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))


def _step(command: Command, folder: Path, name: str, arguments: list[str]) -> Step:
    """Run a command; return its cost, and what it has done to the shards."""
    before = _shards(folder)
    cost = command(arguments)
    after = _shards(folder)
    kept = sum(after.get(shard) == sha256 for shard, sha256 in before.items())
    new, peak = len(after.keys() - before.keys()), max(cost.driver_mb, cost.other_mb)
    return Step(name, cost.wall_s, cost.cpu_s, peak, new, len(before) - kept, kept)


def _shards(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each shard that is there."""
    from pairsieve.pipeline.dataset.paths import shards_folder

    found = sorted((folder / "dataset" / shards_folder(NAME)).glob("*.tar"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _uids(folder: Path) -> list[str]:
    """Return the uids of all samples, in the order of the input."""
    import pyarrow.parquet as pq

    from pairsieve.pipeline.dataset.paths import manifest

    table = pq.read_table(folder / "dataset" / manifest(NAME), columns=["row", "uid"])
    uids: list[str] = table.sort_by("row")["uid"].to_pylist()
    return uids


def _print(benchmark: GrowingBenchmark, steps: list[Step]) -> None:
    rows = [
        (
            step.name,
            f"{step.wall_s:.1f}",
            f"{step.cpu_s:.1f}",
            f"{step.peak_mb:,.0f}",
            *map(str, (step.new, step.changed, step.kept)),
        )
        for step in steps
    ]
    columns = ("", "seconds", "CPU-s", "peak MB", "new shards", "written anew", "as before")
    print_table(f"Units of {benchmark.unit:,}, shards of {benchmark.samples:,}", columns, rows)
