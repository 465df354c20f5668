"""Damage files at random and hand them to `picture`, in a process that may not grow or hang.

    python tests/pipeline/image/fuzz_pixels.py FOLDER FIRST CASES

Every case is made from the files in FOLDER and its number alone, so it can be run again by itself.
Prints the outcomes and how often each came. A case that raises, crashes the process, takes more
than `LIMIT_S` or more memory than `GROWTH` ends it with a traceback and the number of the case.
"""

import collections
import faulthandler
import random
import resource
import sys
from pathlib import Path

from pairsieve.pipeline.image.decode import decoder_of
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

LIMIT_S = 60  # for one case; a core may be shared by many processes
GROWTH = 1_000_000_000  # bytes of address space beyond what the libraries take
MOST_PIXELS = 1_000_000
EXPECTED = (
    Outcome.EMPTY,
    Outcome.NOT_AN_IMAGE,
    Outcome.TOO_MANY_PIXELS,
    Outcome.BAD_IMAGE,
    Outcome.SIDE_TOO_SHORT,
)
OPTIONS = tuple(
    recipe.Image.model_validate({"max_pixels": MOST_PIXELS} | more)
    for more in (
        {"min_side": 16},
        {"max_side": 16, "format": "webp", "truncated": "keep_if_decodes"},
        {"center_crop": 16, "format": "png", "reencode": "needed"},
        {"resize": False, "reencode": "needed", "truncated": "keep_if_decodes"},
    )
)


def mutated(body: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return `body` with one damage done to it."""
    at = chance.randrange(len(body) + 1)
    if chance.random() < 0.5:  # headers are where one byte does most
        at = min(at, chance.randrange(200))
    end = min(len(body), at + chance.choice((1, 2, 4, 16, 400)))
    kind = chance.choice(("flip", "flip", "set", "drop", "repeat", "insert", "splice", "cut"))
    if kind == "flip" and at < len(body):
        return body[:at] + bytes((body[at] ^ 1 << chance.randrange(8),)) + body[at + 1 :]
    if kind == "set":
        extreme = chance.choice((b"\0", b"\1", b"\x7f", b"\x80", b"\xff"))
        return body[:at] + extreme * (end - at) + body[end:]
    if kind == "drop":
        return body[:at] + body[end:]
    if kind == "repeat":
        return body[:end] + body[at:end] * chance.randrange(1, 9) + body[end:]
    if kind == "insert":
        return body[:at] + chance.randbytes(end - at) + body[at:]
    if kind == "splice":
        start = chance.randrange(len(other) + 1)
        return body[:at] + other[start : start + chance.choice((4, 64, 10_000))] + body[end:]
    return body[:at]


def case(number: int, files: list[bytes]) -> tuple[bytes, recipe.Image]:
    """Return the damaged file and the options of one case."""
    chance = random.Random(number)
    body = chance.choice(files)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        body = mutated(body, chance.choice(files), chance)
    return body, chance.choice(OPTIONS)


def checked(number: int, files: list[bytes]) -> str:
    """Run one case and return its outcome."""
    body, options = case(number, files)
    got = picture(body, options)
    if isinstance(got, Picture):
        assert got.luma.shape == (got.stored_height, got.stored_width)
        assert got.width * got.height <= MOST_PIXELS
        again = picture(body, options)
        assert isinstance(again, Picture)
        assert again.stored == got.stored
        return str(Outcome.OK)
    assert got.outcome in EXPECTED, got
    return str(got.outcome)


def main() -> None:
    """Run the cases."""
    folder, first, cases = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    for body in files:  # what is loaded and compiled now does not count as growth
        assert isinstance(picture(body, OPTIONS[0]), Picture) or decoder_of("heif") is None
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + GROWTH, used + GROWTH))
    counts: collections.Counter[str] = collections.Counter()
    for number in range(first, first + cases):
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        print(number, file=sys.stderr, flush=True)
        counts[checked(number, files)] += 1
    faulthandler.cancel_dump_traceback_later()
    print(*(f"{outcome} {count}" for outcome, count in sorted(counts.items())), sep="\n")


if __name__ == "__main__":
    faulthandler.enable()
    main()
