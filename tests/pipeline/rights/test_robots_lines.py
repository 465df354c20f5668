import pytest

from pairsieve.pipeline.rights.robots import parse_rules
from pairsieve.pipeline.rights.robots_lines import disallowing, usage_rules

GROUPS = b"""
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: / train-ai=n  # by default
Content-Usage: /fine/ train-ai=y

User-agent: FineBot
User-agent: OtherBot
Allow: /
Content-usage : /\ttrain-ai=y
"""


def against(file: bytes, robot: str, path: str) -> list[str]:
    return [rule.line for rule in disallowing(parse_rules(file, robot).usage, path)]


@pytest.mark.parametrize(
    ("robot", "path", "disallowed"),
    [
        ("lab", "/test", True),
        ("lab", "/fine/test", False),
        ("finebot", "/test", False),
        ("otherbot", "/test", False),
    ],
)
def test_the_group_and_the_longest_path_decide(robot: str, path: str, disallowed: bool) -> None:
    assert bool(against(GROUPS, robot, path)) is disallowed


def test_the_line_is_the_evidence() -> None:
    assert against(GROUPS, "lab", "/a") == ["Content-Usage: / train-ai=n  # by default"]


def test_of_lines_with_the_same_path_the_most_restrictive_counts() -> None:
    file = b"User-agent: *\nContent-Usage: /a train-ai=n\nContent-Usage: /a train-ai=y\n"
    assert against(file, "lab", "/a/b")


def test_a_longer_line_that_says_nothing_of_training_takes_nothing_back() -> None:
    file = b"User-agent: *\nContent-Usage: / train-ai=n\nContent-Usage: /a search=n\n"
    assert against(file, "lab", "/a/b")


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Usage: train-ai=n",
        b"Content-Signal: search=yes,ai-train=no",
        b"content-signal: ai-train=no, use=reference",
        b"Content-Signal: / ai-train=no",
    ],
)
def test_a_line_without_a_path_holds_for_the_whole_group(line: bytes) -> None:
    file = b"Sitemap: /s\nUser-agent: *\nSitemap: /s\n" + line + b"\nAllow: /\n"
    assert against(file, "lab", "/a")
    assert against(b"User-agent: lab\nAllow: /\n\n" + file, "lab", "/a") == []


@pytest.mark.parametrize(
    "file",
    [
        b"Content-Signal: ai-train=no\nUser-agent: *\nAllow: /\n",  # in no group
        b"User-agent: *\n# Content-Signal: ai-train=no\n",
        b"User-agent: *\nContent-Signal: #ai-train=no\n",
        b"User-agent: *\nContent-Usage: / nonsense here\n",
        b"User-agent: *\nContent-Usage:\n",
    ],
)
def test_what_is_no_rule_says_nothing(file: bytes) -> None:
    assert against(file, "lab", "/a") == []


def test_groups_of_one_name_are_one() -> None:
    lines = ["User-agent: *", "Content-Signal: search=yes", "User-agent: x", "Allow: /"]
    lines += ["User-agent: *", "Content-Signal: ai-train=no"]
    assert [rule.allowed for rule in usage_rules(lines, "lab")] == [False]


def test_a_line_with_the_shortest_path_goes_before_one_without() -> None:
    file = b"User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: / train-ai=y\n"
    assert against(file, "lab", "/a") == []
