"""A plan over a part of the input: its first pairs, or a seeded sample of all of them.

Such a dataset is one of its own: it never grows to the whole, because every unit, copy and shard
would be another one.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate

from pairsieve.pipeline.unit.plan_file import FileSlice, Plan
from pairsieve.schemas.errors import BadOption


@dataclass(frozen=True, slots=True)
class Limit:
    """How many pairs: the first ones, or a sample of all by `seed` if that is given."""

    pairs: int
    seed: int | None = None

    @property
    def first(self) -> int | None:
        """Return how many pairs are read at all; None for all of them."""
        return self.pairs if self.seed is None else None

    def leaves_out(self, total: int) -> bool:
        """Return whether the limit means something where there are so many pairs."""
        return self.pairs < total

    def to_json(self, total: int) -> dict[str, int | None]:
        """Return the limit as the plan holds it; `total` pairs were to be had."""
        return asdict(self) | {"of": None if self.seed is None else total}

    def option(self) -> str:
        """Return how it is written on the command line."""
        return f"--limit {self.pairs}" + (" --sample" if self.seed is not None else "")


def check(plan: Plan, limit: Limit | None) -> None:
    """Refuse a plan that was made with another limit; one that leaves nothing out is none.

    Raises:
        BadOption: it was.
    """
    if limit and not plan.limit and not limit.leaves_out(plan.pairs):
        return
    there = Limit(plan.limit["pairs"] or 0, plan.limit["seed"]) if plan.limit else None
    if there == limit:
        return
    if there is None:
        raise BadOption(
            f"--limit: {plan.dataset} was planned without; leave it out, or use another --dataset"
        )
    seed = f" and the recipe's `shard.seed` {there.seed}" if there.seed is not None else ""
    raise BadOption(
        f"--limit: {plan.dataset} is a part of the input, made with `{there.option()}`{seed}: say "
        "that again, or use another --dataset for more"
    )


def units(
    counts: Sequence[int], unit_pairs: int, limit: Limit | None = None
) -> Iterator[list[FileSlice]]:
    """Yield the slices of each unit, out of the rows of each file, as far as `limit` lets."""
    slices = _sampled(counts, limit) if limit and limit.seed is not None else _whole(counts, limit)
    unit: list[FileSlice] = []
    left = unit_pairs
    for file, first, count in slices:
        while count:
            rows = min(left, count)
            unit.append([file, first, rows])
            first, count, left = first + rows, count - rows, left - rows
            if not left:
                yield unit
                unit, left = [], unit_pairs
    if unit:
        yield unit


def _whole(counts: Sequence[int], limit: Limit | None) -> Iterator[tuple[int, int, int]]:
    """Yield (file, first row, rows) of each file, in order, up to the limit."""
    left = limit.pairs if limit else sum(counts)
    for file, count in enumerate(counts):
        yield file, 0, min(count, left)
        left -= min(count, left)


def _sampled(counts: Sequence[int], limit: Limit) -> Iterator[tuple[int, int, int]]:
    """Yield (file, row, 1) of rows drawn from all files, in input order."""
    total = sum(counts)
    drawn = sorted(random.Random(limit.seed).sample(range(total), min(limit.pairs, total)))
    ends = list(accumulate(counts))
    file = 0
    for row in drawn:
        while row >= ends[file]:
            file += 1
        yield file, row - ends[file] + counts[file], 1
