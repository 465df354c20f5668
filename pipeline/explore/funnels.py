"""The funnels of two selections side by side."""

from collections.abc import Sequence
from typing import Any

Step = dict[str, Any]  # of a funnel, as a selection's marker has it


def side_by_side(first: Sequence[Step], second: Sequence[Step]) -> list[dict[str, Any]]:
    """Return a row per rule of either: rule, dropped_a, left_a, dropped_b, left_b.

    What a selection has no rule for, or a rule that always holds and drops nothing, is None there.
    Rules stand in the order of the first, those that only the second has before the rule that they
    precede.
    """
    of_a, of_b = ({step["rule"]: step for step in funnel} for funnel in (first, second))
    order = [step["rule"] for step in first]
    place = 0
    for step in second:
        if step["rule"] in of_a:
            place = order.index(step["rule"]) + 1
        else:
            order.insert(place, step["rule"])
            place += 1
    return [
        {
            "rule": rule,
            **{
                f"{what}_{side}": of.get(rule, {}).get(what)
                for side, of in (("a", of_a), ("b", of_b))
                for what in ("dropped", "left")
            },
        }
        for rule in order
    ]
