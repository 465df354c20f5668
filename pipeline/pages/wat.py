"""A page from its record in a WAT file: what Common Crawl's extractor says of its links and metas.

A WAT record is one JSON object. Nearly all of it is links that are no images, so they are not
parsed: the links stay bytes, and the images are cut out of them. In what a JSON writer without
spaces makes, the bytes `},{"` stand between objects alone, as a quote within a text has a backslash
before it; what is written otherwise is parsed as a whole.

It has `src`, `alt` and `title` of images; not `srcset`, captions, sizes or the words around.

Source: https://github.com/commoncrawl/ia-web-commons (ExtractingParseObserver, HTMLMetaData).
Measured, 83 MB of JSON, MB of the gzip-compressed file a second: decoding all 32, decoding the
typed fields 84, leaving the links as bytes 363.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec

from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages import html, licences
from pairsieve.pipeline.pages.image_urls import Address, by_width, candidates
from pairsieve.pipeline.pages.page import ALT, TITLE, Image, License, Page, robots_of, spaced

IMAGE_PATH = "IMG@/src"
LANGUAGE = ("HTML@/lang", "HTML@/xml:lang")  # names of metas
_T = TypeVar("_T")
_TEXTLESS = Image((), {})
_MARK = b'"IMG@/src"'
_BEFORE = b'{"path":'
_BETWEEN = b'},{"'


class Link(msgspec.Struct, gc=False):
    """A link of a page; only what is used of it."""

    path: str = ""
    url: str = ""
    alt: str = ""
    title: str = ""
    srcset: str = ""
    rel: str = ""


class Meta(msgspec.Struct, gc=False):
    """A `meta` of a page, or an attribute of its root."""

    name: str = ""
    property: str = ""
    content: str = ""
    equivalent: str = msgspec.field(default="", name="http-equiv")


class Head(msgspec.Struct):
    """The head of a page, without its links."""

    base: str = msgspec.field(default="", name="Base")
    metas: list[Meta] = msgspec.field(default_factory=list, name="Metas")


class HeadLinks(msgspec.Struct):
    """The links in the head of a page."""

    links: list[Link] = msgspec.field(default_factory=list, name="Link")


class _Html(msgspec.Struct):
    head: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="Head")
    links: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"), name="Links")


class _Response(msgspec.Struct):
    html: _Html | None = msgspec.field(default=None, name="HTML-Metadata")


class _Payload(msgspec.Struct):
    response: _Response | None = msgspec.field(default=None, name="HTTP-Response-Metadata")


class _WarcHeader(msgspec.Struct):
    url: str = msgspec.field(default="", name="WARC-Target-URI")
    date: str = msgspec.field(default="", name="WARC-Date")


class _Envelope(msgspec.Struct):
    payload: _Payload | None = msgspec.field(default=None, name="Payload-Metadata")
    header: _WarcHeader = msgspec.field(default_factory=_WarcHeader, name="WARC-Header-Metadata")


class _Container(msgspec.Struct):
    file: str = msgspec.field(default="", name="Filename")
    offset: str | int = msgspec.field(default="", name="Offset")


class _Record(msgspec.Struct):
    envelope: _Envelope | None = msgspec.field(default=None, name="Envelope")
    container: _Container = msgspec.field(default_factory=_Container, name="Container")


_RECORD = msgspec.json.Decoder(_Record)
_HEAD = msgspec.json.Decoder(Head)
_HEAD_LINKS = msgspec.json.Decoder(HeadLinks)
_LINKS = msgspec.json.Decoder(list[Link])


class Found(NamedTuple):
    """A page, and where its record lies.

    Attributes:
        page: The page.
        archive: Name of the WARC file that holds it.
        offset: Of its record in that file, bytes; None where the record does not say.
        date: When it was fetched, as in the WARC record.
    """

    page: Page
    archive: str
    offset: int | None
    date: str


def parse(body: bytes) -> Found | None:
    """Return the page of a record, None where it has no image.

    Raises:
        ValueError: it is not what a WAT record is.
    """
    if b'"HTML-Metadata"' not in body:  # a request, or no HTML
        return None
    record = _decoded(_RECORD, body)
    envelope = record.envelope
    response = envelope.payload.response if envelope and envelope.payload else None
    url = canonical(envelope.header.url) if envelope else None
    if envelope is None or response is None or response.html is None or url is None:
        return None
    links, head = bytes(response.html.links), bytes(response.html.head)
    images = list(_images(links))
    if not images and b"og:image" not in head:
        return None
    said = _decoded(_HEAD, head)
    base = canonical(said.base, url) if said.base else url
    images += html.shared(
        [(meta.property.lower() or meta.name.lower(), meta.content) for meta in said.metas]
    )
    page = Page(url, base or url, images, _language(said.metas), _license(head, links))
    page.robots = robots_of((meta.name.strip().lower(), meta.content) for meta in said.metas)
    place = str(record.container.offset)
    offset = int(place) if place.isdecimal() and len(place) < 19 else None
    return Found(page, record.container.file, offset, envelope.header.date)


def _decoded(decoder: "msgspec.json.Decoder[_T]", body: bytes) -> "_T":
    """Return what a decoder makes of JSON."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _images(links: bytes) -> Iterator[Image]:
    """Yield the images among a page's links, those without a text too."""
    for link in _image_links(links):
        if not link.alt and not link.title:
            yield _TEXTLESS
            continue
        texts = {}
        if link.alt and (alt := spaced(link.alt[: html.MAX_TEXT_CHARS])):
            texts[ALT] = alt
        if link.title and (title := spaced(link.title[: html.MAX_TEXT_CHARS])):
            texts[TITLE] = title
        yield Image(_addresses(link), texts)


def _addresses(link: Link) -> list[Address]:
    """Return what an image offers; extractors to come may tell of its srcset too."""
    offered = [Address(link.url.strip(), "src")]
    if not link.srcset:
        return offered
    wider, _ = by_width(candidates(link.srcset, "srcset"))
    return [*wider, *offered]


def _image_links(links: bytes) -> list[Link]:
    """Return the links that are images, without parsing the others."""
    found, at = [], links.find(_MARK)
    while at >= 0:
        if not links.endswith(_BEFORE, 0, at):  # written otherwise
            return [link for link in _decoded(_LINKS, links) if link.path == IMAGE_PATH]
        begin, end = at - len(_BEFORE), links.find(_BETWEEN, at)
        found.append(links[begin:end] if end >= 0 else links[begin : links.rfind(b"}")])
        at = links.find(_MARK, end) if end >= 0 else -1
    return _decoded(_LINKS, b"[" + b"},".join(found) + b"}]") if found else []


def _language(metas: list[Meta]) -> str | None:
    """Return the language that a page says it is in."""
    for name in LANGUAGE:
        for meta in metas:
            if meta.name == name and (tag := html.language_tag(meta.content)):
                return tag
    for meta in metas:
        if meta.equivalent.lower() == "content-language":
            return html.language_tag(meta.content)
    return None


def _license(head: bytes, links: bytes) -> License | None:
    """Return what a page says it may be used under; JSON-LD is not in a WAT record."""
    of_head = _decoded(_HEAD_LINKS, head).links if _names_license(head) else []
    of_body = _decoded(_LINKS, links) if _names_license(links) else []
    return licences.of_links((link.url, link.rel) for link in (*of_head, *of_body))


def _names_license(links: bytes) -> bool:
    return b"license" in links or b"creativecommons.org/" in links
