"""Extract: pairs from the pages of a crawl, one Parquet file from each WARC or WAT file.

A file is a task. Its pairs are found; then those that an earlier file has too are left out, and
those beyond the limit of their page's host; then the rest is written. Each step is a round of
tasks, so what was killed goes on where it was, and the same sources give the same bytes. What is
needed on the way lies in `_extract/` beside the pairs, and is deleted at the end but for two small
records.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.lease import held
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.extraction import tasks
from pairsieve.pipeline.extraction.first_of_each import Bucket, find_beyond
from pairsieve.pipeline.extraction.sources import Source
from pairsieve.pipeline.extraction.tasks import FileTask, Work
from pairsieve.pipeline.pages.crawl import MAX_EXAMPLES
from pairsieve.pipeline.pages.page import REPEATED
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe_pages import Pages

FOLDER = "_extract"  # inputs pass over what begins with a line
BEGUN = marker_path("records", "begun")
DONE = marker_path("records")
READ_AT_ONCE = 16  # markers

Item = TypeVar("Item")
Listener = Callable[[str, Marker], Any]  # hears of every task that ends, with the name of its step
Say = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an extraction has given.

    Attributes:
        files: Files of the crawl.
        pages: Pages with an image.
        pairs: Pairs written.
        left_out: Images that are no pair, by reason.
        bad: Bad records, by reason.
        examples: File, offset and reason of the first bad records.
    """

    files: int
    pages: int
    pairs: int
    left_out: dict[str, int]
    bad: dict[str, int]
    examples: list[list[Any]]


def run(
    sources: Sequence[Source],
    out: Store,
    engine: Engine,
    options: Pages,
    max_per_host: int | None = None,
    listener: Listener = lambda step, marker: None,
    say: Say = print,
) -> Summary:
    """Write the pairs of a crawl into `out`; do what is not done yet.

    Raises:
        BadOption: `out` holds something else, or pairs of other sources or options.
    """
    check(sources, out, options, max_per_host)
    work = Store(out.location(FOLDER), out.scratch)
    with held(work, "extract", say):
        if done := _done(out, work):
            return done
        wanted = _wanted(sources, options, max_per_host)
        work.create(BEGUN, json.dumps(wanted, indent=1).encode())
        common = Work(out, work, options, len(sources), bool(max_per_host))
        steps = _Steps(common, sources, engine, listener)
        steps.of_files(tasks.FOUND, tasks.find)
        steps.of_buckets(tasks.REPEATS, tasks.FOUND, 1)
        if max_per_host:
            steps.of_files(tasks.HOSTS, tasks.find_hosts)
            steps.of_buckets(tasks.OVER_HOST, tasks.HOSTS, max_per_host)
        steps.of_files(tasks.WRITTEN, tasks.write)
        summary = _summary(work, sources)
        work.write(DONE, checked_json.dumps(asdict(summary)))
        _tidy(work)
        return summary


@dataclass(frozen=True, slots=True)
class _Steps:
    """The rounds of an extraction."""

    common: Work
    sources: Sequence[Source]
    engine: Engine
    listener: Listener

    def of_files(self, folder: str, function: Callable[[FileTask], Marker]) -> None:
        """Do something with every file that is not done yet."""
        self._round(
            folder,
            function,
            (FileTask(self.common, number, each) for number, each in enumerate(self.sources)),
        )

    def of_buckets(self, folder: str, keys: str, most: int) -> None:
        """Find what is beyond the first of each key, in every bucket that is not done yet."""
        common = self.common
        each = range(common.buckets)
        made = (Bucket(n, common.work, keys, common.files, most, folder) for n in each)
        self._round(folder, find_beyond, made)

    def _round(
        self, folder: str, function: Callable[[Item], Marker], items: Iterable[Item]
    ) -> None:
        """Do the items of a round that have no marker yet.

        Raises:
            Stopped: a task's process kept dying.
        """
        work = self.common.work
        done = {path for path, _, _ in work.list(folder)}
        pending = (
            item
            for number, item in enumerate(items)
            if marker_path(folder, task_name(number)) not in done
        )
        for item, result in self.engine.map(function, pending):
            if isinstance(result, Crashed):
                raise Stopped(
                    f"the process of {item} died at every attempt ({result.reason}), most likely "
                    "for want of memory; the same command goes on, with fewer --workers"
                )
            self.listener(folder, result)


