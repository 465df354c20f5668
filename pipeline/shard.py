"""Shard: survivors become WebDataset tars, or Parquet files, in a seeded order.

The order depends on input, recipe and seed alone, so workers, failures, blocks and partitions leave
the same bytes. `mix: pool` is a uniform shuffle of all; each shard is one task that fetches its
images in byte ranges from wherever they were gathered. `mix: window` shuffles those of some units
at a time, whose images one task reads once, in order.

Where the input has grown what is in no shard yet is put in order by itself and fills further
shards. Those that are there keep their bytes, but for those that hold what survives no more.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from pairsieve.pipeline.captions.folders import measured_folders
from pairsieve.pipeline.dataset import costs, stages
from pairsieve.pipeline.dataset.commit import current, fingerprint
from pairsieve.pipeline.dataset.marker import PHONE_REGIONS, SAMPLES, Marker
from pairsieve.pipeline.dataset.paths import (
    select_marker,
    shard_marker,
    shard_rounds,
)
from pairsieve.pipeline.dataset.shard_names import part_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.growth import leaving
from pairsieve.pipeline.growth.appendable import appendable, made_by
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.ledger import check_images
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.samples import card
from pairsieve.pipeline.samples.parquet import ParquetLayout
from pairsieve.pipeline.shards import indexes, members, split
from pairsieve.pipeline.shards.captions import phone_regions
from pairsieve.pipeline.shards.contents import content_of
from pairsieve.pipeline.shards.finished import (
    clear,
    committed_of,
    finish,
    made_of,
    shards_of,
    tidy_up,
)
from pairsieve.pipeline.shards.pool_order import (
    PARTITION_SAMPLES,
    Rounds,
    pool_order,
    slices,
    slices_of_bytes,
)
from pairsieve.pipeline.shards.pool_tasks import Packer
from pairsieve.pipeline.shards.records import Content
from pairsieve.pipeline.shards.shard_parts import HISTORY, ShardsOf, stem
from pairsieve.pipeline.shards.window_order import windows
from pairsieve.pipeline.shards.window_tasks import WindowPacker
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import Shard

TEXTS = ("text", "personal_data")  # options of `shard` that leave shards as they were by default
WINDOWS = ("mix", "window_units")  # likewise
LATER = ("split", "captions", "columns", "by", "bytes", "layout", "image", "vectors")  # likewise
BLOCK_UNITS = 20  # units whose records a task holds in memory; of 10,000 pairs, 200 MB at most
WITH_VECTORS = 4  # times as large are records with vectors, of 1024 numbers, and these beside them


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

    Where the input has grown since, shards are appended; any of another selection or of other
    options under this name are deleted first. The ledger is read in blocks of so many units; with
    `mix: pool` samples are sorted in partitions of so many.

    Raises:
        BadOption: there is no such selection.
        Stopped: a stored image is gone, or a task's process kept dying.
    """
    selected = store.marker(select_marker(name))
    if selected is None:
        raise BadOption(f"there is no selection `{name}` yet; run `pairsieve select --name {name}`")
    leaving.finish(store, engine, name)
    selection = selected.extra["fingerprint"]
    identity = fingerprint(selection, _shape(recipe))
    if made := current(store, shard_marker(name), identity):
        tidy_up(store, name, made)
        indexes.update(store, engine, name, recipe.shard.index, recipe.image.format)
        return
    costs.since_last()  # what was spent before is not of this stage
    check_images(store)
    files = ledger_files(store, measured_folders(recipe), name, before=stages.SHARD)
    pool = Pool(store, engine, files, _units(recipe, units))
    content, parts = content_of(recipe, pool), split.parts(recipe.shard)
    wanted = made_by(store, _packed_by(recipe, content), selected)
    old = appendable(pool, name, parts, wanted, identity)
    made_from = made_of(identity, old)
    clear(store, name, made_from, old)
    if old:
        yield old
    packed = old.rows if old else 0
    written: list[Marker] = []
    for part in parts:
        own = part_of(name, part.name)
        done = committed_of(store, own, made_from)
        yield from done.values()
        there, suffix = len(shards_of(old, name, own)), content.layout.suffix
        shards = ShardsOf(name, part.name, made_from, suffix, frozenset(map(int, done)), there)
        in_shards = members.files_of(old, own) if old else ()
        of_part = replace(content, part=part, members=in_shards)
        if recipe.shard.mix == "pool":
            kept = math.ceil((selected.counts["kept"] - packed) * part.share)
            partitions = max(1, -(-kept // partition))
            yield from _pack_pool(pool, shards, of_part, recipe.shard, partitions)
        else:
            yield from _pack_windows(pool, shards, of_part, recipe.shard)
        written += members.write(pool, own, fingerprint(identity, pool.units), part)
    extra = {"fingerprint": identity, "selection": selection} | _samples(recipe)
    if isinstance(content.layout, ParquetLayout):
        written.append(
            card.write(store, name, content.layout.schema, [part.name for part in parts])
        )
    extra |= wanted | ({HISTORY: True} if old else {})
    finish(store, name, [part.name for part in parts], extra, written, old)
    indexes.update(store, engine, name, recipe.shard.index, recipe.image.format)


def _units(recipe: Recipe, units: int) -> int:
    """Return how many units a block has, given as many as fit without vectors."""
    return units if recipe.shard.vectors == "none" else max(1, units // WITH_VECTORS)


def _packed_by(recipe: Recipe, content: Content) -> tuple[Any, ...]:
    """Return what decides on the shards; of Parquet their columns, too, which must be alike."""
    columns = (str(content.layout.schema),) if isinstance(content.layout, ParquetLayout) else ()
    return *_shape(recipe), *columns


def _shape(recipe: Recipe) -> tuple[Any, ...]:
    """Return what decides on the shards; of what is as by default, what there was before it."""
    shard = recipe.shard
    left_out = {*TEXTS, *LATER, "index", *(WINDOWS if shard.mix == "pool" else ())}
    shape: tuple[Any, ...] = shard.model_dump(exclude=left_out), recipe.image.format
    if texts := shard.model_dump(include=set(TEXTS), exclude_defaults=True):
        shape = *shape, texts, phone_regions(recipe)
    if (affixes := recipe.group.boilerplate) and shard.cleans:
        shape = *shape, affixes.model_dump()
    if later := shard.model_dump(include=set(LATER), exclude_defaults=True):
        shape = *shape, later
    if shard.image:
        shape = *shape, recipe.image.quality
    if shard.vectors != "none" and recipe.embed:
        shape = *shape, model_folder(recipe.embed)
    return shape


def _samples(recipe: Recipe) -> dict[str, Any]:
    """Return what is not as by default of samples, for `verify` and `forget` to know."""
    shape = recipe.shard.model_dump(include={"text", "captions", "vectors"}, exclude_defaults=True)
    if recipe.shard.personal_data == "mask":
        shape[PHONE_REGIONS] = list(phone_regions(recipe))
    return {SAMPLES: shape} if shape else {}


def _pack_pool(
    pool: Pool, shards: ShardsOf, content: Content, options: Shard, partitions: int
) -> Iterator[Marker]:
    """Yield the marker of each shard of the whole pool that is not there yet."""
    rounds = fingerprint(shards.identity, partitions, pool.units, content.record.names)
    partition, sort = (shard_rounds(shards.path, rounds, of) for of in ("partition", "sort"))
    order = pool_order(pool, Rounds(partition, sort, partitions, content))
    cut = (
        slices_of_bytes(pool, order, options.bytes)
        if options.by == "bytes"
        else slices(order, options.samples)
    )
    todo = (
        (shard, parts) for shard, parts in enumerate(cut, shards.first) if shard not in shards.done
    )
    for (shard, _), result in pool.engine.map(Packer(pool.store, shards, content), todo):
        yield _made(result, f"shard {part_of(shards.part, stem(shard))}")


def _pack_windows(
    pool: Pool, shards: ShardsOf, content: Content, options: Shard
) -> Iterator[Marker]:
    """Yield the marker of each shard, window by window, that is not there yet."""
    all_windows = windows(pool, options, content.part, content.members, shards.first)
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
