"""The captions of one task slice: what is known already, what is asked, and how it is committed.

Every so many answers the slice is committed anew with those it has, so that a kill costs few of
them; the marker says of which pairs the model was asked once all of them were. An answer that is
there stays, also when another recipe asks of other pairs: it was paid for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pairsieve.pipeline.captions.answers import Answer, CaptionOutcome
from pairsieve.pipeline.captions.asking import Asker, Share, ask_all, failures_in_a_row
from pairsieve.pipeline.captions.folders import OF
from pairsieve.pipeline.captions.questions import question
from pairsieve.pipeline.captions.usage import KEY, Usage
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.checksums import STORED_AT
from pairsieve.pipeline.dataset.commit import replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    CAPTIONS_SUFFIX,
    GATHER_FOLDER,
    beside,
    captions_folder,
    marker_path,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.image.stored import read_images
from pairsieve.pipeline.ledger.files import ResultFile
from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.unit.pairs_with_image import pairs_with_image
from pairsieve.schemas.columns import (
    CAPTION_OUTCOME,
    CAPTION_TEXTS,
    CAPTIONED,
    KEEP,
    LANGUAGE,
    ROW,
    TEXT,
    UID,
    URL,
    arrow_schema,
)
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_captions import Captions

COMMIT_EVERY = 200  # answers
READ = (ROW, UID, URL, TEXT, LANGUAGE, *STORED_AT)
SCHEMA = arrow_schema((ROW, UID, *CAPTIONED))


@dataclass(frozen=True, slots=True)
class Task:
    """What the tasks of a run have in common.

    Attributes:
        store: The dataset.
        options: The recipe's section.
        folder: The name of what is asked.
        of: What stands for the pairs that the model is asked of.
        rules: The gates that these pass.
        kind: Format of the stored images.
        share: What a task may take of the recipe's limits.
        again: Whether pairs without an answer are asked once more.
    """

    store: Store
    options: Captions
    folder: str
    of: str
    rules: Sequence[Rule]
    kind: str
    share: Share
    again: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A task slice.

    Attributes:
        name: Its name.
        verdicts: The files of the selection whose survivors the model is asked of; None for all.
        cost: What its answers may cost; None for any.
    """

    name: str
    verdicts: tuple[ResultFile, ...] | None = None
    cost: float | None = None


@dataclass
class _Answers:
    """The answers of a slice, and what they cost."""

    path: str
    rows: int
    table: pa.Table
    usage: Usage
    new: list[dict[str, Any]] = field(default_factory=list)

    def commit(self, store: Store, of: str | None) -> Marker:
        """Commit the answers that there are."""
        if self.new:
            added = pa.Table.from_pylist(self.new, schema=SCHEMA)
            self.table = pa.concat_tables([self.table, added]).sort_by(ROW.name)
            self.new = []
        name = beside(self.path, CAPTIONS_SUFFIX)
        with store.writer(name) as sink:
            pq.write_table(self.table, sink, compression="zstd", write_page_checksum=True)
        outcomes = self.table[CAPTION_OUTCOME.name].to_pylist()
        counts = {str(one): outcomes.count(one) for one in CaptionOutcome if one in outcomes}
        extra = {OF: of, KEY: self.usage.to_json()}
        marker = Marker(self.rows, {name: sink.entry()}, counts, extra)
        replace(store, self.path, marker)
        return marker


def caption_slice(task: Task, item: Item) -> Marker:
    """Ask of the pairs of a slice that have no answer yet, and commit; return the marker.

    Raises:
        Stopped: the service answers nobody, or the money is spent; what was answered is committed.
    """
    gathered = task.store.marker(marker_path(GATHER_FOLDER, item.name))
    if gathered is None:
        raise Stopped(f"caption: {task.store.location(GATHER_FOLDER)} holds no slice {item.name}")
    pairs = pairs_with_image(task.store, gathered, task.rules, READ)
    if item.verdicts is not None:
        kept = _kept(task.store, item.verdicts, pairs[ROW.name])
        pairs = pairs.filter(pc.is_in(pairs[ROW.name], kept))
    answers = _known(task, item.name, gathered.rows)
    pairs = pairs.filter(pc.invert(pc.is_in(pairs[UID.name], answers.table[UID.name])))
    if pairs.num_rows:
        _ask(task, item, pairs.to_pylist(), answers)
    return answers.commit(task.store, task.of)


