from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.fetch_summary import (
    HOSTS,
    KEY,
    LINE,
    STEPS_OF_SLICE,
    line_sentences,
    requests_at_once,
    tally,
    total,
    wider,
)
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.schemas.columns import FETCH_BYTES, FETCHED_AT, HTTP_STATUS, OUTCOME


def part(rows: list[tuple[str, str, int | None, int | None]]) -> Part:
    """Return a part of (url, outcome, status, ms since 1970)."""
    table = pa.table(
        {"row": range(len(rows)), "url": [row[0] for row in rows], "text": ["t"] * len(rows)}
    )
    summary_part = Part(table)
    for row, (_, *values) in enumerate(rows):
        for column, value in zip((OUTCOME, HTTP_STATUS, FETCHED_AT), values, strict=True):
            summary_part.put(column, [row], value)
    return summary_part


def test_the_bytes_of_a_fetch_that_pairs_share_count_once() -> None:
    summary_part = part([("http://a.example/", "ok", 200, at) for at in (1_000, 1_000, 2_000)])
    summary_part.put(FETCH_BYTES, [0, 1, 2], 500)
    assert tally(summary_part)["bytes"] == 1000


def marker(rows: list[tuple[str, str, int | None, int | None]]) -> Marker:
    written = Marker(len(rows), {}, {}, {KEY: tally(part(rows))})
    return Marker.loads(written.dumps())


def test_markers_together_give_the_counts_of_all_pieces() -> None:
    one = marker(
        [
            ("http://A.example/1", "ok", 200, 1_000_500),
            ("http://u:p@a.example:81/2", "http_4xx", 404, 1_000_999),
            ("http://b.example/", "ok", 200, 1_003_000),
        ]
    )
    two = marker([("http://a.example/3", "dns", None, 1_001_000), ("", "no_url", None, None)])
    counts = total([one, two, Marker(1, {})])
    assert counts.answers == {"ok": 2, "http_4xx 404": 1, "dns": 1, "no_url": 1}
    assert counts.hosts == {"a.example": {"ok": 1, "http_4xx 404": 1, "dns": 1}}
    assert counts.steps == [
        (1000, {"ok": 1, "http_4xx 404": 1}),
        (1001, {"dns": 1}),
        (1003, {"ok": 1}),
    ]


def test_a_piece_tells_of_few_hosts_and_steps_whatever_it_holds() -> None:
    rows: list[Any] = [
        (f"http://{n}.example/{k}", "refused", None, 1_000 * (1000 * n + k))
        for n in range(1, 50)
        for k in range(n)
    ]
    summary = tally(part(rows))
    assert list(summary["hosts"]) == [f"{n}.example" for n in range(49, 49 - HOSTS, -1)]
    assert summary["hosts"]["49.example"] == {"refused": 49}
    assert len(summary["steps"]) <= STEPS_OF_SLICE
    assert sum(step["refused"] for step in summary["steps"].values()) == len(rows)


def test_a_host_that_cannot_be_printed_is_not_told() -> None:
    assert tally(part([("http://a\x1b[31m.example/", "dns", None, None)]))["hosts"] == {}


def test_without_times_there_are_no_steps() -> None:
    assert wider({}, 10) == []
    assert tally(part([("http://a.example/", "dns", None, None)]))["steps"] == {}


def met(**changes: int) -> Marker:
    """Return a marker of a process whose line met so much."""
    counts = dict.fromkeys(("lowered", "suffered", "https", "handshakes", "http2"), 0)
    at_once = {"at_once": 128, "at_once_low": 128, "requests": 100}
    return Marker(1, {}, {}, {LINE: at_once | counts | changes})


def test_a_line_is_said_in_words_and_nothing_where_nothing_was_requested() -> None:
    assert line_sentences([Marker(1, {})]) == []
    assert line_sentences([met(), Marker(1, {})]) == [
        "Up to 128 requests at once in a process, never lowered: 0 % of the requests failed at "
        "hosts that answer."
    ]
    low = met(at_once_low=32, lowered=2, suffered=50, requests=300, https=20, handshakes=5, http2=8)
    assert line_sentences([met(), low]) == [
        "Between 32 and 128 requests at once in a process, lowered 2 times: 12.5 % of the requests "
        "failed at hosts that answer.",
        "https: 20 answers, 25 % after a handshake of their own, 40 % over HTTP/2.",
    ]
    assert [requests_at_once(one) for one in (low, Marker(1, {}))] == [128, None]
