"""Fetches: what the report says of them, by host and over time, and what that usually means.

Outcomes over time are drawn as one bar per step of time, the outcomes one on another.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.fetch.request_rates import HostRate
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.unit.fetch_diagnosis import FetchCounts, answer, clock, diagnose, worst
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_FAILING_HOSTS = 1000  # with the most failures, for what these mean
TIMELINE_PX = (1080, 150)  # width and height of the bars
OWN_COLOURS = 5  # failures with a colour of their own, the commonest; the rest share one
OTHER = "other"


def fetches(connection: "DuckDBPyConnection", recipe: Recipe, most: int) -> dict[str, Any]:
    """Return what the page shows of the fetches, of the `most` worst hosts, from stats.duckdb."""
    over_time = rows(
        connection,
        "SELECT epoch_ms(start) // 1000 AS start, * EXCLUDE start FROM outcomes_over_time "
        "ORDER BY outcomes_over_time.start",
    )
    outcomes: dict[int, Counter[str]] = defaultdict(Counter)
    steps: dict[int, Counter[str]] = defaultdict(Counter)
    for row in over_time:
        outcomes[row["start"]][row["outcome"]] += row["pairs"]
        steps[row["start"]][answer(row["outcome"], row["http_status"])] += row["pairs"]
    answered = rows(
        connection,
        "SELECT outcome, http_status, sum(pairs)::BIGINT AS pairs FROM data.outcomes_over_time "
        "GROUP BY outcome, http_status",
    )
    answers = {answer(row["outcome"], row["http_status"]): row["pairs"] for row in answered}
    counted = FetchCounts(answers, _failing_hosts(connection), list(steps.items()))
    peak = rows(connection, "FROM politeness LIMIT 1")
    step_s = over_time[0]["seconds"] if over_time else 1
    return {
        "diagnoses": diagnose(counted),
        "worst_hosts": worst(counted.hosts, most),
        "timeline": timeline(list(outcomes.items()), step_s),
        "timeline_px": TIMELINE_PX,
        "politeness": request_rates.sentence(HostRate(**peak[0]), recipe) if peak else None,
    }


def _failing_hosts(connection: "DuckDBPyConnection") -> dict[str, Counter[str]]:
    """Return the pairs per answer of the hosts with the most failures."""
    hosts: dict[str, Counter[str]] = defaultdict(Counter)
    most = (
        "SELECT host FROM hosts WHERE host IS NOT NULL AND ok < pairs "
        f"ORDER BY pairs - ok DESC, host LIMIT {MAX_FAILING_HOSTS}"
    )
    for row in rows(
        connection,
        f"SELECT host, outcome, http_status, pairs FROM host_answers WHERE host IN ({most})",
    ):
        hosts[row["host"]][answer(row["outcome"], row["http_status"])] += row["pairs"]
    return hosts


@dataclass(frozen=True, slots=True)
class BarPart:
    """The pairs of one outcome in a bar: `y` and `height` in px from the top."""

    style: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """One step of time; `x` and `width` in px, the parts from the bottom up."""

    x: float
    width: float
    title: str
    parts: list[BarPart]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Outcomes over time as the page draws them.

    Attributes:
        bars: One per step in which something was fetched.
        legend: (CSS class, outcome) of each colour.
        left: Time at the left end.
        right: Time at the right end.
        most: Pairs of the highest bar.
        step: Length of a step, in words.
    """

    bars: list[TimelineBar]
    legend: list[tuple[str, str]]
    left: str
    right: str
    most: int
    step: str


def timeline(steps: Sequence[tuple[int, Mapping[str, int]]], step_s: int) -> Timeline | None:
    """Return bars, legend and labels for pairs per outcome of each step; None without any.

    `steps` are (start, s since 1970 UTC; pairs per outcome), in order, each `step_s` long. A step
    in which nothing was fetched stays empty.
    """
    if not steps:
        return None
    total = sum((Counter(counts) for _, counts in steps), Counter[str]())
    ordered = sorted(total, key=lambda name: (name != "ok", -total[name], name))
    styles = {name: _style(index, name) for index, name in enumerate(_legend_names(ordered))}
    first, last = steps[0][0], steps[-1][0]
    step_px = TIMELINE_PX[0] / ((last - first) // step_s + 1)
    most = max(sum(counts.values()) for _, counts in steps)
    bars = [
        TimelineBar(
            x=(start - first) // step_s * step_px,
            width=max(step_px - 1, 0.5),
            title=f"{clock(start)}: {_count_list(counts)}",
            parts=_bar_parts(counts, styles, TIMELINE_PX[1] / most),
        )
        for start, counts in steps
    ]
    legend = [(style, name) for name, style in styles.items()]
    return Timeline(bars, legend, clock(first), clock(last + step_s), most, _duration(step_s))


def _legend_names(ordered: list[str]) -> list[str]:
    """Return what has a colour: `ok`, the commonest failures, and one name for all others."""
    most = OWN_COLOURS + ("ok" in ordered)
    return ordered if len(ordered) <= most else [*ordered[:most], OTHER]


def _style(index: int, name: str) -> str:
    """Return the CSS class of an outcome."""
    return name if name in ("ok", OTHER) else f"failed{index}"


def _bar_parts(counts: Mapping[str, int], styles: Mapping[str, str], scale: float) -> list[BarPart]:
    """Return the parts of one bar from the bottom up, in px from the top."""
    heights = dict.fromkeys(styles, 0.0)
    for name, pairs in counts.items():
        heights[name if name in styles else OTHER] += pairs * scale
    parts, y = [], float(TIMELINE_PX[1])
    for name, height in heights.items():
        y -= height
        if height:
            parts.append(BarPart(styles[name], y, height))
    return parts


def _count_list(counts: Mapping[str, int]) -> str:
    """Return pairs per outcome in words, the commonest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{pairs:,} {name}" for name, pairs in ordered)


def _duration(seconds: int) -> str:
    """Return a length of time in the largest unit that it is a multiple of."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % unit == 0:
            count = seconds // unit
            return name if count == 1 else f"{count} {name}s"
    return "second" if seconds == 1 else f"{seconds} seconds"
