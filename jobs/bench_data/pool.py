"""A drawn pool as a committed dataset: plan, gathered units with two retry layers, scores.

It is written as `gather` and `embed` would: the same columns, the same Parquet options, a marker
that names every file with its checksum. Units are made by as many processes as there are cores.
Left out is what deciding does not read: vectors, and of the stored images all but one, which every
pair of a unit has. Names come from the unit in place of a random attempt, so the same size and seed
give the same bytes.
"""

import hashlib
import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.jobs.bench_data.draws import Draws
from pairsieve.jobs.bench_data.pool_rows import Rows, Web
from pairsieve.jobs.bench_data.pool_tables import PASSING, StoredImage, UnitTables
from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import REPLACED, Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    PLAN_FILE,
    REQUESTS_SUFFIX,
    SCORES_SUFFIX,
    embed_marker,
    marker_path,
    model_record,
    retry_layer,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.request_rates import REQUESTS
from pairsieve.pipeline.plan import measuring
from pairsieve.pipeline.unit.fetch_summary import KEY
from pairsieve.pipeline.unit.plan_file import File, Plan
from pairsieve.pipeline.unit.plan_limit import units
from pairsieve.pipeline.unit.task_slices import Retry, TaskSlice
from pairsieve.pipeline.vectors.folders import model_folder, scores_folder
from pairsieve.pipeline.vectors.model_record import ModelRecord, with_model_metadata
from pairsieve.pipeline.vectors.slice_records import EmbedTime, ScoreSources
from pairsieve.schemas.columns import OUTCOME, SHA256, URL, arrow_schema
from pairsieve.schemas.recipe import Recipe

LAYERS = 3  # the first gather and two retry layers
HOSTS_COUNTED = 10  # of a marker, the most frequent ones
DIMENSIONS = 512


