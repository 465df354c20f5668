"""Images: the bodies of a task slice become stored images in its tar, measured a few at a time.

A body is checked before it is decoded, by the blocklist and by the hash that the input expects; a
picture before it is stored, by the blocklist's perceptual hashes. So nothing of what must not enter
is ever written. Rows that share a URL share its image, unless their boxes to blur differ.
"""

import hashlib
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.external import blocklist
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.pipeline.fetch.client import Fetched
from pairsieve.pipeline.image.blur import BlurBox, parse_boxes
from pairsieve.pipeline.image.format import kind_of
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.rights.in_file import read_rights
from pairsieve.pipeline.rights.opt_out import first_obeyed
from pairsieve.pipeline.unit.expected_hashes import ExpectedHashes
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.page_opt_outs import NO_PAGES, PageOptOuts
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.arrays import Planes
from pairsieve.schemas.columns import (
    ATTEMPTS,
    COLOURS,
    CONTENT_TYPE,
    ETAG,
    FACE_BOXES,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    FINAL_URL,
    HEIGHT,
    HTTP_STATUS,
    IMAGE_BYTES,
    IMAGE_CHECKSUM,
    IMAGE_FILE,
    IMAGE_KIND,
    IMAGE_OFFSET,
    LAST_MODIFIED,
    LUMA,
    LUMA_256,
    ORIENTATIONS,
    OUTCOME,
    PERCEPTUAL_HASH,
    SHA256,
    STORED_HEIGHT,
    STORED_WIDTH,
    TRIMMED_COLOURS,
    TRIMMED_LUMA,
    WIDTH,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

PICTURES_AT_ONCE = 16  # decoded pictures measured together; bounds the memory for their pixels

BlurBoxes = tuple[BlurBox, ...] | str  # to blur, or what is wrong with them


@dataclass(frozen=True, slots=True)
class Checks:
    """What the rows of a task slice say of their images, and what must never enter.

    Attributes:
        blur_boxes: Each row's value of the column of boxes to blur; None where none is blurred.
        expected: The hashes that the input expects.
        blocklist: The recipe's blocklist, if it has one.
        forgotten: What was taken out of the dataset, if anything was.
        pages: Opt-outs of the rows' pages, and which of their forms are obeyed.
    """

    blur_boxes: list[Any] | None
    expected: ExpectedHashes
    blocklist: BlocklistIndex | None
    forgotten: BlocklistIndex | None = None
    pages: PageOptOuts = NO_PAGES

    @classmethod
    def of(
        cls, part: Part, plan: Plan, recipe: Recipe, forgotten: BlocklistIndex | None = None
    ) -> Self:
        """Return the checks of a task slice."""
        column = recipe.image.blur_boxes
        boxes = part.extra_columns[plan.column_of(column)].to_pylist() if column else None
        return cls(
            boxes,
            ExpectedHashes(part.extra_columns, recipe.input),
            blocklist.load(recipe.blocklist) if recipe.blocklist else None,
            forgotten,
            PageOptOuts.of(part, plan, recipe),
        )

    @property
    def by_row(self) -> bool:
        """Return True when rows that share a URL may not share its image."""
        return self.blur_boxes is not None or self.expected.any

    def admitted(self, part: Part, alive: list[int]) -> list[int]:
        """Return the rows of `alive` that may be requested; the others get their outcome."""
        admitted = []
        for row in alive:
            if row in self.expected.malformed:
                part.reject([row], Outcome.HASH_MISMATCH, self.expected.malformed[row])
            elif self.blocklist and (entry := self.blocklist.of_canonical(part.urls[row])):
                part.reject([row], Outcome.BLOCKLIST, entry)
            elif not self.pages.forbid(part, row):
                admitted.append(row)
        return admitted


class Images:
    """The stored images of a task slice, while they are made."""

    def __init__(
        self, part: Part, recipe: Recipe, tar: tarfile.TarFile, path: str, checks: Checks
    ) -> None:
        """Start with none; `path` is where the tar lies in the dataset."""
        self._part = part
        self._options = recipe.image
        self._orientations = recipe.group.compared
        self._obeyed = recipe.opt_outs.forms
        self._signers = recipe.opt_outs.signers
        self._tar = tar
        self._path = path
        self._checks = checks
        self._waiting: list[tuple[list[int], Picture]] = []

    def add(self, rows: list[int], fetched: Fetched) -> None:
        """Take what one URL gave; `rows` are the pairs that have it."""
        for column, value in (
            (HTTP_STATUS, fetched.http_status),
            (FINAL_URL, fetched.final_url),
            (CONTENT_TYPE, fetched.content_type),
            (FETCH_MS, fetched.fetch_ms),
            (ATTEMPTS, fetched.attempts),
            (FETCHED_AT, fetched.fetched_at),
            (ETAG, fetched.etag),
            (LAST_MODIFIED, fetched.last_modified),
        ):
            self._part.put(column, rows, value)
        self._part.note(rows, fetched.opt_outs, fetched.fetched_at)
        if fetched.outcome is Outcome.OK:
            self._add_body(rows, fetched)
        else:
            self._part.reject(rows, fetched.outcome, fetched.detail)

    def _add_body(self, rows: list[int], fetched: Fetched) -> None:
        """Take the bytes that came, if they may enter and are those expected."""
        sha256 = hashlib.sha256(fetched.body).hexdigest()
        self._part.put(FETCH_BYTES, rows, len(fetched.body))
        self._part.put(SHA256, rows, sha256)
        if entry := _entry(self._checks.forgotten, fetched.final_url, sha256):
            self._forget(rows, entry)
            return
        if entry := _entry(self._checks.blocklist, fetched.final_url, sha256):
            self._part.reject(rows, Outcome.BLOCKLIST, entry)
            return
        wrong = self._checks.expected.mismatches(rows, fetched.body, sha256)
        for row, detail in wrong.items():
            self._part.reject([row], Outcome.HASH_MISMATCH, detail)
        rows = [row for row in rows if row not in wrong]
        if not self._opted_out(rows, fetched):
            for boxes, same in self._by_boxes(rows):
                self._add_picture(same, fetched.body, boxes)

    def _opted_out(self, rows: list[int], fetched: Fetched) -> bool:
        """Note what the file says of its rights; reject the rows if that is to be obeyed."""
        rights = read_rights(fetched.body, kind_of(fetched.body) if self._signers else None)
        for column, value in rights.values.items():
            self._part.put(column, rows, value)
        self._part.note(rows, rights.opt_outs, fetched.fetched_at)
        opt_out = first_obeyed(rights.opt_outs, self._obeyed)
        if opt_out:
            self._part.reject(rows, opt_out.outcome, opt_out.evidence)
        return opt_out is not None

    def _forget(self, rows: list[int], entry: str) -> None:
        for row in rows:
            self._part.forget(row, entry)

    def _by_boxes(self, rows: list[int]) -> list[tuple[BlurBoxes, list[int]]]:
        """Return the rows by what is to be blurred in their image, in order."""
        groups: dict[BlurBoxes, list[int]] = {}
        for row in rows:
            value = self._checks.blur_boxes[row] if self._checks.blur_boxes else []
            groups.setdefault(parse_boxes(value, self._options.blur_unit), []).append(row)
        return list(groups.items())

    def _add_picture(self, rows: list[int], body: bytes, boxes: BlurBoxes) -> None:
        """Let the picture of these rows wait to be measured and stored."""
        if isinstance(boxes, str):
            self._part.reject(rows, Outcome.BAD_BOXES, boxes)
            return
        decoded = picture(body, self._options, boxes)
        if not isinstance(decoded, Picture):
            self._part.reject(rows, decoded.outcome, decoded.detail)
            return
        self._waiting.append((rows, decoded))
        if len(self._waiting) == PICTURES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Measure the pictures that wait, and store those that are not on the blocklist."""
        pictures = [each for _, each in self._waiting]
        arrays = {
            WIDTH: np.array([each.width for each in pictures], np.int32),
            HEIGHT: np.array([each.height for each in pictures], np.int32),
            LUMA: _planes([each.luma for each in pictures]),
            LUMA_256: _planes([each.luma_256 for each in pictures]),
            COLOURS: _planes([each.colours for each in pictures]),
            TRIMMED_LUMA: _planes([each.trimmed_luma for each in pictures]),
            TRIMMED_COLOURS: _planes([each.trimmed_colours for each in pictures]),
        }
        if self._orientations:
            arrays[ORIENTATIONS] = np.array([self._orientations] * len(pictures))
        self._part.measure_images([rows for rows, _ in self._waiting], arrays)
        firsts = [rows[0] for rows, _ in self._waiting]
        forgotten = self._listed(self._checks.forgotten, firsts)
        blocked = self._listed(self._checks.blocklist, firsts)
        for index, (rows, decoded) in enumerate(self._waiting):
            if index in forgotten:
                self._forget(rows, forgotten[index])
            elif index in blocked:
                self._part.reject(rows, Outcome.BLOCKLIST, blocked[index])
            else:
                self._store(rows, decoded)
        self._waiting.clear()

    def _listed(self, listed: BlocklistIndex | None, rows: list[int]) -> dict[int, str]:
        """Return the entry for each index in `rows` whose picture has a listed pHash."""
        if not listed:
            return {}
        hashes = [self._part.values[PERCEPTUAL_HASH.name][row] for row in rows]
        return listed.of_hashes(np.array(hashes, np.uint64))

    def _store(self, rows: list[int], decoded: Picture) -> None:
        """Append the stored image to the tar and note where it lies."""
        member = tarfile.TarInfo(f"{rows[0]:06d}.{self._options.format}")
        member.size = len(decoded.stored)
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(member, BytesIO(decoded.stored))
        for column, value in (
            (OUTCOME, Outcome.OK),
            (IMAGE_KIND, decoded.kind),
            (WIDTH, decoded.width),
            (HEIGHT, decoded.height),
            (STORED_WIDTH, decoded.stored_width),
            (STORED_HEIGHT, decoded.stored_height),
            (IMAGE_FILE, self._path),
            (IMAGE_OFFSET, offset),
            (IMAGE_BYTES, member.size),
            (IMAGE_CHECKSUM, checksums.of_image(decoded.stored)),
            (FACE_BOXES, decoded.faces),
        ):
            self._part.put(column, rows, value)


def _entry(index: BlocklistIndex | None, final_url: str | None, sha256: str) -> str | None:
    """Return the entry of a list that received bytes or where they came from are on."""
    return (index.of_url(final_url) or index.of_sha256(sha256)) if index else None


def _planes(planes: Sequence[NDArray[np.uint8] | None]) -> Planes:
    """Return planes, each (h, w) or None, as an object array, (n,); alike ones do not merge."""
    array = np.empty(len(planes), object)
    array[:] = planes
    return array
