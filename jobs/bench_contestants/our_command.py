"""A command of pairsieve's in a process of its own, which at its end says what it has cost.

    python -m pairsieve.jobs.bench_contestants.our_command select recipe.yaml --workers 2 ...

Options with a value that the command does not take are left out. The last line of what it prints is
JSON: its own CPU time and peak memory. Those of the processes that it starts are seen from outside.
"""

import json
import sys
import time

import typer

from pairsieve.jobs.bench.group import peak_mb
from pairsieve.jobs.cli import app, main


def run(arguments: list[str]) -> None:
    """Run the command and print its `cpu_s` and `peak_mb`."""
    sys.argv = ["pairsieve", *fitting(arguments)]
    try:
        main()
    finally:
        print(json.dumps({"cpu_s": time.process_time(), "peak_mb": peak_mb()}))


def fitting(arguments: list[str]) -> list[str]:
    """Return the arguments without the options, and their values, that the command lacks."""
    command = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = {i for i, word in enumerate(arguments) if word.startswith("--") and word not in known}
    return [w for i, w in enumerate(arguments) if i not in unknown and i - 1 not in unknown]


if __name__ == "__main__":
    run(sys.argv[1:])
