"""A page of a crawl with its images, and which pairs are taken from it.

What a page says (`html.py` from its HTML, `wat.py` from its metadata) and what is taken of it are
apart, so both kinds of archive give pairs by the same rules.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl, canonical
from pairsieve.pipeline.pages.image_urls import Address
from pairsieve.schemas.recipe_pages import Pages

# Where the text of an image may stand, the best first.
ALT, LABEL, TITLE, CAPTION = "alt", "aria-label", "title", "figcaption"
DATA_TEXTS = ("data-alt", "data-caption", "data-title")
OG_ALT, OG_TITLE = "og:image:alt", "og:title"
TEXTS = (ALT, LABEL, TITLE, CAPTION, *DATA_TEXTS, OG_ALT, OG_TITLE)

# What becomes of an image that is no pair.
NO_TEXT, NO_URL, BOILERPLATE = "no_text", "no_url", "boilerplate"
REPEATED, OVER_LIMIT = "repeated", "over_limit"

# Words in the name of a file, and whole names of files, that say boilerplate.
_WORDS = re.compile(
    r"(?:^|[^a-z])(?:logos?|sprites?|spacer|1x1|favicon|icons?|placeholder)(?:[^a-z]|$)"
)
_NAMES = re.compile(r"(?:blank|clear|dot|loader|loading|pixel|spinner|transparent)[-_0-9]*")
_NUMBER = re.compile(r"\s*([0-9]{1,6})(?:\.[0-9]*)?\s*(?:px)?\s*", re.IGNORECASE)


class Image(NamedTuple):
    """An image of a page.

    Attributes:
        addresses: What it offers, the best first.
        texts: What is said of it, by where that stands; never empty texts.
        sides: Width and height that attributes give it, pixels; None where they do not.
        before: The words before it.
        after: The words after it.
    """

    addresses: Sequence[Address]
    texts: dict[str, str]
    sides: tuple[int | None, int | None] = (None, None)
    before: str | None = None
    after: str | None = None


class License(NamedTuple):
    """What a page says it may be used under.

    Attributes:
        url: As it is written.
        source: `rel` for a link that says so, `schema.org`, or `link` for any link to one of
            Creative Commons.
    """

    url: str
    source: str


@dataclass(slots=True)
class Page:
    """A page.

    Attributes:
        url: Its own.
        base: What its relative URLs are relative to.
        images: In the order of the page.
        language: As it says itself, such as `en-GB`.
        license: What it says it may be used under.
    """

    url: CanonicalUrl
    base: CanonicalUrl
    images: list[Image] = field(default_factory=list)
    language: str | None = None
    license: License | None = None

    @property
    def license_url(self) -> str | None:
        """Return the absolute URL of the licence."""
        found = canonical(self.license.url, self.base) if self.license else None
        return found.url if found else None


class Pair(NamedTuple):
    """A pair of a page.

    Attributes:
        url: Canonical URL of the image.
        text: What is said of it.
        text_source: Where that stands.
        url_source: Where the URL stands.
        position: Of the image among all of the page, from 0.
        image: All that the page says of it.
    """

    url: str
    text: str
    text_source: str
    url_source: str
    position: int
    image: Image


def pairs(page: Page, options: Pages, left_out: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of a page; count in `left_out` the images that are none, by reason."""
    seen: set[tuple[str, str]] = set()
    for position, image in enumerate(page.images):
        found = _pair(page, image, position, options)
        if isinstance(found, str):
            left_out[found] += 1
        elif (found.url, found.text) in seen:
            left_out[REPEATED] += 1
        elif len(seen) >= options.max_per_page:
            left_out[OVER_LIMIT] += 1
        else:
            seen.add((found.url, found.text))
            yield found


def _pair(page: Page, image: Image, position: int, options: Pages) -> Pair | str:
    """Return the pair of an image, or why there is none."""
    if not image.texts:
        return NO_TEXT
    source = next(name for name in TEXTS if name in image.texts)
    drop = options.boilerplate == "drop"
    if drop and any(side is not None and side < options.min_side_px for side in image.sides):
        return BOILERPLATE
    for address in image.addresses:
        url = canonical(address.url, page.base)
        if url is None or url.scheme not in ("http", "https"):
            continue
        if url.url in (page.base.url, page.url.url):  # a page is no image
            continue
        if drop and is_boilerplate(url.url):
            return BOILERPLATE
        return Pair(url.url, image.texts[source], source, address.source, position, image)
    return NO_URL


def is_boilerplate(url: str) -> bool:
    """Return whether the file that a URL names is called as logos, pixels and sprites are."""
    name = url.partition("?")[0].rpartition("/")[2].lower()
    return bool(_WORDS.search(name) or _NAMES.fullmatch(name.partition(".")[0]))


def spaced(text: str) -> str:
    """Return a text with single spaces between its words and none around them."""
    return " ".join(text.split())


def side_of(value: str | None) -> int | None:
    """Return the pixels that a `width` or `height` attribute gives, None for others."""
    found = _NUMBER.fullmatch(value) if value else None
    return int(found[1]) if found else None
