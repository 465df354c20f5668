"""EXIF and IPTC-IIM: what is read is what Pillow wrote, or reads of the same bytes."""

import io
import struct
from typing import Any

import pytest
from PIL import Image, IptcImagePlugin
from tests.pipeline.rights.conftest import pictured, xmp

from pairsieve.pipeline.rights.exif import ExifRights, read_exif
from pairsieve.pipeline.rights.file_metadata import file_metadata
from pairsieve.pipeline.rights.iim import IimRights, read_iim
from pairsieve.pipeline.rights.in_file import read_rights

ARTIST, COPYRIGHT = 0x013B, 0x8298


def exif(**fields: str) -> Image.Exif:
    made = Image.Exif()
    made[ARTIST], made[COPYRIGHT] = fields["creator"], fields["notice"]
    return made


def dataset(number: int, value: bytes, record: int = 2) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def photoshop(iim: bytes, name: bytes = b"") -> bytes:
    """Return a JPEG with these datasets in an APP13 segment, as Photoshop writes it."""
    pascal = bytes([len(name)]) + name
    resource = b"8BIM\x04\x04" + pascal + b"\0" * (len(pascal) % 2)
    resource += struct.pack(">I", len(iim)) + iim + b"\0" * (len(iim) % 2)
    content = b"Photoshop 3.0\0" + b"8BIM\x04\x00\0\0\0\0\0\x02ab" + resource
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    body = pictured("jpeg")
    return body[:2] + segment + body[2:]


def told(body: bytes) -> dict[str, Any]:
    return {column.name: value for column, value in read_rights(body).values.items()}


DATASETS = (
    dataset(90, b"\x1b%G", record=1)
    + dataset(80, "Ada Müller".encode())
    + dataset(80, b"Ben")
    + dataset(110, b"Agency / Ben")
    + dataset(116, "© 2026 Ada".encode())
)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_artist_and_copyright_are_found_in_every_format(kind: str) -> None:
    body = pictured(kind, exif=exif(creator="Ada Lovelace", notice="(c) 2026 Ada"))
    assert told(body) == {"file_creator": "Ada Lovelace", "file_notice": "(c) 2026 Ada"}


def test_both_orders_of_bytes_and_both_rights_of_a_notice_are_read() -> None:
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        entries = struct.pack(f"{order}HHII", COPYRIGHT, 2, 9, 64)
        entries += struct.pack(f"{order}HHI4s", ARTIST, 2, 4, b"Ada\0")
        block = mark + struct.pack(f"{order}IH", 8, 2) + entries
        block = block.ljust(64, b"\0") + b"Ada\0 Ben\0"
        assert read_exif(block) == ExifRights("Ada", "Ada; Ben")


def test_several_artists_are_parted_as_elsewhere() -> None:
    body = pictured("jpeg", exif=exif(creator="Ada;Ben ; ", notice=" "))
    assert told(body) == {"file_creator": "Ada; Ben"}


@pytest.mark.parametrize("name", [b"", b"odd", b"even"])
def test_the_datasets_of_iim_are_those_that_pillow_reads(name: bytes) -> None:
    body = photoshop(DATASETS, name)
    reference = IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(body)))
    assert reference
    assert reference[2, 80] == ["Ada Müller".encode(), b"Ben"]
    assert told(body) == {
        "file_creator": "Ada Müller; Ben",
        "file_credit": reference[2, 110].decode(),  # type: ignore[union-attr]
        "file_notice": "© 2026 Ada",
    }


def test_a_tiff_has_its_iim_in_a_field() -> None:
    body = pictured("tiff", tiffinfo={33723: DATASETS, ARTIST: "other"})
    assert told(body)["file_creator"] == "Ada Müller; Ben"
    assert told(body)["file_credit"] == "Agency / Ben"


def test_text_of_no_declared_charset_is_utf_8_or_latin_1() -> None:
    assert read_iim(dataset(116, "© Ä".encode("latin-1"))).notice == "© Ä"
    assert read_iim(dataset(116, "© Ä".encode())).notice == "© Ä"


def test_xmp_goes_before_iim_and_iim_before_exif() -> None:
    both = exif(creator="exif", notice="exif")
    assert told(pictured("jpeg", exif=both, xmp=xmp('photoshop:Credit="xmp"'))) == {
        "file_creator": "exif",
        "file_credit": "xmp",
        "file_notice": "exif",
    }
    body = photoshop(dataset(80, b"iim") + dataset(110, b"iim"))
    with_exif = pictured("jpeg", exif=both)
    begin = with_exif.index(b"\xff\xe1")
    segment = with_exif[begin:][: 2 + int.from_bytes(with_exif[begin + 2 : begin + 4], "big")]
    assert told(body[:2] + segment + body[2:]) == {
        "file_creator": "iim",
        "file_credit": "iim",
        "file_notice": "exif",
    }


def test_broken_blocks_say_what_is_left_of_them() -> None:
    assert read_iim(DATASETS[:-3]).notice == "© 2026"
    assert read_iim(dataset(80, b"Ada") + b"\x1c\x02\x74\x80\x04" + b"x" * 9).creator == "Ada"
    block = exif(creator="Ada Lovelace", notice="x" * 900).tobytes().removeprefix(b"Exif\0\0")
    assert len(read_exif(block).notice) == 500
    for size in range(len(block)):
        assert "Ada Lovelace".startswith(read_exif(block[:size]).creator)
    for offset in (0, 8, 2**31, 2**32 - 1):
        assert read_exif(b"II*\0" + struct.pack("<IH", offset, 65_535)) == ExifRights()
    assert read_iim(b"") == read_iim(b"\x1c") == IimRights()


@pytest.mark.parametrize("begin", [b"II*\0", b"MM\0*", b"RIFF\xff\xff\xff\xffWEBP"])
def test_odd_bytes_hold_nothing_and_cost_little(begin: bytes) -> None:
    body = begin + b"\xff" * 100_000
    assert told(body) == {}
    assert file_metadata(body).end == len(body)
