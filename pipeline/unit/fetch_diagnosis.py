"""Diagnosis: what failed fetches, counted over all pairs, hosts and time, usually mean.

Pure: it works on counts, wherever they come from. It says only what somebody can act upon or need
not; the figures it goes by stand at the top. An answer is an outcome and, where there is one, the
HTTP status: `dns`, `http_4xx 404`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from pairsieve.schemas.outcomes import Outcome

MIN_PAIRS = 50  # requested: of fewer nothing is said
MIN_PAIRS_IN_STEP = 10  # requested in a step of time that is compared with others
MIN_SHARE = 0.05  # of the pairs requested
MIN_RISE = 1.5  # times the share of the first half of the time
OUTAGE, CALM = 0.5, 0.15  # share without network in a step of an outage, and in the median step
LIVING = 0.2  # share of the unknown names that belong to hosts which have answered
ONE_HOST = 0.5  # share of the failures that a single host makes

STEPS_S = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400, 604_800)
NOT_REQUESTED = frozenset(
    (
        Outcome.NO_URL, Outcome.NO_TEXT, Outcome.REPEATED, Outcome.GATED, Outcome.ABSENT,
        Outcome.BLOCKLIST, Outcome.BLOCKED_SCHEME, Outcome.CRASHED,
        Outcome.FORGOTTEN,
    )
)  # fmt: skip
REFUSING = ("http_4xx 403", "http_4xx 429", "http_other 999", "host_paused")
GONE = ("http_4xx 404", "http_4xx 410")
SLOW = ("timeout_connect", "timeout_first_byte", "timeout_total", "too_slow")
NO_NETWORK = ("dns", "unreachable", "timeout_connect", "timeout_first_byte", "interrupted")

Counts = Mapping[str, int]  # answer -> pairs


@dataclass(frozen=True, slots=True)
class FetchCounts:
    """What became of the pairs that were requested.

    Attributes:
        answers: Pairs per answer.
        hosts: The same of the hosts with the most failures.
        steps: (start, s since 1970 UTC; the same of that step of time), in order; empty if unknown.
    """

    answers: Counts
    hosts: Mapping[str, Counts] = field(default_factory=dict)
    steps: Sequence[tuple[int, Counts]] = ()


def answer(outcome: str, status: int | None) -> str:
    """Return an outcome with the status that tells more, if one does."""
    return f"{outcome} {status}" if status and outcome.startswith("http_") else outcome


def step_s(span_s: float, most: int) -> int:
    """Return the shortest step of time, s, of which at most `most` make up the span."""
    return next((step for step in STEPS_S if step * most > span_s), STEPS_S[-1])


def worst(hosts: Mapping[str, Counts], most: int) -> list[tuple[str, int, int, str]]:
    """Return (host, failed, requested, commonest failure) of those with most failures, in order."""
    rows = [(host, *row) for host, counts in hosts.items() if (row := failures(counts))[0]]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:most]


def failures(counts: Counts) -> tuple[int, int, str]:
    """Return (failed, requested, commonest failure, "" without any)."""
    failed = {name: pairs for name, pairs in counts.items() if _failed(name)}
    commonest = min(failed, key=lambda name: (-failed[name], name), default="")
    return sum(failed.values()), _requested(counts), commonest


def diagnose(fetches: FetchCounts) -> list[str]:
    """Return a sentence for each thing that the counts point to; none if all looks well."""
    if _requested(fetches.answers) < MIN_PAIRS:
        return []
    outage = _outage(fetches)
    sentences = [
        outage,
        None if outage else _resolver(fetches),
        _blocking(fetches),
        _dead(fetches),
        None if outage else _slow(fetches),
        _failing_servers(fetches),
        _certificates(fetches),
        _one_host(fetches),
    ]
    return [sentence for sentence in sentences if sentence]


def _outage(fetches: FetchCounts) -> str | None:
    """Return that the network was gone for a while, if one stretch of time stands out."""
    steps = _full_steps(fetches)
    shares = [_share(counts, NO_NETWORK) for _, counts in steps]
    bad = [index for index, share in enumerate(shares) if share >= OUTAGE]
    if len(steps) < 3 or not bad or median(shares) > CALM:
        return None
    first, last = bad[0], bad[-1]
    end = steps[last + 1][0] if last + 1 < len(steps) else None
    until = f"to {clock(end)}" if end else "to the end"
    return (
        f"From {clock(steps[first][0])} {until} (UTC) up to {max(shares):.0%} of the fetches "
        f"found no network, against {median(shares):.0%} in the median: this machine's network or "
        f"resolver was down; fetch what failed then again (`gather --retry transient`)."
    )


def _resolver(fetches: FetchCounts) -> str | None:
    """Return that the resolver fails, if names fail that are known to exist, or ever more do."""
    share = _share(fetches.answers, ("dns",))
    if share < MIN_SHARE:
        return None
    unknown = {host: counts for host, counts in fetches.hosts.items() if counts.get("dns")}
    alive = [counts["dns"] for counts in unknown.values() if _requested(counts) > counts["dns"]]
    living = sum(alive) / max(1, sum(counts["dns"] for counts in unknown.values()))
    if living < LIVING and not _risen(fetches, ("dns",)):
        return None
    why = (
        f"{living:.0%} of these at hosts that answered other requests"
        if living >= LIVING
        else "rising with time"
    )
    return (
        f"{share:.0%} of the host names could not be resolved, {why}: your resolver is overloaded; "
        "run a caching one, or fewer units at once, and fetch these again (`gather --retry dns`)."
    )


def _blocking(fetches: FetchCounts) -> str | None:
    """Return that hosts turn the fetcher away, and whether they do so more and more."""
    share = _share(fetches.answers, REFUSING)
    if share < MIN_SHARE:
        return None
    many = sum(1 for counts in fetches.hosts.values() if _count(counts, REFUSING))
    at = "one host" if many == 1 else f"{many:,} hosts" if many else "hosts"
    if risen := _risen(fetches, REFUSING):
        return (
            f"{at[0].upper()}{at[1:]} turn you away (403, 429) more and more, from {risen[0]:.0%} "
            f"to {risen[1]:.0%}: you are being blocked; send fewer requests and see that "
            "`fetch.user_agent` says how to reach you."
        )
    return (
        f"{share:.0%} were turned away (403, 429) by {at}, no more at the end than at first: they "
        "let no such client in, and trying again will not help."
    )


def _dead(fetches: FetchCounts) -> str | None:
    """Return that links are dead, which is no trouble of the fetcher's."""
    dead = GONE if _resolver(fetches) or _outage(fetches) else (*GONE, "dns")
    share = _share(fetches.answers, dead)
    if share < MIN_SHARE or _risen(fetches, dead):
        return None
    names = "404, 410" if dead is GONE else "404, 410, unknown hosts"
    return (
        f"{share:.0%} are dead links ({names}), as many at the end as at first: lists of links "
        "age, and there is nothing to mend."
    )


