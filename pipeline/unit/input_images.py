"""Images that the input holds: read where they lie, a few at a time, under the limits of the web.

The bytes are in ranges of files, such as tars, or in a column of a file that is read in place. A
pair of such a column that has a URL and no bytes is fetched.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pairsieve.pipeline.dataset.store import ByteRange, Store
from pairsieve.pipeline.fetch.canonical_url import scheme_of
from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.pipeline.input.extra_columns import ImageLocation
from pairsieve.pipeline.input.files import is_compressed, split_location
from pairsieve.pipeline.input.formats import rows_of
from pairsieve.pipeline.input.forward_stream import ForwardStream
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.columns import URL
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch, Recipe

BODIES_AT_ONCE = 32  # ranges read together
BATCH_BYTES = 64 << 20  # of ranges read together, unless one alone has more


def read(
    part: Part, plan: Plan, recipe: Recipe, alive: list[int]
) -> Iterator[tuple[int, Fetched | None]]:
    """Yield (row, its image), file by file; None in its place where it is to be fetched.

    Raises:
        Stopped: a file of the input is gone or broken.
    """
    return _Reading(part, plan, recipe).images(alive)


class _Reading:
    """The images of a task slice, while they are read."""

    def __init__(self, part: Part, plan: Plan, recipe: Recipe) -> None:
        self._locations: list[ImageLocation] = part.image_locations or []
        self._problems = part.problems
        self._urls: list[str] = part.values[URL.name]
        self._format = plan.format
        self._in_place = not plan.staged
        self._column = recipe.input.image or ""
        self._fetches = recipe.fetch is not None
        default: int = Fetch.model_fields["max_bytes"].default
        self._limit = recipe.fetch.max_bytes if recipe.fetch else default

    def images(self, alive: list[int]) -> Iterator[tuple[int, Fetched | None]]:
        """Yield (row, its image), None where it is to be fetched."""
        by_file: dict[str | None, list[int]] = {}
        for row in alive:
            by_file.setdefault(self._locations[row].file, []).append(row)
        for row in by_file.pop(None, []):
            yield row, self._absent(row, self._problems[row])
        if self._in_place:
            for file, rows in by_file.items():
                yield from self._of_column(str(file), rows)
        else:
            packed = {file: rows for file, rows in by_file.items() if is_compressed(str(file))}
            plain = (rows for file, rows in by_file.items() if file not in packed)
            yield from self._ranges([row for rows in plain for row in rows])
            for file, rows in packed.items():
                yield from self._unpacked(str(file), rows)

    def _of_column(self, file: str, rows: list[int]) -> Iterator[tuple[int, Fetched | None]]:
        """Yield images out of the column of a file that is read in place."""
        images = rows_of(self._format).images
        if images is None:
            raise BadOption(f"input.image: `{self._format}` holds no images; use another --dataset")
        rows = sorted(rows, key=lambda row: self._locations[row].offset)
        buffers = images(file, [self._locations[row].offset for row in rows], self._column)
        for row, buffer in zip(rows, buffers, strict=True):
            if buffer is not None:
                large = buffer.size > self._limit
                yield row, self._too_large(row) if large else self._found(row, bytes(buffer))
            elif scheme_of(self._urls[row]) == self._format:
                yield row, self._absent(row, f"no bytes in `{self._column}`, and no URL")
            elif self._fetches:
                yield row, None
            else:
                why = f"no bytes in `{self._column}`, and no `fetch` in the recipe"
                yield row, self._absent(row, why)

    def _ranges(self, rows: list[int]) -> Iterator[tuple[int, Fetched]]:
        """Yield images out of ranges of files, several files at a time."""
        for some in self._batches(rows):
            bodies = self._bodies([row for row in some if self._length(row) <= self._limit])
            for row in some:
                yield row, self._found(row, bodies[row]) if row in bodies else self._too_large(row)

    def _unpacked(self, file: str, rows: list[int]) -> Iterator[tuple[int, Fetched]]:
        """Yield images out of a compressed file, which is read once up to the last."""
        with _stopped(file), ForwardStream(file) as stream:
            for row in sorted(rows, key=lambda row: self._locations[row].offset):
                if self._length(row) > self._limit:
                    yield row, self._too_large(row)
                    continue
                stream.seek(self._locations[row].offset)
                body = stream.take(self._length(row))
                if len(body) < self._length(row):
                    raise OSError("ends before an image that it had when it was planned")
                yield row, self._found(row, body)

    def _bodies(self, rows: list[int]) -> dict[int, bytes]:
        """Return the bytes of the images of rows."""
        by_store: dict[Store, dict[int, ByteRange]] = {}
        for row in rows:
            store, path = split_location(self._locations[row].file or "")
            span = path, self._locations[row].offset, self._length(row)
            by_store.setdefault(store, {})[row] = span
        bodies: dict[int, bytes] = {}
        for store, ranges in by_store.items():
            with _stopped(f"a file in {store.url}"):
                found = store.read_byte_ranges(list(ranges.values()))
            bodies |= dict(zip(ranges, found, strict=True))
        return bodies

    def _batches(self, rows: list[int]) -> Iterator[list[int]]:
        """Yield the rows in order, few enough that their images fit into memory together."""
        some: list[int] = []
        left = BATCH_BYTES
        for row in rows:
            length = self._length(row) if self._length(row) <= self._limit else 0
            if some and (len(some) == BODIES_AT_ONCE or length > left):
                yield some
                some, left = [], BATCH_BYTES
            some.append(row)
            left -= length
        if some:
            yield some

    def _length(self, row: int) -> int:
        return self._locations[row].length or 0

    def _found(self, row: int, body: bytes) -> Fetched:
        return Fetched(self._urls[row], Outcome.OK if body else Outcome.EMPTY, body)

    def _absent(self, row: int, why: str | None) -> Fetched:
        return Fetched(self._urls[row], Outcome.ABSENT, detail=why)

    def _too_large(self, row: int) -> Fetched:
        return Fetched(self._urls[row], Outcome.TOO_LARGE, detail=f"more than {self._limit} bytes")


@contextmanager
def _stopped(location: str) -> Iterator[None]:
    """Turn a file that cannot be read, or is not there, into a clear stop."""
    try:
        yield
    except FileNotFoundError as error:
        raise Stopped(f"{location} was there when the input was planned and is gone") from error
    except OSError as error:
        raise Stopped(f"{location}: cannot be read: {error}; put the old file back") from error
