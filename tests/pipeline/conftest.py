"""What the pipeline is tested with: a badly behaved web server, small pictures, small models."""

import gzip
import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

import brotli
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pairsieve.pipeline.engine.engine import Crashed, Opened, Serial, open_engine
from pairsieve.pipeline.fetch import host_queue
from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.pipeline.image.decode import Rejected
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_opt_outs import ALL_FORMS, Form, OptOuts

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 20
LOOPBACK = IPv4Network("127.0.0.0/8")
# What costs no further request.
OF_ANSWERS = OptOuts(obey=tuple(ALL_FORMS - {Form.PAGE, Form.TDMREP}))
LOSSLESS = recipe.Image(format="png")

FetchOne = Callable[..., Fetched]
Options = Callable[..., recipe.Fetch]
Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]
Refused = Callable[..., tuple[Outcome, str | None]]


def whole(body: bytes = JPEG, status: str = "200 OK", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def endless(head: bytes, chunk: bytes, pause_s: float = 0) -> Callable[["Connection"], None]:
    def send(connection: "Connection") -> None:
        connection.sock.sendall(head)
        while not connection.site.closing.wait(pause_s):
            connection.sock.sendall(chunk)

    return send


def silent(connection: "Connection") -> None:
    connection.sock.recv(1)  # until the client goes


def reset(connection: "Connection") -> None:
    connection.sock.sendall(whole()[:1000])
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.close()


def half_closed(connection: "Connection") -> None:
    connection.sock.sendall(whole()[:1000])
    connection.sock.shutdown(socket.SHUT_WR)
    connection.site.closing.wait(20)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(5_000_000))
EMPTY_BLOCKS = b"\0\0\0\xff\xff" * 10_000  # of deflate: they decode to nothing
# What a path's first part gives; bytes are sent and the connection is kept if they are whole.
BEHAVIOURS: dict[str, bytes | Callable[["Connection"], None]] = {
    "ok": whole(JPEG, "200 OK", "Content-Type: image/jpeg"),
    "203": whole(JPEG, "203 Changed"),
    "early-hints": b"HTTP/1.1 103 Hints\r\n\r\n" + whole(),
    "gzip": whole(gzip.compress(JPEG), "200 OK", "Content-Encoding: gzip"),
    "latin-1": whole(JPEG, "200 OK", "Content-Type: image/\xe9" + "x" * 300),
    "404": whole(b"gone", "404 Not Found"),
    ".well-known": whole(b"gone", "404 Not Found"),
    "endless-404": endless(b"HTTP/1.1 404 No\r\n\r\n", bytes(60_000)),
    "500": whole(b"oh", "500 Oops"),
    "204": b"HTTP/1.1 204 None\r\n\r\n",
    "206": whole(JPEG, "206 Part"),
    "304": b"HTTP/1.1 304 Same\r\n\r\n",
    "300": whole(JPEG, "300 Choose", "Location: /ok"),
    "999": whole(b"denied", "999 Denied"),
    "lost": whole(b"", "302 Found"),
    "empty": whole(b""),
    "declared-large": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    "endless": endless(CHUNKED, b"ea60\r\n" + bytes(60_000) + b"\r\n"),
    "bomb": whole(BOMB, "200 OK", "Content-Encoding: gzip"),
    "brotli-bomb": whole(brotli.compress(bytes(5_000_000)), "200 OK", "Content-Encoding: br"),
    "gzip-of-nothing": endless(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        EMPTY_BLOCKS,
    ),
    "gzip-chain": whole(gzip.compress(JPEG), "200 OK", "Content-Encoding: " + "gzip, " * 9),
    "declared-short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + JPEG,
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabcdef",
    "bad-chunk": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "half-closed": half_closed,
    "101": b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nabc",
    "only-interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    "interim-flood": endless(b"", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 1000),
    "many-lines": whole(JPEG, "200 OK", *("X: y" for _ in range(4_000))),
    "long-header": whole(JPEG, "200 OK", *("X: " + "y" * 1000 for _ in range(100))),
    "loris": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
    "bytes-header": whole(JPEG, "200 OK", "X\xff: \xfe", "ETag: \xff\xfe"),
    "short": whole()[:1000],
    "short-chunked": CHUNKED + b"10\r\nabc",
    "reset": reset,
    "hang-up": b"",
    "http-0.9": b"<html>hello</html>",
    "bad-gzip": whole(JPEG, "200 OK", "Content-Encoding: gzip"),
    "unknown-coding": whole(JPEG, "200 OK", "Content-Encoding: snappy"),
    "header-flood": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 400_000 + b"\r\n\r\n",
    "nul-header": b"HTTP/1.1 200 OK\r\nX\0Y: \0\r\nContent-Length: 1\r\n\r\nz",
    "bad-redirect": whole(b"", "302 Found", "Location: http://a b:c/"),
    "trickle": endless(CHUNKED[:20], b"x", 0.05),
    "slow-body": endless(CHUNKED, b"1\r\nx\r\n", 0.05),
    "silent": silent,
    "loop": whole(b"", "302 Found", "Location: /loop"),
}
BROKEN = {
    BEHAVIOURS[name]
    for name in (
        "short",
        "short-chunked",
        "hang-up",
        "http-0.9",
        "101",
        "only-interim",
        "bad-chunk",
    )
}


