"""What evaluations have found, kept in the dataset by selection: a Parquet file per checkpoint."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import evaluated_folder, evaluation_results, select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning import intervals

SCHEMA = pa.schema(
    [
        ("selection", pa.string()),  # fingerprint of the selection that was trained on
        ("model", pa.string()),
        ("checkpoint", pa.string()),  # name of its file, or tag
        ("weights_sha256", pa.string()),
        ("precision", pa.string()),
        ("set", pa.string()),
        ("set_sha256", pa.string()),  # of pictures, classes, templates and captions
        ("task", pa.string()),
        ("images", pa.int64()),
        ("unreadable", pa.int64()),  # images that are left out
        ("measure", pa.string()),
        ("value", pa.float64()),  # in [0, 1]
        ("low", pa.float64()),  # of the 95 % interval
        ("high", pa.float64()),
        ("trials", pa.int64()),
    ]
)

FINGERPRINT = "fingerprint"  # in `extra` of the marker of a selection

Row = dict[str, Any]  # by the names of SCHEMA


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of several selections.

    Attributes:
        set: The evaluation set.
        measure: What was measured.
        model: The architecture.
        intervals: Value and interval by selection; None where it was not evaluated.
        checkpoints: How many, by selection: of several, the interval is that of their mean.
    """

    set: str
    measure: str
    model: str
    intervals: tuple[intervals.Interval | None, ...]
    checkpoints: tuple[int, ...]


def add(store: Store, name: str, rows: Sequence[Row]) -> str:
    """Put the results of one checkpoint beside the selection `name`; return where they are.

    Of the sets in `rows` they replace earlier ones; those of other sets stay.
    """
    import pyarrow.parquet as pq

    path = evaluation_results(name, rows[0]["weights_sha256"][:16])
    sets = {row["set"] for row in rows}
    kept = [row for row in _read(store, path) if row["set"] not in sets]
    table = pa.Table.from_pylist(sorted([*kept, *rows], key=lambda row: row["set"]), SCHEMA)
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    return path


def read(store: Store, name: str) -> list[Row]:
    """Return the results of a selection as it is now; of what it was before there are none."""
    marker = store.marker(select_marker(name))
    made = marker.extra[FINGERPRINT] if marker else None
    found = [path for path, _, _ in store.list(evaluated_folder(name))]
    return [row for path in found for row in _read(store, path) if row["selection"] == made]


def compared(of_selections: Sequence[Iterable[Row]]) -> list[Compared]:
    """Return every figure of these selections side by side, in the order of the results."""
    found: dict[tuple[str, ...], list[list[Row]]] = {}
    for number, rows in enumerate(of_selections):
        for row in rows:
            key = tuple(row[name] for name in ("set", "measure", "model", "set_sha256"))
            found.setdefault(key, [[] for _ in of_selections])[number].append(row)
    return [
        Compared(
            key[0],
            key[1],
            key[2],
            tuple(_together(rows) for rows in sides),
            tuple(len(rows) for rows in sides),
        )
        for key, sides in found.items()
    ]


def _together(rows: Sequence[Row]) -> intervals.Interval | None:
    """Return the figure of one checkpoint, or the mean of several."""
    if not rows:
        return None
    if len(rows) == 1:
        (row,) = rows
        return row["value"], row["low"], row["high"]
    return intervals.of_repetitions([row["value"] for row in rows])


def lines(figures: Iterable[Compared]) -> Iterator[tuple[str, ...]]:
    """Yield set, measure, model and each selection's figure, as text."""
    for one in figures:
        sides = zip(one.intervals, one.checkpoints, strict=True)
        yield one.set, one.measure, one.model, *(_percent(*side) for side in sides)


def shown(row: Mapping[str, Any]) -> str:
    """Return the figure of a row with its interval, in per cent."""
    return _percent((row["value"], row["low"], row["high"]), 1)


def _percent(interval: intervals.Interval | None, checkpoints: int) -> str:
    if interval is None:
        return "-"
    value, low, high = (100 * each for each in interval)
    of = f", {checkpoints} checkpoints" if checkpoints > 1 else ""
    return f"{value:.1f} % ({low:.1f} to {high:.1f}{of})"


def _read(store: Store, path: str) -> list[Row]:
    import pyarrow.parquet as pq

    if not store.exists(path):
        return []
    with store.reader(path) as file:
        rows: list[Row] = pq.read_table(file).to_pylist()
    return rows
