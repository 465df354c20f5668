import json

import pytest

from pairsieve.pipeline.rights.tdmrep import parse_tdm_file

RULES = [
    {"location": "/papers/", "tdm-reservation": 1},
    {"location": "/pages/html/", "tdm-reservation": 1, "tdm-policy": "https://a.org/p.json"},
    {"location": "/pages/images/*.jpg", "tdm-reservation": 0},
    {"location": "/pages/", "tdm-reservation": 1},
]


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/papers/1.pdf", True),
        ("/pages/html/a", True),
        ("/pages/images/a.jpg", False),  # the first that matches
        ("/pages/images/a.png", True),
        ("/other", False),
    ],
)
def test_the_first_location_that_matches_counts(path: str, reserved: bool) -> None:
    file = parse_tdm_file(json.dumps(RULES).encode(), 5)
    assert (file.opt_out("https://a.org", path) is not None) is reserved


def test_evidence_says_rule_policy_and_file() -> None:
    found = parse_tdm_file(json.dumps(RULES).encode(), 5).opt_out("https://a.org", "/pages/html/a")
    assert found
    assert found.evidence == (
        "location /pages/html/, tdm-policy https://a.org/p.json "
        "(https://a.org/.well-known/tdmrep.json)"
    )
    assert found.read_at == 5


@pytest.mark.parametrize("value", [1, "1"])
def test_a_number_may_be_written_as_text(value: object) -> None:
    body = json.dumps([{"location": "/", "tdm-reservation": value}]).encode()
    assert parse_tdm_file(body, 0).opt_out("https://a.org", "/a")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"location": "/", "tdm-reservation": 1}',  # no list
        b"[1, null, []]",
        b'[{"location": "/"}]',
        b'[{"location": "/", "tdm-reservation": 2}]',
        b'[{"location": "/", "tdm-reservation": true}]',
        b'[{"location": 1, "tdm-reservation": 1}]',
        b"[" * 100_000,
        b'[{"location": "/", "tdm-reservation": 1}',  # cut off
    ],
)
def test_what_is_no_rule_declares_nothing(body: bytes) -> None:
    assert parse_tdm_file(body, 0).opt_out("https://a.org", "/a") is None


@pytest.mark.parametrize("location", ["/a", "/*a"])
def test_a_file_that_would_cost_too_much_reserves_everything(location: str) -> None:
    rules = [{"location": location, "tdm-reservation": 0}] * 10_001
    assert parse_tdm_file(json.dumps(rules).encode(), 0).opt_out("https://a.org", "/b")
