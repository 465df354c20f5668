"""What is compiled beforehand is what a run calls."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLED = """
import gc
from numba.core.dispatcher import Dispatcher
from pairsieve.jobs import compile as beforehand
beforehand.measure_pairs()
beforehand.group_pool()
found = [each for each in gc.get_objects() if isinstance(each, Dispatcher) and each.signatures]
print(*{each.py_func.__module__ for each in found})
"""
# Called where datasets or images' vectors are compared, and by a group on several machines; part of
# another's code.
LATER = {
    "pipeline.dedup.semantic_settle",
    "pipeline.hamming.nearest",
    "pipeline.hamming.partition",
    "pipeline.dedup.colour_difference",
}


def test_every_file_with_compiled_functions_is_reached() -> None:
    """In a process of its own: elsewhere other tests have called them."""
    done = subprocess.run(
        [sys.executable, "-c", CALLED], capture_output=True, text=True, check=True
    )
    called = {module.removeprefix("pairsieve.") for module in done.stdout.split()}
    compiled = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for folder in ("filters", "pipeline")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*@compiled|= compiled\(", path.read_text(), re.MULTILINE)
    }
    assert compiled - called - LATER == set()
