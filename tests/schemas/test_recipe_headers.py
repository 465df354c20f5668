from typing import Any

import pytest
from pydantic import ValidationError

from pairsieve.schemas.recipe import Fetch


def fetch(**changes: Any) -> Fetch:
    return Fetch(user_agent="me/1 (+mailto:me@example.org)", **changes)


@pytest.mark.parametrize(
    "value", ["a\r\nX: y", "a\nb", "a\0", " a", "a ", "", "\u00e9", "x" * 4097]
)
def test_a_value_that_could_become_another_header_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="must be 1 to 4096 printable ASCII characters"):
        fetch(headers={"Referer": value})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "\u00e9", "x" * 101])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name of a header"):
        fetch(headers={name: "x"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Host", "it follows from the URL"),
        ("USER-AGENT", "say `fetch.user_agent`"),
        ("Transfer-Encoding", "it is about the connection"),
        ("Proxy-Authorization", "no proxy is used"),
        ("content-length", "the request has no body"),
        ("Range", "a part of an image, or none, would come"),
        ("If-None-Match", "a part of an image, or none, would come"),
        ("Accept-Encoding", "what a body may become is limited"),
    ],
)
@pytest.mark.parametrize("key", ["headers", "host_headers"])
def test_what_another_part_of_the_request_decides_is_refused(
    key: str, name: str, reason: str
) -> None:
    value = {name: "x"} if key == "headers" else {"example.org": {name: "x"}}
    with pytest.raises(ValidationError, match=f"`{name}` cannot be set: {reason}"):
        fetch(**{key: value})


@pytest.mark.parametrize("name", ["Authorization", "cookie"])
def test_what_is_secret_must_name_its_host(name: str) -> None:
    assert fetch(host_headers={"example.org": {name: "x"}})
    with pytest.raises(ValidationError, match=f"`{name}` would go to every host"):
        fetch(headers={name: "x"})


@pytest.mark.parametrize(
    "host", ["Example.org", "http://example.org", "fa\u00df.de", "example.org/", "a.b:80", "*", ""]
)
def test_a_host_is_written_as_in_the_canonical_url(host: str) -> None:
    with pytest.raises(ValidationError, match="is no host; write it as"):
        fetch(host_headers={host: {"Referer": "https://example.org/"}})


@pytest.mark.parametrize("host", ["example.org", "[2001:db8::1]:8080", "127.0.0.1", "a_b.de:81"])
def test_a_host_may_be_an_address_and_have_a_port(host: str) -> None:
    assert fetch(host_headers={host: {"Referer": "https://example.org/"}})


def test_a_header_stands_there_once() -> None:
    with pytest.raises(ValidationError, match="`referer` stands there twice"):
        fetch(headers={"Referer": "https://a/", "referer": "https://b/"})


def test_twenty_headers_are_enough() -> None:
    assert fetch(headers={f"X-{number}": "1" for number in range(20)})
    with pytest.raises(ValidationError, match="at most 20 headers, got 21"):
        fetch(headers={f"X-{number}": "1" for number in range(21)})


def test_cookies_come_from_the_chain_or_from_the_recipe() -> None:
    with pytest.raises(ValidationError, match="choose one"):
        fetch(cookies="chain", host_headers={"example.org": {"Cookie": "a=b"}})


def test_img2dataset_sends_no_headers_of_ours() -> None:
    with pytest.raises(ValidationError, match="engine img2dataset cannot keep headers"):
        fetch(engine="img2dataset", headers={"Referer": "https://a/"})


def test_cookies_are_off_as_yaml_reads_the_word() -> None:
    content = {"user_agent": "me/1 (+https://me.example/x)", "cookies": False}
    assert Fetch.model_validate(content).cookies == "off"
