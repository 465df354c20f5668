"""A page from its HTML, as a browser without scripts builds its DOM.

So what stands in `noscript` counts, and what a script would add does not. selectolax parses it with
lexbor, which follows the HTML standard.

Lexbor takes time that grows with the square of the depth, and of the attributes of one element. A
page that may be deeper than `MAX_DEPTH`, where browsers stop at 512, or has an element with more
than `MAX_ATTRIBUTES`, is not parsed.
Measured: 0.5 s for 20,000 open `div`, 190 s for 400,000; 0.7 s for 20,000 attributes.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl, canonical
from pairsieve.pipeline.pages import licences
from pairsieve.pipeline.pages.image_urls import Address, addresses
from pairsieve.pipeline.pages.page import (
    ALT,
    CAPTION,
    DATA_TEXTS,
    LABEL,
    OG_ALT,
    OG_TITLE,
    TITLE,
    Image,
    License,
    Page,
    robots_of,
    side_of,
    spaced,
)

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_DEPTH = 5_000  # elements inside one another
MAX_ATTRIBUTES = 5_000  # of an element
UNCHECKED_CHARS = 1 << 14  # of a page, so few that no element has too many attributes
MAX_UP = 64  # elements between an image and its `figure`
MAX_IMAGES = 100_000  # of a page
MAX_TEXT_CHARS = 10_000  # of what is said of one image
HAS_IMAGE = re.compile(r"<(?:amp-)?img|og:image|type\s*=\s*[\"']?image", re.IGNORECASE)
_HTML = re.compile(r"\s*(?:text/html|application/xhtml\+xml)\s*(?:;|$)", re.IGNORECASE)
_SPEAKS_TO_ROBOTS = re.compile(r"=\s*[\"']?\s*(?:robots|tdm-reservation)", re.IGNORECASE)
_NAMES_LICENSE = re.compile(r"license|creativecommons", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)", re.IGNORECASE)
# An attribute, and all of a tag's, as the standard's tokenizer reads them.
_ATTRIBUTE = re.compile(
    r"""[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?)?"""
)
_ATTRIBUTES = re.compile(rf"<[a-zA-Z][^\s/>]*+((?:[\s/]++|{_ATTRIBUTE.pattern})*+)")
# Elements that are void, or that the next of their kind ends: they are in one another only where
# there is another element between.
_FLAT = frozenset(
    (
        "a", "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param",
        "source", "track", "wbr", "p", "li", "dd", "dt", "td", "th", "tr", "tbody", "thead",
        "tfoot", "option", "optgroup", "colgroup", "rp", "rt", "html", "head", "body",
    )
)  # fmt: skip
_SILENT = frozenset(("script", "style", "title", "noscript", "textarea", "option", "template"))
_BREAKS = frozenset(("br", "div", "p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "td", "tr"))
_IMAGES = frozenset(("img", "amp-img"))


class TooComplex(ValueError):
    """A page whose elements are in one another too deep, or have too many attributes."""


def parse(html: str, url: CanonicalUrl, language: str | None, context_words: int) -> Page | None:
    """Return the page, None where it has no image; `language` is what its response says.

    Raises:
        TooComplex: it would take too long.
    """
    if not HAS_IMAGE.search(html):
        return None
    if html.count("<") > MAX_DEPTH and depth(html) > MAX_DEPTH:
        raise TooComplex
    if len(html) > UNCHECKED_CHARS and _has_endless_tag(html):
        raise TooComplex
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    page = Page(url, _base(tree, url), language=_language(tree) or language)
    page.images = [*_shown(tree, context_words), *_shared(tree)]
    if page.images and _NAMES_LICENSE.search(html):
        page.license = _license(tree)
    if page.images and _SPEAKS_TO_ROBOTS.search(html):
        page.robots = robots_of(
            ((meta.attributes.get("name") or "").strip().lower(), meta.attributes["content"] or "")
            for meta in tree.css("meta[name][content]")
        )
    return page


def is_html(content_type: str | None) -> bool:
    """Return whether a Content-Type is that of a page."""
    return bool(_HTML.match(content_type or ""))


def depth(html: str) -> int:
    """Return how deep elements may be in one another: at least as deep as they are."""
    open_of: dict[str, int] = {}
    now = most = 0
    for closing, name in _TAG.findall(html):
        name = name.lower()
        if name in _FLAT:
            continue
        count = open_of.get(name, 0)
        if not closing:
            open_of[name] = count + 1
            now += 1
            most = max(most, now)
        elif count:
            open_of[name] = count - 1
            now -= 1
    return most


def _has_endless_tag(html: str) -> bool:
    """Return whether an element may have more than `MAX_ATTRIBUTES`."""
    longest: str = max(_ATTRIBUTES.findall(html), key=len, default="")
    if len(longest) <= 2 * MAX_ATTRIBUTES:
        return False
    return any(
        len(_ATTRIBUTE.findall(attributes)) > MAX_ATTRIBUTES
        for attributes in _ATTRIBUTES.findall(html)
    )


def _base(tree: "LexborHTMLParser", url: CanonicalUrl) -> CanonicalUrl:
    """Return what relative URLs are relative to."""
    element = tree.css_first("base[href]")
    found = canonical((element.attributes.get("href") or ""), url) if element else None
    return found if found and found.scheme in ("http", "https") else url


def _language(tree: "LexborHTMLParser") -> str | None:
    """Return the language that the page says it is in."""
    element = tree.css_first("html")
    attributes = element.attributes if element else {}
    named = attributes.get("lang") or attributes.get("xml:lang")
    if not named and (meta := tree.css_first('meta[http-equiv="content-language" i]')):
        named = meta.attributes.get("content")
    return language_tag(named)


def language_tag(value: str | None) -> str | None:
    """Return the first language that a header or an attribute names."""
    tag = (value or "").partition(",")[0].strip()
    return tag if re.fullmatch(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*", tag) else None


def _shown(tree: "LexborHTMLParser", context_words: int) -> Iterator[Image]:
    """Yield the images that the page shows, in order, with the words around each."""
    texts: list[str] = []
    found: list[tuple[Image, int]] = []
    captions: dict[int, str] = {}
    if tree.root is None:
        return
    for node in tree.root.traverse(include_text=bool(context_words), skip_empty=True):
        tag = node.tag
        if tag == "-text":
            parent = node.parent
            if parent is not None and parent.tag not in _SILENT:
                texts.append(node.text_content or "")
        elif tag in _IMAGES or (tag == "input" and _is_image(node)):
            found.append((_image(node, captions), len(texts)))
            if len(found) == MAX_IMAGES:
                break
    for image, place in found:
        if not context_words:
            yield image
            continue
        before, after = _around(texts, place, context_words)
        yield msgspec.structs.replace(image, before=before, after=after)


def _is_image(node: "LexborNode") -> bool:
    return (node.attributes.get("type") or "").lower() == "image"


def _image(node: "LexborNode", captions: dict[int, str]) -> Image:
    """Return what an element says; `captions` are those of figures met before."""
    attributes = node.attributes
    texts = {}
    for name in (ALT, LABEL, TITLE, *DATA_TEXTS):
        if (value := attributes.get(name)) and (text := spaced(value[:MAX_TEXT_CHARS])):
            texts[name] = text
    if caption := _caption(node, captions):
        texts[CAPTION] = caption
    sides = side_of(attributes.get("width")), side_of(attributes.get("height"))
    return Image(addresses(attributes, _sources(node)), texts, sides)


def _sources(node: "LexborNode") -> list[str]:
    """Return the srcsets of the `picture` that an image is in."""
    parent = node.parent
    if parent is None or parent.tag != "picture":
        return []
    found = []
    before = node.prev
    while before is not None:
        if before.tag == "source":
            attributes = before.attributes
            found.append(attributes.get("srcset") or attributes.get("data-srcset") or "")
        elif before.tag in _IMAGES:
            break
        before = before.prev
    return [srcset for srcset in reversed(found) if srcset]


def _caption(node: "LexborNode", captions: dict[int, str]) -> str:
    """Return the caption of the nearest figure around an image, "" where there is none."""
    above = node.parent
    for _ in range(MAX_UP):
        if above is None:
            return ""
        if above.tag == "figure":
            if above.mem_id not in captions:
                caption = above.css_first("figcaption")
                captions[above.mem_id] = _text_of(caption) if caption else ""
            return captions[above.mem_id]
        above = above.parent
    return ""


def _text_of(node: "LexborNode") -> str:
    """Return the text in an element, with a space where a line or a block begins."""
    parts: list[str] = []
    chars = 0
    for inner in node.traverse(include_text=True):
        if inner.tag == "-text":
            parts.append(inner.text_content or "")
            chars += len(parts[-1])
            if chars > MAX_TEXT_CHARS:
                break
        elif inner.tag in _BREAKS:
            parts.append(" ")
    return spaced("".join(parts)[:MAX_TEXT_CHARS])


def _around(texts: list[str], place: int, most: int) -> tuple[str | None, str | None]:
    """Return the last words before a place among texts, and the first behind it."""
    before: list[str] = []
    for index in range(place - 1, max(-1, place - 1 - most), -1):
        before[:0] = texts[index].split()[-most:]
        if len(before) >= most:
            break
    after: list[str] = []
    for index in range(place, min(len(texts), place + most)):
        after += texts[index].split()[:most]
        if len(after) >= most:
            break
    return " ".join(before[-most:]) or None, " ".join(after[:most]) or None


def _shared(tree: "LexborHTMLParser") -> list[Image]:
    """Return the images that a page names for being shared: `og:image`, with their text."""
    metas = []
    for meta in tree.css("meta[content]"):
        attributes = meta.attributes
        name = attributes.get("property") or attributes.get("name") or ""
        metas.append((name.strip().lower(), attributes.get("content") or ""))
    return shared(metas)


def shared(metas: list[tuple[str, str]]) -> list[Image]:
    """Return the images among metas, as (name, content), by the Open Graph protocol.

    Source: https://ogp.me/#structured: what follows an image describes it.
    """
    found: list[tuple[str, dict[str, str]]] = []
    title = next(
        (text for name, value in metas if name == OG_TITLE and (text := spaced(value))), ""
    )
    for name, value in metas:
        if name in ("og:image", "og:image:url") and value.strip():
            if not found or found[-1][0] != value:
                found.append((value, {OG_TITLE: title} if title else {}))
        elif name == OG_ALT and found and (text := spaced(value[:MAX_TEXT_CHARS])):
            found[-1][1][OG_ALT] = text
    return [Image([Address(url, "og:image")], texts) for url, texts in found]


def _license(tree: "LexborHTMLParser") -> License | None:
    """Return what the page says it may be used under."""
    links = []
    for link in tree.css("a[href], link[href], area[href]"):
        attributes = link.attributes
        links.append((attributes.get("href") or "", attributes.get("rel") or ""))
    linked = licences.of_links(links)
    if linked and linked.source == licences.REL:
        return linked
    scripts = tree.css('script[type="application/ld+json" i]')
    named = licences.of_json(script.text() for script in scripts)
    if named is None and (item := tree.css_first('[itemprop~="license"]')):
        attributes = item.attributes
        url = attributes.get("href") or attributes.get("content")
        named = License(url, licences.SCHEMA) if url else None
    return named or linked