def _wanted(sources: Sequence[Source], options: Pages, max_per_host: int | None) -> dict[str, Any]:
    """Return what is asked for, as JSON has it."""
    return {
        "options": options.model_dump(mode="json") | {"max_per_host": max_per_host},
        "sources": [asdict(source) for source in sources],
    }


def check(sources: Sequence[Source], out: Store, options: Pages, max_per_host: int | None) -> None:
    """Refuse a folder in which something else lies.

    Raises:
        BadOption: saying what.
    """
    work, wanted = Store(out.location(FOLDER)), _wanted(sources, options, max_per_host)
    try:
        begun = json.loads(work.read(BEGUN))
    except FileNotFoundError:
        prefix = f"{FOLDER}/"
        if foreign := next((path for path in out.paths() if not path.startswith(prefix)), None):
            raise BadOption(
                f"--out: {out.url} holds {foreign}, which is not of an extraction; name a folder "
                "that is empty or not there yet"
            ) from None
        return
    if begun != wanted:
        raise BadOption(
            f"--out: {out.url} holds pairs of {_difference(begun, wanted)}; name another folder, "
            "or go back to what was asked for then"
        )


def _difference(begun: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Return what differs, for people."""
    for key, value in wanted["options"].items():
        if (then := begun["options"].get(key)) != value:
            return f"other options: {key} was {then!r} and is {value!r}"
    then, now = begun["sources"], wanted["sources"]
    changed = next((n["location"] for t, n in zip(then, now, strict=False) if t != n), None)
    if changed:
        return f"other sources: {changed} is new there, or has changed"
    return f"other sources: {len(then):,} files then, {len(now):,} now"


def _summary(work: Store, sources: Sequence[Source]) -> Summary:
    """Return what all tasks have given."""
    left_out: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    examples: list[list[Any]] = []
    pages = pairs = 0
    for source, marker in zip(sources, _markers(work, tasks.FOUND, len(sources)), strict=True):
        pages += marker.extra[tasks.PAGES]
        bad.update(marker.extra[tasks.BAD])
        left_out.update(marker.extra[tasks.LEFT_OUT])
        for offset, reason in marker.extra[tasks.EXAMPLES][: MAX_EXAMPLES - len(examples)]:
            examples.append([source.location, offset, reason])
    for marker in _markers(work, tasks.WRITTEN, len(sources)):
        pairs += marker.rows
        for reason in (REPEATED, tasks.OVER_LIMIT_OF_HOST):
            left_out[reason] += marker.counts[reason]
    counted = {reason: count for reason, count in sorted(left_out.items()) if count}
    return Summary(len(sources), pages, pairs, counted, dict(sorted(bad.items())), examples)


def _markers(work: Store, folder: str, count: int) -> Iterator[Marker]:
    """Yield the markers of a round, in order of the files."""
    paths = (marker_path(folder, task_name(number)) for number in range(count))
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        yield from pool.map(partial(marker_of, work), paths)


def _done(out: Store, work: Store) -> Summary | None:
    """Return what an extraction that is finished has given, None of others.

    Raises:
        Stopped: a file of pairs is gone since.
    """
    try:
        record = checked_json.loads(work.read(DONE))
    except FileNotFoundError:
        return None
    _tidy(work)
    summary, there = Summary(**record), set(out.paths())
    for number in range(summary.files):
        if (name := tasks.part_name(number)) not in there:
            raise Stopped(
                f"{out.location(name)} is gone; name another --out, or delete this one whole to "
                "extract again"
            )
    return summary


def _tidy(work: Store) -> None:
    """Delete what was needed on the way."""
    folders = (tasks.FOUND, tasks.REPEATS, tasks.HOSTS, tasks.OVER_HOST, tasks.WRITTEN)
    for folder in folders:
        work.delete([path for path, _, _ in work.list(folder)])
