"""The tables of a drawn pool: the ledger parts of each retry layer, and the scores of a model.

Ten in a hundred pairs end without an image. In every second unit some failed for a passing reason
and were fetched again, once or twice. A column that nothing here fills is null.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pairsieve.jobs.bench_data.draws import Draws
from pairsieve.jobs.bench_data.pool_rows import Flags, Pictures, Rows, Web, uids, url_hashes
from pairsieve.schemas import columns as c
from pairsieve.schemas.columns import Column
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.text_columns import CAPTION_UNICODE_WORDS

FAILED = 0.08  # of the rows, for good; beside those that a gate stopped
RETRIED_UNITS = 2  # one in so many has rows that failed for a passing reason
RETRIED, AGAIN = 0.02, 0.25  # of all rows; of those, what fails once more
GATE_WORDS = 3  # of a caption: with fewer it is not fetched
REASONS = (
    (Outcome.HTTP_4XX, 404), (Outcome.HTTP_4XX, 403), (Outcome.HTTP_4XX, 410), (Outcome.TLS, None),
    (Outcome.NOT_AN_IMAGE, 200), (Outcome.ROBOTS, None), (Outcome.BAD_IMAGE, 200),
    (Outcome.SIDE_TOO_SHORT, 200),
)  # fmt: skip
PASSING = (Outcome.DNS, Outcome.TIMEOUT_CONNECT, Outcome.TIMEOUT_TOTAL, Outcome.HTTP_5XX)
DETAILS: dict[str, str] = {
    Outcome.DNS: "Could not resolve host",
    Outcome.TLS: "SSL certificate problem: certificate has expired",
    Outcome.TIMEOUT_CONNECT: "Connection timed out after 10000 milliseconds",
    Outcome.TIMEOUT_TOTAL: "Operation timed out after 30000 milliseconds",
    Outcome.BAD_IMAGE: "image file is truncated",
}
LANGUAGES = ("en", "de", "fr", "es", "ja", "ru", "pt", "it")
FROM_MS = 1_750_000_000_000  # when the first unit was gathered
UNIT_MS = 20_000  # from one unit's beginning to the next one's
LAYER_MS = 86_400_000

Values = Any  # pa.Array or numpy array, (n,)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The one image that every unit's tar holds: where it lies in it, its length and checksum."""

    offset: int
    bytes: int
    checksum: int


