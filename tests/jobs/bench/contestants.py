"""Contestants of a benchmark in the test's own process: in each of theirs, imports take seconds."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

from pairsieve.jobs.bench.alternate import Contestant, Result


def answer_here(contestant: Contestant, job: Mapping[str, Any]) -> Result:
    """Return what `answer` does of one of ours, without starting a process."""
    flag, module, *arguments = contestant.command[1:]
    assert flag == "-m"
    with pytest.MonkeyPatch.context() as patch:
        if arguments:
            patch.setattr("sys.argv", [module, *arguments])
        done = import_module(module).work(json.loads(json.dumps(job)))
        result: Result = json.loads(json.dumps(done))
        return result
