from collections.abc import Callable

import pytest
from PIL import Image

from pairsieve.pipeline.image.format import kind_of, other_kind_of
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]
Refused = Callable[..., tuple[Outcome, str | None]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_an_image_is_of_its_kind(four_corners: Image.Image, saved: Saved, kind: str) -> None:
    assert kind_of(saved(four_corners, kind)) == kind.lower()


def test_the_signature_alone_is_enough() -> None:
    assert kind_of(b"\xff\xd8\xff") == "jpeg"
    assert kind_of(b"II+\0") == "tiff"
    assert kind_of(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic") == "heif"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!doctype html><title>Not found</title>", "html"),
        (b"\xef\xbb\xbf\n <HTML lang=en>", "html"),
        (b"<!-- moved --><head>", "html"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
        (b'<?xml version="1.0"?>\n<!-- drawn by hand -->\n<svg width="1">', "svg"),
        (b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "">', "svg"),
        (b"%PDF-1.7\n", "pdf"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", "video"),
        (b"\x1a\x45\xdf\xa3\x01\x00\x00\x00", "video"),
        (b"RIFF\x10\x00\x00\x00AVI LIST", "video"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "audio"),
        (b"\xff\x0a\xfa\x7f", "jxl"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00", "jp2"),
        (b"\x00\x00\x01\x00\x01\x00\x10\x10", "ico"),
        (b"PK\x03\x04\x14\x00", "zip"),
    ],
)
def test_what_is_no_image_is_named(refused: Refused, body: bytes, kind: str) -> None:
    assert refused(body) == (Outcome.NOT_AN_IMAGE, f"{kind}: begins with {body[:16]!r}")


@pytest.mark.parametrize(
    "body",
    [
        b"BMW is a maker of cars, and this is a text about it",
        b'<?xml version="1.0"?><rss></rss>',
        b"an <svg> in a text",
        b"\x00",
        b" " * 100,
        b"RIFF",
    ],
)
def test_what_nobody_knows_is_told_by_its_first_bytes(refused: Refused, body: bytes) -> None:
    assert other_kind_of(body) is None
    assert refused(body) == (Outcome.NOT_AN_IMAGE, f"begins with {body[:16]!r}")
