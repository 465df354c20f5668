"""Run a pipeline that is killed at a step: `run_killed.py RECIPE DATASET STEP before|after`.

A step is a call that changes the dataset: it is counted, and at the STEP-th this process kills
itself, before the change or after it. Where it is not killed it says how many steps there were.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import run
from pairsieve.schemas.recipe_file import load

CHANGES = ("write", "create", "delete", "writer", "adopt")


class Steps:
    """Counts changes and dies at one of them."""

    def __init__(self, last: int, after: bool) -> None:
        self.taken = 0
        self.last = last
        self.after = after

    def counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method that changes a store, with the death in it."""

        @wraps(change)
        def counting(*arguments: Any, **options: Any) -> Any:
            self.taken += 1
            if self.taken == self.last and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = change(*arguments, **options)
            if self.taken == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counting


def main() -> None:
    recipe, dataset, last, after = sys.argv[1:]
    steps = Steps(int(last), after == "after")
    for name in CHANGES:
        setattr(Store, name, steps.counted(getattr(Store, name)))
    loaded = load(Path(recipe))
    store = Store.at(dataset)
    run(loaded, store, Serial(), "default", lambda stage, marker, new=True: None)
    print(steps.taken)


if __name__ == "__main__":
    main()
