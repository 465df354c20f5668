"""Pictures that say something of their rights: XMP as tools write it, signed C2PA manifests."""

import datetime
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

NAMES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    'xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:cc="http://creativecommons.org/ns#" xmlns:tdm="http://www.w3.org/ns/tdmrep/"'
)

Signed = Callable[..., bytes]


def xmp(attributes: str = "", elements: str = "") -> bytes:
    """Return an XMP packet with these properties."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {NAMES} {attributes}>{elements}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def pictured(kind: str, **options: Any) -> bytes:
    """Return a small picture in Pillow's format of that name."""
    sink = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(sink, kind, **options)
    return sink.getvalue()


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    def name(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Photos")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), organisation])

    begin, root = datetime.datetime(2024, 1, 1), key is by
    public, issuer = key.public_key(), by.public_key()
    usage = x509.KeyUsage(True, False, False, False, False, root, root, False, False)
    builder = (
        x509.CertificateBuilder(name("root"), name(subject), public, 1 + root, begin)
        .not_valid_after(begin + datetime.timedelta(days=20_000))
        .add_extension(x509.BasicConstraints(root, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
        .add_extension(usage, True)
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, False)
    return builder.sign(by, hashes.SHA256())


@pytest.fixture(scope="session")
def signed() -> Signed:
    """Return a function that gives a picture with a manifest of these assertions, signed by Ada."""
    import c2pa

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificates = (_certificate("Ada", leaf, root), _certificate("root", root, root))
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    key = leaf.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))

    def sign(kind: str, *assertions: dict[str, Any]) -> bytes:
        manifest = {"title": "a picture", "assertions": assertions}
        sink = io.BytesIO()
        builder = c2pa.Builder(json.dumps(manifest))
        builder.sign(signer, f"image/{kind}", io.BytesIO(pictured(kind)), sink)
        return sink.getvalue()

    return sign
