import re
from pathlib import Path

from pairsieve.schemas.outcomes import Outcome

NEVER_AGAIN = {
    *("ok", "no_url", "no_text", "repeated", "gated", "blocklist", "hash_mismatch"),
    *("absent", "not_an_image", "too_many_pixels", "side_too_short", "side_too_long"),
    *("bad_image", "bad_boxes", "forgotten"),
}


def test_what_was_judged_or_was_not_to_be_fetched_is_never_tried_again() -> None:
    assert {str(outcome) for outcome in Outcome if not outcome.retriable} == NEVER_AGAIN


def test_what_time_may_cure_can_be_tried_again() -> None:
    assert [outcome for outcome in Outcome if outcome.transient and not outcome.retriable] == []


def test_documentation_says_what_is_never_tried_again() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/dataset.md").read_text()
    (listed,) = re.findall(
        r"What was never to be fetched.*?is\s+never fetched again", page, re.DOTALL
    )
    assert set(re.findall(r"`(\w+)`", listed)) == NEVER_AGAIN
