from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.fetch_summary import HOSTS, KEY, STEPS_OF_SLICE, tally, total, wider
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.schemas.columns import FETCHED_AT, HTTP_STATUS, OUTCOME


def part(rows: list[tuple[str, str, int | None, int | None]]) -> Part:
    """Return a part of (url, outcome, status, ms since 1970)."""
    table = pa.table(
        {"row": range(len(rows)), "url": [row[0] for row in rows], "text": ["t"] * len(rows)}
    )
    made = Part(table)
    for place, (_, *values) in enumerate(rows):
        for column, value in zip((OUTCOME, HTTP_STATUS, FETCHED_AT), values, strict=True):
            made.put(column, [place], value)
    return made


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
    found = total([one, two, Marker(1, {})])
    assert found.answers == {"ok": 2, "http_4xx 404": 1, "dns": 1, "no_url": 1}
    assert found.hosts == {"a.example": {"ok": 1, "http_4xx 404": 1, "dns": 1}}
    assert found.steps == [
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
    told = tally(part(rows))
    assert list(told["hosts"]) == [f"{n}.example" for n in range(49, 49 - HOSTS, -1)]
    assert told["hosts"]["49.example"] == {"refused": 49}
    assert len(told["steps"]) <= STEPS_OF_SLICE
    assert sum(step["refused"] for step in told["steps"].values()) == len(rows)


def test_a_host_that_cannot_be_printed_is_not_told() -> None:
    assert tally(part([("http://a\x1b[31m.example/", "dns", None, None)]))["hosts"] == {}


def test_without_times_there_are_no_steps() -> None:
    assert wider({}, 10) == []
    assert tally(part([("http://a.example/", "dns", None, None)]))["steps"] == {}
