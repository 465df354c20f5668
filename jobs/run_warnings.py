"""What a person would want to know at the end of a run that went well all the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from pairsieve.schemas.outcomes import Outcome

MUCH = 1 / 3  # of all pairs, dropped by one rule


def warnings(funnel: Sequence[Mapping[str, Any]], outcomes: Mapping[str, int]) -> list[str]:
    """Return a sentence on each.

    Args:
        funnel: The rows of a selection's funnel, the outcomes first.
        outcomes: Pairs by outcome.
    """
    return [*_of_fetches(outcomes), *_of_rules(funnel)]


def _of_fetches(outcomes: Mapping[str, int]) -> list[str]:
    blocked = outcomes.get(Outcome.BLOCKED_ADDRESS, 0)
    if blocked and blocked == sum(outcomes.values()):
        return [
            "every pair is `blocked_address`, so nothing was requested: addresses that are not "
            "public need `fetch.allow_networks`, ports other than 80 and 443 `fetch.ports`"
        ]
    if outcomes and not outcomes.get(Outcome.OK):
        commonest = max(outcomes, key=lambda outcome: outcomes[outcome])
        return [f"no pair has an image; the commonest outcome is `{commonest}`"]
    return []


def _of_rules(funnel: Sequence[Mapping[str, Any]]) -> list[str]:
    outcome, *rules = funnel
    pairs, fetched = outcome["entered"], outcome["left"]
    most = max(rules, key=lambda row: row["dropped"], default=None)
    if most is None or not fetched:
        return []
    if not funnel[-1]["left"]:
        unmeasured = f", {most['unmeasured']:,} of them unmeasured" if most["unmeasured"] else ""
        return [
            f"no pair survives: `{most['rule']}` drops the most, {most['dropped']:,} of "
            f"{fetched:,}{unmeasured}"
        ]
    return [
        f"`{row['rule']}` drops {row['dropped'] / pairs:.0%} of all pairs; the report shows some"
        for row in rules
        if row["dropped"] > MUCH * pairs
    ]
