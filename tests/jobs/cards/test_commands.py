from pathlib import Path

from tests.jobs.conftest import command

from pairsieve.pipeline.cards import merkle


def test_a_proof_is_checked_and_another_file_or_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"a")
    (tmp_path / "b.tar").write_bytes(b"b")
    shards = {name: merkle.sha256_of(tmp_path / name) for name in ("a.tar", "b.tar")}
    proof, root = tmp_path / "proof.json", merkle.root(shards)
    proof.write_text(merkle.prove(shards, "a.tar").dumps())
    good = command("check-proof", proof, tmp_path / "a.tar", "--root", root.upper())
    assert (good.returncode, good.stdout) == (0, f"{tmp_path}/a.tar is a.tar, one of 2 shards\n")
    assert command("check-proof", proof, tmp_path / "b.tar", "--root", root).returncode == 1
    assert command("check-proof", proof, tmp_path / "a.tar", "--root", "0" * 64).returncode == 1
    assert command("check-proof", proof, tmp_path / "none", "--root", root).returncode == 2
