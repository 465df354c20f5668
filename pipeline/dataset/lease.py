"""A lease: one command at a time decides over a pool, or for a selection, on whatever machine.

It is an object that only one can create, and in which its holder counts on while it works. Another
command waits. A holder that has ended without giving it back is known by its process, on the same
machine, and else by the count that stands still: no clock is compared.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from pairsieve.pipeline.dataset.paths import attempt, lease_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import Stopped

POOL = "pool"  # what is decided for all selections alike
CAPTIONS = "captions"  # what models are asked: two commands would ask twice
BEAT_S = 10
STILL_S = 120  # without a beat a holder has ended: long enough for work that lets no thread run
LOOK_S = 0.5
ROUNDED_S = 0.01  # the start of a process may have been written down in hundredths

_OURS: set[str] = set()  # tokens of what this process holds: one may stay behind when storage fails

Say = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    token: str
    host: str
    boot: str | float  # of the machine: process numbers begin anew then
    pid: int
    started: float  # of the process: numbers are used again
    beat: int = 0

    @classmethod
    def me(cls) -> "Holder":
        """Return this process, as a holder that no other is."""
        return cls(attempt(), _host(), _boot(), os.getpid(), started(os.getpid()))

    def has_ended(self) -> bool:
        """Return whether it is known that the process has ended; elsewhere nothing is known."""
        if self.host != _host() or not isinstance(self.boot, str):  # so earlier versions had it
            return False
        if self.boot != _boot():
            return True
        if self.pid == os.getpid() and self.token not in _OURS:
            return True
        return has_ended(self.pid, self.started)


def of_selection(name: str) -> str:
    """Return the lease that a command takes which decides for a selection."""
    return f"selection.{name}"


@contextmanager
def held(store: Store, name: str, say: Say = print) -> Iterator[None]:
    """Hold the lease `name`; wait until it is free, which `say` hears of."""
    path, me = lease_file(name), Holder.me()
    _OURS.add(me.token)
    try:
        _acquire(store, path, me, say)
        with _beating(store, path, me):
            yield
    finally:
        _OURS.discard(me.token)


def _acquire(store: Store, path: str, me: Holder, say: Say) -> None:
    """Return when the lease is ours."""
    seen: Holder | None = None
    since = time.monotonic()
    while not store.create(path, _body(me)):
        holder = _holder(store, path)
        if holder is None:
            continue
        if holder != seen:
            if not seen or seen.token != holder.token:
                say(f"waiting for process {holder.pid} on {holder.host}, which works on this too")
            seen, since = holder, time.monotonic()
        if holder.has_ended() or time.monotonic() - since > STILL_S:
            store.write(path, _body(me))
            time.sleep(LOOK_S)  # another that waited may have done the same: the last one has it
            if (holder := _holder(store, path)) and holder.token == me.token:
                return
        time.sleep(LOOK_S)


@contextmanager
def _beating(store: Store, path: str, me: Holder) -> Iterator[None]:
    """Count on in a lease that is ours, and give it back in the end."""
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(store, path, me, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        if (holder := _holder(store, path)) and holder.token == me.token:
            store.delete([path])


def _beat(store: Store, path: str, me: Holder, ended: threading.Event) -> None:
    """Count on in the lease as long as it is ours."""
    while not ended.wait(BEAT_S):
        with suppress(OSError, Stopped):  # a beat that is missed is made up for by the next
            holder = _holder(store, path)
            if holder is None or holder.token != me.token:
                return
            me = replace(me, beat=me.beat + 1)
            store.write(path, _body(me))


def _holder(store: Store, path: str) -> Holder | None:
    """Return who holds the lease; None if nobody does."""
    try:
        return Holder(**json.loads(store.read(path)))
    except FileNotFoundError:
        return None


def _body(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _host() -> str:
    """Return a name of this machine, or of the container on it: its process numbers are its own."""
    return socket.gethostname() + number_space(os.getpid())


def has_ended(pid: int, start: float) -> bool:
    """Return whether the process of that number, and of that start as `started` has it, ended."""
    try:
        is_zombie = bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        return is_zombie or abs(started(pid) - start) > ROUNDED_S
    except psutil.NoSuchProcess:
        return True


def started(pid: int) -> float:
    """Return when a process has started: seconds since the machine did.

    So who sets the clock ends nobody. Where the system does not tell that, seconds since 1970.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float(psutil.Process(pid).create_time())
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _boot() -> str:
    """Return what names the time since the machine has started; "" where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def number_space(pid: int) -> str:
    """Return what tells the process numbers that `pid` sees from those of other containers."""
    space = f"/proc/{pid}/ns/pid"
    return os.readlink(space) if os.path.exists(space) else ""
