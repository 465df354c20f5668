import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.ledger.sql import host, host_of

HOSTS = {
    "http://a.example/x.jpg": "a.example",
    "https://User:pass@WWW.Example.COM:8443/x?y=http://b.example": "www.example.com",
    "http://[2001:DB8::1]:80/x": "[2001:db8::1]",
    "http://a.example": "a.example",
    "http://a.example?q@b.example": "a.example",
    "http://a.example#f@b.example": "a.example",
    "http://M\u00dcNCHEN.example/": "m\u00fcnchen.example",
    "http://new\nline.example/": "new\nline.example",
    "ftp+x://c.example/": "c.example",
    "http:///x": "",
    "//a.example/x": "",
    "a.example/x": "",
    "": "",
}


def by_duckdb(urls: list[str]) -> list[str]:
    with duckdb.connect() as connection:
        query = f"SELECT {host_of('url')} FROM (SELECT unnest(?::VARCHAR[]) AS url)"
        return [row[0] for row in connection.execute(query, [urls]).fetchall()]


@pytest.mark.parametrize(("url", "expected"), HOSTS.items())
def test_host_is_what_the_url_writes_in_lower_case(url: str, expected: str) -> None:
    assert host(url) == expected
    assert by_duckdb([url]) == [expected]


@settings(deadline=None)
@given(st.lists(st.text(":/?#@[]aZ09.-\n \u00e9", max_size=20), min_size=1))
def test_both_engines_find_the_same_host(ends: list[str]) -> None:
    urls = ["http://" + end for end in ends] + ends
    assert by_duckdb(urls) == [host(url) for url in urls]
