"""Verify: whether all that was committed is there, byte for byte, and the shards are whole.

Rounds of tasks, each over some markers, a shard, or some gathered slices of the ledger; they only
read, so that it can be stopped at any time and begun anew. A file is read once and streamed.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

from pairsieve.pipeline.captions.folders import read_record
from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    DONE,
    GATHER_FOLDER,
    PLAN_FILE,
    layer_of,
    select_marker,
    shard_marker,
)
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.dataset.stages import SHARD
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.integrity.checksums import Checked, Finding, check_files, check_markers
from pairsieve.pipeline.integrity.shards import (
    Sums,
    check_shard,
    differing,
    kept_sums,
    shards_of,
)
from pairsieve.pipeline.ledger.ledger import current_shards
from pairsieve.pipeline.unit import plan_file, retry_layers
from pairsieve.pipeline.vectors import model_record
from pairsieve.schemas.errors import BadOption, Stopped, nearest

MARKERS_AT_ONCE = 8  # of a task
SLICES_AT_ONCE = (
    100  # gathered slices of a task that adds up what the ledger keeps: a million pairs
)

Item = TypeVar("Item")
Result = TypeVar("Result")


def run(
    store: Store, engine: Engine, shards: str | None = None, decode: bool = False
) -> Iterator[Checked]:
    """Yield what was read and what is wrong with it, as tasks end.

    Args:
        store: The dataset.
        engine: Where the tasks run.
        shards: Only the shards of this selection, their images decoded; None for everything.
        decode: Decode every stored image, too.

    Raises:
        BadOption: there is no dataset, or no shards of that selection.
        Stopped: a task's process kept dying.
    """
    names = _sharded(store)
    if shards is not None and shards not in names:
        known = nearest(shards, names) if names else "there are none yet"
        raise BadOption(f"--shards: no selection `{shards}` has shards; {known}")
    sound = True
    if shards is None:
        yield _fixed(store)
        markers = (path for path in store.paths() if role(path) is Role.MARKER)
        own = set(map(shard_marker, names))
        tasks = _batches((path for path in markers if path not in own), MARKERS_AT_ONCE)
        for checked in _map(engine, partial(check_markers, store, decode), tasks):
            sound = sound and not checked.findings
            yield checked
    for name in names if shards is None else [shards]:
        yield from _check_shards(store, engine, name, decode or shards is not None, sound)


def _sharded(store: Store) -> list[str]:
    """Return the selections that have shards, sorted; links are not followed."""
    if not store.exists(PLAN_FILE):
        raise BadOption(f"{store.url}: no dataset here yet; `pairsieve plan` or `run` makes one")
    found = (path for path, _, _ in store.list(SHARD.folder) if path.endswith(f"/{DONE}.json"))
    parts = (path.split("/") for path in found if store.link(path) is None)
    return sorted(part[1] for part in parts if len(part) == 3)


def _map(
    engine: Engine, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yield the results of tasks."""
    for item, result in engine.map(function, items):
        if isinstance(result, Crashed):
            raise Stopped(
                f"verify: the process of a task died at every attempt ({result.reason}) while it "
                f"read {item}; nothing was changed, and the same command begins anew"
            )
        yield result


def _fixed(store: Store) -> Checked:
    """Return what is wrong with what has no marker: plan, staged pairs, models, retry layers."""
    findings = []
    readers: dict[str, Callable[[], object]] = {PLAN_FILE: partial(plan_file.read, store)}
    for name in store.marker_names(paths.EMBED_FOLDER):
        readers[paths.model_record(name)] = partial(model_record.read_record, store, name)
    for name in store.marker_names(paths.CAPTION_FOLDER):
        readers[paths.captions_record(name)] = partial(read_record, store, name)
    for name in store.marker_names(paths.RETRY_LAYERS):
        path = paths.marker_path(paths.RETRY_LAYERS, name)
        readers[path] = partial(retry_layers.read_layer, store, path)
    for path, read in readers.items():
        try:
            read()
        except Stopped as error:
            reason = str(error).removeprefix(f"{store.location(path)}: ").partition(";")[0]
            findings.append(Finding(path, reason, path))
    if not findings:
        findings += check_files(store, PLAN_FILE, plan_file.read(store).staged_entries)
    return Checked(tuple(findings), len(readers))


def _batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield the items, so many at a time."""
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch


def _check_shards(
    store: Store, engine: Engine, name: str, decode: bool, sound: bool
) -> Iterator[Checked]:
    """Yield what is wrong with the shards of a selection; `sound`: nothing is with the ledger."""
    marker = shard_marker(name)
    try:
        done = store.marker(marker)
    except Stopped:
        yield check_markers(store, False, [marker])
        return
    if done is None:
        return
    shards, findings = shards_of(store, name, done)
    listings = {file: entry for file, entry in done.files.items() if not is_shard(file)}
    findings += check_files(store, marker, listings)
    yield Checked(tuple(findings), 1 + len(listings))
    sums, sound = Sums(), sound and not findings
    for checked in _map(engine, partial(check_shard, store, decode), shards):
        yield checked.checked
        sums, sound = sums.plus(checked.sums), sound and not checked.checked.findings
    if sound and current_shards(store, name):
        yield _against_ledger(store, engine, name, (done, sums))


def _against_ledger(
    store: Store, engine: Engine, name: str, in_shards: tuple[Marker, Sums]
) -> Checked:
    """Return what is in the shards and not kept by the ledger, or kept and in none.

    A selection that is not of all that is gathered now is to be made anew: nothing is compared.
    """
    slices = (one for one in store.marker_names(GATHER_FOLDER) if not layer_of(one))
    kept = Sums()
    unreadable: list[Finding] = []
    rows = 0
    for one in _map(engine, partial(kept_sums, store, name), _batches(slices, SLICES_AT_ONCE)):
        kept, rows = kept.plus(one.sums), rows + one.rows
        unreadable += one.findings
    selected = store.marker(select_marker(name))
    outdated = selected is None or selected.rows != rows
    if unreadable or outdated or kept == in_shards[1]:
        return Checked(tuple(unreadable))
    return Checked(tuple(differing(store, name, in_shards[0])))
