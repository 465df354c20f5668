"""Parts of a selection that are packed apart: training and validation, by a hash of seed and uid.

A copy goes where its keeper goes, whether both survive or not: a picture that is validated on is
not trained on under another name. The hash is another one than that of the order, so that a part
is as mixed as the whole; and the side of a pair depends on no other pair, however many there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import DUPLICATE_OF, UID
from pairsieve.schemas.recipe_shard import TRAIN, Shard, exact

HASHES = 1 << 64


@dataclass(frozen=True, slots=True)
class Part:
    """Some survivors that are packed as if they were all.

    Attributes:
        name: The folder below that of the selection; "" for all survivors, which have none.
        where: The SQL condition on them.
        share: Of the survivors, about.
    """

    name: str = ""
    where: str = "true"
    share: float = 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns that the condition reads."""
        return (UID.name, DUPLICATE_OF.name) if self.name else ()


def parts(options: Shard) -> list[Part]:
    """Return the parts into which survivors fall, the one to train on first."""
    if not options.split:
        return [Part()]
    cut = list(_cut(options))
    return [cut[-1], *cut[:-1]]


def _cut(options: Shard) -> Iterator[Part]:
    """Yield the parts in the order of their hashes; what is left comes last."""
    keeper = f"coalesce({DUPLICATE_OF.name}, {UID.name})"
    seed = quoted(f"{options.seed}:part:")
    number = f"('0x' || md5({seed} || {keeper})[1:16])::UBIGINT"
    first = Fraction(0)
    for name, share in sorted(options.split.items()):
        last = first + exact(share)
        between = f"{number} >= {_hash(first)} AND {number} < {_hash(last)}"
        yield Part(name, between, float(share))
        first = last
    yield Part(TRAIN, f"{number} >= {_hash(first)}", float(1 - first))


def _hash(share: Fraction) -> int:
    """Return the first hash that is not among so large a share of all."""
    return -(-share.numerator * HASHES // share.denominator)