def _slow(fetches: FetchCounts) -> str | None:
    """Return that fetches time out, at a few hosts or at many."""
    share = _share(fetches.answers, SLOW)
    if share < MIN_SHARE:
        return None
    slow = sorted((_count(counts, SLOW) for counts in fetches.hosts.values()), reverse=True)
    if slow and sum(slow[:3]) >= ONE_HOST * _count(fetches.answers, SLOW):
        return f"{share:.0%} timed out, most of them at three hosts or fewer: these are slow."
    return (
        f"{share:.0%} timed out, at many hosts: your line is full or too much is under way; lower "
        "`fetch.concurrency` or run fewer units at once, and fetch these again."
    )


def _failing_servers(fetches: FetchCounts) -> str | None:
    names = [name for name in fetches.answers if name.startswith(Outcome.HTTP_5XX)]
    share = _share(fetches.answers, names)
    if share < MIN_SHARE:
        return None
    return f"{share:.0%} met failing servers (5xx): a later `gather --retry http_5xx` may help."


def _certificates(fetches: FetchCounts) -> str | None:
    share = _share(fetches.answers, (Outcome.TLS,))
    if share < MIN_SHARE:
        return None
    return (
        f"{share:.0%} failed in TLS: if at many hosts, see whether this machine's clock and its "
        "certificates are up to date."
    )


def _one_host(fetches: FetchCounts) -> str | None:
    """Return the one host that makes most of the failures, if there are others."""
    failed = sum(pairs for name, pairs in fetches.answers.items() if _failed(name))
    rows = worst(fetches.hosts, 1)
    if len(fetches.hosts) < 2 or not rows or failed < MIN_SHARE * _requested(fetches.answers):
        return None
    host, own, requested, commonest = rows[0]
    if own < ONE_HOST * failed:
        return None
    return (
        f"{host[:200]} alone makes {own / failed:.0%} of the failures ({own:,} of its "
        f"{requested:,} pairs, most often `{commonest}`)."
    )


def _risen(fetches: FetchCounts, names: Iterable[str]) -> tuple[float, float] | None:
    """Return the shares in the first and second half of the time if the second is much larger."""
    steps = _full_steps(fetches)
    half = len(steps) // 2
    first, second = (
        sum((Counter(counts) for _, counts in part), Counter[str]())
        for part in (steps[:half], steps[half:])
    )
    names = tuple(names)
    before, after = _share(first, names), _share(second, names)
    return (before, after) if half and after >= max(MIN_RISE * before, MIN_SHARE) else None


def _full_steps(fetches: FetchCounts) -> list[tuple[int, Counts]]:
    return [step for step in fetches.steps if _requested(step[1]) >= MIN_PAIRS_IN_STEP]


def _requested(counts: Counts) -> int:
    return sum(pairs for name, pairs in counts.items() if name not in NOT_REQUESTED)


def _failed(name: str) -> bool:
    return name != Outcome.OK and name not in NOT_REQUESTED


def _count(counts: Counts, names: Iterable[str]) -> int:
    return sum(counts.get(name, 0) for name in names)


def _share(counts: Counts, names: Iterable[str]) -> float:
    """Return the share of `names` among the pairs requested."""
    return _count(counts, names) / max(1, _requested(counts))


def clock(second: int) -> str:
    """Return a second since 1970 as people write it, in UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
