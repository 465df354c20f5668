"""What a page says it may be used under.

A link with `rel=license` says it of the page; so does `license` of schema.org, in JSON-LD or in
microdata. A link to a licence of Creative Commons may be meant for a part of it, so it comes last.

Source: https://html.spec.whatwg.org/multipage/links.html#link-type-license,
https://schema.org/license and https://wiki.creativecommons.org/wiki/CC_REL
"""

import json
import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from pairsieve.pipeline.pages.page import License

REL, SCHEMA, LINK = "rel", "schema.org", "link"
CREATIVE_COMMONS = re.compile(
    r"\s*(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/.+", re.IGNORECASE
)
MAX_VALUES = 10_000  # of JSON-LD that are looked at


def of_links(links: Iterable[tuple[str, str]]) -> License | None:
    """Return what a page's links, as (URL, rel), say; `rel` wins over a link to a licence."""
    linked = None
    for url, rel in links:
        if "license" in rel.lower().split():
            return License(url, REL)
        if linked is None and CREATIVE_COMMONS.match(url):
            linked = License(url, LINK)
    return linked


def of_json(texts: Iterable[str]) -> License | None:
    """Return the first licence that JSON-LD names, the outermost one of the first text."""
    for text in texts:
        if '"license"' not in text:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if url := _license_in(value):
            return License(url, SCHEMA)
    return None


def _license_in(value: Any) -> str | None:
    """Return the licence nearest to the outside of a JSON value."""
    left = deque([value])
    for _ in range(MAX_VALUES):
        if not left:
            break
        inner = left.popleft()
        if isinstance(inner, dict):
            if url := _address(inner.get("license")):
                return url
            left.extend(inner.values())
        elif isinstance(inner, list):
            left.extend(inner)
    return None


def _address(value: Any) -> str | None:
    """Return the URL of a licence, which may be a text, an object or a list of these."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    return value if isinstance(value, str) and "/" in value else None