def _ask(task: Task, item: Item, pairs: list[dict[str, Any]], answers: _Answers) -> None:
    """Ask of some pairs, and commit what is answered now and then.

    Raises:
        Stopped: nothing more is to be asked.
    """
    share = Share(task.share.concurrency, task.share.per_s, item.cost)
    asker, failed, detail = Asker(task.options, share), 0, ""
    questions = _questions(task, pairs)
    try:
        for number, answer in ask_all(asker, questions, share.concurrency):
            answers.usage += answer.usage
            if answer.outcome is None:
                continue
            answers.new.append(_row(task.options, pairs[number], answer))
            failed, detail = failures_in_a_row(failed, answer), answer.detail
            if failed >= task.options.failures_in_a_row:
                asker.stop(_no_answers(task.options, failed, detail))
            if len(answers.new) >= COMMIT_EVERY:
                answers.commit(task.store, None)
    finally:
        if answers.new:
            answers.commit(task.store, None)
    if asker.reason:
        raise Stopped(f"{asker.reason}; the same command goes on from there")


def _no_answers(options: Captions, failed: int, detail: str) -> str:
    return (
        f"{options.url}: {failed} pairs in a row have no answer, at last: {detail}; mend that, or "
        "raise `captions.failures_in_a_row`"
    )


def _questions(task: Task, pairs: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the request for each pair; images are read some way ahead."""
    if not task.options.image:
        for pair in pairs:
            yield question(task.options, pair, None)
        return
    stored = read_images(task.store, checksums.located(pairs))
    for pair, (body, _) in zip(pairs, stored, strict=True):
        yield question(task.options, pair, (body, task.kind))


def _row(options: Captions, pair: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the row of an answer; a column that was not asked for is null."""
    texts = dict(zip(options.columns, answer.texts, strict=False))
    row = {column.name: texts.get(column.name) for column in CAPTION_TEXTS}
    return {
        ROW.name: pair[ROW.name],
        UID.name: pair[UID.name],
        CAPTION_OUTCOME.name: str(answer.outcome),
        **row,
    }


def _known(task: Task, name: str, rows: int) -> _Answers:
    """Return the answers that a slice has, less those to ask again for."""
    path = marker_path(captions_folder(task.folder), name)
    marker = task.store.marker(path)
    table = SCHEMA.empty_table()
    if marker:
        table = pq.read_table(checksums.read(task.store, *marker.entry(CAPTIONS_SUFFIX)))
    if task.again:
        table = table.filter(pc.not_equal(table[CAPTION_OUTCOME.name], CaptionOutcome.NO_ANSWER))
    return _Answers(path, rows, table, Usage.of(marker))


def _kept(store: Store, verdicts: Sequence[ResultFile], rows: pa.ChunkedArray) -> pa.Array:
    """Return the rows that a selection keeps, among those of a slice."""
    first, last = pc.min(rows).as_py(), pc.max(rows).as_py()
    kept = [pa.array([], pa.int64())]
    for file in verdicts if first is not None else ():
        body = checksums.read(store, file.name, {"sha256": file.sha256})
        filters = (pc.field(ROW.name) >= first) & (pc.field(ROW.name) <= last) & pc.field(KEEP.name)
        table = pq.read_table(body, columns=[ROW.name, KEEP.name], filters=filters)
        kept += table[ROW.name].chunks
    return pa.concat_arrays(kept)
