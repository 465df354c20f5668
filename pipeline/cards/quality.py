"""A report on quality in the terms of ISO/IEC 5259-2, as far as they fit what was measured.

Source: ISO/IEC 5259-2:2024, Data quality for analytics and machine learning, part 2: the names of
its data quality characteristics. Which figure stands for which is our choice; none is certified.
"""

from collections.abc import Callable, Sequence

from pairsieve.pipeline.cards.counts import OPT_OUT
from pairsieve.pipeline.cards.facts import DECLARED, DUPLICATES, UNKNOWN, Facts, share
from pairsieve.pipeline.cards.markdown import escaped, page, table
from pairsieve.schemas.outcomes import Outcome

NOT_MEASURED = "not measured"
TOP_HOSTS = 10


def report(facts: Facts) -> str:
    """Return the report as Markdown."""
    rows = ((name, what, escaped(value(facts))) for name, what, value in MEASURES)
    return page(
        [
            f"# Data quality: {escaped(facts.title)}",
            "In the terms of ISO/IEC 5259-2, where they fit. Which figure stands for a "
            "characteristic is pairsieve's choice. What needs a judgement on the use of the data "
            "is left open.",
            table(("characteristic", "measure", "value"), rows),
            _open(),
        ]
    )


def _open() -> str:
    return (
        "Not measured: accuracy of texts against a truth, relevance, effectiveness and "
        "representativeness for a use, credibility of sources, availability and accessibility "
        "where it is published. The report (`report.html`) has the distribution of every measure."
    )


def _completeness(facts: Facts) -> str:
    return share(facts.outcome(Outcome.OK), facts.pairs)


def _consistency(facts: Facts) -> str:
    counts = facts.selected.counts
    parts = counts["failed"] + counts["dropped"] + counts["kept"]
    return "0 pairs unaccounted for" if parts == facts.pairs else f"{facts.pairs - parts:,} pairs"


def _packed(facts: Facts) -> str:
    if facts.shards is None:
        return "no shards are packed"
    return f"{facts.shards.rows:,} of {facts.kept:,} kept pairs"


def _similarity(facts: Facts) -> str:
    dropped = facts.dropped(DUPLICATES)
    return f"{sum(dropped.values()):,} copies dropped" if dropped else "no rule drops copies"


def _balance_hosts(facts: Facts) -> str:
    top = sum(row["kept"] for row in facts.counts.largest[:TOP_HOSTS])
    return share(top, facts.kept)


def _balance_languages(facts: Facts) -> str:
    found = facts.values("language")
    return f"{found[0].value}, {share(found[0].kept, facts.kept)}" if found else NOT_MEASURED


def _of_kind(kind: str) -> Callable[[Facts], str]:
    def count(facts: Facts) -> str:
        found = len(facts.kept_values(kind))
        return f"{found:,}" if found else NOT_MEASURED

    return count


def _timeliness(facts: Facts) -> str:
    period = facts.period()
    return " to ".join(period) if period else UNKNOWN


def _compliance(facts: Facts) -> str:
    left_out = sum(facts.outcome(outcome) for outcome in DECLARED)
    kept = sum(one.kept for one in facts.values(OPT_OUT))
    return f"{left_out:,} left out; {kept:,} declarations on kept pairs"


def _licences(facts: Facts) -> str:
    return share(sum(one.kept for one in facts.values("licence")), facts.kept)


def _takedowns(facts: Facts) -> str:
    return f"{sum(one.pairs for one in facts.takedowns):,} pairs"


def _always(text: str) -> Callable[[Facts], str]:
    return lambda facts: text


MEASURES: Sequence[tuple[str, str, Callable[[Facts], str]]] = (
    ("Completeness", "input pairs that have an image", _completeness),
    ("Consistency", "pairs that are neither failed nor dropped nor kept", _consistency),
    ("Consistency", "samples in shards", _packed),
    ("Similarity", "copies", _similarity),
    ("Balance", f"kept pairs of the {TOP_HOSTS} hosts with the most bytes", _balance_hosts),
    ("Balance", "commonest language of the kept pairs", _balance_languages),
    ("Diversity", "hosts of the kept pairs", lambda facts: f"{facts.counts.hosts:,}"),
    ("Diversity", "languages of the kept pairs, 100 at most", _of_kind("language")),
    ("Diversity", "formats of the images as received", _of_kind("format")),
    ("Timeliness", "first to last request, UTC", _timeliness),
    ("Compliance", "opt-outs", _compliance),
    ("Compliance", "kept pairs whose page or file names a licence, 100 commonest", _licences),
    ("Confidentiality", "taken out on request", _takedowns),
    ("Traceability", "from a sample to its source", _always("uid and row in the ledger, URL")),
    ("Auditability", "why a pair was kept or dropped", _always("every verdict is in the ledger")),
    ("Recoverability", "whether files are as made", _always("SHA-256 of every shard")),
)
