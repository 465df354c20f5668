"""The defects planted in the demo web: one closed list, with what pairsieve should say of each.

A defect differs from a fine pair in one thing only: its picture, how it is served, or its caption.
So a miss can be blamed on one stage. Some entries are no defects but oddities that
must come through (other formats, short redirects, servers that recover).
"""

from dataclasses import dataclass

from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome

FULL_SIZE = 3000  # pairs for which the counts below stand


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of planted pair.

    Attributes:
        name: Name in `truth.parquet`.
        count: How many there are among FULL_SIZE pairs.
        outcome: What the ledger's outcome should be; None where a rule decides.
        rule: The rule that should drop it; "" if none should.
        picture: How its file is made: a key of `image_files.PICTURES` or `image_files.COPIES`.
        serving: How its address answers: a key of `responses.SERVINGS`.
        caption: What its caption says: a key of `captions.CAPTIONS`.
        blocklist: What the blocklist names of it: "url", "sha256" or "phash"; "" for nothing.
        sha256: Whether the pairs say the SHA-256 of its file, "right" or "wrong"; "" if not.
    """

    name: str
    count: int
    outcome: Outcome | None = Outcome.OK
    rule: str = ""
    picture: str = "jpeg"
    serving: str = "plain"
    caption: str = "true"
    blocklist: str = ""
    sha256: str = ""


FINE = Defect("fine", 0)  # fills up
ORIGINAL = Defect("original", 110)  # fine, and there are copies of it
# Copies: each shares its scene with an ORIGINAL. Which of them is kept is the keeper's choice.
COPIES = (
    Defect("exact_copy", 60, None, "duplicate", picture="same_bytes"),
    Defect("recompressed_copy", 60, None, "duplicate", picture="recompressed"),
    Defect("resized_copy", 60, None, "duplicate", picture="resized"),
    Defect("cropped_copy", 40, None, "duplicate", picture="cropped"),
)
SAME_PAIR = Defect("same_pair", 30, Outcome.REPEATED, "repeated")  # either, by the unit it is in

DEFECTS = (
    FINE,
    ORIGINAL,
    *COPIES,
    SAME_PAIR,
    # The address.
    Defect("no_url", 15, Outcome.NO_URL, picture="empty", serving="no_url"),
    Defect("other_scheme", 4, Outcome.BLOCKED_SCHEME, picture="empty", serving="ftp"),
    Defect("refused", 30, Outcome.REFUSED, picture="empty", serving="refused"),
    # The answer.
    Defect("not_found", 45, Outcome.HTTP_4XX, picture="empty", serving="status_404"),
    Defect("gone", 15, Outcome.HTTP_4XX, picture="empty", serving="status_410"),
    Defect("forbidden", 20, Outcome.HTTP_4XX, picture="empty", serving="status_403"),
    Defect("unavailable", 6, Outcome.HTTP_5XX, picture="empty", serving="status_503"),
    Defect("busy_then_fine", 20, serving="first_429"),
    Defect("error_then_fine", 20, serving="first_500"),
    Defect("endless", 6, Outcome.TOO_LARGE, serving="endless"),
    Defect("trickle", 3, Outcome.TIMEOUT_TOTAL, serving="trickle"),
    Defect("cut_off", 6, Outcome.INTERRUPTED, serving="cut"),
    Defect("redirect_short", 30, serving="redirect_short"),
    Defect("redirect_long", 10, Outcome.TOO_MANY_REDIRECTS, serving="redirect_long"),
    Defect(
        "redirect_loop", 10, Outcome.TOO_MANY_REDIRECTS, picture="empty", serving="redirect_loop"
    ),
    Defect(
        "redirect_link_local",
        6,
        Outcome.BLOCKED_ADDRESS,
        picture="empty",
        serving="redirect_link_local",
    ),
    Defect("redirect_file", 4, Outcome.BLOCKED_SCHEME, picture="empty", serving="redirect_file"),
    Defect("silent", 3, Outcome.TIMEOUT_FIRST_BYTE, serving="silent"),
    Defect("noai", 8, Outcome.OPT_OUT, serving="noai"),
    Defect("noml", 4, Outcome.OPT_OUT, serving="noml"),
    Defect("usage_header", 4, Outcome.OPT_OUT, serving="usage_header"),
    Defect("signal_header", 3, Outcome.OPT_OUT, serving="signal_header"),
    Defect("usage_robots", 4, Outcome.OPT_OUT, serving="usage_robots"),
    Defect("xmp_no_mining", 4, Outcome.OPT_OUT, picture="no_mining"),
    Defect("c2pa_no_training", 3, Outcome.OPT_OUT, picture="no_training"),
    Defect("tdm_reserved", 6, Outcome.TDM_RESERVED, serving="tdm_reserved"),
    Defect("tdm_file", 4, Outcome.TDM_RESERVED, serving="tdm_file"),
    Defect("robots", 30, Outcome.ROBOTS, serving="robots"),
    Defect("wrong_type", 30, serving="wrong_type"),
    # The lists.
    Defect("blocked_url", 8, Outcome.BLOCKLIST, blocklist="url"),
    Defect("blocked_bytes", 8, Outcome.BLOCKLIST, blocklist="sha256"),
    Defect("blocked_picture", 8, Outcome.BLOCKLIST, blocklist="phash"),
    Defect("changed_image", 20, Outcome.HASH_MISMATCH, sha256="wrong"),
    Defect("verified", 30, sha256="right"),
    # The file.
    Defect("html", 30, Outcome.NOT_AN_IMAGE, picture="html"),
    Defect("truncated", 20, Outcome.BAD_IMAGE, picture="truncated"),
    Defect("empty", 15, Outcome.EMPTY, picture="empty"),
    Defect("huge", 5, Outcome.TOO_MANY_PIXELS, picture="huge"),
    Defect("png", 30, picture="png"),
    Defect("webp", 30, picture="webp"),
    Defect("gif", 20, picture="gif"),
    Defect("avif", 20, picture="avif"),
    Defect("cmyk", 20, picture="cmyk"),
    Defect("png_16_bit", 20, picture="png_16_bit"),
    Defect("exif_rotated", 30, picture="exif_rotated"),
    # The picture.
    Defect("blurred", 90, None, "sharpness", picture="blurred"),
    Defect("enlarged", 40, None, "upscaled", picture="enlarged"),
    Defect("placeholder_card", 40, None, "low_information", picture="placeholder_card"),
    Defect("dark", 30, None, "exposure", picture="dark"),
    Defect("washed_out", 30, None, "exposure", picture="washed_out"),
    Defect("tiny", 60, None, "size", picture="tiny"),
    Defect("banner", 60, None, "aspect_ratio", picture="banner"),
    # The caption.
    Defect("no_caption", 30, Outcome.NO_TEXT, caption="none"),
    Defect("boilerplate", 60, None, "caption_words", caption="boilerplate"),
    Defect("other_language", 180, None, "language", caption="translated"),
    Defect("wrong_caption", 150, None, "clip_similarity", caption="wrong"),
    Defect("phrase", 30, None, "caption_frequency", caption="phrase"),
    Defect("shared_caption", 200, None, "caption_frequency", caption="shared"),
)


def counts(pairs: int) -> dict[str, int]:
    """Return how many pairs of each kind a web of `pairs` pairs has, by name; they add up.

    Raises:
        BadOption: `pairs` is too small to hold two of each.
    """
    planted = {
        defect.name: max(2, round(defect.count * pairs / FULL_SIZE))
        for defect in DEFECTS
        if defect is not FINE
    }
    fine = pairs - sum(planted.values())
    if fine < 2:
        least = sum(planted.values()) + 2
        raise BadOption(f"pairs must leave room for two of each defect, got {pairs} (try {least})")
    return {FINE.name: fine} | planted
