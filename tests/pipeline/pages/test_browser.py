"""The pairs of pages against those of Chromium's DOM: its parser, its URLs, its choice of srcset.

The page is fetched as a document, which a browser parses without scripts, in the encoding that it
finds. The widest candidate of a srcset is the one that it chooses for an enormous image. Nothing of
ours is asked there but which attributes are looked at, which is what a pair is.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.chromium import chromium
from tests.pipeline.pages.browser_pages import PAGES, UTF8

from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages.charset import decoded
from pairsieve.pipeline.pages.html import parse
from pairsieve.pipeline.pages.page import pairs
from pairsieve.schemas.recipe_pages import Pages

SCRIPT = r"""
const [address, done] = arguments;
const spaced = text => (text || "").split(/[\s\x1c-\x1f]+/).filter(Boolean).join(" ");
const fetched = () => new Promise(resolve => {
  const request = new XMLHttpRequest();
  request.open("GET", address);
  request.responseType = "document";
  request.onload = () => resolve(request.response);
  request.send();
});
async function widest(srcset, base) {
  document.head.innerHTML = "";
  const element = document.createElement("base");
  element.href = base;
  document.head.append(element);
  const probe = new Image();
  probe.sizes = "100000px";
  probe.srcset = srcset;
  for (let tries = 0; !probe.currentSrc && tries < 50; tries++)
    await new Promise(resolve => setTimeout(resolve, 2));
  return probe.currentSrc;
}
async function main() {
  const page = await fetched();
  const lazy = ["data-src", "data-original", "data-lazy-src"];
  const found = [];
  const add = (value, text) => {
    let url;
    try { url = new URL(value, page.baseURI); } catch { return; }
    if (!/^https?:$/.test(url.protocol)) return;
    url.hash = "";
    if (url.href == page.baseURI || url.href == page.URL) return;  // a page is no image
    found.push([url.href, text]);
  };
  for (const image of page.querySelectorAll("img, input[type=image]")) {
    const figure = image.closest("figure");
    const caption = figure && figure.querySelector("figcaption");
    const text = spaced(image.getAttribute("alt")) || spaced(image.getAttribute("aria-label"))
      || spaced(image.getAttribute("title")) || spaced(caption && caption.textContent);
    if (!text) continue;
    const sets = [image.getAttribute("srcset"), image.getAttribute("data-srcset")];
    if (image.parentNode.localName == "picture")
      for (const source of image.parentNode.querySelectorAll("source"))
        sets.push(source.getAttribute("srcset"));
    const offered = sets.filter(Boolean).join(", ");
    const late = lazy.map(name => image.getAttribute(name)).find(Boolean);
    const best = offered && await widest(offered, page.baseURI);
    const value = best || late || image.getAttribute("src");
    if (value && value.trim()) add(value, text);
  }
  const meta = name => [...page.querySelectorAll(`meta[property='${name}']`)];
  const title = meta("og:title").map(each => each.content)[0];
  for (const image of meta("og:image")) {
    const next = image.nextElementSibling;
    const own = next && next.getAttribute("property") == "og:image:alt" && next.content;
    if (own || title) add(image.content, spaced(own || title));
  }
  return {found, language: page.documentElement.lang, charset: page.characterSet};
}
main().then(done, error => done(String(error)));
"""


class _Site(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content_type, body = PAGES.get(name, (UTF8, b"<!doctype html><title>probe</title>"))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(site: str) -> Iterator[Any]:
    with chromium("--force-device-scale-factor=8") as driver:
        driver.get(f"{site}/probe")
        yield driver


def ours(address: str, name: str) -> tuple[list[list[str]], str | None]:
    """Return our pairs of a page, as (URL, text), and its language."""
    url = canonical(address)
    content_type, body = PAGES[name]
    assert url
    page = parse(decoded(body, content_type), url, None, 0)
    if page is None:
        return [], None
    left_out: Counter[str] = Counter()
    found = pairs(page, Pages(boilerplate="keep"), left_out)
    return [[pair.url, pair.text] for pair in found], page.language


@pytest.mark.parametrize("name", PAGES)
def test_the_pairs_of_a_page_are_those_of_a_browser(name: str, browser: Any, site: str) -> None:
    address = f"{site}/folder/{name}"
    told = browser.execute_async_script(SCRIPT, address)
    assert isinstance(told, dict), told
    found, language = ours(address, name)
    assert found == told["found"]
    assert (language or "") == told["language"]


def test_there_are_pairs_to_compare(browser: Any, site: str) -> None:
    without = ("template", "frames")
    for name in PAGES:
        told = browser.execute_async_script(SCRIPT, f"{site}/folder/{name}")
        assert told["found"] or name in without, name
