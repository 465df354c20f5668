import pytest

from pairsieve.pipeline.rights.preferences import directive, signal, usage


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("train-ai=n", False),
        ("train-ai=y, search=n", True),
        ("search=n", None),
        ("", None),
        ("train-ai", None),  # a boolean
        ('train-ai="n"', None),  # a string
        ("train-ai=maybe", None),
        ("train-ai=y, train-ai", None),  # the last one counts
        ("train-ai;allow=n, train-ai=y", True),
        ("train-ai=n;until=@1790000000", False),  # parameters say nothing
        ("train-ai=n, other=(a b)", False),
        ("Train-AI=n", None),  # no dictionary: keys are in lower case
        ("train-ai=n,", None),  # nor is this
        ("train-genai=n", False),
        ("train-ai=y, train-genai=n", False),
        ("bots=n", False),
        ("bots=n, train-ai=y", True),  # the narrower category goes first
        ("train-ai=\udcff", None),
    ],
)
def test_a_content_usage_allows_forbids_or_says_nothing(value: str, allowed: bool | None) -> None:
    assert usage(value)[0] is allowed


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("search=yes, ai-train=no", False),
        ("search=yes,ai-train=no,use=reference", False),
        ("ai-train = NO", False),
        ("ai-train=yes, use=reference", True),
        ("search=yes, use=reference", False),
        ("use=immediate", False),
        ("use=full", None),
        ("search=yes, ai-input=no", None),
        ("ai-train=perhaps", None),
    ],
)
def test_a_content_signal_allows_forbids_or_says_nothing(value: str, allowed: bool | None) -> None:
    assert signal(value)[0] is allowed


def test_what_says_so_is_named() -> None:
    assert usage("search=y, train-ai=n")[1] == "train-ai=n"
    assert signal("search=yes, use=reference")[1] == "use=reference"
    assert directive("max-snippet: 20, NoML", "lab") == "noml"


def test_a_directive_addresses_everybody_or_the_robot_before_the_colon() -> None:
    assert directive("otherbot: noai, lab: nofollow, noml", "lab") == "noml"
    assert directive("otherbot: noai", "lab") is None
