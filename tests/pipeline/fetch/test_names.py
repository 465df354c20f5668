"""Names are looked up ahead, at a resolver on loopback that answers as real ones do."""

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pycares
import pytest

from pairsieve.pipeline.fetch import curl_options
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl, canonical
from pairsieve.pipeline.fetch.client import Client
from pairsieve.pipeline.fetch.curl_options import Names
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

RCODES = {"gone": 3, "lost": 3, "refused": 5, "failing": 2}
TRUNCATED = 0x0200
ADDRESSES = {"inside": "10.0.0.1"}


def answered(question: bytes, tcp: bool) -> bytes | None:
    """Return the answer to a question: by the first label of its name."""
    end = question.index(b"\0", 12) + 5
    label = question[13 : 13 + question[12]].decode()
    (kind,) = struct.unpack(">H", question[end - 4 : end - 2])
    if label == "silent":
        return None
    if label in ("slow", "lost"):
        time.sleep(0.3)
    flags = 0x8180 | RCODES.get(label, 0)
    if label == "large" and not tcp:
        return question[:2] + struct.pack(">5H", flags | TRUNCATED, 1, 0, 0, 0) + question[12:end]
    has = kind == 1 and label not in RCODES
    address = socket.inet_aton(ADDRESSES.get(label, "127.0.0.1"))
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + address if has else b""
    return question[:2] + struct.pack(">5H", flags, 1, has, 0, 0) + question[12:end] + record


class _Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        question, sock = self.request
        answer = answered(question, tcp=False)
        if answer:
            sock.sendto(answer, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.rfile.read(2):
            answer = answered(self.rfile.read(*struct.unpack(">H", head)), tcp=True)
            if answer:
                self.wfile.write(struct.pack(">H", len(answer)) + answer)


@pytest.fixture(scope="module")
def resolver() -> Iterator[str]:
    """Start a resolver; return its address."""
    tcp: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Tcp)
    udp: Any = socketserver.ThreadingUDPServer(tcp.server_address, _Udp)
    for server in (tcp, udp):
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{tcp.server_address[1]}"
    for server in (tcp, udp):
        server.shutdown()
        server.server_close()


def target(label: str) -> CanonicalUrl:
    url = canonical(f"http://{label}.example.test:8080/")
    assert url
    return url


def options(**other: Any) -> Fetch:
    return Fetch.model_validate({"user_agent": "test (a@b.example)", "retries": 0} | other)


def learnt(names: Names, *labels: str) -> None:
    """Return when these names are known."""
    for label in labels:
        names.ahead(target(label))
    for _ in range(1000):
        if not names.pending():
            return
        time.sleep(0.02)
    raise AssertionError("no lookup ends")


@pytest.mark.parametrize("label", ["www", "slow", "large"])
def test_a_name_has_the_addresses_that_the_resolver_gives(resolver: str, label: str) -> None:
    names = Names(options(resolvers=[resolver]))
    assert names.entry(target(label)) == ([f"-{label}.example.test:8080"], None)
    learnt(names, label)
    assert names.entry(target(label)) == ([f"+{label}.example.test:8080:127.0.0.1"], None)
    names.close()


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("gone", "Domain name not found: gone.example.test"),
        ("refused", "DNS server refused query: refused.example.test"),
        ("failing", "DNS server returned general failure: failing.example.test"),
        ("silent", "Timeout while contacting DNS servers: silent.example.test"),
    ],
)
def test_why_a_name_has_none_is_told_and_asked_again(
    resolver: str, label: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curl_options, "LOOKUP_S", 0.1)
    names = Names(options(resolvers=[resolver]))
    learnt(names, label)
    assert names.entry(target(label))[1] == why
    learnt(names)
    assert names.entry(target(label))[1] == why
    names.close()


def test_without_servers_of_the_recipe_one_that_is_not_reached_says_nothing_of_a_name() -> None:
    assert curl_options.UNREACHED == pycares.errno.ARES_ECONNREFUSED
    with socket.create_server(("127.0.0.1", 0)) as unused:
        gone = f"127.0.0.1:{unused.getsockname()[1]}"
    names = Names(options(resolvers=[gone]))
    learnt(names, "www")
    assert names.entry(target("www"))[1] == "Could not contact DNS servers: www.example.test"
    names.close()
    names._options = options()
    names._answers.put((None, "www.example.test", None, curl_options.UNREACHED))
    names._found.clear()
    assert names.entry(target("www")) == (["-www.example.test:8080"], None)


def test_many_are_asked_at_once_and_no_more_than_may_be(
    resolver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curl_options, "LOOKUPS", 3)
    names = Names(options(resolvers=[resolver]))
    labels = [f"h{number}" for number in range(20)]
    learnt(names, *labels)
    assert all(names.entry(target(label))[0] for label in labels)
    names.close()


def test_names_that_the_recipe_gives_are_not_looked_up(resolver: str) -> None:
    names = Names(options(resolve={"*": ["127.0.0.9", "::1"]}, resolvers=[resolver]))
    names.ahead(target("gone"))
    assert not names.pending()
    assert names.entry(target("gone")) == (["+gone.example.test:8080:127.0.0.9,[::1]"], None)


@pytest.mark.parametrize(
    ("label", "outcome"),
    [("inside", Outcome.BLOCKED_ADDRESS), ("gone", Outcome.DNS), ("www", Outcome.REFUSED)],
)
def test_what_a_name_resolves_to_is_checked_at_the_socket(
    resolver: str, label: str, outcome: Outcome
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    where: dict[str, Any] = {"allow_networks": ["127.0.0.0/8"], "ports": [port], "robots": "ignore"}
    where["resolvers"] = [resolver]
    client = Client(options(**where))
    learnt(client._scheduler._names, label)
    (fetched,) = client.fetch([f"http://{label}.example.test:{port}/"])
    assert fetched.outcome is outcome


def test_all_pairs_of_a_host_that_is_not_found_are_told_so(resolver: str) -> None:
    """Also those that are asked for while its name is looked up again."""
    client = Client(options(resolvers=[resolver], robots="ignore", host_failures=1000, retries=1))
    learnt(client._scheduler._names, "lost")
    found = client.fetch(f"http://lost.example.test/{number}" for number in range(20))
    assert {fetched.outcome for fetched in found} == {Outcome.DNS}


@pytest.mark.parametrize("server", ["ns.example.test", "127.0.0.1:x", "127.0.0.1:0", "::1:53:", ""])
def test_what_is_no_address_of_a_server_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="a name server is `ADDRESS` or `ADDRESS:PORT`"):
        options(resolvers=[server])


def test_servers_may_have_ports_and_addresses_of_version_6() -> None:
    servers = ("10.0.0.2", "127.0.0.1:5353", "2001:db8::1", "[2001:db8::1]:53")
    assert options(resolvers=servers).resolvers == servers
