"""One hash for all shards of a selection, and the proof that a shard is among them.

The leaves are the shards by name: each the name, a line feed and the SHA-256 of the file in hex, as
`manifest.parquet` has them. So whoever has a shard, a proof of some 20 hashes and the root needs
nothing else. The driver holds a hash per shard, as the marker of the shards does.

Source: RFC 9162, section 2.1: leaf and node hashes, inclusion proofs and how they are verified.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.shard_names import file_of_shard, is_shard
from pairsieve.schemas.errors import BadOption, nearest

LEAF, NODE = b"\0", b"\1"  # before what is hashed, so that no leaf is taken for a node


@dataclass(frozen=True, slots=True)
class Proof:
    """That a shard is among others.

    Attributes:
        shard: Its name, with the folder of its part.
        sha256: Of its bytes, hex.
        index: Its place among the shards, by name, from 0.
        shards: How many there are.
        path: The hashes beside the way from its leaf up to the root, hex.
    """

    shard: str
    sha256: str
    index: int
    shards: int
    path: tuple[str, ...]

    def dumps(self) -> str:
        """Return the proof as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the proof in a file.

        Raises:
            BadOption: it cannot be read or is no proof.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            hashes = [content["sha256"], *content["path"]]
            if any(len(bytes.fromhex(each)) != hashlib.sha256().digest_size for each in hashes):
                raise ValueError("a hash has another length")
            return cls(**content | {"path": tuple(content["path"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadOption(f"{path}: not a proof as `card --prove` prints it: {error}") from error

    def root(self, sha256: str) -> str | None:
        """Return the root, hex, to which the proof leads from a shard with these bytes.

        None where the path cannot be one of a tree with so many leaves.
        """
        node, last = self.index, self.shards - 1
        if not 0 <= node <= last:
            return None
        found = _leaf(self.shard, sha256)
        for beside in map(bytes.fromhex, self.path):
            if last == 0:
                return None
            if node & 1 or node == last:
                found = _node(beside, found)
                while node and not node & 1:
                    node, last = node >> 1, last >> 1
            else:
                found = _node(found, beside)
            node, last = node >> 1, last >> 1
        return found.hex() if last == 0 else None


def entries(name: str, shards: Marker) -> dict[str, str]:
    """Return the SHA-256 of each shard of the selection `name`, by its name, sorted."""
    files = {path: entry["sha256"] for path, entry in shards.files.items() if is_shard(path)}
    return {file_of_shard(name, path): sha256 for path, sha256 in sorted(files.items())}


def root(shards: Mapping[str, str]) -> str:
    """Return the root over shards, as `entries` has them, hex."""
    return _hash(_leaves(shards)).hex()


def prove(shards: Mapping[str, str], shard: str) -> Proof:
    """Return the proof of one of the shards.

    Raises:
        BadOption: it is none of them.
    """
    names = list(shards)
    if shard not in shards:
        raise BadOption(f"--prove: there is no shard `{shard}`; {nearest(shard, names)}")
    index = names.index(shard)
    path = tuple(each.hex() for each in _path(_leaves(shards), index))
    return Proof(shard, shards[shard], index, len(names), path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hex.

    Raises:
        BadOption: it cannot be read.
    """
    try:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise BadOption(f"{path}: cannot be read: {error.strerror}") from error


def _leaves(shards: Mapping[str, str]) -> list[bytes]:
    return [_leaf(name, sha256) for name, sha256 in shards.items()]


def _leaf(name: str, sha256: str) -> bytes:
    return hashlib.sha256(LEAF + f"{name}\n{sha256}".encode()).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def _hash(leaves: Sequence[bytes]) -> bytes:
    """Return the hash of the tree over some leaves."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(_hash(leaves[:split]), _hash(leaves[split:]))


def _path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes beside the way from a leaf to the root, the lowest first."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*_path(leaves[:split], index), _hash(leaves[split:])]
    return [*_path(leaves[split:], index - split), _hash(leaves[:split])]


def _split(leaves: int) -> int:
    """Return the largest power of two below a number of at least 2."""
    return 1 << (leaves - 1).bit_length() - 1
