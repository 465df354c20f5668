"""Gather: one unit of pairs becomes a part of the ledger and a tar of stored images.

Everything a pair needs before a model sees it happens here, in one process: text measures, gates,
fetch, decode, resize, image measures. A URL that occurs several times in a unit, in whatever
spelling, is fetched once. A task slice that kills its process is halved until the pair at fault
stands alone; that pair's outcome says so and the rest lands. A task slice of a retry layer goes the
same way with the rows that it fetches again.
"""

import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset import costs, paths
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import REPLACED, Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, REQUESTS_SUFFIX, content
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.pipeline.fetch import img2dataset, request_rates
from pairsieve.pipeline.fetch.batch import Sent
from pairsieve.pipeline.fetch.client import Client, Fetched, Shared
from pairsieve.pipeline.ledger.rules import gates
from pairsieve.pipeline.unit import forgotten, input_images, plan_file, task_slices
from pairsieve.pipeline.unit.fetch_summary import KEY, LINE, tally
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.unit.retry_layers import EarlierLayers
from pairsieve.pipeline.unit.stored_images import Checks, Images
from pairsieve.pipeline.unit.task_slices import TaskSlice
from pairsieve.schemas.columns import OUTCOME, TEXT, Column
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CLEAN_TEXT, CONTEXT_LENGTH, TOKEN_COUNT

# Of a process: so many that it works while the last answers of some are waited for.
PAIRS_IN_HAND = 20_000  # at 7 kB each; bounds the memory for them, unless two task slices have more
MOST_IN_HAND = 8  # task slices; bounds the memory for their pictures that wait to be measured
DECODED_AT_ONCE = 2  # pictures, in the threads of a process; bounds the memory for their pixels


@dataclass(frozen=True, slots=True)
class Worker:
    """What a process gathers with, one task slice after the other.

    Attributes:
        recipe: The recipe.
        store: The dataset.
        plan_sha256: The SHA-256 of its plan.json.
        among: How many processes gather at the same time.
        forgotten: The records of what was taken out of the dataset.
    """

    recipe: Recipe
    store: Store
    plan_sha256: str
    among: int
    forgotten: tuple[str, ...] = ()


