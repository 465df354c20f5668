"""Keys of captions: two captions are the same if they are so in NFKC, without case, spaces apart.

The form is that of `filters/word_lists.py`; white space around it is left out and inside it is one
space each. Most captions are plain ASCII, which Arrow lowers in one go; the others go one by one.
A key is the XXH3 of 128 bits of that form; of billions of captions no two share one by chance.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from pairsieve.filters.word_lists import comparable

Words = NDArray[np.uint64]
_NOT_PLAIN = "[^\x20-\x7e]|  |^ | $"  # what lowering alone does not bring into the form


def caption_keys(texts: pa.ChunkedArray) -> tuple[Words, NDArray[np.bool_]]:
    """Return the key of each caption, (n, 2), and whether it has one, (n,): not an empty one."""
    column = _whole(texts)
    plain = pc.invert(pc.match_substring_regex(column, _NOT_PLAIN)).fill_null(False)
    forms = pc.ascii_lower(column).cast(pa.large_binary()).to_pylist()
    for index in np.flatnonzero(~np.asarray(plain)).tolist():
        text = column[index].as_py()
        forms[index] = comparable(text).encode() if text is not None else b""
    known = np.fromiter(map(bool, forms), bool, len(forms))
    keys = np.frombuffer(b"".join(map(xxh3_128_digest, forms)), ">u8")
    return keys.astype(np.uint64).reshape(-1, 2), known


def host_keys(hosts: pa.ChunkedArray) -> Words:
    """Return the key of each host, (n,): the XXH3 of 64 bits, 0 where there is none.

    Of a hundred million hosts two share one with a chance of 1 in 4,000.
    """
    column = _whole(hosts).dictionary_encode()
    names = column.dictionary.cast(pa.large_binary()).to_pylist()
    keys = np.array([0, *map(xxh3_64_intdigest, names)], np.uint64)
    places: NDArray[np.int32] = np.asarray(column.indices.fill_null(-1))
    return keys[places + 1]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    return pa.concat_arrays(
        [pa.array([], pa.large_string()), *column.cast(pa.large_string()).chunks]
    )
