import json
import socket
from contextlib import closing

import pytest
from tests.jobs.conftest import command
from tests.pipeline.explore.dataset import Finished
from tests.ports import free_port

from pairsieve.jobs.explore import serve
from pairsieve.jobs.explore.settings import VARIABLE, Settings
from pairsieve.schemas.errors import BadOption


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the addresses that streamlit was to listen on, without starting it."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(serve, "_run", lambda address, port: calls.append((address, port)))
    monkeypatch.setenv(VARIABLE, "{}")
    return calls


def test_pages_are_served_on_loopback_without_a_token(
    finished: Finished, started: list[tuple[str, int]]
) -> None:
    port = str(free_port())
    done = command("explore", finished.store.url, "--recipe", finished.file, "--port", port)
    assert (done.returncode, started) == (0, [("127.0.0.1", int(port))])
    assert done.stdout == f"http://127.0.0.1:{port}   (Ctrl-C ends it)\n"
    assert Settings.get() == Settings(finished.store.url, str(finished.file), None, None)


def test_elsewhere_there_is_a_token_that_nobody_can_guess(
    finished: Finished, started: list[tuple[str, int]]
) -> None:
    words = ("explore", finished.store.url, "--address", "0.0.0.0", "--port")
    said = [command(*words, str(free_port())).stdout for _ in range(2)]
    tokens = [one.partition("/?token=")[2].partition(" ")[0] for one in said]
    assert len(set(tokens)) == 2
    assert {len(token) for token in tokens} == {32}
    assert Settings.get().token == tokens[1]


def test_what_cannot_be_served_is_refused(
    finished: Finished, started: list[tuple[str, int]], tmp_path: object
) -> None:
    assert "no dataset here yet" in command("explore", str(tmp_path)).stderr
    named = command("explore", finished.store.url, "--name", "defualt")
    assert "there is no selection `defualt`" in named.stderr
    assert "is no IP address" in command("explore", finished.store.url, "--address", "me").stderr
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        busy = command("explore", finished.store.url, "--port", str(port))
    assert (busy.returncode, "cannot be listened on" in busy.stderr) == (2, True)
    assert started == []


@pytest.mark.parametrize(
    ("address", "inside"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_loopback_is_told_from_the_rest(address: str, inside: bool) -> None:
    assert serve.is_loopback(address) is inside


def test_a_name_may_lead_anywhere() -> None:
    with pytest.raises(BadOption, match="is no IP address"):
        serve.is_loopback("localhost")


def test_nothing_is_reported_to_anybody() -> None:
    assert serve.OPTIONS["browser.gatherUsageStats"] == "false"
    assert json.loads(serve.OPTIONS["server.enableXsrfProtection"]) is True
