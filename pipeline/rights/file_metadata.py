"""Where in the bytes of an image its XMP and its C2PA manifests lie, found without decoding it.

XMP is plain text in every format, but for a compressed chunk of a PNG, which is not looked into; a
C2PA store begins with a box of fixed bytes. A JPEG has both before its picture, so no more than its
segments is searched; of other files everything is.
Measured: of `read_rights`, 9 us for a JPEG of any size without either, 28 us with XMP; 30 us and
0.5 us more per KB for another format.
Source: XMP specification, part 3 (2020); C2PA 2.2, 11.1.4.2 (the type of a manifest store).
"""

from collections.abc import Iterator

MAX_PACKET = 262_144  # bytes of XMP that are read at once
MAX_PACKETS = 4  # of a file
MAX_STORE = 2_097_152  # bytes of C2PA that are searched
MAX_SEGMENTS = 2_000  # of a JPEG
_XMP, _XMP_END = b"<rdf:RDF", b"</rdf:RDF>"
_STORE = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
_START_OF_SCAN = b"\xff\xda"


def metadata_end(body: bytes) -> int:
    """Return where metadata ends at the latest: where a JPEG's picture begins, else at the end."""
    if not body.startswith(b"\xff\xd8"):
        return len(body)
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker = body[at : at + 2]
        if marker == _START_OF_SCAN:
            return at
        if marker[:1] != b"\xff":
            break
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
    return len(body)


def xmp_packets(body: bytes, end: int) -> Iterator[bytes]:
    """Yield the RDF of each XMP packet before `end`, the first ones."""
    at = 0
    for _ in range(MAX_PACKETS):
        begin = body.find(_XMP, at, end)
        if begin < 0:
            return
        at = body.find(_XMP_END, begin, begin + MAX_PACKET)
        if at < 0:
            return
        at += len(_XMP_END)
        yield body[begin:at]


def c2pa_store(body: bytes, end: int) -> bytes:
    """Return the bytes from the first C2PA manifest store on; empty without one."""
    at = body.find(_STORE, 0, end)
    return b"" if at < 0 else body[at : min(end, at + MAX_STORE)]
