"""A signature by an Ed25519 key of OpenSSH, as `ssh-keygen -Y verify` takes it.

Source: the file PROTOCOL.sshsig of OpenSSH: what is signed, and the armoured form.
"""

import base64
import hashlib
import struct
import textwrap
from pathlib import Path

from pairsieve.schemas.errors import BadOption

NAMESPACE = b"pairsieve"
MAGIC, VERSION = b"SSHSIG", 1
KIND, HASH = b"ssh-ed25519", b"sha512"
HEAD, TAIL = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
COLUMNS = 70  # of the armoured form


class Signer:
    """A private key."""

    def __init__(self, key: Path) -> None:
        """Read the key.

        Raises:
            BadOption: it cannot be read, has a passphrase, or is no Ed25519 key, or the package
                `cryptography` is missing.
        """
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_ssh_private_key
        except ImportError as error:
            raise BadOption("--sign: needs `pip install pairsieve[sign]`") from error
        try:
            private = load_ssh_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise BadOption(
                f"--sign: {key}: not a private key of OpenSSH without a passphrase: {error}"
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise BadOption(f"--sign: {key}: must be an Ed25519 key, `ssh-keygen -t ed25519`")
        self._private = private

    def sign(self, message: bytes) -> str:
        """Return the signature of a message in its armoured form."""
        public = self._private.public_key().public_bytes_raw()
        made = self._private.sign(signed(message))
        parts = (
            _string(KIND) + _string(public),
            NAMESPACE,
            b"",
            HASH,
            _string(KIND) + _string(made),
        )
        blob = MAGIC + struct.pack(">I", VERSION) + b"".join(map(_string, parts))
        lines = textwrap.wrap(base64.b64encode(blob).decode(), COLUMNS)
        return "\n".join([HEAD, *lines, TAIL, ""])


def signed(message: bytes) -> bytes:
    """Return the bytes that are signed in place of a message."""
    parts = (NAMESPACE, b"", HASH, hashlib.sha512(message).digest())
    return MAGIC + b"".join(map(_string, parts))


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value
