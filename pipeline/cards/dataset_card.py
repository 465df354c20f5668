"""The dataset card: README.md with the metadata that the Hugging Face Hub reads.

Source: the dataset card of the Hub's documentation, "Dataset Cards" and "Manual configuration":
license, language, size_categories, task_categories, tags, configs.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from pairsieve.pipeline.cards.facts import (
    DUPLICATES,
    UNKNOWN,
    Facts,
    counts_in_words,
    kept_table,
    said,
    size,
)
from pairsieve.pipeline.cards.markdown import code, escaped, page, table
from pairsieve.schemas.about import About

SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
SHOWN = 20  # values of a kind
LEAST_SHARE = 0.01  # of the kept pairs for a language to be named in the metadata
# SPDX names that the Hub knows are these in lower case; others are `other` with a name.
_HUB_LICENCE = re.compile(r"(?:cc|odc|odbl|pddl|apache|mit|bsd|cdla|gpl|lgpl|agpl)[a-z0-9.-]*")


def card(facts: Facts, front: dict[str, Any]) -> str:
    """Return the card; `front` is what its metadata says of files and columns besides."""
    metadata = yaml.safe_dump(_metadata(facts) | front, sort_keys=False, allow_unicode=True)
    return f"---\n{metadata}---\n\n{page(_parts(facts))}"


def _metadata(facts: Facts) -> dict[str, Any]:
    """Return the metadata of the card."""
    languages = [
        one.value
        for one in facts.values("language")
        if re.fullmatch("[a-z]{2,3}", one.value) and one.kept >= LEAST_SHARE * max(facts.kept, 1)
    ]
    return {
        "pretty_name": facts.title,
        **_licence(facts.about),
        **({"language": languages} if languages else {}),
        "size_categories": [size_category(facts.kept)],
        "task_categories": ["image-to-text", "text-to-image"],
        "tags": ["image-text-pairs", "pairsieve", "croissant"],
    }


def _licence(about: About) -> dict[str, str]:
    """Return what the Hub reads of the licence."""
    if about.licence is None:
        return {"license": UNKNOWN}
    if _HUB_LICENCE.fullmatch(about.licence.lower()):
        return {"license": about.licence.lower()}
    link = {"license_link": about.licence} if "://" in about.licence else {}
    return {"license": "other", "license_name": about.licence.rpartition("//")[2]} | link


def size_category(samples: int) -> str:
    """Return the Hub's category of a dataset with so many samples."""
    low = None
    for exponent, name in enumerate(SIZES, 3):
        if samples < 10**exponent:
            return f"{low}<n<{name}" if low else f"n<{name}"
        low = name
    return f"n>{SIZES[-1]}"


def _parts(facts: Facts) -> Iterator[str]:
    about = facts.about
    yield f"# {escaped(facts.title)}"
    yield escaped(about.description) if about.description else ""
    yield (
        f"{facts.kept:,} pairs of an image and a text, kept of {facts.pairs:,} by the selection "
        f"`{facts.name}` of pairsieve {facts.version}. Every figure here is counted in the "
        "dataset's ledger; what the ledger does not hold is said to be unknown."
    )
    yield table(("", ""), _overview(facts))
    yield from _source(facts)
    yield from _curation(facts)
    yield from _rights(facts)
    yield "## Limits"
    yield (
        "The licence above is that of the collection: each image and text stays under the terms of "
        "whoever made it. What these pairs say of people, places and languages is as uneven as the "
        "web pages that they come from; see `quality.md` for what was measured and what was not."
    )
    yield "## Citation" if about.cite else ""
    yield f"```\n{about.cite.replace('`', '')}\n```" if about.cite else ""


def _overview(facts: Facts) -> Iterator[tuple[str, object]]:
    about, totals = facts.about, facts.counts.totals
    for key in ("creator", "contact", "url", "licence", "version", "published"):
        yield key.capitalize(), said(getattr(about, key))
    yield "Pairs", facts.kept
    yield "Samples in shards", facts.shards.rows if facts.shards else "none are packed"
    yield "Size of the stored images", size(totals["stored_bytes"])
    yield "Characters of text", totals["characters"]
    yield "Hosts", facts.counts.hosts
    yield "Root over the shards", code(facts.root) if facts.root else "none are packed"


def _source(facts: Facts) -> Iterator[str]:
    yield "## Where it comes from"
    period = facts.period()
    fetched = f"Images were fetched from {period[0]} to {period[1]} (UTC). " if period else ""
    yield (
        f"Input: {facts.plan.pairs:,} pairs in {len(facts.plan.files):,} "
        f"files ({facts.plan.format}). "
        f"Where that list comes from: {said(facts.about.collection)}. {fetched}"
        "`training-content.md` has the crawler, its behaviour and the hosts by share."
    )
    for kind in ("language", "format", "crawl"):
        yield kept_table(facts, kind, facts.kept_values(kind)[:SHOWN])
    if not facts.values("language"):
        yield "Languages: unknown (not measured)."


def _curation(facts: Facts) -> Iterator[str]:
    yield "## How it was made"
    steps = ((code(s["rule"]), s["entered"], s["dropped"], s["left"]) for s in facts.funnel)
    yield table(("rule, in order", "entered", "dropped", "left"), steps)
    if copies := facts.dropped(DUPLICATES):
        yield f"Copies dropped, by rule: {counts_in_words(copies)}."
    yield "\n".join(f"- {escaped_sentence(sentence)}" for sentence in facts.models)


def escaped_sentence(sentence: str) -> str:
    """Return a sentence of pairsieve's own that may hold a name from outside."""
    return sentence.replace("<", "&lt;").replace("|", "\\|")


def _rights(facts: Facts) -> Iterator[str]:
    yield "## Rights"
    licences = facts.kept_values("licence")[:SHOWN]
    yield kept_table(facts, "licence, as page or file says", licences) or (
        "Licences of single images: unknown (none is declared in page or file, or none was read)."
    )
    yield "Which opt-outs were honoured: `training-content.md`."
    yield "### Takedowns"
    yield (
        table(
            ("number", "date", "named by", "pairs taken out"),
            ((one.number, one.when[:10], one.named, one.pairs) for one in facts.takedowns),
        )
        or "Nothing was taken out on request so far."
    )
    yield f"To have something taken out, write to: {said(facts.about.contact)}."
