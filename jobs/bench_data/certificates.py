"""A certificate authority made on the spot, so that TLS can be verified on loopback.

Root and intermediate are RSA 2048, the server's certificate is ECDSA P-256 as on most of today's
web: the client verifies two signatures per full handshake, and the server's part stays cheap.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pairsieve.schemas.errors import BadOption

ROOT_NAME = "pairsieve bench root"
_DAY = timedelta(days=1)
_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class Authority:
    """Where the files are.

    Attributes:
        chain: The server's certificate and the intermediate's, PEM.
        key: The server's private key, PEM.
        folder: The root alone, under the name by which OpenSSL looks it up.
        bundle: Mozilla's roots and this one in one file, as Debian's ca-certificates.crt.
    """

    chain: Path
    key: Path
    folder: Path
    bundle: Path


def make_authority(folder: Path, names: tuple[str, ...], addresses: tuple[str, ...]) -> Authority:
    """Write an authority, and a certificate of it for a server with these names, into `folder`.

    Raises:
        BadOption: the packages of the extra `bench` are missing.
    """
    try:
        import certifi
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
    except ImportError as error:
        raise BadOption(
            f"bench: {error.name} is missing: pip install 'pairsieve[bench]'"
        ) from error
    keys: list[Any] = [rsa.generate_private_key(_EXPONENT, 2048) for _ in range(2)]
    keys.append(ec.generate_private_key(ec.SECP256R1()))
    root = _certificate(ROOT_NAME, keys[0], ROOT_NAME, keys[0], None)
    middle = _certificate("pairsieve bench intermediate", keys[1], ROOT_NAME, keys[0], None)
    leaf = _certificate(
        "pairsieve bench", keys[2], "pairsieve bench intermediate", keys[1], (names, addresses)
    )
    authority = Authority(
        folder / "chain.pem", folder / "key.pem", folder / "certs", folder / "bundle.pem"
    )
    authority.chain.write_bytes(_pem(leaf) + _pem(middle))
    authority.key.write_bytes(_key_pem(keys[2]))
    authority.folder.mkdir()
    (authority.folder / f"{subject_hash(ROOT_NAME):08x}.0").write_bytes(_pem(root))
    authority.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + _pem(root))
    return authority


def subject_hash(common_name: str) -> int:
    """Return the number by which OpenSSL looks up the certificate of an authority in a folder.

    Source: OpenSSL, X509_NAME_hash_ex: the first four bytes, little endian, of the SHA-1 of the
    name with its values in lower case and UTF-8, without the outer header.
    """
    value = common_name.lower().encode()
    attribute = _der(0x06, b"\x55\x04\x03") + _der(0x0C, value)  # id-at-commonName, UTF8String
    name = _der(0x31, _der(0x30, attribute))
    return int.from_bytes(hashlib.sha1(name).digest()[:4], "little")


def _der(tag: int, content: bytes) -> bytes:
    """Return a DER element of fewer than 128 bytes."""
    return bytes((tag, len(content))) + content


def _certificate(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    server: tuple[tuple[str, ...], tuple[str, ...]] | None,
) -> Any:
    """Return a certificate for a server of those names and addresses, or for an authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_x509_name(name))
        .issuer_name(_x509_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(server is None, None), critical=True)
    )
    if server:
        subjects: list[Any] = [x509.DNSName(each) for each in server[0]]
        subjects += [x509.IPAddress(ip_address(each)) for each in server[1]]
        builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _x509_name(common_name: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem: bytes = certificate.public_bytes(Encoding.PEM)
    return pem


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem
