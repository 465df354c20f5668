"""Archives, whole and broken, written by hand as the standard has them and by warcio."""

import gzip
import io
import resource
from collections.abc import Callable, Sequence

import brotli
import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc
from pairsieve.pipeline.pages.archive import (
    MAX_BODY_BYTES,
    MAX_RECORD_BYTES,
    BadRecord,
    GoodRecord,
    records,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
KINDS = frozenset(("response",))


def record(
    block: bytes, length: int | None = None, more: bytes = b"", kind: bytes = b"response"
) -> bytes:
    lines = (
        b"WARC/1.0",
        b"WARC-Type: " + kind,
        b"WARC-Target-URI: http://a.example/",
        b"WARC-Date: 2024-01-01T00:00:00Z",
        b"WARC-Record-ID: <urn:uuid:1423a984-b157-4ac1-8648-5ed19fb9df8d>",
        b"Content-Type: application/http; msgtype=response",
        b"Content-Length: %d" % (len(block) if length is None else length),
    )
    return b"\r\n".join(lines) + b"\r\n" + more + b"\r\n" + block + b"\r\n\r\n"


def member(*args: object, **others: object) -> bytes:
    return gzip.compress(record(*args, **others))  # type: ignore[arg-type]


GOOD = member(HEAD + b"<img>")


def read(data: bytes) -> list[tuple[int, str | bytes]]:
    """Return offset and body, or why a record is bad."""
    found: Sequence[GoodRecord | BadRecord] = list(records(io.BytesIO(data), KINDS))
    return [(r.offset, r.reason if isinstance(r, BadRecord) else r.body) for r in found]


def test_records_are_read_with_where_they_begin() -> None:
    assert read(GOOD * 2) == [(0, b"<img>"), (len(GOOD), b"<img>")]


def test_what_warcio_writes_is_read_packed_and_plain() -> None:
    pages = [CrawledPage(f"http://a.example/{n}", b"<img>%d" % n) for n in range(3)]
    for packed in (True, False):
        file = io.BytesIO()
        offsets = write_warc(file, pages, gzip=packed)
        assert read(file.getvalue()) == [
            (offset, page.body) for offset, page in zip(offsets, pages, strict=True)
        ]


# Made by those who ask: compressing the bombs takes a second.
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "garbage between": (lambda: b"garbage" * 100, "malformed"),
    "garbage that looks like gzip": (lambda: b"\x1f\x8b\x08garbage" * 100, "malformed"),
    "no record in a member": (lambda: gzip.compress(b"hello\n" * 99), "malformed"),
    "end of a member lost": (lambda: GOOD[:-30], "malformed"),
    "wrong checksum": (lambda: GOOD[:-8] + bytes(8), "malformed"),
    "broken deflate": (lambda: GOOD[:60] + b"\xff\xff\xff" + GOOD[63:], "malformed"),
    "negative length": (lambda: member(HEAD, -5), "http"),
    "endless length": (lambda: member(HEAD, 10**30), "http"),
    "longer than it is": (lambda: member(HEAD + b"x" * 1000, 1100), "malformed"),
    "endless header": (lambda: member(HEAD, more=b"X: " + b"y" * 1_000_000 + b"\r\n"), "malformed"),
    "endless headers": (
        lambda: gzip.compress(b"WARC/1.0\r\n" + b"X: y\r\n" * 300_000),
        "malformed",
    ),
    "no http": (lambda: member(b"hello"), "http"),
    "endless http": (
        lambda: member(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99_999 + b"\r\n\r\nx"),
        "http",
    ),
    "encoding that it is not in": (
        lambda: member(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\nabc"
        ),
        "http",
    ),
    "bomb": (lambda: member(HEAD + bytes(100_000_000)), "too_large"),
    "bomb of another kind": (
        lambda: member(HEAD + bytes(100_000_000), kind=b"request"),
        "too_large",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_reported_and_the_next_one_read(name: str) -> None:
    make, reason = BROKEN[name]
    broken = make()
    found = read(GOOD + broken + GOOD)
    assert [what for _, what in found] == [b"<img>", reason, b"<img>"]
    assert found[-1][0] == len(GOOD + broken)


def test_a_record_that_ends_with_the_file_is_cut_off() -> None:
    assert read(GOOD + GOOD[:-30]) == [(0, b"<img>"), (len(GOOD), "cut_off")]


def test_a_length_that_reaches_into_the_next_record_takes_nothing_of_it() -> None:
    wrong = member(HEAD + b"x", 400)
    assert read(wrong + GOOD + GOOD)[1:] == [
        (len(wrong), b"<img>"),
        (len(wrong + GOOD), b"<img>"),
    ]


def test_what_follows_a_record_without_end_is_left() -> None:
    flood = gzip.compress(record(HEAD) + bytes(100_000_000))
    assert read(flood + GOOD) == [(0, b""), (0, "malformed"), (len(flood), b"<img>")]


def test_plain_archives_go_on_behind_what_is_broken() -> None:
    plain = record(HEAD + b"<img>")
    assert [what for _, what in read(plain + b"junk\r\n" * 9 + plain)] == [
        b"<img>",
        "malformed",
        b"<img>",
    ]


def test_a_file_that_is_no_archive_is_one_bad_record() -> None:
    assert read(b"hello world\n" * 99) == [(0, "malformed")]
    assert read(b"") == []


def test_a_bomb_needs_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = gzip.compress(bytes(200 << 20), 1)
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    found = read(gzip.compress(record(head + body)) + GOOD)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found[0][1] == bytes(MAX_BODY_BYTES)
    assert len(found) == 2
    assert grown < (200 << 10) + (MAX_RECORD_BYTES >> 10) + (MAX_BODY_BYTES >> 8)  # KiB


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress), ("identity", bytes)]
)
def test_content_encodings_are_taken_off(coding: str, encode: object) -> None:
    assert callable(encode)
    head = HEAD.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {coding}\r\n\r\n".encode())
    assert read(member(head + encode(b"<img>")))[0][1] == b"<img>"


def test_chunks_are_put_together() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert read(member(head + b"3\r\n<im\r\n2\r\ng>\r\n0\r\n\r\n"))[0][1] == b"<img>"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_page_is_passed_over(head: bytes) -> None:
    assert read(member(head + b"<img>")) == []