class Connection:
    def __init__(self, site: "Site", sock: socket.socket) -> None:
        self.site, self.sock = site, sock

    def serve(self) -> None:
        with self.sock, suppress(OSError):
            while head := self._head():
                path = head.split(" ")[1].split("/")
                self.site.note(head)
                behaviour = self.site.behaviours.get(path[1]) or self.site.sequence(path[1:])
                if callable(behaviour):
                    behaviour(self)
                    break
                self.sock.sendall(behaviour)
                if behaviour in BROKEN:
                    break

    def _head(self) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            more = self.sock.recv(4096)
            if not more:
                return ""
            received += more
        return received.decode("latin-1")


class Site:
    """A real HTTP server on loopback whose answers are chosen by the first part of the path."""

    jpeg = JPEG
    whole = staticmethod(whole)

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.behaviours: dict[str, Any] = dict(BEHAVIOURS)
        self.heads: list[str] = []
        self.connections = 0
        self.open: set[socket.socket] = set()
        self.changed = threading.Condition()
        self.closing = threading.Event()
        self.listener = socket.create_server((address, 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with self.changed:
                    self.connections += 1
                    self.open.add(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        Connection(self, sock).serve()
        with self.changed:
            self.open.discard(sock)
            self.changed.notify_all()

    def note(self, head: str) -> None:
        with self.changed:
            self.heads.append(head)
            self.changed.notify_all()

    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]

    def sequence(self, parts: list[str]) -> Any:
        """Give /a,b,c/... behaviour a to its first request, b to its second, c from then on."""
        steps = parts[0].split(",")
        number = self.paths().count("/" + "/".join(parts))
        return self.behaviours[steps[min(number, len(steps)) - 1]]

    def url(self, path: str) -> str:
        return f"http://{self.address}:{self.port}/{path}"

    def close(self) -> None:
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class StartedRay(NamedTuple):
    """Ray, and what starting it and a first task left in an empty home folder."""

    engine: Opened
    left_at_home: list[Path]


@pytest.fixture(scope="session")
def started_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedRay]:
    """Ray with two workers, started once for all tests: they may kill workers, but not close it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        engine = open_engine("ray", workers=2)
        assert list(engine.map(abs, [-1])) == [(-1, 1)]
    yield StartedRay(engine, list(home.rglob("*")))
    engine.close()


@pytest.fixture(scope="session")
def ray(started_ray: StartedRay) -> Opened:
    """Ray with two workers, as tasks use it."""
    return started_ray.engine


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Start a server on another address of loopback."""
    with closing(Site("127.0.0.2")) as site:
        yield site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Start a server; while it runs, the waits between attempts are short."""
    monkeypatch.setattr(host_queue, "BACKOFF_S", 0.02)
    with closing(Site()) as site:
        yield site


@pytest.fixture(scope="session")
def fetch_options() -> Options:
    """Return a function that makes options: these ports of loopback, one attempt, and changes."""

    def make(*ports: int, **changes: Any) -> recipe.Fetch:
        given: dict[str, Any] = {
            "user_agent": "test/1 (+mailto:a@example.org)",
            "allow_networks": (LOOPBACK,),
            "ports": ports,
            "retries": 0,
            "robots": "ignore",
            "per_host_per_s": 100_000,
            "host_failures": 1_000_000,
            "timeout_s": 10,
            "max_bytes": 1_000_000,
        }
        return recipe.Fetch(**(given | changes))

    return make


@pytest.fixture(scope="session")
def fetch_one(fetch_options: Options) -> FetchOne:
    """Return a function that fetches one URL with such options."""

    def one(url: str, *ports: int, opt_outs: OptOuts = OF_ANSWERS, **changes: Any) -> Fetched:
        (fetched,) = fetch([url], fetch_options(*ports, **changes), opt_outs=opt_outs)
        return fetched

    return one


@pytest.fixture(scope="session")
def four_corners() -> Image.Image:
    """Return 64 x 48 px with quarters red, green, blue, white: every way of lying differs."""
    image = Image.new("RGB", (64, 48), (220, 30, 30))
    image.paste((30, 200, 40), (32, 0, 64, 24))
    image.paste((20, 40, 210), (0, 24, 32, 48))
    image.paste((255, 255, 255), (32, 24, 64, 48))
    return image


@pytest.fixture(scope="session")
def saved() -> Saved:
    """Return a function that gives the file of an image in Pillow's format of that name."""

    def save(image: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return save


@pytest.fixture(scope="session")
def decoded() -> Decoded:
    """Return a function that gives a file's picture and its stored pixels, (height, width, 3)."""

    def decode(body: bytes, options: recipe.Image = LOSSLESS) -> tuple[Picture, NDArray[np.uint8]]:
        got = picture(body, options)
        assert isinstance(got, Picture), got
        with Image.open(io.BytesIO(got.stored)) as image:
            assert image.mode == "RGB"
            return got, np.asarray(image)

    return decode


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Return a function that gives the outcome and the detail of a file that is not decoded."""

    def refuse(body: bytes, options: recipe.Image = LOSSLESS) -> tuple[Outcome, str | None]:
        got = picture(body, options)
        assert isinstance(got, Rejected)
        return got.outcome, got.detail

    return refuse


@pytest.fixture(scope="session")
def linear_profile() -> bytes:
    """Return the sRGB profile with its three curves replaced by gamma 1."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for at in range(128 + 4, 128 + 4 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name, start = bytes(profile[at : at + 4]), int.from_bytes(profile[at + 4 : at + 8], "big")
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[start : start + 14] = b"curv" + bytes(4) + struct.pack(">IH", 1, 256)
            profile[at + 8 : at + 12] = struct.pack(">I", 14)
    return bytes(profile)


@pytest.fixture(scope="session")
def random_model() -> Callable[..., dict[str, str]]:
    """Return a function that writes a model with random weights and gives the recipe's keys."""

    def write(folder: Path, config: dict[str, Any], seed: int = 0) -> dict[str, str]:
        import open_clip
        import torch

        (folder / "tiny.json").write_text(json.dumps(config))
        torch.manual_seed(seed)
        torch.save(open_clip.model.CLIP(**config).state_dict(), folder / "weights.pt")
        return {"model": str(folder / "tiny.json"), "pretrained": str(folder / "weights.pt")}

    return write


class _Dying(Serial):
    """Stops for good after so many tasks of all maps together."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any]
    ) -> Generator[tuple[Any, Any | Crashed]]:
        for item in items:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield item, function(item)


@pytest.fixture(scope="session")
def dying() -> type[_Dying]:
    """Return an engine that stops for good after so many tasks."""
    return _Dying
