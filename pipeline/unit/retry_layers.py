"""Retry layers: what failed for a passing reason is fetched again, beside the first gather.

Layer 0 is the first gather. A retry layer is decided once: its outcomes, and how many pairs had
them when it began, are put if absent, so a command that was killed goes on with the same layer.
Which rows of a unit it fetches again follows from the ledger parts of the layers before it; a unit
that has none costs nothing. Its task slices hold only these rows, and their markers say which
outcomes they replace. The latest layer of a row is what holds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.marker import Marker, outcome_counts
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    RETRY_LAYERS,
    Span,
    layer_of,
    marker_path,
    parsed,
    retry_layer,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.canonical_url import canonical_or_given
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.unit.task_slices import Retry, TaskSlice, gaps
from pairsieve.schemas.columns import (
    FETCHED_AT,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    SHA256,
    UID,
    URL,
)
from pairsieve.schemas.errors import BadOption, Stopped, nearest
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.rights_columns import OPT_OUT_AT

TRANSIENT = "transient"  # stands for every outcome that time may cure


@dataclass(frozen=True, slots=True)
class RetryLayer:
    """What a retry layer fetches again: its number from 1, the outcomes, how many had them."""

    number: int
    outcomes: tuple[str, ...]
    pairs: int

    @property
    def path(self) -> str:
        """Return where the retry layer is put down."""
        return retry_layer(self.number)


@dataclass(frozen=True, slots=True)
class BegunLayer:
    """A retry layer to work on: the markers of the task slices that are done, and the others."""

    layer: RetryLayer
    done: dict[str, Marker]
    todo: list[TaskSlice]


def parse_outcomes(option: str) -> tuple[str, ...]:
    """Return the outcomes that `--retry` names, in the order of the closed list.

    Raises:
        BadOption: a name is no outcome, or one that cannot be fetched again.
    """
    retriable = [outcome for outcome in Outcome if outcome.retriable]
    chosen: set[str] = set()
    for name in map(str.strip, option.split(",")):
        if name == TRANSIENT:
            chosen.update(outcome for outcome in retriable if outcome.transient)
        elif name in retriable:
            chosen.add(name)
        else:
            known = nearest(name, [TRANSIENT, *retriable])
            raise BadOption(f"--retry: `{name}` cannot be retried; {known}")
    return tuple(str(outcome) for outcome in retriable if outcome in chosen)


def as_option(outcomes: tuple[str, ...]) -> str:
    """Return what to write behind `--retry` for these outcomes."""
    return TRANSIENT if outcomes == parse_outcomes(TRANSIENT) else ",".join(outcomes)


def read_layers(store: Store) -> list[RetryLayer]:
    """Return the retry layers that have been begun, in order.

    Raises:
        Stopped: what was put down of one is damaged.
    """
    paths = [marker_path(RETRY_LAYERS, name) for name in store.marker_names(RETRY_LAYERS)]
    while store.exists(following := retry_layer(len(paths) + 1)):  # a list may lag behind
        paths.append(following)
    return [read_layer(store, path) for path in paths]


def read_layer(store: Store, path: str) -> RetryLayer:
    """Return the retry layer that was put down at `path`.

    Raises:
        Stopped: it is damaged.
    """
    try:
        content = checked_json.loads(store.read(path))
        return RetryLayer(**content | {"outcomes": tuple(content["outcomes"])})
    except (ValueError, TypeError, KeyError) as error:
        raise Stopped(f"{store.location(path)}: damaged: {error}; put a copy back") from error


def markers_of(layer: RetryLayer, markers: Mapping[str, Marker]) -> dict[str, Marker]:
    """Return those of the gathered `markers` that are task slices of the retry layer."""
    return {name: m for name, m in markers.items() if layer_of(name) == layer.number}


def finished(store: Store, plan: Plan, markers: Mapping[str, Marker]) -> int:
    """Return how many retry layers are finished, given the gathered markers."""
    layers = read_layers(store)
    begun = bool(layers) and next(_slices(plan, layers[-1], markers), None) is not None
    return len(layers) - begun


def begin(store: Store, plan: Plan, outcomes: tuple[str, ...]) -> BegunLayer | None:
    """Return the retry layer that is not finished, else a new one; None if it would be empty.

    Every unit must be gathered.

    Raises:
        BadOption: the unfinished retry layer has other outcomes.
    """
    layers = read_layers(store)
    markers = store.markers(GATHER_FOLDER)
    if layers and (todo := list(_slices(plan, layers[-1], markers))):
        last = layers[-1]
        if last.outcomes != outcomes:
            raise BadOption(
                f"--retry: layer {last.number} is not finished and retries other outcomes; "
                f"finish it first: --retry {as_option(last.outcomes)}"
            )
        return BegunLayer(last, markers_of(last, markers), todo)
    counts = outcome_counts(markers.values())
    pairs = sum(counts[outcome] for outcome in outcomes)
    new = RetryLayer(len(layers) + 1, outcomes, pairs)
    if not new.pairs:
        return None
    if not store.create(new.path, checked_json.dumps(asdict(new), indent=1)):
        return begin(store, plan, outcomes)
    return BegunLayer(new, {}, list(_slices(plan, new, markers)))


def _slices(plan: Plan, layer: RetryLayer, markers: Mapping[str, Marker]) -> Iterator[TaskSlice]:
    """Yield what the retry layer has still to do, in input order."""
    done: dict[int, list[Span]] = {}
    earlier: dict[int, list[tuple[int, Marker]]] = {}
    for name, marker in markers.items():
        unit, number, span = parsed(name)
        if number == layer.number:
            done.setdefault(unit, []).append(span or (0, plan.unit_rows(unit)))
        elif number < layer.number:
            earlier.setdefault(unit, []).append((number, marker))
    for unit, parts in sorted(earlier.items()):
        before = outcome_counts(marker for _, marker in parts)
        if any(before[outcome] for outcome in layer.outcomes):
            files = sorted((number, marker.file(".parquet")) for number, marker in parts)
            retry = Retry(layer.number, layer.outcomes, tuple(file for _, file in files))
            yield from gaps(unit, plan.unit_rows(unit), done.get(unit, []), retry)


@dataclass(frozen=True, slots=True)
class EarlierLayers:
    """What the earlier retry layers know of a unit: one ledger row per pair, in row order.

    Attributes:
        ledger: The columns of `gather`, without the extra ones.
        rows: Of these rows, the indices that a task slice fetches again.
    """

    ledger: pa.Table
    rows: list[int]

    @classmethod
    def read(cls, store: Store, task_slice: TaskSlice, retry: Retry) -> Self:
        """Return it for a task slice that retries this."""
        import pyarrow.parquet as pq

        parts = []
        for path in retry.parts:
            with store.reader(path) as source:
                parts.append(pq.read_table(source))
        every = pa.concat_tables(parts)
        # Later retry layers stand behind: of a row, the last one is the one that holds.
        _, from_end = np.unique(every[ROW.name].to_numpy()[::-1], return_index=True)
        ledger = every.take(pa.array(every.num_rows - 1 - from_end))
        rows = [
            index
            for index, outcome in enumerate(ledger[OUTCOME.name].to_pylist())
            if outcome in retry.outcomes
            and task_slice.first <= index < task_slice.first + task_slice.rows
        ]
        return cls(ledger, rows)

    def replaced(self) -> dict[str, int]:
        """Return how many pairs of each outcome are fetched again."""
        outcomes = self.ledger[OUTCOME.name].take(pa.array(self.rows, pa.int64())).to_pylist()
        return dict(sorted(Counter(outcomes).items()))

    def take_over(self, part: Part, alive: list[int]) -> list[int]:
        """Return the rows of `part` to fetch; the others get what another pair's URL gave already.

        That is so where a crash has parted pairs of one unit that share a URL. Where a filter mixes
        text and pixels, the other pair's values are its own, so the image is needed again.
        """
        if part.of_pair:
            return alive
        rows = part.by_url(alive)
        judged = self._judged(set(rows))
        own = {column.name for column in (RETRY_LAYER, ROW, UID, *part.order.of_text)}
        for url, values in judged.items():
            for row in rows[url]:
                for name in (values.keys() & part.values.keys()) - own:
                    part.values[name][row] = values[name]
        fetched = {row for url in judged for row in rows[url]}
        return [row for row in alive if row not in fetched]

    def _judged(self, urls: set[str]) -> dict[str, dict[str, Any]]:
        """Return the ledger row of a pair, per URL, whose bytes were received and judged."""
        final = [str(outcome) for outcome in Outcome if not outcome.retriable]
        ledger = self.ledger
        for column in (FETCHED_AT, OPT_OUT_AT):
            if column.name in ledger.column_names:
                as_put = ledger[column.name].cast(pa.int64())  # ms, not a datetime
                index = ledger.column_names.index(column.name)
                ledger = ledger.set_column(index, column.name, as_put)
        rows = {}
        for row, (url, outcome, sha256) in enumerate(
            zip(
                *(self.ledger[column.name].to_pylist() for column in (URL, OUTCOME, SHA256)),
                strict=True,
            )
        ):
            if outcome in final and sha256 and (key := canonical_or_given(url)) in urls:
                (rows[key],) = ledger.slice(row, 1).to_pylist()
        return rows
