"""Gather: one unit of pairs becomes a part of the ledger and a tar of stored images.

Everything a pair needs before a model sees it happens here, in one process: text measures, gates,
fetch, decode, resize, image measures. A URL that occurs several times in a unit is fetched once. A
piece of work that kills its process is halved until the pair at fault stands alone; that pair's
outcome says so and the rest lands. A piece of a layer (`layers.py`) goes the same way with the rows
it tries again.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline import fetch_img2dataset, inputs, pieces
from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.boxes import Box, parsed
from pairsieve.pipeline.engine import Crashed, Engine
from pairsieve.pipeline.fetch import Fetched, fetch
from pairsieve.pipeline.layers import REPLACED, Before
from pairsieve.pipeline.part import Part
from pairsieve.pipeline.pieces import FOLDER, Piece
from pairsieve.pipeline.pixels import Picture, picture
from pairsieve.pipeline.plan import Plan
from pairsieve.pipeline.rules import Stage, check, gates, rules
from pairsieve.pipeline.store import Marker, Store, attempt, commit
from pairsieve.schemas.arrays import Planes
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
    LUMA_256,
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

Boxes = tuple[Box, ...] | str  # to blur, or what is wrong with them

PICTURES_AT_ONCE = 32  # decoded pictures measured together; bounds the memory for their pixels
BODIES_AT_ONCE = 32  # bodies read together when the input already holds its images


def run(recipe: Recipe, store: Store, plan: Plan, engine: Engine) -> Iterator[tuple[str, Marker]]:
    """Gather what is not committed yet; yield (piece, marker) as pieces commit.

    Raises:
        BadOption: the input has only URLs and the recipe no `fetch`, or the boxes to blur or a rule
            are in a column that there will not be; better told now than after all is fetched.
    """
    if plan.fetch and recipe.fetch is None:
        raise BadOption("fetch: missing; the input has only URLs, so say at least `user_agent`")
    if recipe.image.blur_boxes is not None:
        plan.column_of(recipe.image.blur_boxes)
    check(rules(recipe), pa.schema([*arrow_schema(COLUMNS), *plan.schema]))
    todo = pieces.pending(plan, store.marker_names(FOLDER))
    yield from work(recipe, store, plan, engine, todo)


def work(
    recipe: Recipe, store: Store, plan: Plan, engine: Engine, todo: list[Piece]
) -> Iterator[tuple[str, Marker]]:
    """Gather pieces, also of a layer; yield (piece, marker) as they commit.

    What kills its process is halved until the pair at fault stands alone.
    """
    while todo:
        crashed: list[Piece] = []
        for piece, result in engine.map(partial(gather, recipe, store), todo):
            if not isinstance(result, Crashed):
                yield piece.name, result
            elif halves := _halves(store, piece):
                crashed += halves
            else:
                yield piece.name, _commit_crashed(store, plan, piece, result.reason)
        todo = crashed


def gather(recipe: Recipe, store: Store, piece: Piece) -> Marker:
    """Do everything for the pairs of one piece and commit it."""
    plan = _plan(store)
    part, before = _part(store, plan, piece)
    alive = part.usable()
    part.measure([[row] for row in alive], {TEXT: part.texts(alive)})
    alive = part.gated(alive, gates(recipe, Stage.TEXT))
    if before:
        alive = before.take_over(part, alive)
    path = f"{FOLDER}/{piece.name}.{attempt()}.tar"
    with store.writer(path) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        images = _Images(part, recipe, tar, path, _boxes(part, plan, recipe))
        for rows, fetched in _bodies(part, alive, recipe, plan):
            images.add(rows, fetched)
        images.flush()
    return _commit(store, piece, part, {path: sink.entry()}, before)


def _part(store: Store, plan: Plan, piece: Piece) -> tuple[Part, Before | None]:
    """Return the empty ledger part of a piece; in a layer, of the pairs that it tries again."""
    table = plans.read_unit(plan, piece.unit, piece.first, piece.rows)
    if not piece.again:
        return Part(table), None
    before = Before.read(store, piece)
    positions = pa.array([row - piece.first for row in before.rows], pa.int64())
    return Part(table.take(positions), piece.layer), before


def _halves(store: Store, piece: Piece) -> list[Piece]:
    """Return the two halves of the pairs of a piece; nothing if it is about one."""
    rows = (
        Before.read(store, piece).rows
        if piece.again
        else range(piece.first, piece.first + piece.rows)
    )
    return piece.cut(rows[len(rows) // 2] - piece.first) if len(rows) > 1 else []


class _Images:
    """Turns bodies into stored images in the tar, and measures them a few at a time."""

    def __init__(
        self, part: Part, recipe: Recipe, tar: tarfile.TarFile, path: str, boxes: list[Any] | None
    ) -> None:
        """Start with none; `boxes` are what is to be blurred in the image of each row."""
        self._part = part
        self._boxes = boxes
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
        for boxes, same in self._by_boxes(rows):
            self._add_picture(same, fetched.body, boxes)

    def _by_boxes(self, rows: list[int]) -> list[tuple[Boxes, list[int]]]:
        """Return the rows by what is to be blurred in their image, in order."""
        groups: dict[Boxes, list[int]] = {}
        for row in rows:
            value = self._boxes[row] if self._boxes else []
            boxes = parsed(value, self._recipe.image.blur_unit)
            groups.setdefault(boxes, []).append(row)
        return list(groups.items())

    def _add_picture(self, rows: list[int], body: bytes, boxes: Boxes) -> None:
        """Store and soon measure the image of these rows."""
        if isinstance(boxes, str):
            self._reject(rows, Outcome.BAD_BOXES, boxes)
            return
        made = picture(body, self._recipe.image, boxes)
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
        given = {
            WIDTH: np.array([made.width for made in pictures], np.int32),
            HEIGHT: np.array([made.height for made in pictures], np.int32),
            LUMA: _planes([made.luma for made in pictures]),
            LUMA_256: _planes([made.luma_256 for made in pictures]),
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


def _boxes(part: Part, plan: Plan, recipe: Recipe) -> list[Any] | None:
    """Return the value of the column of boxes for each row; None where nothing is blurred."""
    column = recipe.image.blur_boxes
    if column is None:
        return None
    values: list[Any] = part.travelling[plan.column_of(column)].to_pylist()
    return values


def _planes(planes: list[NDArray[np.uint8]]) -> Planes:
    """Return planes, each (h, w), as an object array, (n,); alike ones do not merge."""
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def _bodies(
    part: Part, alive: list[int], recipe: Recipe, plan: Plan
) -> Iterator[tuple[list[int], Fetched]]:
    """Yield (rows, what their URL gave), from the web or from the input's own images."""
    if not plan.fetch:
        yield from _own_images(part, alive)
        return
    rows: dict[str, list[int]] = {}
    for row in alive:
        rows.setdefault(part.values[URL.name][row], []).append(row)
    assert recipe.fetch is not None
    theirs = recipe.fetch.engine == "img2dataset"
    for fetched in (fetch_img2dataset.fetch if theirs else fetch)(rows, recipe.fetch):
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


def _commit(
    store: Store, piece: Piece, part: Part, files: dict[str, Any], before: Before | None
) -> Marker:
    """Write the ledger part beside its images and commit both."""
    import pyarrow.parquet as pq

    path = f"{FOLDER}/{piece.name}.{attempt()}.parquet"
    with store.writer(path) as sink:
        pq.write_table(part.table(), sink, compression="zstd")
    outcomes = part.values[OUTCOME.name]
    counts = {str(outcome): outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    extra = {REPLACED: before.replaced()} if before else {}
    marker = Marker(part.rows, files | {path: sink.entry()}, counts, extra)
    return commit(store, f"{FOLDER}/{piece.name}.json", marker)


def _commit_crashed(store: Store, plan: Plan, piece: Piece, reason: str) -> Marker:
    """Commit the one pair whose work alone killed the process."""
    part, before = _part(store, plan, piece)
    part.put(OUTCOME, [0], Outcome.CRASHED)
    part.put(DETAIL, [0], reason)
    return _commit(store, piece, part, {}, before)


@lru_cache(maxsize=1)
def _plan(store: Store) -> Plan:
    """Return the plan, read once per process."""
    return plans.read(store)
