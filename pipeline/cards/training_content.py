"""A summary in the form of the European Commission's template for training content.

Source: Template for the Public Summary of Training Content for general-purpose AI models required
by Article 53(1)(d) of Regulation (EU) 2024/1689, European Commission, 24 July 2025: its sections
1 (general), 2 (sources, of which 2.3 what was crawled) and 3 (processing). The words are ours.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.cards.counts import LARGEST, OPT_OUT
from pairsieve.pipeline.cards.facts import (
    DECLARED,
    ILLEGAL,
    NO_RECIPE,
    UNKNOWN,
    Facts,
    counts_in_words,
    kept_table,
    said,
    share,
    size,
)
from pairsieve.pipeline.cards.markdown import escaped, page, table
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch, Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LISTED_SHARE = 0.1  # of all domain names, those with the most content; the template's
SHOWN = 50  # of them on the page; all are in the list
AT_ONCE = 10_000  # rows of the list written together
OF_MODEL = "unknown: it is a fact of the model, not of this dataset"
AI_MADE = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")


def listed_hosts(hosts: int) -> int:
    """Return how many of so many hosts the template wants listed."""
    return math.ceil(hosts * LISTED_SHARE)


def write_hosts(connection: "DuckDBPyConnection", hosts: int, sink: HashingWriter) -> None:
    """Write the hosts to be listed as CSV, the one with the most bytes first, streaming."""
    rows = connection.execute(f"{LARGEST} LIMIT {listed_hosts(hosts)}")
    head = [name for name, *_ in rows.description]
    lines: list[Any] = [head]
    while lines:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        sink.write(text.getvalue().encode())
        lines = rows.fetchmany(AT_ONCE)


def summary(facts: Facts) -> str:
    """Return the summary as Markdown."""
    return page(
        [
            f"# Training content: {escaped(facts.title)}",
            "A summary of one dataset in the form of the European Commission's template for the "
            "public summary of training content (Article 53(1)(d) of Regulation (EU) 2024/1689). "
            "Whoever trains a model with it can take over what it says; it is no legal advice.",
            *_general(facts),
            *_sources(facts),
            *_processing(facts),
        ]
    )


def _general(facts: Facts) -> Iterator[str]:
    about, period = facts.about, facts.period()
    yield "## 1. General information"
    yield "### 1.1 Provider"
    yield f"Of the dataset: {said(about.creator)}; contact: {said(about.contact)}."
    yield "### 1.2 Model"
    yield f"Name, version and date of placement: {OF_MODEL}."
    yield "### 1.3 Modalities and size"
    yield table(
        ("modality", "size"),
        [
            ("image", f"{facts.kept:,} images, {size(facts.counts.totals['stored_bytes'])} stored"),
            ("text", f"{facts.kept:,} texts, {facts.counts.totals['characters']:,} characters"),
        ],
    )
    yield f"Latest date of collection: {period[1] if period else UNKNOWN}."
    yield kept_table(facts, "language", facts.kept_values("language")) or (
        "Languages of the texts: unknown (not measured)."
    )


def _sources(facts: Facts) -> Iterator[str]:
    yield "## 2. Data sources"
    yield "### 2.1 Publicly available datasets, 2.2 datasets of third parties"
    yield (
        f"The list of pairs: {said(facts.about.collection)}. It has "
        f"{facts.plan.pairs:,} pairs. Whether it is public or licensed: {UNKNOWN}."
    )
    yield "### 2.3 Data crawled and scraped"
    yield from _crawled(facts)
    yield "### 2.4 User data"
    yield f"{UNKNOWN.capitalize()}: the ledger does not tell whose service a pair comes from."
    yield "### 2.5 Synthetic data"
    made = {v.value: v.kept for v in facts.kept_values("source_type") if v.value in AI_MADE}
    yield (
        f"Images whose file says that they are made by AI: {counts_in_words(made) or 'none'}. "
        "How many are without saying so: unknown."
    )
    yield "### 2.6 Other sources"
    yield "None that the ledger knows of."


def _crawled(facts: Facts) -> Iterator[str]:
    period = facts.period()
    if period is None:
        yield "Nothing was fetched: no request stands in the ledger."
        return
    totals = facts.counts.totals
    yield table(
        ("", ""),
        [
            *_crawler(facts.recipe),
            ("Period of collection", f"{period[0]} to {period[1]} (UTC)"),
            ("Type of content", "images that web pages show, with their texts from the list"),
            ("Requested", f"{totals['fetched']:,} of {totals['pairs']:,} pairs"),
            ("Received of pairs kept", size(totals["kept_bytes"])),
        ],
    )
    hosts = facts.counts.hosts
    listed = listed_hosts(hosts)
    yield (
        f"The pairs kept come from {hosts:,} hosts; `domains.csv` has the tenth of them with the "
        f"most bytes, {listed:,}. Host names stand for domain names. The first of the list:"
    )
    yield table(
        ("host", "kept pairs", "share of pairs", "bytes received", "share of bytes"),
        (_host(row, facts) for row in facts.counts.largest[: min(listed, SHOWN)]),
    )


def _host(row: Mapping[str, Any], facts: Facts) -> tuple[object, ...]:
    kept, received = row["kept"], row["kept_bytes"]
    total = facts.counts.totals["kept_bytes"]
    return escaped(row["host"]), kept, share(kept, facts.kept), received, share(received, total)


def _crawler(recipe: Recipe | None) -> Iterator[tuple[str, str]]:
    """Yield name and behaviour of the crawler, as the recipe has them now."""
    fetch = recipe.fetch if recipe else None
    if fetch is None:
        yield "Crawler", NO_RECIPE
        yield "Behaviour", NO_RECIPE
        return
    yield "Crawler", f"pairsieve, which names itself {escaped(fetch.user_agent)}"
    yield "Purpose", escaped("to fetch the images of a list of pairs; it follows no links")
    yield "Behaviour, as the recipe says", _behaviour(fetch)


def _behaviour(fetch: Fetch) -> str:
    robots = {
        "obey": "robots.txt is obeyed, its Crawl-delay too",
        "ignore": "robots.txt is not asked for",
    }[fetch.robots]
    names = {name for of in (fetch.headers, *fetch.host_headers.values()) for name in of}
    headers = f"; further headers are sent: {', '.join(sorted(names))}" if names else ""
    own = f" (hosts with another pace: {len(fetch.hosts):,})" if fetch.hosts else ""
    return escaped(
        f"{robots}; one host sees at most {fetch.per_host_per_s:g} requests per second and "
        f"{fetch.per_host_connections} at once{own}; no script is run and no captcha "
        f"solved{headers}"
    )


def _processing(facts: Facts) -> Iterator[str]:
    yield "## 3. Data processing"
    yield "### 3.1 Reservation of rights"
    if facts.recipe:
        forms = ", ".join(f"`{form}`" for form in sorted(facts.recipe.opt_outs.forms))
        yield f"Forms of opt-out that the recipe obeys: {forms or 'none'}."
    else:
        yield f"Forms of opt-out that were obeyed: {NO_RECIPE}."
    yield table(
        ("pairs left out because", "pairs"),
        ((_sentence(outcome), facts.outcome(outcome)) for outcome in DECLARED),
    )
    declared = {one.value: one.kept for one in facts.kept_values(OPT_OUT)}
    words = counts_in_words(declared) or "none that were seen"
    yield f"Pairs kept although an opt-out of this form is declared: {words}."
    yield "### 3.2 Illegal content"
    yield from _illegal(facts)
    yield "### 3.3 Other"
    yield (
        f"Taken out on request: {sum(one.pairs for one in facts.takedowns):,} pairs, by "
        f"{len(facts.takedowns):,} records. The rules of the selection are in `README.md`."
    )


def _illegal(facts: Facts) -> Iterator[str]:
    compared = "were compared" if facts.blocklisted else "were not compared"
    on_list = facts.outcome(Outcome.BLOCKLIST)
    yield (
        f"Stored images {compared} with a blocklist; {on_list:,} pairs on one were not fetched or "
        "not stored."
    )
    dropped = {name: count for name, count in facts.dropped(ILLEGAL).items() if count}
    yield f"Dropped by rules on content: {counts_in_words(dropped) or 'none'}."


def _sentence(outcome: Outcome) -> str:
    return escaped(outcome.doc.rstrip("."))
