"""The rights fields of EXIF: artist and copyright, in the first directory of a TIFF structure.

Source: CIPA DC-008 (Exif 2.32), 4.6.4 D, and TIFF 6.0, section 2, for the structure.
"""

import struct
from dataclasses import dataclass

from pairsieve.pipeline.rights.iim import decoded
from pairsieve.pipeline.rights.xmp import MAX_CHARS

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
ARTIST, COPYRIGHT, IIM = 0x013B, 0x8298, 0x83BB
MAX_ENTRIES = 500  # of a directory that are read
MAX_VALUE = 65_536  # bytes
_ENTRY = 12  # bytes
_SMALL = 4  # bytes of a value that stand in its entry


@dataclass(frozen=True, slots=True)
class ExifRights:
    """What EXIF says; empty where it says nothing.

    Attributes:
        creator: The artists, parted by "; ".
        notice: The copyright, of photographer and editor, parted by "; ".
        iim: The block of IPTC-IIM that a TIFF file has here.
    """

    creator: str = ""
    notice: str = ""
    iim: bytes = b""


def read_exif(block: bytes | memoryview) -> ExifRights:
    """Return what a TIFF structure says of rights; one that is broken says what is left of it."""
    fields = _fields(block)
    parts = (decoded(part).strip(" ;") for part in fields.get(COPYRIGHT, b"").split(b"\0"))
    artists = decoded(fields.get(ARTIST, b"").partition(b"\0")[0])
    creators = "; ".join(filter(None, (one.strip() for one in artists.split(";"))))
    notice = "; ".join(filter(None, parts))
    return ExifRights(creators[:MAX_CHARS], notice[:MAX_CHARS], fields.get(IIM, b""))


def _fields(block: bytes | memoryview) -> dict[int, bytes]:
    """Return the bytes of the wanted fields of the first directory."""
    order = ORDERS.get(bytes(block[:4]))
    if order is None or len(block) < 8:
        return {}
    (at,) = struct.unpack_from(f"{order}I", block, 4)
    if at + 2 > len(block):
        return {}
    (count,) = struct.unpack_from(f"{order}H", block, at)
    ends = range(at + 2, len(block) - _ENTRY + 1, _ENTRY)[: min(count, MAX_ENTRIES)]
    entries = (struct.unpack_from(f"{order}HHII", block, entry) + (entry,) for entry in ends)
    return {
        tag: _value(block, size * (4 if tag == IIM and kind == 4 else 1), offset, entry)
        for tag, kind, size, offset, entry in entries
        if tag in (ARTIST, COPYRIGHT, IIM)
    }


def _value(block: bytes | memoryview, size: int, offset: int, entry: int) -> bytes:
    """Return the bytes of a value, which is in its entry or at an offset."""
    begin = entry + _ENTRY - _SMALL if size <= _SMALL else offset
    return bytes(block[begin : begin + min(size, MAX_VALUE)])
