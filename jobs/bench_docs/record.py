"""A benchmark in a process of its own, and what it printed as a file."""

import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from pairsieve.jobs.bench_docs import machine
from pairsieve.jobs.bench_docs.runs import Measured
from pairsieve.jobs.cli import app
from pairsieve.jobs.console import recorded


def measure(path: Path, arguments: Sequence[str]) -> None:
    """Run a benchmark and write what it has measured."""
    load, began, printed = machine.load(), time.monotonic(), StringIO()
    with recorded() as tables, redirect_stdout(printed):
        app(["bench", *arguments], standalone_mode=False)
    seconds = round(time.monotonic() - began, 1)
    command = f"pairsieve bench {' '.join(arguments)}"
    text = printed.getvalue()
    Measured(command, machine.description(), load, seconds, tables, text).write(path)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), sys.argv[2:])
