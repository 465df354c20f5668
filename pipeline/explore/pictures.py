"""Pairs to look at: which lie nearest to a bound, and what a page shows of a pair.

Pictures are read out of the tars of `gather` by their place, and made small here. One that scores
say is not safe for work or shows violence is blurred unless it is asked for, before it leaves this
process. None is given of what is on the blocklist, or what the protection of minors refuses.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.explore.effect import dropped_by_others, failing
from pairsieve.pipeline.explore.sample import Sample
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, SliceFile, ledger_files, unit_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.rules import MINOR
from pairsieve.pipeline.ledger.sql import rows as read_rows
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.selections.record import Record, read, values_of
from pairsieve.pipeline.stats.block_counts import with_verdict
from pairsieve.pipeline.stats.pool_counts import rules_of
from pairsieve.pipeline.stats.shown_pairs import is_sensitive
from pairsieve.schemas.columns import (
    BLOCKED,
    HOST,
    LANGUAGE,
    MINOR_SAFETY,
    NSFW,
    OUTCOME,
    ROW,
    TAG,
    TEXT,
    UID,
    URL,
    VIOLENCE,
)

PICTURE_PX = 240
QUALITY = 80
BLUR_PX = 28
ALWAYS = (ROW, UID, URL, TEXT, HOST, LANGUAGE, TAG, OUTCOME, BLOCKED, NSFW, VIOLENCE, MINOR_SAFETY,
          *checksums.STORED_AT)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a pair.

    Attributes:
        pair: Its columns, those without a value left out.
        reasons: The rules of the selection that drop it.
        picture: A small JPEG; None where there is none or none may be shown.
        blurred: Whether it is blurred.
    """

    pair: Mapping[str, Any]
    reasons: tuple[str, ...]
    picture: bytes | None
    blurred: bool


def at_bound(
    sample: Sample,
    key: str,
    at: float,
    chosen: Mapping[str, str],
    others_pass: bool,
) -> tuple[list[int], list[int]]:
    """Return the rows just inside a bound at a value, and just outside, the nearest first.

    Args:
        sample: Where to look.
        key: The threshold.
        at: Its value.
        chosen: Column -> the value that it must have.
        others_pass: Whether only pairs count that all other rules keep.
    """
    bound, values = sample.bound(key)
    wanted = np.isfinite(values)
    for column, value in chosen.items():
        names, codes = sample.groups[column]
        wanted &= codes == names.index(value)
    if others_pass:
        wanted &= ~dropped_by_others(sample, key, failing(sample, {}))
    inside = bound.passes(values, at)
    return _nearest(sample, values, at, wanted & inside), _nearest(
        sample, values, at, wanted & ~inside
    )


def _nearest(sample: Sample, values: Any, at: float, chosen: Any) -> list[int]:
    """Return the rows of the chosen, by distance, then by row."""
    places = np.flatnonzero(chosen)
    order = np.argsort(np.abs(values[places].astype(np.float64) - at), kind="stable")
    return [int(row) for row in sample.rows[places[order]]]


def look_up(
    store: Store,
    name: str,
    rows: Sequence[int],
    columns: Collection[str] = (),
    unblurred: Collection[int] = (),
    unknown: Collection[str] = (),
) -> list[Shown]:
    """Return what is shown of some pairs, in the order given; a row that is not there is left out.

    Args:
        store: The dataset.
        name: The selection.
        rows: Their rows.
        columns: What to show besides what always is.
        unblurred: Rows whose pictures are asked for as they are.
        unknown: Scores of which their model can know nothing: nothing is blurred for them.

    Raises:
        Stopped: a stored image is not as it was committed.
    """
    _, record = read(store, name)
    files = ledger_files(store, record.scores, name)
    found = _pairs(store, files, record, rows, columns)
    pairs = [found[row] for row in rows if row in found]
    pictured = [pair for pair in pairs if _may_be_shown(pair)]
    bodies = checksums.read_images(store, checksums.located(pictured))
    pictures = dict(zip((pair["row"] for pair in pictured), bodies, strict=True))
    return [
        _shown(
            pair,
            pictures.get(pair["row"]),
            is_sensitive(pair, unknown) and pair["row"] not in unblurred,
        )
        for pair in pairs
    ]


def _pairs(
    store: Store,
    files: LedgerFiles,
    record: Record,
    rows: Sequence[int],
    columns: Collection[str],
) -> dict[int, dict[str, Any]]:
    """Return the ledger's rows of some pairs, by row; of each unit with one, all are read."""
    first = [file for file in files.gathered if not file.layer]
    of_unit: dict[int, list[int]] = {}
    for row in rows:
        place = bisect_right(first, row, key=lambda file: _first_row(store, file)) - 1
        if place >= 0:
            of_unit.setdefault(first[place].unit, []).append(row)
    names = {column.name for column in ALWAYS} | {*columns, FAILING_BITS.name}
    found: dict[int, dict[str, Any]] = {}
    rules = rules_of(files)
    minor = next((rule for rule in record.rules if rule.name == MINOR.name), None)
    for unit, chosen in of_unit.items():
        table = block_table(store, unit_files(files, unit), names, None)
        refused = f"({minor.condition}) IS NOT true" if minor else "false"
        with connect(store) as connection:
            connection.register("joined", table)
            query = f"SELECT *, {refused} AS withheld FROM ({with_verdict('joined', rules)})"
            told = read_rows(connection, f"{query} WHERE row IN (SELECT unnest(?))", [chosen])
        found |= {pair["row"]: pair for pair in told}
    return found


@lru_cache(1 << 16)
def _first_row(store: Store, file: SliceFile) -> int:
    """Return the first row of a ledger part, as its Parquet footer says."""
    import pyarrow.parquet as pq

    with store.reader(file.name) as source:
        metadata = pq.ParquetFile(source).metadata
    place = metadata.schema.names.index(ROW.name)
    groups = [metadata.row_group(n).column(place) for n in range(metadata.num_row_groups)]
    return min((int(group.statistics.min) for group in groups if group.statistics), default=-1)


def _may_be_shown(pair: Mapping[str, Any]) -> bool:
    stored = bool(pair[checksums.STORED_AT[0].name])
    return stored and pair[BLOCKED.name] is None and not pair["withheld"]


def _shown(pair: dict[str, Any], body: bytes | None, blurred: bool) -> Shown:
    ours = {column.name for column in (BLOCKED, *checksums.STORED_AT)}
    kept = {
        key: value
        for key, value in pair.items()
        if value is not None and key not in (*ours, "failing", "first_failing", "withheld")
    }
    picture = small(body, blurred) if body is not None else None
    return Shown(kept, tuple(pair["failing"] or ()), picture, blurred and picture is not None)


def small(body: bytes, blurred: bool = False) -> bytes:
    """Return a stored image as a small JPEG, at most `PICTURE_PX` wide and high."""
    from PIL import Image, ImageFilter

    with Image.open(BytesIO(body)) as image:
        picture = image.convert("RGB")
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    if blurred:
        picture = picture.filter(ImageFilter.GaussianBlur(BLUR_PX))
    sink = BytesIO()
    picture.save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()


def facts(shown: Shown, columns: Collection[str]) -> dict[str, Any]:
    """Return the columns of a pair that are shown beside its picture."""
    return values_of(shown.pair, columns)
