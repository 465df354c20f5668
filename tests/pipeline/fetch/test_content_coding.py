import gzip
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import brotli
import pyarrow as pa
import pytest

from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.pipeline.fetch.content_coding import TooLong, Undecodable, codings, decoded
from pairsieve.schemas.outcomes import Outcome

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

BODY = b"some bytes, and more of them" * 100
LIMIT = len(BODY)


def bare(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


ENCODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:50]) + gzip.compress(BODY[50:]),
    "deflate": zlib.compress(BODY),
    "DEFLATE": bare(BODY),
    "br": brotli.compress(BODY),
    "zstd": pa.compress(BODY, "zstd", asbytes=True),
    "gzip, br": brotli.compress(gzip.compress(BODY)),
    "identity": BODY,
    "": BODY,
    **dict.fromkeys(("utf-8", "none", "binary", "aws-chunked", "image/jpeg", "gzip, 8bit"), BODY),
}


@pytest.mark.parametrize("value", ENCODED)
def test_what_is_encoded_is_decoded_and_what_is_not_stays(value: str) -> None:
    assert decoded(ENCODED[value], codings([value]), LIMIT) == BODY


@pytest.mark.parametrize("value", ["gzip", "x-gzip", "deflate", "DEFLATE", "br", "zstd"])
def test_the_limit_is_that_of_the_decoded_body(value: str) -> None:
    with pytest.raises(TooLong, match=f"more than {LIMIT - 1} bytes") as error:
        decoded(ENCODED[value], codings([value]), LIMIT - 1)
    assert error.value.beginning == BODY[:-1]


@pytest.mark.parametrize("value", ["gzip", "deflate", "br", "zstd"])
def test_what_ends_early_or_is_not_so_encoded_is_refused(value: str) -> None:
    for body in (ENCODED[value][:-6], b"\xff\xd8\xff plain"):
        with pytest.raises(Undecodable, match=f"not {value}"):
            decoded(body, codings([value]), LIMIT)


def test_an_empty_body_is_empty_whatever_it_says() -> None:
    assert decoded(b"", ["gzip", "br"], LIMIT) == b""


def test_what_follows_a_gzip_stream_is_passed_over() -> None:
    assert decoded(gzip.compress(BODY) + bytes(20), ["gzip"], LIMIT) == BODY


def test_many_empty_members_are_refused_and_some_are_read() -> None:
    empty = gzip.compress(b"")
    assert decoded(empty * 900 + gzip.compress(BODY), ["gzip"], LIMIT) == BODY
    with pytest.raises(Undecodable, match="more than 1000 members"):
        decoded(empty * 40_000, ["gzip"], LIMIT)


def test_codings_of_several_lines_are_one_list() -> None:
    assert codings(["gzip", " , BR"]) == ("gzip", "br")
    with pytest.raises(Undecodable, match="9 content codings"):
        decoded(BODY, codings(["gzip"] * 9), LIMIT)


@pytest.mark.parametrize(
    "value", ["identity", "none", "UTF-8", "binary", "aws-chunked", "base64", "image/jpeg", "8bit"]
)
def test_an_answer_that_says_something_else_is_read_as_it_is(
    site: "Site", fetch_one: Callable[..., Fetched], value: str
) -> None:
    site.behaviours["a"] = site.whole(site.jpeg, "200 OK", f"Content-Encoding: {value}")
    fetched = fetch_one(site.url("a"), site.port)
    assert (fetched.outcome, fetched.body) == (Outcome.OK, site.jpeg)
