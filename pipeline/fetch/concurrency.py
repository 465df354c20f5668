"""How many transfers a process has under way: fewer while they suffer from being many.

The recipe's `concurrency` is where it begins and the most there is. Transfers are judged in windows
of so many that began under one limit: too many that suffered, and the limit is halved; else it
grows by a step (additive increase, multiplicative decrease, as TCP does). Failures that would be
there anyway must not slow a crawl down: what fails at a host that never answered says nothing, and
where a quarter of the transfers suffer as much as all did before, that much is put up with.

Source: the rule is that of D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease
Algorithms for Congestion Avoidance", 1989; the figures are ours.
Measured: tests/pipeline/fetch/test_concurrency.py, over simulated links.
"""

import threading

from pairsieve.pipeline.fetch.origins import HOST_FAILURES
from pairsieve.pipeline.fetch.request import Answer, Transfer
from pairsieve.schemas.outcomes import Outcome

SUFFERING = HOST_FAILURES - {Outcome.HTTP_5XX}  # failures that too many at once can cause
SLOW_LOOKUP_S = 2.0  # of a name that is found: the resolver is busy
ORIGINS = 10_000  # those that answered last are remembered; at 0.1 kB each
LEAST = 8  # transfers, whatever happens, or the recipe's `concurrency` if that is less
WINDOW = 100  # transfers that are judged together
STEPS = 16  # windows without trouble in which the limit grows from nothing to the most there is
TROUBLE = 0.2  # share of a window that suffered: beyond it something is wrong
SEVERE = 0.5  # more than this is never put up with
ALLOWANCE = 1.5  # times the share that was there anyway is put up with
HELPED = 0.7  # of the share before: what is left of it where fewer transfers help
FORGETTING = 0.1  # part of the way back to TROUBLE that each calm window takes


class Concurrency:
    """The limit on transfers under way.

    Attributes:
        limit: How many may be under way now.
        low: The lowest limit since `restart`.
        lowered: How often it was lowered.
    """

    def __init__(self, most: int) -> None:
        """Begin with the most that the recipe allows."""
        self.limit = self.low = self._most = most
        self.lowered = 0
        self._least = min(LEAST, most)
        self._tolerated = TROUBLE
        self._before: tuple[int, float] | None = None  # limit and share before it was lowered
        self._window = 0
        self._next_window()

    def restart(self) -> int:
        """Return the lowest limit since this was last called."""
        low, self.low = self.low, self.limit
        return low

    def begin(self) -> int:
        """Return the window that a transfer which begins now is judged in; 0 for none."""
        if self._begun == WINDOW:
            return 0
        self._begun += 1
        return self._window

    def end(self, window: int, suffered: bool | None) -> None:
        """Take note of a transfer that `begin` gave a window; None where it says nothing."""
        if window != self._window:
            return
        if suffered is None:
            self._begun -= 1
        elif suffered:
            self._bad += 1
        else:
            self._good += 1
        ended = self._good + self._bad
        whole = ended == WINDOW  # those that end late are mostly the bad ones
        if self._bad > (self._tolerated if whole else SEVERE) * WINDOW:
            self._suffer(self._bad / ended)
        elif whole or (not self._before and self._good >= WINDOW * (1 - self._tolerated)):
            self._recover(self._bad / ended)

    def _suffer(self, share: float) -> None:
        """Lower the limit, unless a quarter of the transfers suffered as much as all did."""
        self._before = self._before or (self.limit, share)
        if self.limit <= max(self._least, self._before[0] // 4) and self._was_there(share):
            self._put_up_with(share)
        elif self.limit > self._least:
            self.limit = max(self._least, self.limit // 2)
            self.low = min(self.low, self.limit)
            self.lowered += 1
        self._next_window()

    def _recover(self, share: float) -> None:
        """Raise the limit by a step, or to where it was if to lower it has not helped."""
        if self._was_there(share):
            self._put_up_with(share)
        else:
            expected = max(TROUBLE, min(SEVERE, ALLOWANCE * share))
            self._tolerated += FORGETTING * (expected - self._tolerated)
            step = max(1, min(self._most // STEPS, self.limit // 4))
            self.limit = min(self._most, self.limit + step)
        self._before = None
        self._next_window()

    def _was_there(self, share: float) -> bool:
        """Return whether as much suffered before the limit was lowered; False if it was not."""
        return self._before is not None and HELPED * self._before[1] <= share <= SEVERE

    def _put_up_with(self, share: float) -> None:
        """Go back to the limit before it was lowered."""
        if self._before:
            self.limit = self._before[0]
        self._tolerated = max(TROUBLE, min(SEVERE, ALLOWANCE * share))
        self._before = None

    def _next_window(self) -> None:
        self._window += 1
        self._begun = self._good = self._bad = 0


class Line:
    """The line of a process to the web: how many transfers it bears, and what they have met.

    One thread ends transfers; any may ask what they have met.
    """

    def __init__(self, most: int) -> None:
        """Prepare for at most so many transfers at once."""
        self._concurrency = Concurrency(most)
        self._answered: dict[str, None] = {}  # origins, the latest last
        # Counted up; the keys stay, so that another thread can read them at any time.
        self._met = dict.fromkeys(("requests", "suffered", "https", "handshakes", "http2"), 0)
        self._told = {"lowered": 0, **self._met}
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Return how many transfers may be under way now."""
        return self._concurrency.limit

    def begin(self) -> int:
        """Return the window of a transfer that begins now."""
        return self._concurrency.begin()

    def give_up(self, transfer: Transfer) -> None:
        """Forget a transfer that was broken off."""
        self._concurrency.end(transfer.window, None)

    def end(self, transfer: Transfer, origin: str, answer: Answer) -> None:
        """Take note of what became of a request to `origin`."""
        suffered = self._suffered(transfer, origin, answer)
        self._concurrency.end(transfer.window, suffered)
        if answer.status:
            self._answered.pop(origin, None)
            self._answered[origin] = None
            if len(self._answered) > ORIGINS:
                del self._answered[next(iter(self._answered))]
        if answer.outcome is not Outcome.BLOCKED_ADDRESS:
            self._met["requests"] += 1
            self._met["suffered"] += bool(suffered)
        if answer.status and origin.startswith("https:"):
            self._met["https"] += 1
            self._met["handshakes"] += transfer.shook_hands()
            self._met["http2"] += answer.http_version == "2"

    def since_last(self) -> dict[str, int]:
        """Return what transfers have met since this was last called, as a marker has it.

        `at_once` is the limit now, `at_once_low` the lowest, `lowered` how often it was lowered.
        """
        with self._lock:
            now = {"lowered": self._concurrency.lowered, **self._met}
            met = {name: count - self._told[name] for name, count in now.items()}
            self._told = now
            low = self._concurrency.restart()
        return {"at_once": self.limit, "at_once_low": low, **met}

    def _suffered(self, transfer: Transfer, origin: str, answer: Answer) -> bool | None:
        """Return whether a request may have failed because of others; None: that says nothing."""
        if answer.outcome in SUFFERING:
            return True if answer.status or origin in self._answered else None
        return transfer.lookup_s() > SLOW_LOOKUP_S if answer.status else None
