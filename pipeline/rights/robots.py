"""robots.txt: whom a file addresses, what a file allows, and a cache of what the files say.

The grammar is protego's. Before that a file is reduced to the groups that can concern us, with the
names of all other robots made one: protego keeps a rule once for every name of its group, and a
hostile file of 500 KiB could otherwise make billions of them.

Source: RFC 9309; Crawl-delay, which it leaves out, as in common use: seconds between requests.
"""

import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from protego import Protego

from pairsieve.pipeline.rights.robots_lines import UsageRule, usage_rules

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
_OF_USAGE = re.compile("^content-", re.I | re.M)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an origin's robots.txt says to one robot."""

    delay_s: float
    _parsed: Protego | None  # None: everything is allowed
    _robot: str
    forbids_all: bool = False
    usage: tuple[UsageRule, ...] = ()  # on what may be done with what is fetched
    read_at: int = 0  # ms since 1970 UTC

    def allow(self, url: str) -> bool:
        """Return whether `url` may be requested."""
        if self.forbids_all:
            return False
        return self._parsed is None or self._parsed.can_fetch(url, self._robot)


def product_token(user_agent: str) -> str:
    """Return the name, in lower case, by which files address the sender of `user_agent`."""
    compatible = _COMPATIBLE.match(user_agent)
    if compatible:
        return compatible[1].lower()
    token = _TOKEN.match(user_agent)
    return token[0].lower() if token else ""


def nothing_forbidden(robot: str) -> Rules:
    """Return the rules of an origin without a robots.txt."""
    return Rules(0.0, None, robot)


def parse_rules(body: bytes, robot: str, read_at: int = 0) -> Rules:
    """Return what the file `body`, of any content, says to `robot`; it was read at `read_at`."""
    if len(body) > MAX_BYTES:  # a line cut in two would say something else
        body = body[: body.rfind(b"\n", 0, MAX_BYTES) + 1]
    lines = (line.strip() for line in body.decode("utf-8-sig", "replace").splitlines())
    kept = [_addressed(line, robot) for line in lines if line and line[0] != "#"]
    text = "\n".join(kept)
    if len(kept) > MAX_LINES or text.count("*") > MAX_WILDCARDS:
        return Rules(0.0, None, robot, forbids_all=True)
    parsed = Protego.parse(text)
    usage = usage_rules(kept, robot) if _OF_USAGE.search(text) else ()
    return Rules(parsed.crawl_delay(robot) or 0.0, parsed, robot, usage=usage, read_at=read_at)


def _addressed(line: str, robot: str) -> str:
    """Return a line of a file; if it names a robot, as `*`, as `robot` or as another one."""
    agent = _AGENT.match(line)
    if not agent:
        return line
    anyone = agent[2] and not agent[1]
    return f"User-agent: {'*' if anyone else robot if agent[1].lower() == robot else 'another/'}"


class RulesCache:
    """What the files of the origins used last say, at most KEPT_BYTES of files.

    It outlives the task that fills it, so that the next unit of a host does not request the file
    again. A copy sent to another process begins empty.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES, fresh_s: float = FRESH_S) -> None:
        self._rules: OrderedDict[tuple[str, str], tuple[Any, float, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # units may be fetched in several threads
        self._kept_bytes = kept_bytes
        self._fresh_s = fresh_s

    def __reduce__(self) -> tuple[type["RulesCache"], tuple[int, float]]:
        return RulesCache, (self._kept_bytes, self._fresh_s)

    def get(self, origin: str, reader: str) -> Any:
        """Return what `origin`, such as `https://example.org`, says to `reader`; None if unknown.

        The reader is a robot's name, or the path of a file that addresses nobody.
        """
        key = origin, reader
        with self._lock:
            entry = self._rules.get(key)
            if entry is None:
                return None
            if entry[1] < time.monotonic():
                self._drop(key)
                return None
            self._rules.move_to_end(key)
            return entry[0]

    def put(self, origin: str, reader: str, rules: Any, size: int) -> None:
        """Keep what a file of `size` bytes of `origin` says."""
        key = origin, reader
        size += _ITEM_BYTES
        with self._lock:
            if key in self._rules:
                self._drop(key)
            self._rules[key] = rules, time.monotonic() + self._fresh_s, size
            self._bytes += size
            while self._bytes > self._kept_bytes and len(self._rules) > 1:
                self._drop(next(iter(self._rules)))

    def _drop(self, key: tuple[str, str]) -> None:
        self._bytes -= self._rules.pop(key)[2]
