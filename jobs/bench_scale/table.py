"""`bench scale`: what deciding costs at any size, reckoned from what `bench decide` has measured.

A command costs a start and so much for each pair; two pools of different size tell both, one tells
the pairs' part by itself. Work on blocks is shared by the workers; what is left for the driver is
handing out tasks. So a figure here is reckoned, not measured, and a network's or a disk's limit is
not in it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pairsieve.pipeline.dataset.stages import REPORT, STAGES
from pairsieve.schemas.errors import BadOption

BLOCK = 500_000  # pairs
START_S = 2.4  # CPU-s of a command that finds nothing to do, where one pool alone was measured
Verbs = Mapping[str, tuple[float, float]]  # name -> CPU-s, largest memory of a process, MB
Folders = Mapping[str, tuple[int, int]]  # name -> files, bytes


@dataclass(frozen=True, slots=True)
class Costs:
    """What `bench decide` has measured of a pool of so many pairs; `folders` may be none."""

    pairs: int
    verbs: Verbs
    folders: Folders

    def dumps(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def loads(cls, text: str) -> Self:
        """Return what `dumps` wrote; ValueError, KeyError or TypeError if it is something else."""
        kept = json.loads(text)
        verbs = {name: (float(cpu), float(peak)) for name, (cpu, peak) in kept["verbs"].items()}
        folders = {name: (int(n), int(size)) for name, (n, size) in kept["folders"].items()}
        return cls(int(kept["pairs"]), verbs, folders)


@dataclass(frozen=True, slots=True)
class Cluster:
    """So many workers of one core each, and what a task costs the driver, ms."""

    workers: int
    task_ms: float


def read(path: Path) -> Costs:
    """Return the costs in a file; BadOption if it holds none."""
    try:
        return Costs.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadOption(f"{path}: no costs that `bench decide --costs` wrote: {error}") from error


def folders_of(dataset: Path) -> dict[str, tuple[int, int]]:
    """Return how many files each folder of a stage has in a local dataset, and their bytes.

    That of reports does not grow with the pairs, and is left out.
    """
    found = {}
    for folder in sorted({dataset / stage.folder for stage in STAGES if stage != REPORT}):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        if sizes:
            found[folder.name] = len(sizes), sum(sizes)
    return found


def line(costs: Sequence[Costs], verb: str) -> tuple[float, float]:
    """Return CPU-s of a start and of a pair, by the smallest and the largest pool measured."""
    known = sorted((one.pairs, one.verbs[verb][0]) for one in costs if verb in one.verbs)
    (few, least), (many, most) = known[0], known[-1]
    if few == many:
        return START_S, max(0.0, most - START_S) / many
    each = max(0.0, most - least) / (many - few)
    return max(0.0, least - each * few), each


def seconds(start: float, each: float, pairs: int, cluster: Cluster) -> float:
    """Return how long a command takes: its start, then the workers or the driver, the slower."""
    tasks = -(-pairs // BLOCK)
    return start + max(each * pairs / min(cluster.workers, tasks), cluster.task_ms / 1000 * tasks)


def markdown(costs: Sequence[Costs], sizes: Sequence[int], cluster: Cluster) -> Iterator[str]:
    """Yield the lines of the tables: time of each verb, and files and bytes of each folder."""
    ordered = sorted(costs, key=lambda one: one.pairs)
    peaks = {verb: (one.pairs, peak) for one in ordered for verb, (_, peak) in one.verbs.items()}
    heads = [f"{size:,} pairs" for size in sizes]
    yield _row("command", "CPU-us a pair", *heads, "largest process, MB")
    yield _row(*["---"] * (len(sizes) + 3))
    for verb, (pairs, peak) in peaks.items():
        start, each = line(costs, verb)
        times = (_time(seconds(start, each, size, cluster)) for size in sizes)
        yield _row(f"`{verb}`", f"{1e6 * each:.2f}", *times, f"{peak:,.0f} at {pairs:,} pairs")
    yield ""
    yield _row("folder", "bytes a pair", "files a million pairs", *heads)
    yield _row(*["---"] * (len(sizes) + 3))
    of_folder = {name: (one.pairs, *of) for one in ordered for name, of in one.folders.items()}
    for folder, (pairs, files, size) in of_folder.items():
        share = (files / pairs, size / pairs)
        there = (f"{share[0] * n:,.0f} files, {share[1] * n / 1e9:,.0f} GB" for n in sizes)
        yield _row(f"`{folder}/`", f"{share[1]:.1f}", f"{1e6 * share[0]:,.0f}", *there)


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
