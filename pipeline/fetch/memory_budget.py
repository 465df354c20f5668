"""How many bytes of bodies are held: those arriving, and those the consumer has not taken yet.

Beyond BACKLOG_BYTES no transfer is started, so that pauses are rare. Beyond LIMIT_BYTES every
transfer pauses but the oldest, which must end for anything to be given on; that one, too, where
what waits for the consumer is BACKLOG_BYTES by itself. So with any number of transfers no more is
held than LIMIT_BYTES + BACKLOG_BYTES + `max_bytes`. To that come the copy made when a body is put
together (one `max_bytes`) and what libcurl buffers per transfer: 16 KiB, more for the streams of an
HTTP/2 connection.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairsieve.pipeline.fetch.request import Transfer

BACKLOG_BYTES = 32_000_000  # held: beyond this no transfer starts
LIMIT_BYTES = 64_000_000  # held: beyond this all but the oldest transfer pause


class Held:
    """The count of bytes. `bytes` and `pausing` are the transfers' to write, the rest the loop's.

    Attributes:
        bytes: Of bodies that are arriving.
        waiting: Of bodies that arrived and were not taken by the consumer.
        oldest: The transfer that may go on beyond the limit.
        pausing: Transfers that must pause, or already do.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.waiting = 0
        self.oldest: Transfer | None = None
        self.pausing: list[Transfer] = []

    def over(self, more: int) -> bool:
        """Return whether with `more` bytes the limit is passed."""
        return self.bytes + self.waiting + more > LIMIT_BYTES

    def must_pause(self, transfer: "Transfer", more: int = 0) -> bool:
        """Return whether `transfer`, for which `more` bytes have come, may not go on now."""
        if not self.over(more):
            return False
        return transfer is not self.oldest or self.waiting >= BACKLOG_BYTES

    def full(self) -> bool:
        """Return whether nothing new should start."""
        return self.bytes + self.waiting >= BACKLOG_BYTES
