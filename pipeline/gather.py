"""Gather: one unit of pairs becomes a part of the ledger and a tar of stored images.

Everything a pair needs before a model sees it happens here, in one process: text measures, gates,
fetch, decode, resize, image measures. A URL that occurs several times in a unit is fetched once. A
piece of work that kills its process is halved until the pair at fault stands alone; that pair's
outcome says so and the rest lands.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.pipeline import fetch_img2dataset, inputs
from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.engine import Crashed, Engine
from pairsieve.pipeline.fetch import Fetched, fetch
from pairsieve.pipeline.part import Part
from pairsieve.pipeline.pixels import Picture, picture
from pairsieve.pipeline.plan import Plan
from pairsieve.pipeline.rules import Stage, check, gates, rules
from pairsieve.pipeline.store import Marker, Store, attempt, commit
from pairsieve.schemas.columns import (
    ATTEMPTS,
    COLUMNS,
    CONTENT_TYPE,
    DETAIL,
    ETAG,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    FINAL_URL,
    HEIGHT,
    HTTP_STATUS,
    IMAGE_BYTES,
    IMAGE_FILE,
    IMAGE_KIND,
    IMAGE_OFFSET,
    LAST_MODIFIED,
    LUMA,
    OUTCOME,
    SHA256,
    STORED_HEIGHT,
    STORED_WIDTH,
    TEXT,
    URL,
    WIDTH,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

FOLDER = "gather"
PICTURES_AT_ONCE = 32  # decoded pictures measured together; bounds the memory for their pixels
BODIES_AT_ONCE = 32  # bodies read together when the input already holds its images


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive pairs of one unit: all of them, or a part after a crash."""

    unit: int
    first: int
    rows: int
    whole: bool

    @property
    def name(self) -> str:
        """Return the name under which the piece is committed."""
        return f"{self.unit:08d}" if self.whole else f"{self.unit:08d}.{self.first}+{self.rows}"

    def halves(self) -> "list[Piece]":
        """Return the two halves of a piece of at least two pairs."""
        half = self.rows // 2
        return [
            Piece(self.unit, self.first, half, False),
            Piece(self.unit, self.first + half, self.rows - half, False),
        ]


def run(recipe: Recipe, store: Store, plan: Plan, engine: Engine) -> Iterator[tuple[str, Marker]]:
    """Gather what is not committed yet; yield (piece, marker) as pieces commit.

    Raises:
        BadOption: the input has only URLs and the recipe no `fetch`, or a rule reads a column that
            there will not be; better told now than by `select` after all is fetched.
    """
    if plan.fetch and recipe.fetch is None:
        raise BadOption("fetch: missing; the input has only URLs, so say at least `user_agent`")
    check(rules(recipe), pa.schema([*arrow_schema(COLUMNS), *plan.schema]))
    todo = pending(plan, store)
    while todo:
        crashed: list[Piece] = []
        share = min(engine.workers, len(todo))
        for piece, result in engine.map(partial(gather, recipe, store, share), todo):
            if not isinstance(result, Crashed):
                yield piece.name, result
            elif piece.rows > 1:
                crashed += piece.halves()
            else:
                yield piece.name, _commit_crashed(store, plan, piece, result.reason)
        todo = crashed


def pending(plan: Plan, store: Store) -> list[Piece]:
    """Return the pieces that no committed marker answers for, in input order."""
    done: dict[int, list[tuple[int, int]]] = {}
    for name in store.marker_names(FOLDER):
        unit, _, part = name.partition(".")
        first, rows = map(int, part.split("+")) if part else (0, plan.unit_rows(int(unit)))
        done.setdefault(int(unit), []).append((first, rows))
    return [
        piece
        for unit in range(len(plan.units))
        for piece in _gaps(unit, plan.unit_rows(unit), sorted(done.get(unit, [])))
    ]


def _gaps(unit: int, total: int, done: list[tuple[int, int]]) -> Iterator[Piece]:
    """Yield the pieces of a unit between those that are done."""
    if not done:
        yield Piece(unit, 0, total, True)
        return
    start = 0
    for first, rows in [*done, (total, 0)]:
        if first > start:
            yield Piece(unit, start, first - start, False)
        start = first + rows


def gather(recipe: Recipe, store: Store, share: int, piece: Piece) -> Marker:
    """Do everything for the pairs of one piece, among `share` at once, and commit it."""
    plan = _plan(store)
    part = Part(plans.read_unit(plan, piece.unit, piece.first, piece.rows))
    alive = part.usable()
    part.measure([[row] for row in alive], {TEXT: part.texts(alive)})
    alive = part.gated(alive, gates(recipe, Stage.TEXT))
    path = f"{FOLDER}/{piece.name}.{attempt()}.tar"
    with store.writer(path) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        images = _Images(part, recipe, tar, path)
        for rows, fetched in _bodies(part, alive, recipe, plan, share):
            images.add(rows, fetched)
        images.flush()
    return _commit(store, piece, part, {path: sink.entry()})


