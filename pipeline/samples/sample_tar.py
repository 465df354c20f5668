"""A sample in a WebDataset tar: image, JSON, text and further files, a header before each.

The bytes are those that `webdataset.TarWriter` writes. They are made here because a sample's size
then follows from the sizes of its files, so its place in the tar is known before its image is
read, and because a header costs `tarfile` as much as copying the image.
"""

import tarfile
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

BLOCK = tarfile.BLOCKSIZE
Bytes = bytes | memoryview
Files = Sequence[tuple[str, Bytes]]
ZEROS = bytes(BLOCK)
END_BYTES = 2 * BLOCK  # zeros that end a tar, which is then filled up to whole records
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 135), slice(148, 156)  # fields of a header


def sample_bytes(*sizes: Any) -> Any:
    """Return how many bytes a sample has whose files have these sizes, bytes; or several samples.

    Of several, each of the sizes is an array, (n,), and so is what is returned.
    """
    return sum(BLOCK + _whole(size) for size in sizes)


def tar_bytes(samples: int) -> int:
    """Return the size of a tar whose samples have so many bytes together."""
    return -(-(samples + END_BYTES) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def sample_parts(
    uid: str, image: tuple[str, Bytes], text: bytes, json: bytes, more: Files = ()
) -> list[Bytes]:
    """Return what follows one another in the tar: headers, files and zeros.

    Args:
        uid: The key of the sample.
        image: The format of the image, which is its suffix, and its bytes.
        text: The text, UTF-8.
        json: Its JSON, UTF-8.
        more: Suffix and content of further files.
    """
    files = sorted((image, ("txt", text), ("json", json), *more), key=itemgetter(0))
    parts: list[Bytes] = []
    for suffix, content in files:
        parts += (header(f"{uid}.{suffix}", len(content)), content, _padding(len(content)))
    return parts


def header(name: str, size: int) -> bytes:
    """Return the header of a file of this ASCII name, at most 100 characters, and size, bytes."""
    middle, after, rest = _template()
    encoded, digits = name.encode("ascii"), b"%011o" % size
    checksum = b"%06o\0 " % (sum(encoded) + sum(digits) + rest)
    return b"".join((encoded.ljust(100, b"\0"), middle, digits, after[:13], checksum, after[21:]))


@lru_cache(maxsize=1)
def _template() -> tuple[bytes, bytes, int]:
    """Return what is before and after the size in a header, and what both add to its checksum.

    The checksum itself counts as blanks.
    """
    member = tarfile.TarInfo("")
    member.mode, member.uname, member.gname = 0o444, "bigdata", "bigdata"  # as webdataset has them
    data = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    data[_CHECKSUM] = b" " * 8
    middle, after = bytes(data[_NAME.stop : _SIZE.start]), bytes(data[_SIZE.stop :])
    return middle, after, sum(middle) + sum(after)


def _whole(size: Any) -> Any:
    """Return the size in whole blocks, bytes."""
    return -(-size // BLOCK) * BLOCK


def _padding(size: int) -> bytes:
    return ZEROS[: -size % BLOCK]
