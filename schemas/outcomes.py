"""The one closed list of what can become of a pair on its way to a decoded image."""

from enum import StrEnum
from typing import Self


class Outcome(StrEnum):
    """What became of the fetch and decode of a pair.

    Attributes:
        transient: True when fetching the same address again later may well succeed.
        doc: The sentence shown beside the outcome in reports.
    """

    transient: bool
    doc: str

    def __new__(cls, name: str, transient: bool, doc: str) -> Self:
        """Build a member whose value is its name and which carries its flag and sentence."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.transient = transient
        member.doc = doc
        return member

    OK = "ok", False, "Fetched, decoded and stored."
    # The pair itself, before any fetch.
    NO_URL = "no_url", False, "The row has no usable URL."
    NO_TEXT = "no_text", False, "The row has no text, or only white space."
    REPEATED = "repeated", False, "The same URL and text come earlier in the same unit."
    GATED = "gated", False, "A gate rule on the text said no, so nothing was fetched."
    # The address.
    BLOCKED_SCHEME = "blocked_scheme", False, "The URL, or a redirect, is neither http nor https."
    BLOCKED_ADDRESS = (
        "blocked_address",
        False,
        "The URL or a redirect leads to a network or port that is not allowed.",
    )
    BLOCKLIST = "blocklist", False, "On the recipe's blocklist."
    ROBOTS = "robots", False, "The host's robots.txt does not allow it."
    HOST_PAUSED = (
        "host_paused",
        True,
        "The host had failed so often that it was left alone for the rest of the unit.",
    )
    # The connection.
    DNS = "dns", True, "The host name could not be resolved."
    REFUSED = "refused", True, "The host refused the connection."
    UNREACHABLE = "unreachable", True, "No route to the host."
    TLS = "tls", False, "The TLS handshake or the certificate failed."
    TIMEOUT_CONNECT = "timeout_connect", True, "No connection within the limit."
    # The transfer.
    TIMEOUT_FIRST_BYTE = "timeout_first_byte", True, "No answer to the request within the limit."
    TIMEOUT_TOTAL = "timeout_total", True, "The whole transfer took longer than the limit."
    TOO_SLOW = "too_slow", True, "Fewer bytes per second than the limit demands."
    TOO_LARGE = "too_large", False, "More bytes than the limit allows."
    TOO_MANY_REDIRECTS = "too_many_redirects", False, "More redirects than the limit allows."
    INTERRUPTED = "interrupted", True, "The connection broke before the body was complete."
    BAD_RESPONSE = "bad_response", False, "What came back is not a well-formed HTTP answer."
    HTTP_4XX = "http_4xx", False, "The server answered 4xx; the status column says which."
    HTTP_5XX = "http_5xx", True, "The server answered 5xx; the status column says which."
    HTTP_OTHER = (
        "http_other",
        False,
        "The server answered a status that carries no image (1xx, 204, 3xx).",
    )
    OPT_OUT = "opt_out", False, "Site, answer, page or file forbid this use; the detail says how."
    TDM_RESERVED = (
        "tdm_reserved",
        False,
        "Site or answer reserve the rights of text and data mining.",
    )
    EMPTY = "empty", False, "The answer has no bytes."
    HASH_MISMATCH = "hash_mismatch", False, "The bytes are not those that the input's hash is of."
    # The image.
    ABSENT = "absent", False, "The input dataset holds no image for this pair."
    NOT_AN_IMAGE = "not_an_image", False, "The bytes are of no kind of image that is decoded."
    TOO_MANY_PIXELS = (
        "too_many_pixels",
        False,
        "The header declares more pixels than the limit allows.",
    )
    SIDE_TOO_SHORT = (
        "side_too_short",
        False,
        "The header declares a side shorter than the limit allows.",
    )
    SIDE_TOO_LONG = (
        "side_too_long",
        False,
        "The header declares a side longer than the limit allows.",
    )
    BAD_IMAGE = "bad_image", False, "The image is truncated or cannot be decoded."
    BAD_BOXES = (
        "bad_boxes",
        False,
        "The row's blur boxes are missing or malformed, so nothing of the image was kept.",
    )
    FORGOTTEN = "forgotten", False, "Taken out by `pairsieve forget`; the detail says why."
    CRASHED = (
        "crashed",
        False,
        "Working on this pair alone killed the process or the face detector.",
    )

    @property
    def retriable(self) -> bool:
        """Return whether `gather --retry` may fetch it again.

        That is so unless the pair was not to be fetched, or its bytes came and were judged.
        """
        return self not in _SETTLED


_SETTLED = frozenset(
    (
        *(Outcome.OK, Outcome.NO_URL, Outcome.NO_TEXT, Outcome.REPEATED, Outcome.GATED),
        *(Outcome.ABSENT, Outcome.NOT_AN_IMAGE, Outcome.TOO_MANY_PIXELS, Outcome.BAD_IMAGE),
        *(Outcome.SIDE_TOO_SHORT, Outcome.SIDE_TOO_LONG, Outcome.BAD_BOXES),
        *(Outcome.BLOCKLIST, Outcome.HASH_MISMATCH, Outcome.FORGOTTEN),
    )
)
