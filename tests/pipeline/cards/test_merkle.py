import hashlib
import json
from pathlib import Path

import pytest

from pairsieve.pipeline.cards import merkle
from pairsieve.pipeline.cards.merkle import Proof
from pairsieve.schemas.errors import BadOption


def shards(count: int) -> dict[str, str]:
    return {f"{n:05d}.tar": hashlib.sha256(b"%d" % n).hexdigest() for n in range(count)}


def by_hand(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def test_the_root_of_three_shards_is_that_worked_out_by_hand() -> None:
    three = shards(3)
    a, b, c = (by_hand(b"\0", f"{name}\n{sha}".encode()) for name, sha in three.items())
    expected = by_hand(b"\1", by_hand(b"\1", a, b), c)
    assert merkle.root(three) == expected.hex()
    assert merkle.root(shards(1)) == a.hex()
    assert merkle.prove(three, "00002.tar").path == (by_hand(b"\1", a, b).hex(),)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33])
def test_every_shard_is_proved_and_no_other_bytes_name_or_place(count: int) -> None:
    all_of = shards(count)
    root = merkle.root(all_of)
    other = hashlib.sha256(b"other").hexdigest()
    for name, sha256 in all_of.items():
        proof = merkle.prove(all_of, name)
        assert proof.root(sha256) == root
        assert proof.root(other) != root
        assert Proof(f"x{name}", *_rest(proof)).root(sha256) != root
        for index in range(-1, count + 1):
            moved = Proof(name, sha256, index, count, proof.path)
            assert (moved.root(sha256) == root) == (index == proof.index)


def _rest(proof: Proof) -> tuple[str, int, int, tuple[str, ...]]:
    return proof.sha256, proof.index, proof.shards, proof.path


def test_a_path_of_another_length_leads_nowhere() -> None:
    proof = merkle.prove(shards(5), "00001.tar")
    longer = Proof(proof.shard, proof.sha256, 1, 5, (*proof.path, proof.path[0]))
    shorter = Proof(proof.shard, proof.sha256, 1, 5, proof.path[:-1])
    assert longer.root(proof.sha256) is None
    assert shorter.root(proof.sha256) is None


@pytest.mark.parametrize("spoil", ["{", "[]", '{"shard": "a"}', "short"])
def test_what_is_no_proof_is_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "proof.json"
    content = json.loads(merkle.prove(shards(3), "00000.tar").dumps())
    path.write_text(json.dumps(content | {"path": ["ab"]}) if spoil == "short" else spoil)
    with pytest.raises(BadOption, match=r"proof.json: not a proof as `card --prove` prints it"):
        Proof.read(path)


def test_a_shard_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"no shard `00002.ta`.*did you mean `00002.tar`"):
        merkle.prove(shards(3), "00002.ta")
