import select
import socket
from collections.abc import Iterator

import pytest

from pairsieve.pipeline.fetch.event_loop import (
    READ,
    WRITE,
    EpollPoller,
    Poller,
    SelectorPoller,
    best_poller,
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(
    params=[EpollPoller, SelectorPoller] if hasattr(select, "epoll") else [SelectorPoller]
)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    poller: Poller = request.param()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_socket_can_go_on_in_the_ways_waited_for(poller: Poller, pair: Pair) -> None:
    fd = pair[0].fileno()
    poller.watch(fd, READ)
    assert poller.wait(0) == []
    poller.watch(fd, READ + WRITE)
    assert poller.wait(0) == [(fd, WRITE)]
    pair[1].send(b"x")
    assert poller.wait(None) == [(fd, READ + WRITE)]
    poller.watch(fd, READ)
    assert poller.wait(0) == [(fd, READ)]


def test_what_is_forgotten_is_not_reported_and_may_be_forgotten_twice(
    poller: Poller, pair: Pair
) -> None:
    fd = pair[0].fileno()
    poller.watch(fd, WRITE)
    poller.forget(fd)
    poller.forget(fd)
    assert poller.wait(0) == []


def test_a_broken_connection_can_go_on(poller: Poller, pair: Pair) -> None:
    fd = pair[0].fileno()
    poller.watch(fd, READ)
    pair[1].close()
    ((reported, events),) = poller.wait(None)
    assert reported == fd
    assert events & READ


def test_epoll_is_taken_where_there_is_one() -> None:
    assert isinstance(best_poller(), EpollPoller if hasattr(select, "epoll") else SelectorPoller)
