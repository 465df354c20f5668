import select
import socket
from collections.abc import Iterator

import pytest

from pairsieve.pipeline.fetch.ready import READ, WRITE, Epoll, Ready, Selector, ready

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[Epoll, Selector] if hasattr(select, "epoll") else [Selector])
def made(request: pytest.FixtureRequest) -> Iterator[Ready]:
    made: Ready = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_socket_can_go_on_in_the_ways_asked_for(made: Ready, pair: Pair) -> None:
    fd = pair[0].fileno()
    made.watch(fd, READ)
    assert made.wait(0) == []
    made.watch(fd, READ + WRITE)
    assert made.wait(0) == [(fd, WRITE)]
    pair[1].send(b"x")
    assert made.wait(None) == [(fd, READ + WRITE)]
    made.watch(fd, READ)
    assert made.wait(0) == [(fd, READ)]


def test_what_is_forgotten_is_not_told_and_may_be_forgotten_twice(made: Ready, pair: Pair) -> None:
    fd = pair[0].fileno()
    made.watch(fd, WRITE)
    made.forget(fd)
    made.forget(fd)
    assert made.wait(0) == []


def test_a_broken_connection_can_go_on(made: Ready, pair: Pair) -> None:
    fd = pair[0].fileno()
    made.watch(fd, READ)
    pair[1].close()
    ((told, events),) = made.wait(None)
    assert told == fd
    assert events & READ


def test_epoll_is_taken_where_there_is_one() -> None:
    assert isinstance(ready(), Epoll if hasattr(select, "epoll") else Selector)
