"""The records of a WARC or WAT file, one after the other, whatever is wrong with some of them.

FastWARC reads them. It stops at the first record that it cannot read, so reading begins anew at the
next member of the archive: every record of a crawl is a gzip member of its own. A record that
unpacks to more than `MAX_RECORD_BYTES` is passed over, and one that unpacks without end is left as
soon as that is seen; so neither memory nor time depends on what a record says of itself.

Source: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/
"""

import os
import re
import zlib
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pairsieve.pipeline.pages.html import is_html

if TYPE_CHECKING:
    from fastwarc.warc import HeaderMap, WarcRecord

# Common Crawl cuts pages at 1 MiB, since 2025 at 5 MiB; the WAT record of a page is smaller.
MAX_RECORD_BYTES = 32 << 20
MAX_BODY_BYTES = 8 << 20  # of a page that is unpacked; what follows is cut off, as crawlers do
MAX_RATIO = 250  # unpacked bytes per byte of the file, of a record that is passed over
SKIPPED_AT_ONCE = 16 << 20  # bytes
SEARCHED_AT_ONCE = 1 << 20  # bytes of the file, for the next member
PEEKED_BYTES = 1 << 10  # of a member, to see whether a record begins in it
GZIP = b"\x1f\x8b\x08"
BEGINNING = b"WARC/"
_NEXT_RECORD = re.compile(rb"\r\n\r\nWARC/1\.[01]\r\n(?:[A-Za-z-]+:[^\r\n]*\r\n)*WARC-Type:")

# Why a record cannot be used.
MALFORMED, TOO_LARGE, CUT_OFF, HTTP = "malformed", "too_large", "cut_off", "http"


class BadRecord(NamedTuple):
    """A record that cannot be used, or a stretch of the file in which none was found.

    Attributes:
        offset: Where in the file it begins, bytes.
        reason: `malformed`, `too_large`, `cut_off` or `http`; also what its reader could not read.
    """

    offset: int
    reason: str


class GoodRecord(NamedTuple):
    """A record with its content.

    Attributes:
        offset: Where in the file it begins, bytes.
        kind: Its WARC-Type, such as `response`.
        headers: Those of the record.
        http: Those of the response, None where it is none.
        body: The content, without HTTP headers and content encoding.
    """

    offset: int
    kind: str
    headers: "HeaderMap"
    http: "HeaderMap | None"
    body: bytes


def records(file: BinaryIO, kinds: frozenset[str]) -> Iterator[GoodRecord | BadRecord]:
    """Yield the records of these kinds, and every one that is bad.

    Of responses only those are read that are HTML. Reading raises `Stopped` where storage fails.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    packed = file.read(len(BEGINNING)) != BEGINNING
    start: int | None = 0
    reported = False
    while start is not None and start < end:
        resume = yield from _until_bad(file, start, kinds, packed, reported)
        if resume is None:
            return
        start, reported = _next_member(file, resume.after, packed), resume.reported


class _Resume(NamedTuple):
    """Where reading is to begin anew.

    Attributes:
        after: The byte from which on the next record is to be looked for.
        reported: Whether what lies there was reported already.
    """

    after: int
    reported: bool


def _until_bad(
    file: BinaryIO, start: int, kinds: frozenset[str], packed: bool, reported: bool
) -> Generator[GoodRecord | BadRecord, None, _Resume | None]:
    """Yield records up to the first behind which the archive has to be entered anew.

    Return where; None at the end. `reported` is whether what lies at `start` was.
    """
    from fastwarc.warc import ArchiveIterator

    file.seek(start)
    iterator = ArchiveIterator(_Source(file, start), parse_http=False)
    offset = start
    while True:
        try:
            record = next(iterator, None)
        except OSError:
            if not reported:
                yield BadRecord(offset, MALFORMED)
            return _Resume(offset + 1, True)
        if record is None:
            return None
        offset, reported = start + record.stream_pos, False
        if record.content_length > MAX_RECORD_BYTES:
            yield BadRecord(offset, TOO_LARGE)
            if not _skipped(record, file, packed):
                return _Resume(offset + 1, False)
        elif str(record.record_type) in kinds:
            found = _read(record, offset)
            if found is not None:
                yield found
                reported = isinstance(found, BadRecord)
                if isinstance(found, BadRecord) and found.reason != HTTP:
                    return _Resume(offset + 1, True)  # it may have swallowed those behind it


class _Source:
    """A file from one of its bytes on, as FastWARC reads one."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self._start = start

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = self._start if whence == os.SEEK_SET else 0
        return self._file.seek(base + offset, whence) - self._start

    def close(self) -> None:
        """Leave the file open: it is read again from elsewhere."""


