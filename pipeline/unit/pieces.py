"""Pieces: what one task gathers, and the name under which it is committed.

A piece is a unit, or a slice of one after a crash. In a layer it stands for those of these pairs
that are tried again; its slices keep the unit's own positions, so that what is left of a unit is
told from names alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pairsieve.pipeline.dataset.paths import Span, parsed
from pairsieve.pipeline.unit.plan_file import Plan


@dataclass(frozen=True, slots=True)
class Again:
    """What a piece of a layer tries again.

    Attributes:
        layer: Which layer, from 1.
        outcomes: The outcomes of the pairs to try again.
        parts: The unit's ledger parts of all earlier layers, in layer order.
    """

    layer: int
    outcomes: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive pairs of one unit: all of them, or a part after a crash."""

    unit: int
    first: int
    rows: int
    whole: bool
    again: Again | None = None

    @property
    def layer(self) -> int:
        """Return the layer that the piece is of; 0 is the first gather."""
        return self.again.layer if self.again else 0

    @property
    def name(self) -> str:
        """Return the name under which the piece is committed."""
        layer = f".r{self.layer}" if self.again else ""
        return f"{self.unit:08d}{layer}" + ("" if self.whole else f".{self.first}+{self.rows}")

    def cut(self, at: int) -> "list[Piece]":
        """Return the piece in two, the second from its pair `at` on."""
        return [
            replace(self, rows=at, whole=False),
            replace(self, first=self.first + at, rows=self.rows - at, whole=False),
        ]


def pending(plan: Plan, names: Iterable[str]) -> list[Piece]:
    """Return the pieces of the first gather that no committed name answers for, in input order."""
    done: dict[int, list[Span]] = {}
    for unit, layer, span in map(parsed, names):
        if not layer:
            done.setdefault(unit, []).append(span or (0, plan.unit_rows(unit)))
    return [
        piece
        for unit in range(len(plan.units))
        for piece in gaps(unit, plan.unit_rows(unit), done.get(unit, []))
    ]


def gaps(
    unit: int, total: int, done: Iterable[Span], again: Again | None = None
) -> Iterator[Piece]:
    """Yield the pieces of a unit of `total` pairs between those that are done."""
    start = 0
    for first, rows in [*sorted(done), (total, 0)]:
        if first > start:
            yield Piece(unit, start, first - start, first - start == total, again)
        start = first + rows
