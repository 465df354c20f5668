"""robots.txt: who asks, what a file allows, and the files that are known already.

The grammar is protego's. Before that a file is reduced to the groups that can concern us, with the
names of all other robots made one: protego keeps a rule once for every name of its group, and a
hostile file of 500 KiB could otherwise ask for billions of them.

Source: RFC 9309; Crawl-delay, which it leaves out, as in common use: seconds between requests.
"""

import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from protego import Protego

MAX_BYTES = 500 * 1024  # of a file that are read. Source: RFC 9309, 2.5: at least 500 KiB
MAX_REDIRECTS = 5  # Source: RFC 9309, 2.3.1.2: at least five
TIMEOUT_S = 20.0  # for one whole file
FRESH_S = 24 * 3600  # Source: RFC 9309, 2.4: not longer than 24 hours
MAX_LINES = 10_000  # of a file that concern us or might; each URL is compared with every rule
MAX_WILDCARDS = 2_000  # among them; these cost most. With more of either, nothing is allowed
KEPT_BYTES = 4_000_000  # of files whose rules are kept. Measured: rules take 19 bytes per byte
_ITEM_BYTES = 200  # what an entry costs besides its file
_AGENT = re.compile(r"user(?:-|\s+)?agent(?:\s*:|\s)\s*([^\s#:/*]*)(\*(?=\s|#|$))?", re.I)
_COMPATIBLE = re.compile(r"Mozilla/[^(]*\(compatible;\s*([A-Za-z0-9_-]+)")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site's robots.txt says to one robot."""

    delay_s: float
    _parsed: Protego | None  # None: everything is allowed
    _robot: str
    forbids_all: bool = False

    def allow(self, url: str) -> bool:
        """Return whether `url` may be asked for."""
        if self.forbids_all:
            return False
        return self._parsed is None or self._parsed.can_fetch(url, self._robot)


def product(user_agent: str) -> str:
    """Return the name, in lower case, by which files address the sender of `user_agent`."""
    found = _COMPATIBLE.match(user_agent)
    if found:
        return found[1].lower()
    name = _TOKEN.match(user_agent)
    return name[0].lower() if name else ""


def nothing_forbidden(robot: str) -> Rules:
    """Return the rules of a site without a robots.txt."""
    return Rules(0.0, None, robot)


def rules(body: bytes, robot: str) -> Rules:
    """Return what the file `body`, of any content, says to `robot`."""
    if len(body) > MAX_BYTES:  # a line cut in two would say something else
        body = body[: body.rfind(b"\n", 0, MAX_BYTES) + 1]
    lines = (line.strip() for line in body.decode("utf-8-sig", "replace").splitlines())
    kept = [_addressed(line, robot) for line in lines if line and line[0] != "#"]
    text = "\n".join(kept)
    if len(kept) > MAX_LINES or text.count("*") > MAX_WILDCARDS:
        return Rules(0.0, None, robot, forbids_all=True)
    parsed = Protego.parse(text)
    return Rules(parsed.crawl_delay(robot) or 0.0, parsed, robot)


def _addressed(line: str, robot: str) -> str:
    """Return a line of a file; if it names a robot, as `*`, as `robot` or as another one."""
    found = _AGENT.match(line)
    if not found:
        return line
    anyone = found[2] and not found[1]
    return f"User-agent: {'*' if anyone else robot if found[1].lower() == robot else 'another/'}"


class Known:
    """The rules of sites met lately, at most KEPT_BYTES of files; one per process."""

    def __init__(self, kept_bytes: int = KEPT_BYTES, fresh_s: float = FRESH_S) -> None:
        self._rules: OrderedDict[tuple[str, str], tuple[Rules, float, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # units may be fetched in several threads
        self._kept_bytes = kept_bytes
        self._fresh_s = fresh_s

    def get(self, origin: str, robot: str) -> Rules | None:
        """Return the rules of `origin`, such as `https://example.org`, if they are known."""
        key = origin, robot
        with self._lock:
            entry = self._rules.get(key)
            if entry is None:
                return None
            if entry[1] < time.monotonic():
                self._drop(key)
                return None
            self._rules.move_to_end(key)
            return entry[0]

    def put(self, origin: str, robot: str, found: Rules, size: int) -> None:
        """Keep the rules of `origin` that come from a file of `size` bytes."""
        key = origin, robot
        size += _ITEM_BYTES
        with self._lock:
            if key in self._rules:
                self._drop(key)
            self._rules[key] = found, time.monotonic() + self._fresh_s, size
            self._bytes += size
            while self._bytes > self._kept_bytes and len(self._rules) > 1:
                self._drop(next(iter(self._rules)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rules.clear()
            self._bytes = 0

    def _drop(self, key: tuple[str, str]) -> None:
        self._bytes -= self._rules.pop(key)[2]
