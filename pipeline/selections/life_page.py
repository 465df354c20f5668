"""The life of a pair as a page of one file, with its picture; texts of the web are escaped."""

from collections.abc import Sequence
from typing import Any

from pairsieve.pipeline.dataset.checksums import read_images
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.rules import MINOR
from pairsieve.pipeline.selections.life import Life
from pairsieve.pipeline.stats.histograms import format_figure
from pairsieve.pipeline.stats.page import render, thumbnail
from pairsieve.schemas.columns import BLOCKED, COLUMNS, FAILING, TEXT, UID, URL

PICTURE_PX = 640
TOLD = {"row", TEXT.name, UID.name, URL.name, "retry_layer"}  # elsewhere on the page
DOCS = {column.name: column.doc for column in COLUMNS}


def page(store: Store, lives: Sequence[Life], name: str, called: str) -> str:
    """Return the page on the pairs that go by what they were `called`, judged by a selection.

    Raises:
        Stopped: a stored image is gone, or has other bytes.
    """
    content = {"called": called, "name": name, "lives": [_told(store, one, name) for one in lives]}
    return render("life.html.j2", content)


def _told(store: Store, life: Life, name: str) -> dict[str, Any]:
    """Return what the page tells of a pair."""
    pair = life.pair
    withheld = pair.get(BLOCKED.name) is not None or MINOR.name in (pair.get(FAILING.name) or ())
    picture = None
    if life.stored and not withheld:
        (body,) = read_images(store, [life.stored])
        picture = thumbnail(body, most_px=PICTURE_PX)
    facts = [
        {"name": key, "value": _value(value), "doc": DOCS.get(key, "")}
        for key, value in pair.items()
        if key not in TOLD
    ]
    verdicts = [
        {
            "rule": verdict.rule,
            "passed": verdict.passed,
            "condition": " ".join(verdict.condition.split()),
            "reads": [(key, _value(value)) for key, value in verdict.values.items()],
        }
        for verdict in life.verdicts
    ]
    return {
        "pair": pair,
        "fate": life.fate(name),
        "picture": picture,
        "withheld": withheld and life.stored is not None,
        "fetches": [_fetch(one) for one in life.attempts],
        "verdicts": verdicts,
        "copies": life.copies,
        "facts": facts,
    }


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return format_figure(value) if isinstance(value, float) else str(value)


def _fetch(attempt: dict[str, Any]) -> dict[str, str]:
    """Return which fetch it was, its outcome, and what else is known of it."""
    layer = attempt["retry_layer"]
    known = [
        str(attempt.get("detail", "")),
        f"HTTP {attempt['http_status']}" if "http_status" in attempt else "",
        f"{attempt['fetched_at']:%Y-%m-%d %H:%M:%S}" if "fetched_at" in attempt else "",
        f"from {attempt['final_url']}" if "final_url" in attempt else "",
    ]
    which = f"retry {layer}" if layer else "first"
    return {"which": which, "outcome": attempt["outcome"], "known": ", ".join(filter(None, known))}
