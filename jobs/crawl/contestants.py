"""What `bench extract` compares, each in a process of its own.

Ours is the task of `pairsieve extract` on one file, with Parquet and hashes written. Theirs is the
script that one would write: warcio, and JSON or BeautifulSoup; it keeps URL and text and writes
nothing.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.extraction.sources import Source
from pairsieve.pipeline.extraction.tasks import FileTask, Work, find
from pairsieve.schemas.recipe_pages import Pages

OURS, THEIRS = "pairsieve", "warcio + BeautifulSoup"


def ours(path: Path, format: str) -> int:
    """Return how many pairs the task of a file finds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.at(folder)
        options = Pages(boilerplate="keep")
        work = Work(store, store, options, files=1, limit_hosts=False)
        return find(FileTask(work, 0, Source(str(path), format))).rows


def theirs(path: Path, format: str) -> int:
    """Return how many pairs a plain script finds."""
    from warcio.archiveiterator import ArchiveIterator

    found: set[tuple[str, str]] = set()
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if format == "wat" and record.rec_type == "metadata":
                found.update(_of_wat(json.loads(record.content_stream().read())))
            elif format == "warc" and record.rec_type == "response":
                url = record.rec_headers.get_header("WARC-Target-URI")
                found.update(_of_html(record.content_stream().read(), url))
    return len(found)


def _of_wat(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    envelope = record["Envelope"]
    url = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
    response = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {})
    for link in response.get("HTML-Metadata", {}).get("Links", ()):
        if link["path"] == "IMG@/src" and link.get("alt"):
            yield urljoin(url, link["url"]), link["alt"]


def _of_html(body: bytes, url: str) -> Iterator[tuple[str, str]]:
    from bs4 import BeautifulSoup

    for image in BeautifulSoup(body, "html.parser").find_all("img"):
        if image.get("src") and image.get("alt"):
            yield urljoin(url, str(image["src"])), str(image["alt"])


def main() -> None:
    """Run one of them on a file, twice; print CPU-seconds and pairs of the second run as JSON.

    A crawl has thousands of files, so what is done once in a process does not count.
    """
    contestant, path, format = sys.argv[1:]
    run = ours if contestant == OURS else theirs
    run(Path(path), format)
    began = time.process_time()
    pairs = run(Path(path), format)
    print(json.dumps({"cpu_s": time.process_time() - began, "pairs": pairs}))


if __name__ == "__main__":
    main()
