import subprocess
from pathlib import Path

import pytest

from pairsieve.pipeline.cards.signature import Signer
from pairsieve.schemas.errors import BadOption


def _key(folder: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    path = folder / "key"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def _verified(folder: Path, message: bytes) -> bool:
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "me@x", "-n", "pairsieve"]
    done = subprocess.run([*command, "-s", "signature"], input=message, cwd=folder, check=False)
    return done.returncode == 0


def test_openssh_verifies_the_signature_and_refuses_it_for_another_message(tmp_path: Path) -> None:
    signer = Signer(_key(tmp_path))
    (tmp_path / "signature").write_text(signer.sign(b"root\n"))
    (tmp_path / "allowed").write_text(f"me@x {(tmp_path / 'key.pub').read_text()}")
    assert _verified(tmp_path, b"root\n")
    assert not _verified(tmp_path, b"roof\n")


def test_other_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--sign: .*: must be an Ed25519 key"):
        Signer(_key(tmp_path, "ecdsa"))
    with pytest.raises(BadOption, match=r"--sign: .*: not a private key of OpenSSH"):
        Signer(tmp_path / "key.pub")
    (tmp_path / "locked").mkdir()
    locked = _key(tmp_path / "locked", passphrase="secret")
    with pytest.raises(BadOption, match=r"--sign: .*without a passphrase"):
        Signer(locked)
