from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.pipeline.fetch.headers import read
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_opt_outs import Form, OptOuts

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (["X-Robots-Tag: noai"], Outcome.OPT_OUT),
        (["x-robots-tag:NoImageAI , nofollow"], Outcome.OPT_OUT),
        (["X-Robots-Tag: nofollow", "X-Robots-Tag: noindex"], Outcome.OPT_OUT),
        (["X-Robots-Tag: none"], Outcome.OPT_OUT),
        (["X-Robots-Tag: noml"], Outcome.OPT_OUT),
        (["X-Robots-Tag: max-snippet: 20, noimageindex"], Outcome.OPT_OUT),
        (["X-Robots-Tag: unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], Outcome.OPT_OUT),
        (["X-Robots-Tag: Test: noai"], Outcome.OPT_OUT),
        (["X-Robots-Tag: *: noai"], Outcome.OPT_OUT),
        (["X-Robots-Tag: otherbot: nofollow, test: noai"], Outcome.OPT_OUT),
        (["X-Robots-Tag: otherbot: noai, noindex"], Outcome.OK),
        (["X-Robots-Tag: nofollow, noarchive"], Outcome.OK),
        (["X-Robots-Tag: noairport"], Outcome.OK),
        (["X-Other: X-Robots-Tag: noai"], Outcome.OK),
        (["tdm-reservation: 1"], Outcome.TDM_RESERVED),
        (["TDM-Reservation:1"], Outcome.TDM_RESERVED),
        (["tdm-reservation: 0"], Outcome.OK),
        (["tdm-policy: https://example.org/policy.json"], Outcome.OK),
        (["Content-Usage: train-ai=n"], Outcome.OPT_OUT),
        (["Content-Usage: train-ai=y"], Outcome.OK),
        (["Content-Usage: search=y", "content-usage: train-ai=n;x=1"], Outcome.OPT_OUT),
        (["Content-Usage: train-ai=n", "Content-Usage: train-ai=y"], Outcome.OK),
        (["Content-Signal: search=yes, ai-train=no"], Outcome.OPT_OUT),
        (["Content-Signal: ai-train=yes, search=yes, ai-input=yes"], Outcome.OK),
    ],
)
def test_an_opt_out_is_one_when_it_speaks_to_us(
    site: "Site", fetch_one: FetchOne, lines: list[str], outcome: Outcome
) -> None:
    site.behaviours["out"] = site.whole(site.jpeg, "200 OK", *lines)
    fetched = fetch_one(site.url("out"), site.port)
    assert (fetched.outcome, fetched.http_status) == (outcome, 200)
    assert fetched.body == (site.jpeg if outcome is Outcome.OK else b"")


def test_a_recipe_may_ignore_opt_outs(site: "Site", fetch_one: FetchOne) -> None:
    site.behaviours["out"] = site.whole(site.jpeg, "200 OK", "X-Robots-Tag: noai")
    fetched = fetch_one(site.url("out"), site.port, opt_outs=OptOuts(obey="none"))
    assert (fetched.outcome, fetched.body) == (Outcome.OK, site.jpeg)
    assert [(o.form, o.evidence) for o in fetched.opt_outs] == [
        (Form.X_ROBOTS_TAG, "X-Robots-Tag: noai")
    ]


def test_an_opt_out_is_decided_before_the_body_is_read(site: "Site", fetch_one: FetchOne) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Robots-Tag: noai\r\nContent-Length: 900000\r\n\r\nx"
    site.behaviours["out"] = lambda connection: (
        connection.sock.sendall(head),
        site.closing.wait(20),
    )
    assert fetch_one(site.url("out"), site.port, timeout_s=15).outcome is Outcome.OPT_OUT


def test_an_opt_out_on_an_error_or_an_interim_answer_changes_nothing(
    site: "Site", fetch_one: FetchOne
) -> None:
    site.behaviours["gone"] = site.whole(b"x", "404 No", "X-Robots-Tag: noindex")
    hints = b"HTTP/1.1 103 Hints\r\nX-Robots-Tag: noai\r\n\r\n"
    site.behaviours["hints"] = hints + site.whole()
    assert fetch_one(site.url("gone"), site.port).outcome is Outcome.HTTP_4XX
    assert fetch_one(site.url("hints"), site.port).outcome is Outcome.OK


def test_etag_and_last_modified_are_kept_as_proper_text_of_bounded_length(
    site: "Site", fetch_one: FetchOne
) -> None:
    dated = "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT"
    site.behaviours["dated"] = site.whole(site.jpeg, "200 OK", 'ETag: "\xe9' + "x" * 300, dated)
    fetched = fetch_one(site.url("dated"), site.port)
    assert fetched.etag == '"é' + "x" * 198
    assert fetched.last_modified == "Tue, 24 Nov 2026 10:00:00 GMT"
    assert fetched.fetched_at is not None


def test_any_line_ends_and_spellings_of_a_header_are_read() -> None:
    header = read(b'HTTP/2 200 \r\netag: W/"a"\r\ncontent-encoding: br\r\n\r\n', "lab")
    assert (header.status, header.etag, header.codings) == (200, 'W/"a"', ("br",))
    assert read(b"HTTP/1.0 404 N\nContent-Length: 9\n\n", "lab").length == 9
    assert read(b"", "lab").status == 0
    assert [read(line, "lab").http_version for line in (b"HTTP/2 200 \r\n\r\n", b"")] == ["2", None]
