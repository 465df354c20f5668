"""Which benchmarks there are, and what each has measured, as a file.

Each runs in a process of its own, one after the other, so none meets what another has left behind.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pairsieve.jobs.console import Table
from pairsieve.schemas.errors import Stopped

RECORDER = "pairsieve.jobs.bench_docs.record"  # what is started
_WORDS = 2_000  # characters of what a benchmark that failed said last


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark.

    Attributes:
        name: Of the command.
        options: Those that fit into an hour for all.
        quick: Those for minutes.
        compares: Whether img2dataset takes part.
    """

    name: str
    options: str = ""
    quick: str = ""
    compares: bool = False


BENCHES = (
    Bench("extract", "", "--pages 100 --runs 1"),
    Bench("text", "", "--generated 500 --pool 0"),
    Bench("pixels", "--runs 3", "--images 6 --passes 1 --runs 1", compares=True),
    Bench("fetch", "--runs 3", "--images 100 --hosts 100 --runs 1", compares=True),
    Bench("pipeline", "--pairs 2000 --runs 1", "--pairs 100 --side 256 --runs 1", compares=True),
    Bench("web", "--runs 1", "--pairs 200 --unit-pairs 100 --runs 1", compares=True),
    Bench("group", "", "--hashes 100000 --checked 2000"),
    Bench("near-duplicates", "", "--pictures 100"),
    Bench("semantic", "--vectors 300000", "--vectors 5000 --checked 100 --width 64"),
    Bench("embed", "--runs 3", "--images 8 --runs 1"),
    Bench("decide", "", "--rows 2000 --blocklist-entries 100"),
    Bench("units", "--units 20000", "--units 200"),
    Bench("shard", "", "--rows 400 --unit 100 --samples 100 --runs 1"),
    Bench("quality-filters", "", "--pictures 4"),
)
NAMES = [bench.name for bench in BENCHES]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a benchmark has measured.

    Attributes:
        command: Its words.
        machine: On what.
        load: Of the machine before it began.
        seconds: How long it took.
        tables: Those that it printed.
        text: All that it printed.
    """

    command: str
    machine: str
    load: float
    seconds: float
    tables: list[Table]
    text: str

    def write(self, path: Path) -> None:
        """Write this as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Measured":
        """Return what was written."""
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        tables = [
            Table(one["title"], one["columns"], [tuple(row) for row in one["rows"]])
            for one in content["tables"]
        ]
        return cls(**(content | {"tables": tables}))


def words(bench: Bench, quick: bool, alone: bool) -> list[str]:
    """Return the words of its command; `alone`: without img2dataset."""
    without = ["--without-img2dataset"] if bench.compares and alone else []
    return [bench.name, *(bench.quick if quick else bench.options).split(), *without]


def run(bench: Bench, folder: Path, arguments: Sequence[str]) -> Measured:
    """Run a benchmark in a process of its own and return what it wrote into `folder`.

    Raises:
        Stopped: it failed.
    """
    path = folder / f"{bench.name}.json"
    command = [sys.executable, "-m", RECORDER, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout)[-_WORDS:]
        raise Stopped(f"bench {' '.join(arguments)}: it failed:\n{said}")
    return Measured.read(path)
