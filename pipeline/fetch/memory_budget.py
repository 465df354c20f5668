"""How many bytes of bodies are buffered: those arriving, and those the consumer has not taken yet.

Beyond BACKLOG_BYTES no transfer is started, so that pauses are rare. Beyond LIMIT_BYTES every
transfer pauses but the oldest, which must end for anything to be handed over; that one, too, where
what waits for the consumer is BACKLOG_BYTES by itself. So with any number of transfers no more is
buffered than LIMIT_BYTES + BACKLOG_BYTES + `max_bytes`. To that come the copy made when a body is
put together (one `max_bytes`) and what libcurl buffers per transfer: 16 KiB, more for the streams
of an HTTP/2 connection.
"""

from typing import Protocol

BACKLOG_BYTES = 16_000_000  # buffered: beyond this no transfer starts
LIMIT_BYTES = 48_000_000  # buffered: beyond this all but the oldest transfer pause


class Pausable(Protocol):
    """A transfer that can wait; `paused` says since when (monotonic clock), 0 if it does not."""

    paused: float

    def pause(self, now: float) -> None:
        """Receive nothing until `resume`."""
        ...

    def resume(self, now: float) -> None:
        """Go on after a pause."""
        ...


class MemoryBudget:
    """The count of bytes. Transfers write `arriving` and `pausing`, the scheduler the rest.

    Attributes:
        arriving: Bytes of bodies that are arriving.
        waiting: Bytes of bodies that arrived and were not taken by the consumer.
        oldest: The transfer that may go on beyond the limit.
        pausing: Transfers that must pause, or already do.
    """

    def __init__(self) -> None:
        self.arriving = 0
        self.waiting = 0
        self.oldest: Pausable | None = None
        self.pausing: list[Pausable] = []

    def exceeded(self, more: int) -> bool:
        """Return whether with `more` bytes the limit is passed."""
        return self.arriving + self.waiting + more > LIMIT_BYTES

    def must_pause(self, transfer: Pausable, more: int = 0) -> bool:
        """Return whether `transfer`, for which `more` bytes have come, may not go on now."""
        if not self.exceeded(more):
            return False
        return transfer is not self.oldest or self.waiting >= BACKLOG_BYTES

    def full(self) -> bool:
        """Return whether nothing new should start."""
        return self.arriving + self.waiting >= BACKLOG_BYTES
