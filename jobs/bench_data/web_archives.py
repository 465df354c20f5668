"""WARC files of given pages, and the WAT files that Common Crawl's extractor would make of them.

warcio writes the records, so what reads them is tested with what another library writes. Links and
metas are taken from the HTML by Python's own parser, as the extractor does it: in the order of the
tags, without a DOM.

Source: https://github.com/commoncrawl/ia-web-commons (ExtractingParseObserver).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from typing import Any, BinaryIO

DATE = "2024-05-18T01:58:10Z"
_LINKED = {  # tag: the attribute with the URL, and those that go with it
    "a": ("href", ("target", "alt", "title", "rel", "hreflang", "type")),
    "img": ("src", ("alt", "title")),
    "form": ("action", ("target", "method")),
    "iframe": ("src", ()),
    "input": ("src", ()),
    "area": ("href", ("rel",)),
}
_METAS = ("name", "rel", "content", "http-equiv", "property")


@dataclass(frozen=True, slots=True)
class CrawledPage:
    """A page as a crawler has fetched it.

    Attributes:
        url: Its own.
        body: Its HTML.
        content_type: Of the response.
        headers: Of the response, besides.
        status: Of the response.
    """

    url: str
    body: bytes
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    status: str = "200 OK"


def write_warc(
    file: BinaryIO, pages: Iterable[CrawledPage], crawl: str = "", gzip: bool = True
) -> list[int]:
    """Write request and response of every page; return where the responses begin, bytes."""
    from warcio.warcwriter import WARCWriter

    writer = WARCWriter(file, gzip=gzip)
    info = {"software": "pairsieve", "format": "WARC File Format 1.0"}
    named = info | ({"isPartOf": crawl} if crawl else {})
    writer.write_record(writer.create_warcinfo_record("x.warc.gz", named))
    offsets = []
    for page in pages:
        request = _record(writer, page.url, "request", b"", ("GET / HTTP/1.1", []))
        offsets.append(_written_after(file, writer, request))
        headers = [("Content-Type", page.content_type), *page.headers]
        response = _record(
            writer, page.url, "response", page.body, (f"HTTP/1.1 {page.status}", headers)
        )
        writer.write_record(response)
    return offsets


def write_wat(
    file: BinaryIO, pages: Iterable[CrawledPage], archive: str, offsets: list[int]
) -> None:
    """Write the WAT of a WARC file of this name, in which the responses begin at the offsets."""
    from warcio.warcwriter import WARCWriter

    writer = WARCWriter(file, gzip=True)
    for page, offset in zip(pages, offsets, strict=True):
        for kind, place in (("request", offset - 1), ("response", offset)):
            body = wat_json(page, archive, place, kind)
            writer.write_record(
                writer.create_warc_record(
                    page.url,
                    "metadata",
                    payload=BytesIO(body),
                    warc_content_type="application/json",
                    warc_headers_dict={"WARC-Date": DATE},
                )
            )


def wat_json(page: CrawledPage, archive: str, offset: int, kind: str = "response") -> bytes:
    """Return what the extractor says of a page, or of the request for it, as JSON."""
    payload: dict[str, Any] = {"Actual-Content-Type": f"application/http; msgtype={kind}"}
    if kind == "response":
        links = _Links()
        links.feed(page.body.decode("utf-8", "replace"))
        payload["HTTP-Response-Metadata"] = {
            "Response-Message": {"Version": "HTTP/1.1", "Status": "200", "Reason": "OK"},
            "Headers": {"Content-Type": page.content_type, **dict(page.headers)},
            "HTML-Metadata": {"Head": links.head, "Links": links.links},
        }
    else:
        payload["HTTP-Request-Metadata"] = {"Headers": {"Host": "x"}}
    record = {
        "Container": {"Filename": archive, "Compressed": True, "Offset": str(offset)},
        "Envelope": {
            "Payload-Metadata": payload,
            "Format": "WARC/1.0",
            "WARC-Header-Metadata": {
                "WARC-Type": kind,
                "WARC-Date": DATE,
                "WARC-Target-URI": page.url,
            },
        },
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


class _Links(HTMLParser):
    """The links and metas of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.head: dict[str, Any] = {}
        self.links: list[dict[str, str]] = []
        self._anchor: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag links to."""
        values = {name: value or "" for name, value in attrs}
        if tag == "html" and "lang" in values:
            self._add("Metas", {"name": "HTML@/lang", "content": values["lang"]})
        elif tag == "base" and "href" in values:
            self.head["Base"] = values["href"]
        elif tag == "meta" and (meta := {name: values[name] for name in _METAS if name in values}):
            self._add("Metas", meta)
        elif tag == "link" and "href" in values:
            others = {str(name): values[name] for name in ("rel", "type") if name in values}
            self._add("Link", {"path": "LINK@/href", "url": values["href"], **others})
        elif tag == "script" and "src" in values:
            self._add("Scripts", {"path": "SCRIPT@/src", "url": values["src"]})
        elif tag in _LINKED and _LINKED[tag][0] in values:
            name, others_of = _LINKED[tag]
            link = {"path": f"{tag.upper()}@/{name}", "url": values[name]}
            link |= {other: values[other] for other in others_of if other in values}
            self.links.append(link)
            if tag == "a":
                self._anchor = link

    def handle_data(self, data: str) -> None:
        """Take the text of a link."""
        if self._anchor is not None and (text := " ".join(data.split())[:128]):
            self._anchor.setdefault("text", text)

    def handle_endtag(self, tag: str) -> None:
        """End a link."""
        if tag == "a":
            self._anchor = None

    def _add(self, key: str, value: dict[str, str]) -> None:
        self.head.setdefault(key, []).append(value)


def _record(
    writer: Any, url: str, kind: str, body: bytes, head: tuple[str, list[tuple[str, str]]]
) -> Any:
    """Return a record of HTTP."""
    from warcio.statusandheaders import StatusAndHeaders

    line, headers = head
    protocol, _, status = line.partition(" ")
    return writer.create_warc_record(
        url,
        kind,
        payload=BytesIO(body),
        http_headers=StatusAndHeaders(status, headers, protocol=protocol),
        warc_headers_dict={"WARC-Date": DATE},
    )


def _written_after(file: BinaryIO, writer: Any, record: Any) -> int:
    """Write a record; return where the next one begins."""
    writer.write_record(record)
    return file.tell()