def _read(record: "WarcRecord", offset: int) -> GoodRecord | BadRecord | None:
    """Return a record with its content; None for what is no page."""
    try:
        block = _content(record, record.content_length)
    except OSError:
        return BadRecord(offset, MALFORMED)
    if len(block) < record.content_length:
        return BadRecord(offset, CUT_OFF)
    if _NEXT_RECORD.search(block):  # its length is wrong, and what follows is no part of it
        return BadRecord(offset, MALFORMED)
    if record.is_http:
        return _response(record, offset, block)
    return GoodRecord(offset, str(record.record_type), record.headers, None, block)


def _response(record: "WarcRecord", offset: int, block: bytes) -> GoodRecord | BadRecord | None:
    """Return a response without its HTTP headers and encodings; None if it is no HTML page."""
    from fastwarc.warc import WarcRecord

    parsed = WarcRecord()
    parsed.set_bytes_content(block)
    parsed.is_http = True
    try:
        parsed.parse_http(auto_decode="all")
        http = parsed.http_headers
        if http.status_code is None:
            return BadRecord(offset, HTTP)
        if http.status_code != 200 or not is_html(http.get("Content-Type")):
            return None
        body = _content(parsed, MAX_BODY_BYTES)
    except OSError:
        return BadRecord(offset, HTTP)
    return GoodRecord(offset, str(record.record_type), record.headers, http, body)


def _content(record: "WarcRecord", most: int) -> bytes:
    """Return the content of a record, at most so many bytes."""
    parts, left = [], most
    while left > 0 and (part := record.reader.read(left)):
        parts.append(bytes(part))
        left -= len(part)
    return b"".join(parts)


def _skipped(record: "WarcRecord", file: BinaryIO, packed: bool) -> bool:
    """Pass over the content of a record; return False if it unpacks to too much to go on."""
    begun, left = file.tell(), record.content_length
    unpacked = 0
    while left > 0:
        try:
            passed = record.reader.consume(min(left, SKIPPED_AT_ONCE))
        except OSError:
            return False
        if not passed:
            return True
        left -= passed
        unpacked += passed
        read = file.tell() - begun
        if packed and unpacked > MAX_RATIO * read + 2 * MAX_RECORD_BYTES:
            return False
    return True


def _next_member(file: BinaryIO, after: int, packed: bool) -> int | None:
    """Return where the first record begins at or behind a byte, None if there is no other."""
    mark = GZIP if packed else b"\r\n" + BEGINNING
    position, kept = after, b""
    file.seek(after)
    while block := file.read(SEARCHED_AT_ONCE):
        window = kept + block
        origin = position - len(kept)
        at = window.find(mark)
        while at >= 0:
            found = origin + at + (0 if packed else 2)
            if not packed or _begins_record(file, found):
                return found
            at = window.find(mark, at + 1)
        kept = window[-(len(mark) - 1) :]
        position += len(block)
        file.seek(position)
    return None


def _begins_record(file: BinaryIO, offset: int) -> bool:
    """Return whether there is a gzip member at `offset` that begins as a record does."""
    file.seek(offset)
    try:
        beginning = zlib.decompressobj(31).decompress(file.read(PEEKED_BYTES), len(BEGINNING))
    except zlib.error:
        return False
    return beginning == BEGINNING
