"""Which files hold the ledger: those of the whole pool, or those of a block of it.

A block is some consecutive units, about half a million pairs: the grain in which all is decided
on the engine. Blocks of a million took a quarter more memory, and 4 % less time. What a stage over
the pool has committed in blocks is joined block by block; of a file that is not cut into
blocks the rows of a block are read.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

from pairsieve.pipeline.dataset.commit import damaged
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    CAPTIONS_SUFFIX,
    GATHER_FOLDER,
    SCORES_SUFFIX,
    captions_folder,
    marker_path,
    parsed,
    select_marker,
    vectors_folder,
)
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.dataset.stages import SELECT, STAGES, Scope, Stage
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import Column
from pairsieve.schemas.errors import Stopped

BLOCK_UNITS = 50  # units of a block; of 10,000 pairs each, half a million pairs
Units = tuple[int, int]  # the first and the last of some consecutive ones
UNITS = "units"  # in a marker's entry of a file: of which units it holds the rows
WAS = "was"  # likewise: name and checksum of the file as first committed, before pairs left it
RULES = "rules"  # in a selection's marker: the rules whose bits are in its files
CAPTIONS = "/captions"  # beside the names of models, whose scores are read: what `caption` left
SCARCE = "scarce"  # in a selection's marker: of each mix, the value that limits it, and its pairs
MADE_BY = "made_by"  # in a selection's marker: how it was made


@dataclass(frozen=True, slots=True)
class SliceFile:
    """A file of one task slice; `first` is its name before pairs left it, if any did."""

    unit: int
    layer: int
    name: str
    sha256: str | None
    first: str | None = None


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file of a stage over the pool, and the units that it holds; None for all.

    `first` is its name and checksum before pairs left it, if any did.
    """

    name: str
    units: Units | None
    sha256: str | None
    first: tuple[str, str | None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files of a stage over the pool.

    `rules` are the names behind the bits of a selection; `suffix` is what its columns end in where
    there are several.
    """

    view: str
    columns: tuple[Column, ...]
    files: tuple[ResultFile, ...]
    rules: tuple[str, ...] = ()
    suffix: str = ""

    def identity(self) -> "list[ResultFile]":
        """Return the files as they were before pairs left them, which stand for the content."""
        firsts = (file.first or (file.name, file.sha256) for file in self.files)
        files = zip(self.files, firsts, strict=True)
        return [ResultFile(name, file.units, sha256) for file, (name, sha256) in files]


@dataclass(frozen=True, slots=True)
class ColumnFile:
    """A file of `column_files`: its size in bytes, how many parts it has, which units."""

    name: str
    bytes: int
    parts: int
    units: Units


@dataclass(frozen=True, slots=True)
class LedgerFiles:
    """The files of the ledger.

    Attributes:
        gathered: Ledger parts, of the first gather and of retry layers.
        scores: By the name of a model, "" for the main one, the files of its scores; those of
            captions by `CAPTIONS`.
        results: What the stages over the pool have left.
        units: Of which units; None for all.
        columns: What is known of the same pairs by one look-up; none where it is not there.
    """

    gathered: tuple[SliceFile, ...]
    scores: Mapping[str, tuple[SliceFile, ...]]
    results: tuple[ResultFiles, ...]
    units: Units | None = None
    columns: tuple[ColumnFile, ...] = ()

    def slices(self) -> "Iterator[SliceFile]":
        """Yield the files of task slices: what was gathered, then what was scored."""
        for files in (self.gathered, *self.scores.values()):
            yield from files

    def of_units(self) -> "Iterator[tuple[str, str | None]]":
        """Yield (name, SHA-256) of files of these units alone; others are compared when listed."""
        for one in self.slices():
            yield one.name, one.sha256
        for file in (file for result in self.results for file in result.files if file.units):
            yield file.name, file.sha256

    def measured(self) -> list[str]:
        """Return the names of what was gathered and scored, which stand for the content.

        They are those before pairs left the files: what was decided of the others holds.
        """
        return [file.first or file.name for file in self.slices()]


def ledger_files(
    store: Store,
    embeddings: Mapping[str, str] | None = None,
    selection: str | None = None,
    before: Stage | None = None,
    hashed: bool = False,
) -> LedgerFiles:
    """Return the files of the whole ledger; the arguments but the last are those of `attach`.

    Where `hashed`, all of them are read and compared with their checksums, since what reads them
    next does not; tasks on blocks compare what they read.

    Raises:
        Stopped: a file of a stage is not what was committed.
    """
    stages = STAGES[: STAGES.index(before)] if before else STAGES
    gathered = store.markers(GATHER_FOLDER)
    scored = {
        name: store.markers(_measured_folder(name, folder))
        for name, folder in (embeddings or {}).items()
    }
    for markers in (gathered, *scored.values()):
        for name, wrong in damaged(
            store, markers.values(), ".parquet", hashed=".parquet" if hashed else None
        ):
            raise Stopped(f"{store.location(name)}: {wrong}; {store.remedy}")
    results = [
        result_files(store, stage, selection, hashed)
        for stage in stages
        if stage.view and stage.scope in (Scope.POOL, Scope.SELECTION)
    ]
    scores = {
        name: tuple(_of_slices(of, CAPTIONS_SUFFIX if name == CAPTIONS else SCORES_SUFFIX))
        for name, of in scored.items()
    }
    return LedgerFiles(tuple(_of_slices(gathered, ".parquet")), scores, tuple(results))


def _measured_folder(name: str, folder: str) -> str:
    """Return where the scores of a model are, or the captions."""
    return captions_folder(folder) if name == CAPTIONS else vectors_folder(folder)


def _of_slices(markers: Mapping[str, Marker], suffix: str) -> Iterator[SliceFile]:
    for slice_name, marker in markers.items():
        unit, layer, _ = parsed(slice_name)
        for name, entry in marker.files.items():
            if name.endswith(suffix):
                yield SliceFile(unit, layer, name, entry.get("sha256"), first_name(name, entry))


def first_names(markers: Iterable[Marker], suffix: str) -> list[str]:
    """Return the names of committed files that end in `suffix`, as before pairs left them."""
    entries = (entry for marker in markers for entry in marker.files.items())
    return [first_name(name, entry) for name, entry in entries if name.endswith(suffix)]


def first_name(name: str, entry: Mapping[str, Any]) -> str:
    """Return the name of a file before pairs left it, given as a marker has it."""
    return str(entry[WAS][0]) if WAS in entry else name


def _first(entry: Mapping[str, Any]) -> tuple[str, str | None] | None:
    return (entry[WAS][0], entry[WAS][1]) if WAS in entry else None


def result_files(
    store: Store, stage: Stage, selection: str | None, hashed: bool = False
) -> ResultFiles:
    """Return the files of a stage over the pool, none where it has no current result.

    Raises:
        Stopped: one of them is not what was committed.
    """
    result = current_result(store, stage, selection)
    if result is None:
        return ResultFiles(stage.view, stage.columns, ())
    files = tuple(
        ResultFile(name, _units(entry), entry.get("sha256"), _first(entry))
        for name, entry in result.files.items()
        if name.endswith(".parquet") and not is_shard(name)
    )
    # One that is not cut into blocks is read by many tasks, in parts.
    in_blocks = not hashed and all(file.units for file in files)
    for name, wrong in damaged(store, [result], hashed=None if in_blocks else ".parquet"):
        raise Stopped(f"{store.location(name)}: {wrong}; `pairsieve {stage.name}` makes it again")
    rules = tuple(result.extra[RULES]) if stage is SELECT else ()
    return ResultFiles(stage.view, stage.columns, files, rules)


def any_of(entry: Mapping[str, Any], first: int, last: int) -> bool:
    """Return whether a file, given as a marker has it, may hold rows of these units."""
    return _overlap(_units(entry), (first, last))


def _overlap(units: Units | None, span: Units) -> bool:
    """Return whether two spans of units have one in common; None is all units."""
    return units is None or (units[0] <= span[1] and span[0] <= units[1])


def _units(entry: Mapping[str, Any]) -> Units | None:
    return (entry[UNITS][0], entry[UNITS][1]) if UNITS in entry else None


def current_result(store: Store, stage: Stage, selection: str | None) -> Marker | None:
    """Return the marker of a stage over the pool; None where it is missing or outdated.

    What belongs to a selection is outdated as soon as that was made anew.
    """
    if stage.scope is Scope.POOL:
        return store.marker(marker_path(stage.folder))
    if selection is None:
        return None
    marker = store.marker(marker_path(f"{stage.folder}/{selection}"))
    if marker is None or "selection" not in marker.extra:
        return marker
    selected = store.marker(select_marker(selection))
    current = selected and marker.extra["selection"] == selected.extra["fingerprint"]
    return marker if current else None


def blocks(whole: LedgerFiles, units: int = BLOCK_UNITS) -> Iterator[LedgerFiles]:
    """Yield the files of each block: of so many consecutive units, in their order."""

    def block(file: SliceFile) -> int:
        return file.unit // units

    scores = {
        name: {number: tuple(of) for number, of in groupby(files, block)}
        for name, files in whole.scores.items()
    }
    starts = [_starts(result) for result in whole.results]
    for number, files in groupby(sorted(whole.gathered, key=lambda file: file.unit), block):
        gathered = tuple(files)
        span = (gathered[0].unit, gathered[-1].unit)
        yield LedgerFiles(
            gathered,
            {name: of_block.get(number, ()) for name, of_block in scores.items()},
            tuple(
                overlapping(result, span, of)
                for result, of in zip(whole.results, starts, strict=True)
            ),
            span,
            _columns_of(whole.columns, gathered, span),
        )


def unit_files(whole: LedgerFiles, unit: int) -> LedgerFiles:
    """Return the files of one unit; those of slices must be in the order of units, as listed."""
    return span_files(whole, (unit, unit))


def span_files(whole: LedgerFiles, units: Units) -> LedgerFiles:
    """Return the files of some consecutive units; those of slices must be in their order."""

    def inside(files: Sequence[SliceFile]) -> tuple[SliceFile, ...]:
        first = bisect_left(files, units[0], key=attrgetter("unit"))
        return tuple(files[first : bisect_right(files, units[1], first, key=attrgetter("unit"))])

    return LedgerFiles(
        inside(whole.gathered),
        {name: inside(files) for name, files in whole.scores.items()},
        tuple(overlapping(result, units) for result in whole.results),
        units,
    )


def _starts(result: ResultFiles) -> list[int] | None:
    """Return the first unit of each file, where one begins behind the end of the one before."""
    spans = [file.units for file in result.files if file.units]
    apart = all(one[1] < other[0] for one, other in pairwise(spans))
    return [first for first, _ in spans] if apart and len(spans) == len(result.files) else None


def overlapping(result: ResultFiles, span: Units, starts: list[int] | None = None) -> ResultFiles:
    """Return the files that may hold rows of these units; with `starts` few are looked at."""
    files = result.files
    if starts is not None:
        files = files[max(0, bisect_right(starts, span[0]) - 1) : bisect_right(starts, span[1])]
    return replace(result, files=tuple(file for file in files if _overlap(file.units, span)))


def _columns_of(
    columns: Sequence[ColumnFile], gathered: Sequence[SliceFile], span: Units
) -> tuple[ColumnFile, ...]:
    """Return the files of columns that hold all of a block and nothing else; none without them."""
    first = bisect_left(columns, span[0], key=lambda file: file.units[0])
    files = columns[first : bisect_right(columns, span[1], key=lambda file: file.units[0])]
    units = {unit for low, high in (file.units for file in files) for unit in range(low, high + 1)}
    inside = bool(files) and files[-1].units[1] <= span[1]
    return tuple(files) if inside and units >= {file.unit for file in gathered} else ()