class Gathering:
    """What a process keeps while it gathers.

    One task slice is begun at a time, the next one while the last answers of those before it are
    waited for.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        options, opt_outs = worker.recipe.fetch, worker.recipe.opt_outs
        self.client = Client(options, Shared(worker.among), opt_outs) if options else None
        self._turn = threading.Lock()
        self.decoding = threading.Semaphore(DECODED_AT_ONCE)

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        """Wait for the turn to begin a task slice; give what ends it before the context does."""
        self._turn.acquire()
        once = threading.Lock()

        def end() -> None:
            if once.acquire(blocking=False):
                self._turn.release()

        try:
            yield end
        finally:
            end()


def run(recipe: Recipe, store: Store, plan: Plan, engine: Engine) -> Iterator[tuple[str, Marker]]:
    """Gather what is not committed yet; yield (task slice, marker) as task slices commit."""
    todo = task_slices.pending(plan, store.marker_names(GATHER_FOLDER))
    yield from work(recipe, store, plan, engine, todo)


def work(
    recipe: Recipe, store: Store, plan: Plan, engine: Engine, todo: list[TaskSlice]
) -> Iterator[tuple[str, Marker]]:
    """Gather task slices, also of a retry layer; yield (task slice, marker) as they commit.

    What kills its process is halved until the pair at fault stands alone.
    """
    plan_sha256, records = plan_file.sha256_of(store), forgotten.names(store)
    while todo:
        crashed: list[TaskSlice] = []
        among = min(engine.workers, len(todo))
        setup = partial(Gathering, Worker(recipe, store, plan_sha256, among, records))
        for task_slice, result in engine.map_with(
            setup, gather, todo, per_cpu=_in_hand(todo), held=recipe.resources.gather
        ):
            if not isinstance(result, Crashed):
                yield task_slice.name, result
            elif halves := _halves(store, task_slice):
                crashed += halves
            else:
                yield (
                    task_slice.name,
                    _commit_crashed(recipe, store, plan, task_slice, result.reason),
                )
        todo = crashed


def _in_hand(todo: list[TaskSlice]) -> int:
    """Return how many task slices a process has in hand: small ones are many."""
    largest = max(task_slice.rows for task_slice in todo)
    return max(2, min(MOST_IN_HAND, PAIRS_IN_HAND // largest))


def gather(gathering: Gathering, task_slice: TaskSlice) -> Marker:
    """Do everything for the pairs of one task slice and commit it."""
    with gathering.turn() as end_turn:
        return _gather(gathering, task_slice, end_turn)


def _gather(gathering: Gathering, task_slice: TaskSlice, end_turn: Callable[[], None]) -> Marker:
    """Do the same; `end_turn` lets the next one begin."""
    worker = gathering.worker
    recipe, store = worker.recipe, worker.store
    plan = plan_file.read_once(store, worker.plan_sha256)
    part, before = _part(recipe, store, plan, task_slice)
    taken_out = forgotten.read_once(store, worker.forgotten)
    if taken_out:
        taken_out.take_out(store, part, task_slice.unit)
    alive = part.usable()
    part.measure_texts(alive, _of_texts(recipe, part, alive))
    if recipe.text and not recipe.text.keep_personal_data:
        part.mask_texts(recipe.text.phone_regions)
    alive = part.gated(alive, gates(recipe, Phase.TEXT))
    checks = Checks.of(part, plan, recipe, taken_out.index if taken_out else None)
    alive = checks.admitted(part, alive)
    if before and not checks.by_row:
        alive = before.take_over(part, alive)
    sent: Sent = Counter()
    path = content(GATHER_FOLDER, task_slice.name, ".tar")
    with store.writer(path) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        images = Images(part, recipe, tar, path, checks)
        fetched_by = partial(_fetch, gathering, sent, checks.blocklist, end_turn)
        for rows, fetched in _bodies(part, plan, recipe, alive, fetched_by):
            with gathering.decoding:
                images.add(rows, fetched)
        images.flush()
    files = {path: sink.entry()} | _requests(store, task_slice, sent)
    met = gathering.client.met() if gathering.client else {}
    extra = _replaced(before) | ({LINE: met} if met else {})
    return _commit(store, task_slice, part, files, extra)


def _part(
    recipe: Recipe, store: Store, plan: Plan, task_slice: TaskSlice
) -> tuple[Part, EarlierLayers | None]:
    """Return the empty ledger part of a task slice: of a retry layer, of what it fetches again."""
    table = plan_file.read_unit(plan, task_slice.unit, task_slice.first, task_slice.rows)
    if not task_slice.retry:
        return Part(table, recipe=recipe, left_out=plan.left_out), None
    before = EarlierLayers.read(store, task_slice, task_slice.retry)
    indices = pa.array([row - task_slice.first for row in before.rows], pa.int64())
    part = Part(table.take(indices), task_slice.layer, recipe=recipe, left_out=plan.left_out)
    return part, before


def _of_texts(recipe: Recipe, part: Part, rows: list[int]) -> dict[Column, Any]:
    """Return what measures of texts read besides them, as far as the recipe asks for it."""
    texts = [part.values[TEXT.name][row] for row in rows]
    arrays: dict[Column, Any] = {}
    if recipe.text:
        arrays[CLEAN_TEXT] = np.array([cleaned(text) for text in texts], object)
    if recipe.text and recipe.text.tokens and recipe.embed:
        from pairsieve.pipeline.models.token_counts import counter

        tokens = counter(recipe.embed)
        arrays[TOKEN_COUNT] = np.array([tokens.count(text) for text in texts], np.int32)
        arrays[CONTEXT_LENGTH] = np.full(len(texts), tokens.context_length, np.int32)
    return arrays


def _halves(store: Store, task_slice: TaskSlice) -> list[TaskSlice]:
    """Return the two halves of the pairs of a task slice; nothing if it is about one."""
    rows = (
        EarlierLayers.read(store, task_slice, task_slice.retry).rows
        if task_slice.retry
        else range(task_slice.first, task_slice.first + task_slice.rows)
    )
    return task_slice.cut(rows[len(rows) // 2] - task_slice.first) if len(rows) > 1 else []


def _bodies(
    part: Part,
    plan: Plan,
    recipe: Recipe,
    alive: list[int],
    fetched_by: Callable[[list[str]], Iterator[Fetched]],
) -> Iterator[tuple[list[int], Fetched]]:
    """Yield (rows, what their URL gave): of the images that the input holds, then from the web."""
    if plan.images:
        missing = []
        for row, fetched in input_images.read(part, plan, recipe, alive):
            if fetched is None:
                missing.append(row)
            else:
                yield [row], fetched
        alive = missing
    rows = part.by_url(alive)
    for fetched in fetched_by(list(rows)) if rows else ():
        yield rows[fetched.url], fetched


def _fetch(
    gathering: Gathering,
    sent: Sent,
    blocklist: BlocklistIndex | None,
    idle: Callable[[], None],
    urls: list[str],
) -> Iterator[Fetched]:
    """Return what each URL gives, by the downloader that the recipe names.

    Raises:
        BadOption: it names none.
    """
    options = gathering.worker.recipe.fetch
    if options is None or gathering.client is None:
        raise BadOption("fetch: missing; the input has only URLs")
    if options.engine == "img2dataset":
        return img2dataset.fetch(urls, options)
    blocked = blocklist.of_canonical if blocklist else None
    return gathering.client.fetch(urls, sent, blocked, idle)


def _requests(store: Store, task_slice: TaskSlice, sent: Sent) -> dict[str, Any]:
    """Write what was sent to each host, if anything, and return the file as a marker names it."""
    if not sent:
        return {}
    path = content(GATHER_FOLDER, task_slice.name, REQUESTS_SUFFIX)
    with store.writer(path) as sink:
        request_rates.write(sent, sink)
    return {path: sink.entry()}


def _commit(
    store: Store,
    task_slice: TaskSlice,
    part: Part,
    files: dict[str, Any],
    extra: dict[str, Any],
) -> Marker:
    """Write the ledger part beside its images and commit both."""
    import pyarrow.parquet as pq

    path = content(GATHER_FOLDER, task_slice.name, ".parquet")
    with store.writer(path) as sink:
        pq.write_table(part.table(), sink, compression="zstd")
    pa.default_memory_pool().release_unused()  # else it keeps some 30 MB
    outcomes = part.values[OUTCOME.name]
    counts = {str(outcome): outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    extra = {KEY: tally(part)} | extra | costs.since_last()
    marker = Marker(part.rows, files | {path: sink.entry()}, counts, extra)
    return commit(store, paths.marker_path(GATHER_FOLDER, task_slice.name), marker)


def _replaced(before: EarlierLayers | None) -> dict[str, Any]:
    """Return what a retry layer replaces, for a marker's `extra`."""
    return {REPLACED: before.replaced()} if before else {}


def _commit_crashed(
    recipe: Recipe, store: Store, plan: Plan, task_slice: TaskSlice, reason: str
) -> Marker:
    """Commit the one pair whose work alone killed the process."""
    part, before = _part(recipe, store, plan, task_slice)
    part.reject([0], Outcome.CRASHED, reason)
    return _commit(store, task_slice, part, {}, _replaced(before))