@dataclass(frozen=True)
class Pool:
    """A pool to draw: how many rows, in units of how many, by which seed."""

    rows: int
    seed: int = 0
    unit: int = 10_000

    @property
    def units(self) -> int:
        """Return how many units it has."""
        return -(-self.rows // self.unit)

    def rows_of(self, first: int, count: int) -> Rows:
        """Return some of its rows."""
        numbers = np.arange(first, min(first + count, self.rows), dtype=np.uint64)
        return Rows(self.draws, self.rows, self.unit, numbers)

    @property
    def draws(self) -> Draws:
        """Return its random numbers."""
        return Draws(self.seed)


@dataclass(frozen=True)
class Builder:
    """What makes the units of a pool in one process."""

    pool: Pool
    store: Store
    embed: tuple[str, str]
    record: ModelRecord

    @cached_property
    def web(self) -> Web:
        """Return the pool's hosts and captions."""
        return Web(self.pool.draws, self.pool.rows)

    def unit(self, number: int) -> list[int]:
        """Commit everything of a unit; return how many rows each of its layers has."""
        rows = self.pool.rows_of(number * self.pool.unit, self.pool.unit)
        body, image = stored_images()
        tar = _name(self._slice(number, 0).name, ".tar")
        tables = UnitTables(rows, self.web, tar, image)
        committed = []
        for layer in range(LAYERS):
            of_layer = tables.in_layer(layer) if layer else tables
            if count := len(of_layer.rows.row):
                self._commit(self._slice(number, layer), of_layer, body)
            committed.append(count)
        return committed

    def _slice(self, unit: int, layer: int) -> TaskSlice:
        retry = Retry(layer, (), ()) if layer else None
        rows = min(self.pool.unit, self.pool.rows - unit * self.pool.unit)
        return TaskSlice(unit, 0, rows, True, retry)

    def _commit(self, task_slice: TaskSlice, tables: UnitTables, tar: bytes) -> None:
        """Commit what `gather` and `embed` leave of a task slice."""
        name, layer = task_slice.name, task_slice.layer
        table = tables.gathered(layer)
        requests = pa.Table.from_arrays(
            [pa.array(values) for values in tables.requests(layer)], names=["h", "s", "n"]
        )
        requests = requests.rename_columns([column.name for column in REQUESTS])
        files = self._file(_name(name, ".tar"), tar) if not layer else {}
        files |= self._parquet(_name(name, REQUESTS_SUFFIX), requests.cast(arrow_schema(REQUESTS)))
        files |= self._parquet(_name(name, ".parquet"), table.cast(table.schema.remove_metadata()))
        counts = _counts(table[OUTCOME.name].to_pylist())
        extra: dict[str, Any] = {KEY: _summary(counts, tables)}
        if layer:
            extra[REPLACED] = _counts(tables.outcomes(layer - 1)[0].tolist())
        marker = Marker(table.num_rows, files, counts, extra)
        commit(self.store, marker_path(GATHER_FOLDER, name), marker)
        self._commit_scores(name, tables, layer)

    def _commit_scores(self, name: str, tables: UnitTables, layer: int) -> None:
        vectors, scores = self.embed
        table = with_model_metadata(tables.scores(layer), self.record)
        files = self._parquet(
            _name(name, SCORES_SUFFIX, vectors_folder(scores)), table, use_dictionary=False
        )
        rows, count = len(tables.rows.row), table.num_rows
        embedded = {"embedded": count, "images": count, "texts": count}
        times = dict(EmbedTime(0.02 * count, 0.021 * count).to_json())
        commit(self.store, embed_marker(vectors, name), Marker(rows, {}, embedded, times))
        sources = dict(ScoreSources({}).to_json())
        commit(
            self.store, embed_marker(scores, name), Marker(rows, files, {"scored": count}, sources)
        )

    def _parquet(self, name: str, table: pa.Table, **options: Any) -> dict[str, Any]:
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", **options)
        return self._file(name, sink.getvalue())

    def _file(self, name: str, body: bytes) -> dict[str, Any]:
        self.store.write(name, body)
        return {name: {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}}


def build(pool: Pool, recipe: Recipe, folder: Path) -> int:
    """Make the dataset in `folder`, which must not be there yet; return its bytes."""
    assert recipe.embed
    store = Store.at(folder)
    vectors = model_folder(recipe.embed)
    record = _record(recipe)
    store.write(PLAN_FILE, plan_of(pool, recipe, store).dumps())
    store.write(model_record(vectors), checked_json.dumps(record.to_json(), indent=1))
    builder = Builder(pool, store, (vectors, scores_folder(recipe.embed)), record)
    layers = Counter[int]()
    for committed in _each_unit(builder):
        layers.update(dict(enumerate(committed)))
    for layer in range(1, LAYERS):
        content = {"number": layer, "outcomes": [*map(str, PASSING)], "pairs": layers[layer]}
        store.write(retry_layer(layer), checked_json.dumps(content, indent=1))
    return sum(entry["size"] for entry in store.entries())


def _each_unit(builder: Builder) -> Iterator[list[int]]:
    """Yield what `Builder.unit` returns, of all units, several processes at work."""
    count, cores = builder.pool.units, os.cpu_count() or 1
    if count < 2 * cores:
        yield from map(builder.unit, range(count))
        return
    with ProcessPoolExecutor(cores, get_context("spawn"), _keep, (builder,)) as processes:
        yield from processes.map(_unit, range(count), chunksize=max(1, count // (8 * cores)))


_kept: list[Builder] = []  # of a process that makes units


def _keep(builder: Builder) -> None:
    _kept.append(builder)


def _unit(number: int) -> list[int]:
    return _kept[0].unit(number)


def stored_images() -> tuple[bytes, StoredImage]:
    """Return a tar with one small JPEG, and where that lies in it."""
    from PIL import Image

    picture = io.BytesIO()
    Image.linear_gradient("L").resize((48, 48)).convert("RGB").save(picture, "JPEG")
    body = picture.getvalue()
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w|") as tar:
        member = tarfile.TarInfo("000000.jpg")
        member.size = len(body)
        tar.addfile(member, io.BytesIO(body))
    return sink.getvalue(), StoredImage(tarfile.BLOCKSIZE, len(body), of_image(body))


def blocklist_entries(pool: Pool, count: int, hits: int = 1000) -> Iterator[str]:
    """Yield the lines of a blocklist; at most `hits` of them name pairs of the pool."""
    rows = pool.rows_of(0, min(hits, pool.rows))
    body, image = stored_images()
    known = UnitTables(rows, Web(pool.draws, pool.rows), "", image).gathered(0)
    urls, files = known[URL.name].to_pylist(), known[SHA256.name].to_pylist()
    numbers = np.arange(count, dtype=np.uint64)
    drawn = pool.draws.words("listed", numbers, 4).astype(">u8")
    for number in range(count):
        word = drawn[number].tobytes().hex()
        own = number < len(urls)
        if number % 20 == 19:
            yield f"host img{number}.{word[:8]}.listed.example"
        elif number % 20 == 18:
            yield f"phash {word[:16]}"
        elif number % 4 == 3:
            yield f"sha256 {files[number] if own and files[number] else word}"
        else:
            yield f"url {urls[number] if own else f'https://img{number % 9999}.example/{word}.jpg'}"


def _name(task_slice: str, suffix: str, folder: str = GATHER_FOLDER) -> str:
    """Return the name of a file of a task slice, whose attempt follows from it."""
    attempt = hashlib.sha256(f"{task_slice}{suffix}".encode()).hexdigest()[:12]
    return f"{folder}/{task_slice}.{attempt}{suffix}"


def _counts(outcomes: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(outcomes).items()))


def _summary(counts: dict[str, int], tables: UnitTables) -> dict[str, Any]:
    """Return what a marker says of fetches, as long as that of a real one."""
    hosts = Counter(tables.hosts.to_pylist()).most_common(HOSTS_COUNTED)
    steps = {str(1_750_000_000 + 10 * step): {"ok": 1} for step in range(12)}
    return {
        "answers": counts,
        "hosts": {host: {"ok": count} for host, count in sorted(hosts)},
        "steps": steps,
    }


def plan_of(pool: Pool, recipe: Recipe, store: Store) -> Plan:
    """Return the plan of a pool."""
    options = measuring(recipe)
    file = File("pairs.parquet", "pairs.parquet", pool.rows, 100 * pool.rows, "drawn", "drawn")
    return Plan(
        dataset=store.url,
        pairs=pool.rows,
        fetch=True,
        images=False,
        format="parquet",
        measuring=options,
        files=[file],
        staged=[],
        units=list(units([pool.rows], pool.unit)),
        schema=pa.schema([]),
        fingerprints={"input": fingerprint(asdict(file)), "gather": fingerprint(options)},
    )


def _record(recipe: Recipe) -> ModelRecord:
    assert recipe.embed
    return ModelRecord(
        recipe.embed.model, recipe.embed.pretrained, DIMENSIONS, 100.0, 0.0, "0" * 64, "0" * 64
    )
