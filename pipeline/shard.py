"""Shard: survivors become WebDataset tars, in a seeded order, that open_clip trains from.

The order depends on input, recipe and seed alone, so workers, failures, blocks and partitions leave
the same bytes. `mix: pool` is a uniform shuffle of all; each shard is one task that fetches its
images in byte ranges from wherever they were gathered. `mix: window` shuffles those of some units
at a time, whose images one task reads once, in order.
"""

import hashlib
import json
from collections.abc import Generator, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.captions.folders import measured_folders
from pairsieve.pipeline.dataset import paths, stages
from pairsieve.pipeline.dataset.commit import current, fingerprint, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    manifest,
    select_marker,
    shard_file,
    shard_marker,
    shard_parts,
    shard_rounds,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.ledger import check_images
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.shards.captions import Captions, phone_regions
from pairsieve.pipeline.shards.pool_order import (
    PARTITION_SAMPLES,
    Rounds,
    pool_order,
    slices,
)
from pairsieve.pipeline.shards.pool_tasks import Packer
from pairsieve.pipeline.shards.records import Content
from pairsieve.pipeline.shards.shard_parts import MANIFEST, ShardsOf, stem
from pairsieve.pipeline.shards.window_order import windows
from pairsieve.pipeline.shards.window_tasks import WindowPacker
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.columns import COLUMNS, arrow_schema
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import Shard

TEXTS = ("text", "personal_data")  # options of `shard` that leave shards as they were by default
WINDOWS = ("mix", "window_units")  # likewise
BLOCK_UNITS = 20  # units whose records a task holds in memory; of 10,000 pairs, 200 MB at most


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker of each shard; so `run` calls every stage that decides."""
    yield from run(recipe, store, engine, name)


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    name: str,
    units: int = BLOCK_UNITS,
    partition: int = PARTITION_SAMPLES,
) -> Generator[Marker]:
    """Pack the survivors of the selection `name`; yield each shard's marker as it commits.

    Shards of another selection or other options under this name are deleted first. The ledger is
    read in blocks of so many units; with `mix: pool` samples are sorted in partitions of so many.

    Raises:
        BadOption: there is no such selection.
        Stopped: a stored image is gone, or a task's process kept dying.
    """
    selected = store.marker(select_marker(name))
    if selected is None:
        raise BadOption(f"there is no selection `{name}` yet; run `pairsieve select --name {name}`")
    selection = selected.extra["fingerprint"]
    identity = fingerprint(selection, _shape(recipe))
    if made := current(store, shard_marker(name), identity):
        _tidy(store, name, made)
        return
    check_images(store)
    _clear(store, name, identity)
    done = store.markers(shard_parts(name))
    yield from done.values()
    files = ledger_files(store, measured_folders(recipe), name, before=stages.SHARD)
    pool = Pool(store, engine, files, units)
    shards = ShardsOf(name, identity, frozenset(map(int, done)))
    content = _content(recipe, store)
    if recipe.shard.mix == "pool":
        parts = max(1, -(-selected.counts["kept"] // partition))
        yield from _pack_pool(pool, shards, content, recipe.shard.samples, parts)
    else:
        yield from _pack_windows(pool, shards, content, recipe.shard)
    _finish(store, name, identity, selection)


def _shape(recipe: Recipe) -> tuple[Any, ...]:
    """Return what decides on the shards; of what is as by default, what there was before it."""
    shard = recipe.shard
    left_out = {*TEXTS, *(WINDOWS if shard.mix == "pool" else ())}
    shape = shard.model_dump(exclude=left_out), recipe.image.format
    if texts := shard.model_dump(include=set(TEXTS), exclude_defaults=True):
        return (*shape, texts, phone_regions(recipe))
    return shape


def _content(recipe: Recipe, store: Store) -> Content:
    """Return what samples hold."""
    schema = plan_file.read(store).schema if store.exists(paths.PLAN_FILE) else ()
    return Content(
        recipe.shard.seed,
        recipe.image.format,
        COLUMNS + recipe.other_scores,
        Captions.of(recipe),
        {field.name: field.type for field in schema if pa.types.is_duration(field.type)},
    )


def _pack_pool(
    pool: Pool, shards: ShardsOf, content: Content, samples: int, partitions: int
) -> Iterator[Marker]:
    """Yield the marker of each shard of the whole pool that is not there yet."""
    rounds = fingerprint(shards.identity, partitions, pool.units)
    partition, sort = (shard_rounds(shards.name, rounds, of) for of in ("partition", "sort"))
    order = pool_order(pool, Rounds(partition, sort, partitions, content))
    todo = (
        (shard, parts)
        for shard, parts in enumerate(slices(order, samples))
        if shard not in shards.done
    )
    for (shard, _), result in pool.engine.map(Packer(pool.store, shards, content), todo):
        yield _made(result, f"shard {stem(shard)}")


def _pack_windows(
    pool: Pool, shards: ShardsOf, content: Content, options: Shard
) -> Iterator[Marker]:
    """Yield the marker of each shard, window by window, that is not there yet."""
    all_windows = windows(pool, options.seed, options.window_units, options.samples)
    todo = (window for window in all_windows if not shards.done.issuperset(window.shards))
    packer = WindowPacker(pool.store, shards, content, pool.engine.task_threads)
    for window, result in pool.engine.map(packer, todo):
        yield from _made(result, f"the window of the shards from {stem(window.shard)}")


def _made(result: Any, what: str) -> Any:
    """Return what a task has made.

    Raises:
        Stopped: its process kept dying.
    """
    if isinstance(result, Crashed):
        raise Stopped(f"{what}: its process died ({result.reason}); run again")
    return result


def _clear(store: Store, name: str, identity: str) -> None:
    """Delete what is committed under this name for another selection or with other options."""
    markers = {shard_marker(name): store.marker(shard_marker(name))} | {
        paths.marker_path(shard_parts(name), stem): marker
        for stem, marker in store.markers(shard_parts(name)).items()
    }
    for path, marker in markers.items():
        if marker and marker.extra["fingerprint"] != identity:
            store.delete([path, *marker.files])


def _finish(store: Store, name: str, identity: str, selection: str) -> None:
    """Put the parts together: `sizes.json`, `manifest.parquet` and the marker that commits all."""
    parts = store.markers(shard_parts(name))
    path = manifest(name)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        for marker in parts.values():
            with store.reader(marker.file(".parquet")) as source:
                writer.write_table(pq.read_table(source))
    sizes = {shard_file(int(stem)): marker.rows for stem, marker in parts.items()}
    sizes_path = paths.sizes(name)
    data = json.dumps(sizes, indent=1).encode()
    store.write(sizes_path, data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files: dict[str, dict[str, Any]] = {sizes_path: entry, path: sink.entry()}
    for marker in parts.values():
        tar = marker.file(".tar")
        files[tar] = marker.files[tar]
    rows = sum(sizes.values())
    extra = {"fingerprint": identity, "selection": selection}
    marker = Marker(rows, files, {"kept": rows, "shards": len(sizes)}, extra)
    store.write(shard_marker(name), marker.dumps())
    _tidy(store, name, marker)


def _tidy(store: Store, name: str, made: Marker) -> None:
    """Delete what was only needed while the shards were made."""
    for folder in (shard_parts(name), shard_rounds(name)):
        tidy(store, folder, made)
