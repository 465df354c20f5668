"""Which files of a crawl are named, and reading them from the web in ranges."""

import gzip
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pairsieve.pipeline.extraction.sources import Source, listed, open_source
from pairsieve.schemas.errors import BadOption, Stopped

COMMON_CRAWL = "https://data.commoncrawl.org/"
BODY = bytes(range(256)) * 100_000  # more than is read at once


class _Ranges(BaseHTTPRequestHandler):
    """Serves `BODY`, in ranges, and a list of paths."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._send(with_body=False)

    def do_GET(self) -> None:
        self._send(with_body=True)

    def _send(self, with_body: bool) -> None:
        if self.path == "/lost.warc.gz":
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = gzip.compress(b"a.wat.gz\n\n b/c.wat.gz \n") if "paths" in self.path else BODY
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        body = whole[int(asked[1]) : int(asked[2]) + 1] if asked else whole
        self.send_response(206 if asked else 200)
        if asked:
            end = int(asked[1]) + len(body) - 1
            self.send_header("Content-Range", f"bytes {asked[1]}-{end}/{len(whole)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Sat, 18 May 2024 01:58:10 GMT")
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ranges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def locations(*names: object, format: str | None = None, prefix: str = COMMON_CRAWL) -> list[str]:
    return [source.location for source in listed(map(str, names), format, prefix)]


def test_a_file_on_the_web_is_read_in_ranges(web: str) -> None:
    with open_source(Source(f"{web}/x.warc.gz", "warc")) as file:
        assert file.read(5) == BODY[:5]
        file.seek(20_000_001)
        assert file.read(3) == BODY[20_000_001:20_000_004]
        file.seek(0)
        assert file.read() == BODY


def test_a_file_that_is_not_on_the_web_stops(web: str) -> None:
    with pytest.raises(Stopped, match=r"lost\.warc\.gz: there is no such file"):
        open_source(Source(f"{web}/lost.warc.gz", "warc")).read(1)


def test_a_list_on_the_web_names_files_behind_a_prefix(web: str) -> None:
    found = locations(f"{web}/wat.paths.gz", prefix="https://a.example/")
    assert found == ["https://a.example/a.wat.gz", "https://a.example/b/c.wat.gz"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.warc.gz", "a.warc", "c.warc.wat.gz", "readme.txt", "x.bin"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_folder_names_its_archives_by_name_and_no_other_file(folder: Path) -> None:
    sources = listed([str(folder)], None, COMMON_CRAWL)
    assert [Path(source.location).name for source in sources] == [
        "a.warc",
        "b.warc.gz",
        "c.warc.wat.gz",
    ]
    assert [source.format for source in sources] == ["warc", "warc", "wat"]


def test_a_file_that_is_named_twice_is_one(folder: Path) -> None:
    assert locations(folder / "a.warc", folder / "*.warc") == [str(folder / "a.warc")]


def test_a_list_may_hold_paths_of_this_machine(folder: Path) -> None:
    (folder / "warc.paths").write_text(f"{folder}/b.warc.gz\n")
    assert locations(folder / "warc.paths") == [str(folder / "b.warc.gz")]


def test_a_format_may_be_said(folder: Path) -> None:
    assert listed([str(folder / "x.bin")], "warc", "")[0].format == "warc"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nope.warc", "no file matches .*nope.warc"),
        ("x.bin", "the format of x.bin is not known from its name; known: .warc, .*; say --format"),
        ("nope.paths", "there is no list .*nope.paths"),
        ("bad.paths.gz", "bad.paths.gz is no list of paths"),
        ("empty.paths", "no file of a crawl is named"),
    ],
)
def test_what_names_nothing_is_refused(folder: Path, name: str, says: str) -> None:
    (folder / "bad.paths.gz").write_bytes(b"no gzip")
    (folder / "empty.paths").write_bytes(b"\n")
    with pytest.raises(BadOption, match=says):
        locations(folder / name)
