"""Marks in the files of the demo web by which their makers opt out: XMP, and a C2PA store.

The store has the boxes of a manifest down to its assertion, and no signature: it is there to be
found, not to be believed.
"""

import struct

_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" '
    b'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    b'plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
_UUID = b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"  # behind four letters
# {"entries": {"cawg.ai_training": {"use": "notAllowed"}}} in CBOR
_ENTRIES = b"\xa1gentries\xa1pcawg.ai_training\xa1cusejnotAllowed"


def with_xmp(body: bytes) -> bytes:
    """Return a JPEG that forbids training in its XMP."""
    return _with_segment(body, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP)


def with_c2pa(body: bytes) -> bytes:
    """Return a JPEG with an unsigned C2PA store that forbids training."""
    assertion = _superbox(b"cbor", "cawg.training-mining", _box(b"cbor", _ENTRIES))
    manifest = _superbox(b"c2ma", "urn:c2pa:demo", _superbox(b"c2as", "c2pa.assertions", assertion))
    store = _superbox(b"c2pa", "c2pa", manifest)
    return _with_segment(body, 0xEB, b"JP\0\x01\0\0\0\x01" + store)


def _with_segment(body: bytes, marker: int, content: bytes) -> bytes:
    """Return a JPEG with one more segment at its beginning."""
    return body[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + body[2:]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _superbox(kind: bytes, label: str, content: bytes) -> bytes:
    """Return a JUMBF box of a kind and with a label. Source: ISO/IEC 19566-5."""
    description = kind + _UUID + b"\x03" + label.encode() + b"\0"
    return _box(b"jumb", _box(b"jumd", description) + content)
