from typing import Any

import pytest

from pairsieve.jobs.run_warnings import warnings


def funnel(
    *rules: tuple[str, int, int], pairs: int = 100, failed: int = 10
) -> list[dict[str, Any]]:
    """Return a funnel; each rule with the pairs it drops, and those unmeasured."""
    rows: list[dict[str, Any]] = [
        {"rule": "outcome", "entered": 100, "dropped": failed, "left": 100 - failed}
    ]
    for rule, dropped, unmeasured in rules:
        left = rows[-1]["left"]
        rows.append(
            {
                "rule": rule,
                "entered": left,
                "dropped": dropped,
                "unmeasured": unmeasured,
                "left": left - dropped,
            }
        )
    return rows


@pytest.mark.parametrize(
    ("rows", "outcomes", "told"),
    [
        (funnel(("size", 20, 0), ("language", 30, 0)), {"ok": 90, "dns": 10}, []),
        (
            funnel(("size", 20, 0), ("language", 34, 0)),
            {"ok": 90, "dns": 10},
            ["`language` drops 34% of all pairs; the report shows some"],
        ),
        (
            funnel(("size", 20, 0), ("nsfw", 70, 70)),
            {"ok": 90, "dns": 10},
            ["no pair survives: `nsfw` drops the most, 70 of 90, 70 of them unmeasured"],
        ),
        (
            funnel(failed=100),
            {"dns": 60, "http_4xx": 40},
            ["no pair has an image; the commonest outcome is `dns`"],
        ),
        (
            funnel(failed=100),
            {"blocked_address": 100},
            [
                "every pair is `blocked_address`, so nothing was requested: addresses that are not "
                "public need `fetch.allow_networks`, ports other than 80 and 443 `fetch.ports`"
            ],
        ),
    ],
)
def test_what_a_person_would_want_to_know_is_said(
    rows: list[dict[str, Any]], outcomes: dict[str, int], told: list[str]
) -> None:
    assert warnings(rows, outcomes) == told