class _Images:
    """Turns bodies into stored images in the tar, and measures them a few at a time."""

    def __init__(self, part: Part, recipe: Recipe, tar: tarfile.TarFile, path: str) -> None:
        self._part = part
        self._recipe = recipe
        self._tar = tar
        self._path = path
        self._waiting: list[tuple[list[int], Picture]] = []

    def add(self, rows: list[int], fetched: Fetched) -> None:
        """Take what one URL gave; `rows` are the pairs that have it."""
        put = self._part.put
        put(HTTP_STATUS, rows, fetched.http_status)
        put(FINAL_URL, rows, fetched.final_url)
        put(CONTENT_TYPE, rows, fetched.content_type)
        put(FETCH_MS, rows, fetched.fetch_ms)
        put(ATTEMPTS, rows, fetched.attempts)
        put(FETCHED_AT, rows, fetched.fetched_at)
        put(ETAG, rows, fetched.etag)
        put(LAST_MODIFIED, rows, fetched.last_modified)
        if fetched.outcome is not Outcome.OK:
            self._reject(rows, fetched.outcome, fetched.detail)
            return
        put(FETCH_BYTES, rows, len(fetched.body))
        put(SHA256, rows, hashlib.sha256(fetched.body).hexdigest())
        made = picture(fetched.body, self._recipe.image)
        if not isinstance(made, Picture):
            self._reject(rows, made.outcome, made.detail)
            return
        self._store(rows, made)
        self._waiting.append((rows, made))
        if len(self._waiting) == PICTURES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Measure the pictures that wait."""
        pictures = [made for _, made in self._waiting]
        planes = np.empty(len(pictures), object)
        planes[:] = [made.luma for made in pictures]
        given = {
            WIDTH: np.array([made.width for made in pictures], np.int32),
            HEIGHT: np.array([made.height for made in pictures], np.int32),
            LUMA: planes,
        }
        self._part.measure([rows for rows, _ in self._waiting], given)
        self._waiting.clear()

    def _reject(self, rows: list[int], outcome: Outcome, detail: str | None) -> None:
        self._part.put(OUTCOME, rows, outcome)
        self._part.put(DETAIL, rows, detail)

    def _store(self, rows: list[int], made: Picture) -> None:
        """Append the stored image to the tar and note where it lies."""
        member = tarfile.TarInfo(f"{rows[0]:06d}.{self._recipe.image.format}")
        member.size = len(made.stored)
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(member, BytesIO(made.stored))
        for column, value in (
            (OUTCOME, Outcome.OK),
            (IMAGE_KIND, made.kind),
            (WIDTH, made.width),
            (HEIGHT, made.height),
            (STORED_WIDTH, made.stored_width),
            (STORED_HEIGHT, made.stored_height),
            (IMAGE_FILE, self._path),
            (IMAGE_OFFSET, offset),
            (IMAGE_BYTES, member.size),
        ):
            self._part.put(column, rows, value)


def _bodies(
    part: Part, alive: list[int], recipe: Recipe, plan: Plan, share: int
) -> Iterator[tuple[list[int], Fetched]]:
    """Yield (rows, what their URL gave), from the web or from the input's own images."""
    if not plan.fetch:
        yield from _own_images(part, alive)
        return
    rows: dict[str, list[int]] = {}
    for row in alive:
        rows.setdefault(part.values[URL.name][row], []).append(row)
    assert recipe.fetch is not None
    if recipe.fetch.engine == "img2dataset":
        found = fetch_img2dataset.fetch(rows, recipe.fetch)
    else:
        found = fetch(rows, recipe.fetch, share)
    for fetched in found:
        yield rows[fetched.url], fetched


def _own_images(part: Part, alive: list[int]) -> Iterator[tuple[list[int], Fetched]]:
    """Yield (row, bytes) of images that the input holds, read in ranges a few at a time."""
    assert part.images is not None
    by_file: dict[str | None, list[int]] = {}
    for row in alive:
        by_file.setdefault(part.images[row][plans.IMAGE_PLACE[0]], []).append(row)
    for file, rows in by_file.items():
        if file is None:
            for row in rows:
                yield [row], Fetched(part.values[URL.name][row], Outcome.ABSENT)
            continue
        source, name = inputs.place(file)
        for start in range(0, len(rows), BODIES_AT_ONCE):
            some = rows[start : start + BODIES_AT_ONCE]
            places = [part.images[row] for row in some]
            starts = [place[plans.IMAGE_PLACE[1]] for place in places]
            lengths = [place[plans.IMAGE_PLACE[2]] for place in places]
            for row, body in zip(some, source.read_ranges(name, starts, lengths), strict=True):
                outcome = Outcome.OK if body else Outcome.EMPTY
                yield [row], Fetched(part.values[URL.name][row], outcome, body)


def _commit(store: Store, piece: Piece, part: Part, files: dict[str, Any]) -> Marker:
    """Write the ledger part beside its images and commit both."""
    import pyarrow.parquet as pq

    path = f"{FOLDER}/{piece.name}.{attempt()}.parquet"
    with store.writer(path) as sink:
        pq.write_table(part.table(), sink, compression="zstd")
    outcomes = part.values[OUTCOME.name]
    counts = {str(outcome): outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    marker = Marker(part.rows, files | {path: sink.entry()}, counts)
    return commit(store, f"{FOLDER}/{piece.name}.json", marker)


def _commit_crashed(store: Store, plan: Plan, piece: Piece, reason: str) -> Marker:
    """Commit the one pair whose work alone killed the process."""
    part = Part(plans.read_unit(plan, piece.unit, piece.first, piece.rows))
    part.put(OUTCOME, [0], Outcome.CRASHED)
    part.put(DETAIL, [0], reason)
    return _commit(store, piece, part, {})


@lru_cache(maxsize=1)
def _plan(store: Store) -> Plan:
    """Return the plan, read once per process."""
    return plans.read(store)
