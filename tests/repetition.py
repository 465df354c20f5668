"""How often tests repeat themselves with other drawn inputs: `make test` less than `test-long`."""

import os

LONG = os.environ.get("PAIRSIEVE_TESTS") == "long"


def repeated(times: int, long: int) -> int:
    """Return how many examples a test draws: `times`, or `long` of them in `make test-long`."""
    return long if LONG else times
