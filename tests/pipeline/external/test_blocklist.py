import gzip
from pathlib import Path

import numpy as np
import pytest

from pairsieve.pipeline.external import blocklist
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Blocklist

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def index_of(folder: Path, text: str, max_distance: int = 4) -> BlocklistIndex:
    (folder / "never.txt").write_text(text)
    options = Blocklist(files=(str(folder / "never.txt"),), max_distance=max_distance)
    return blocklist.load(options)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.jpg",
        "https://EXAMPLE.org:443/",
        "http://www.example.org/",
        "http://a.b.example.org./x",
        "https://user:secret@example.org:8080/x",
        "http://bücher.example/",
        "http://xn--bcher-kva.example/",
        "http://10.0.0.1/x",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]:81/",
        "http:\\\\www.example.org\\x",
        "http://0xA.1/",
    ],
)
def test_a_host_stands_for_its_sub_domains_and_every_way_to_write_it(
    tmp_path: Path, url: str
) -> None:
    text = "host example.ORG\nhost bücher.example\nhost 10.0.0.1\nhost [::1]\n"
    assert (index_of(tmp_path, text).of_url(url) or "").startswith("host in line ")


@pytest.mark.parametrize(
    "url", ["http://notexample.org/", "http://example.org.evil/", "http://org/", "no url", ""]
)
def test_another_host_is_not_on_the_list(tmp_path: Path, url: str) -> None:
    assert index_of(tmp_path, "host example.org\nhost w.example").of_url(url) is None


@pytest.mark.parametrize(
    ("url", "on"),
    [
        ("https://example.org/a%20b.jpg?x=1", True),
        (" HTTP://u@Example.org:80/a b.jpg?x=1#part", True),
        ("http://example.org./a b.jpg?x=1", True),
        ("//example.org/z/..\\a b.jpg?x=1", True),
        ("http://%65xample.org/a\t b.jpg?x=1", True),
        ("https://example.org/a b.jpg?x=2", False),
        ("https://example.org/a b.jpg", False),
        ("https://example.org:8080/a b.jpg?x=1", False),
        ("https://www.example.org/a b.jpg?x=1", False),
    ],
)
def test_a_url_is_compared_as_requested_without_scheme(tmp_path: Path, url: str, on: bool) -> None:
    found = index_of(tmp_path, "# taken down\n\nurl https://example.org/a b.jpg?x=1\n").of_url(url)
    assert found == ("url in line 3 of never.txt" if on else None)


def test_sha256_in_either_case(tmp_path: Path) -> None:
    found = index_of(tmp_path, f"sha256 {SHA256.upper()}")
    assert found.of_sha256(SHA256) == "sha256 in line 1 of never.txt"
    assert found.of_sha256("0" * 64) is None


def test_phash_within_its_own_distance_or_that_of_the_recipe(tmp_path: Path) -> None:
    found = index_of(tmp_path, "phash 00000000000000ff\nphash ff00000000000000 0\n", max_distance=2)
    queries = np.array([0xFF, 0xFC, 0xF8, 0xFF << 56, 0xFE << 56], np.uint64)
    assert found.of_hashes(queries) == {
        0: "phash in line 1 of never.txt, 0 bits away",
        1: "phash in line 1 of never.txt, 2 bits away",
        3: "phash in line 2 of never.txt, 0 bits away",
    }


def test_several_files_globs_and_compressed_ones(tmp_path: Path) -> None:
    (tmp_path / "a.list").write_bytes(b"\xef\xbb\xbfhost a.example\r\nhost b.example\r\n")
    (tmp_path / "b.list.gz").write_bytes(gzip.compress(b"host c.example"))
    found = blocklist.load(Blocklist(files=(str(tmp_path / "*.list*"),)))
    assert [found.of_url(f"http://{host}.example/") for host in "abcd"] == [
        "host in line 1 of a.list",
        "host in line 2 of a.list",
        "host in line 1 of b.list.gz",
        None,
    ]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    assert index_of(tmp_path, "host a.example").of_url("http://b.example/") is None
    assert index_of(tmp_path, "host a.example\nhost b.example").of_url("http://b.example/")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("hots example.org", "known: host, url, sha256, phash; did you mean `host`?"),
        ("https://example.org/a.jpg", "an entry begins with its kind"),
        ("host", "after `host` comes a host name"),
        ("host example.org/a", "after `host` comes a host name"),
        ("host example.org:80", "after `host` comes a host name"),
        ("host *.example.org", "after `host` comes a host name"),
        ("url example.org/a", "after `url` comes an http or https URL"),
        ("url ftp://example.org/a", "after `url` comes an http or https URL"),
        ("sha256 abc", "after `sha256` comes 64 hex digits"),
        ("phash 0123456789abcde", "after `phash` comes 16 hex digits"),
        ("phash 0123456789abcdef 11", "0 to 10"),
        ("phash 0123456789abcdef -1", "0 to 10"),
    ],
)
def test_a_line_that_is_no_entry_is_refused_with_its_place(
    tmp_path: Path, line: str, allowed: str
) -> None:
    with pytest.raises(BadOption) as refused:
        index_of(tmp_path, f"host example.org\n{line}\n")
    assert str(refused.value).startswith(f"{tmp_path}/never.txt, line 2: ")
    assert allowed in str(refused.value)
    assert str(refused.value).endswith(f"; got {line!r}")


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.txt").write_bytes(b"host a.example\nhost \xff\n")
    with pytest.raises(BadOption, match=r"bytes.txt, line 2: not UTF-8"):
        blocklist.load(Blocklist(files=(str(tmp_path / "bytes.txt"),)))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"host a.example\n" * 9)[:-9])
    with pytest.raises(BadOption, match=r"cut.gz: cannot be read to its end"):
        blocklist.load(Blocklist(files=(str(tmp_path / "cut.gz"),)))
    with pytest.raises(BadOption, match=r"blocklist.files: no file matches .*none.txt"):
        blocklist.load(Blocklist(files=(str(tmp_path / "none.txt"),)))
