import io

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.dataset.streams import HashedReader
from pairsieve.pipeline.integrity.checksums import Finding, few
from pairsieve.pipeline.integrity.shards import Sums, sums_of

# printf abc | sha256sum
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_hashed_while_it_is_read() -> None:
    reader = HashedReader(io.BytesIO(b"abc"))
    assert reader.read(1) == b"a"
    assert reader.entry() == {"bytes": 3, "sha256": ABC}


def test_what_differs_is_told() -> None:
    def wrong(data: bytes) -> str | None:
        return HashedReader(io.BytesIO(data)).wrong({"bytes": 3, "sha256": ABC})

    assert wrong(b"abc") is None
    assert wrong(b"ab") == "it has 2 bytes, 3 were committed"
    assert wrong(b"abd") == "its bytes are not those that were committed (SHA-256)"


def test_many_findings_of_a_file_are_counted() -> None:
    told = list(few(Finding("a", str(number), "m") for number in range(8)))
    assert [finding.wrong for finding in told] == [*"01234", "and 3 more of that kind"]
    assert len(list(few(Finding("a", str(number), "m") for number in range(5)))) == 5


Pairs = list[tuple[int, int]]


def sums(pairs: Pairs) -> Sums:
    rows = np.array([row for row, _ in pairs], np.int64)
    return sums_of(rows, pa.chunked_array([pa.array([f"{u:032x}" for _, u in pairs])]))


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**128 - 1)), unique=True),
    cut=st.integers(0, 20),
    data=st.data(),
)
def test_sums_depend_on_the_pairs_and_not_on_their_order(
    pairs: Pairs, cut: int, data: st.DataObject
) -> None:
    whole = sums(pairs)
    shuffled = data.draw(st.permutations(pairs))
    assert whole == sums(shuffled[:cut]).plus(sums(shuffled[cut:]))
    if pairs:
        row, uid = pairs[-1]
        assert whole not in (sums(pairs[:-1]), sums([*pairs[:-1], (row, uid ^ 1)]))
        assert whole != sums([*pairs[:-1], (row + 1, uid)])
