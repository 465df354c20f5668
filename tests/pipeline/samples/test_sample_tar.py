"""The tar of a shard has the bytes that webdataset's own writer writes."""

import io

import pytest
from webdataset import TarWriter

from pairsieve.pipeline.samples.sample_tar import header, sample_bytes, sample_parts, tar_bytes

SIZES = [(0, 0, 2), (1, 511, 512), (513, 512, 700), (40_000, 1_000_000, 10_240)]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_tar_is_that_of_webdataset(kind: str) -> None:
    expected, tar = io.BytesIO(), io.BytesIO()
    writer = TarWriter(expected, encoder=False, mtime=0)
    for number, (image, text, json) in enumerate(SIZES):
        uid, files = f"{number:032x}", (b"\xff" * image, b"t" * text, b"j" * json)
        writer.write({"__key__": uid, kind: files[0], "txt": files[1], "json": files[2]})
        parts = sample_parts(uid, (kind, files[0]), *files[1:])
        assert tar.write(b"".join(parts)) == sample_bytes(image, text, json)
    writer.close()
    tar.write(bytes(tar_bytes(tar.tell()) - tar.tell()))
    assert tar.getvalue() == expected.getvalue()


def test_an_empty_tar_is_that_of_webdataset() -> None:
    expected = io.BytesIO()
    TarWriter(expected, encoder=False, mtime=0).close()
    assert expected.getvalue() == bytes(tar_bytes(0))


def test_a_header_has_room_for_a_name_of_a_hundred_characters() -> None:
    assert header("a" * 100, 8**11 - 1)[:100] == b"a" * 100
