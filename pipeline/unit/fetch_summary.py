"""What a marker says of the fetches of its task slice, so that `status` needs no scan.

Bounded, whatever the slice: pairs per answer, the hosts with most failures, a few steps of time.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.fetch_diagnosis import FetchCounts, answer, step_s, worst
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.schemas.columns import FETCH_BYTES, FETCHED_AT, HOST, HTTP_STATUS, OUTCOME

KEY = "fetches"  # in a marker's `extra`
LINE = "line"  # in it: what the requests of a process met until the marker, since that before
HOSTS = 10  # with the most failures, of each task slice
STEPS_OF_SLICE = 12
STEPS = 60  # of all task slices together
COLUMNS = (OUTCOME, HTTP_STATUS, HOST, FETCHED_AT, FETCH_BYTES)  # that it is counted from


def tally(part: Part) -> dict[str, Any]:
    """Return the counts of a task slice, as JSON."""
    return tally_of(part.values)


def tally_of(values: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the same of the columns of its ledger part, by name; times are in ms since 1970."""
    rows = list(zip(*(values[column.name] for column in COLUMNS), strict=True))
    answers: Counter[str] = Counter()
    hosts: dict[str, Counter[str]] = defaultdict(Counter)
    times: list[tuple[int, str]] = []
    bodies: set[tuple[Any, ...]] = set()  # pairs of one URL share a fetch
    for outcome, status, host, fetched_at, size in rows:
        said = answer(str(outcome), status)
        answers[said] += 1
        if host:
            hosts[host[:253]][said] += 1
        if fetched_at is not None:
            times.append((fetched_at // 1000, said))
            bodies.add((host, fetched_at, size or 0))
    most = {name: dict(hosts[name]) for name, *_ in worst(hosts, HOSTS)}
    return {
        "answers": dict(answers),
        "hosts": most,
        "steps": _steps(times, STEPS_OF_SLICE),
        "bytes": sum(size for *_, size in bodies),
    }


def fetched_bytes(marker: Marker) -> int:
    """Return how many bytes a task slice received, once where pairs of one URL share a fetch."""
    return int(marker.extra.get(KEY, {}).get("bytes", 0))


def requests_at_once(marker: Marker) -> int | None:
    """Return how many requests a process had under way at most when it committed; None: none."""
    met = marker.extra.get(LINE)
    return int(met["at_once"]) if met else None


def line_sentences(markers: Iterable[Marker]) -> list[str]:
    """Return what is to be said of requests at once and of https; nothing without requests."""
    met = [marker.extra[LINE] for marker in markers if LINE in marker.extra]
    if not met:
        return []
    low, high = min(one["at_once_low"] for one in met), max(one["at_once"] for one in met)
    names = ("requests", "suffered", "lowered", "https", "handshakes", "http2")
    counts = {name: sum(one[name] for one in met) for name in names}
    failed = f"{_share(counts, 'suffered', 'requests')} of the requests failed at hosts that answer"
    range_ = f"Between {low:,} and {high:,}" if low < high else f"Up to {high:,}"
    lowered = f"lowered {counts['lowered']:,} times" if counts["lowered"] else "never lowered"
    sentences = [f"{range_} requests at once in a process, {lowered}: {failed}."]
    if counts["https"]:
        sentences.append(
            f"https: {counts['https']:,} answers, {_share(counts, 'handshakes', 'https')} after a "
            f"handshake of their own, {_share(counts, 'http2', 'https')} over HTTP/2."
        )
    return sentences


def _share(counts: Mapping[str, int], part: str, of: str) -> str:
    return f"{100 * counts[part] / counts[of]:.3g} %"


def total(markers: Iterable[Marker]) -> FetchCounts:
    """Return the counts of all task slices together; a retried pair counts again."""
    answers: Counter[str] = Counter()
    hosts: dict[str, Counter[str]] = defaultdict(Counter)
    steps: dict[int, Counter[str]] = defaultdict(Counter)
    for marker in markers:
        summary = marker.extra.get(KEY, {})
        answers.update(summary.get("answers", {}))
        for name, counts in summary.get("hosts", {}).items():
            hosts[name].update(counts)
        for start, counts in summary.get("steps", {}).items():
            steps[int(start)].update(counts)
    return FetchCounts(answers, hosts, wider(steps, STEPS))


def wider(steps: Mapping[int, Mapping[str, int]], most: int) -> list[tuple[int, Counter[str]]]:
    """Return counts by start, s, added up in at most `most` equal steps of time, in order."""
    if not steps:
        return []
    step = step_s(max(steps) - min(steps), most - 1)
    wide: dict[int, Counter[str]] = defaultdict(Counter)
    for start, counts in steps.items():
        wide[start // step * step].update(counts)
    return sorted(wide.items())


def _steps(times: list[tuple[int, str]], most: int) -> dict[str, dict[str, int]]:
    """Return the counts of (second, answer) by start of a step."""
    seconds: dict[int, Counter[str]] = defaultdict(Counter)
    for second, said in times:
        seconds[second][said] += 1
    return {str(start): dict(counts) for start, counts in wider(seconds, most)}