class UnitTables:
    """What one unit of a pool leaves."""

    def __init__(self, rows: Rows, web: Web, tar: str, image: StoredImage) -> None:
        """Draw what all retry layers share; `tar` is the name of the unit's file of images."""
        self.rows, self._web = rows, web
        self._draws: Draws = rows.draws
        self._tar, self._image = tar, image
        self.hosts = web.host(rows.pair)
        self._urls, self._canonical = web.urls(rows.pair, self.hosts)
        self._texts, self.words = web.texts(rows.pair)

    @cached_property
    def attempts(self) -> NDArray[np.int64]:
        """Return how often each pair was fetched for a passing reason to fail: 0 to 3."""
        share = self._draws.share("passing", self.rows.row)
        wide = RETRIED * RETRIED_UNITS
        odd = self.rows.row // np.uint64(self.rows.unit) % np.uint64(RETRIED_UNITS) == 0
        failures = 1 + (share < wide * AGAIN) + (share < wide * AGAIN / 2)
        return np.where(odd & (share < wide) & ~self._gated & ~self._failed, failures, 0)

    @cached_property
    def _gated(self) -> Flags:
        return self.words < GATE_WORDS

    @cached_property
    def _failed(self) -> Flags:
        return ~self._gated & (self._draws.share("outcome", self.rows.row) < FAILED)

    def in_layer(self, layer: int) -> "UnitTables":
        """Return the tables of those rows that a retry layer fetches, which may be none."""
        row = self.rows.row[self.attempts >= layer]
        return UnitTables(replace(self.rows, row=row), self._web, self._tar, self._image)

    def outcomes(self, layer: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the outcome of each row in a retry layer, and its status, 0 without one."""
        kind = self._draws.below("reason", self.rows.row, len(REASONS)).astype(int)
        passing = self._draws.below(f"passing {layer}", self.rows.row, len(PASSING)).astype(int)
        reasons = np.array([str(outcome) for outcome, _ in REASONS], object)[kind]
        statuses = np.array([status or 0 for _, status in REASONS])[kind]
        again = self.attempts > layer
        outcome = np.where(self._failed, reasons, np.array("ok", object))
        outcome = np.where(again, np.array([str(p) for p in PASSING], object)[passing], outcome)
        outcome = np.where(self._gated, str(Outcome.GATED), outcome)
        status = np.where(self._failed, statuses, np.where(self._gated, 0, 200))
        status = np.where(again, np.where(outcome == str(Outcome.HTTP_5XX), 503, 0), status)
        return outcome, status

    def gathered(self, layer: int) -> pa.Table:
        """Return the ledger part of a retry layer, with every column of GATHERED."""
        outcome, status = self.outcomes(layer)
        ok, asked = outcome == "ok", outcome != str(Outcome.GATED)
        columns = self._pair() | self._fetch(layer, outcome, status, asked)
        columns |= self._text() | {
            column: _masked(column, values, ok) for column, values in self._image_columns().items()
        }
        return _table(c.GATHERED, columns, len(ok))

    def _pair(self) -> dict[Column, Values]:
        return {
            c.ROW: self.rows.row,
            c.UID: pa.array(uids(self._urls, self._texts)),
            c.URL: self._urls,
            c.TEXT: self._texts,
            c.HOST: self.hosts,
            c.URL_HASH: url_hashes(self._canonical),
        }

    def _fetch(
        self, layer: int, outcome: NDArray[Any], status: NDArray[Any], asked: Flags
    ) -> dict[Column, Values]:
        draws, row = self._draws, self.rows.row
        answered = status > 0
        began = FROM_MS + layer * LAYER_MS + row // np.uint64(self.rows.unit) * UNIT_MS
        body = np.maximum(draws.normal("bytes", self.rows.file, 60_000, 25_000), 2000)
        details = [DETAILS.get(each) for each in outcome[~(outcome == "ok")].tolist()]
        detail = np.full(len(outcome), None, object)
        detail[outcome != "ok"] = details
        type_ = pa.array(["image/jpeg"]).take(pa.array(np.zeros(len(row), np.int8)))
        etag = pc.binary_join_element_wise('"', _number(draws.below("etag", row, 1 << 40)), '"', "")
        received = answered & (status == 200)
        return {
            c.RETRY_LAYER: np.full(len(row), layer),
            c.OUTCOME: pa.array(outcome, pa.string()),
            c.DETAIL: pa.array(detail, pa.string()),
            c.HTTP_STATUS: _masked(c.HTTP_STATUS, status, answered),
            c.FINAL_URL: _masked(c.FINAL_URL, self._canonical, answered),
            c.CONTENT_TYPE: _masked(c.CONTENT_TYPE, type_, answered),
            c.FETCH_BYTES: _masked(c.FETCH_BYTES, body, received),
            c.FETCH_MS: _masked(c.FETCH_MS, 40 + 900 * draws.share("ms", row) ** 3, asked),
            c.ATTEMPTS: _masked(c.ATTEMPTS, np.ones(len(row)), asked),
            c.FETCHED_AT: _masked(c.FETCHED_AT, began + draws.below("at", row, UNIT_MS), asked),
            c.ETAG: _masked(c.ETAG, etag, received & (draws.share("has etag", row) < 0.6)),
            c.SHA256: _masked(c.SHA256, Pictures(self.rows).sha256(), received),
        }

    def _text(self) -> dict[Column, Values]:
        draws, pair = self._draws, self.rows.pair
        language = (len(LANGUAGES) * draws.share("language", pair) ** 6).astype(int)
        return {
            c.CAPTION_WORDS: self.words,
            CAPTION_UNICODE_WORDS: self.words,
            c.CAPTION_CHARS: pc.utf8_length(self._texts),
            c.LANGUAGE: pa.array(LANGUAGES).take(pa.array(language)),
            c.LANGUAGE_CONFIDENCE: 1 - 0.8 * draws.share("confidence", pair) ** 3,
        }

    def _image_columns(self) -> dict[Column, Values]:
        """Return what is known of stored images."""
        draws, file, pictures = self._draws, self.rows.file, Pictures(self.rows)
        width = np.clip(draws.normal("width", file, 700, 320), 60, 4000).astype(int)
        ratio = 1 + 1.2 * draws.share("ratio", file) ** 2
        height = (width / ratio).astype(int)
        kind = (3 * draws.share("kind", file) ** 3).astype(int)
        dark = (120 * draws.share("dark", file) ** 2).astype(int)
        smaller = np.minimum(1, 512 / height)
        return {
            c.IMAGE_KIND: pa.array(["jpeg", "png", "webp"]).take(pa.array(kind)),
            c.WIDTH: width,
            c.HEIGHT: height,
            c.STORED_WIDTH: width * smaller,
            c.STORED_HEIGHT: height * smaller,
            c.IMAGE_FILE: pa.array([self._tar]).take(pa.array(np.zeros(len(file), np.int8))),
            c.IMAGE_OFFSET: np.full(len(file), self._image.offset),
            c.IMAGE_BYTES: np.full(len(file), self._image.bytes),
            c.IMAGE_CHECKSUM: np.full(len(file), self._image.checksum, np.uint64),
            c.ASPECT_RATIO: width / height,
            c.SHARPNESS: 1 - 0.6 * draws.share("sharp", file) ** 2,
            c.LOW_INFORMATION: draws.share("flat", file) ** 2,
            c.TEXT_COVERAGE: draws.share("text", file) ** 6,
            c.EXPOSURE_DARK: dark,
            c.EXPOSURE_BRIGHT: dark + (255 - dark) * draws.share("bright", file) ** 0.3,
            c.UPSCALED: 1 + 3 * draws.share("upscaled", file) ** 6,
            c.PERCEPTUAL_HASH: pictures.perceptual_hash(),
            c.DHASH: pictures.dhash(),
            c.COLOUR: pictures.colours(),
        }

    def scores(self, layer: int) -> pa.Table:
        """Return `row` and the scores of the pairs that have an image since this retry layer."""
        there = self.outcomes(layer)[0] == "ok"
        draws, pair, file = self._draws, self.rows.pair[there], self.rows.file[there]
        nsfw = draws.share("nsfw", file) ** 6
        columns: dict[Column, Values] = {
            c.ROW: self.rows.row[there],
            c.CLIP_SIMILARITY: draws.normal("similarity", pair, 0.27, 0.06),
            c.NSFW: nsfw,
            c.VIOLENCE: draws.share("violence", file) ** 8,
            c.WATERMARK: draws.share("watermark", file) ** 3,
            c.MINOR_SAFETY: np.where(draws.share("minor", pair) < 0.01, nsfw, 0),
        }
        return _table((c.ROW, *c.EMBEDDED), columns, len(pair))

    def requests(self, layer: int) -> tuple[list[str], list[int], list[int]]:
        """Return hosts, seconds and how many requests were sent, in that order."""
        asked = ~self._gated
        second = (FROM_MS + layer * LAYER_MS) // 1000 + self.rows.row // 500
        sent = Counter(
            zip(self.hosts.filter(pa.array(asked)).to_pylist(), second[asked].tolist(), strict=True)
        )
        hosts, seconds = zip(*sorted(sent), strict=True) if sent else ((), ())
        return list(hosts), list(seconds), [sent[key] for key in zip(hosts, seconds, strict=True)]


def _number(values: NDArray[np.uint64]) -> pa.StringArray:
    return pc.cast(pa.array(values), pa.string())


def _masked(column: Column, values: Values, there: Flags) -> pa.Array:
    """Return the values as the column has them, null where `there` is False."""
    return pc.if_else(pa.array(there), _typed(column, values), pa.scalar(None, column.type))


def _typed(column: Column, values: Values) -> pa.Array:
    if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.number):
        integer = column.type == c.FETCHED_AT.type
        kind = np.int64 if integer else column.type.to_pandas_dtype()
        return pa.array(values.astype(kind)).cast(column.type)
    return pa.array(values) if isinstance(values, np.ndarray) else values


def _table(wanted: tuple[Column, ...], columns: dict[Column, Values], rows: int) -> pa.Table:
    """Return a table of the columns, null what is not there, as the ledger has it."""
    schema = c.arrow_schema(wanted)
    arrays = [
        _typed(one, columns[one]).cast(one.type) if one in columns else pa.nulls(rows, one.type)
        for one in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
