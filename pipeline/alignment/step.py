"""The step of `group` that measures alignment: a task per slice of vectors, after the batches.

A pair meets the same random batches as every other, so that scores compare; as published, each pair
would meet those of a partition of the pool, which is the same to one pair and needs the vectors of
the whole pool to be dealt out anew for every batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.pipeline.alignment import batches, measures, targets
from pairsieve.pipeline.alignment.batches import SliceFiles
from pairsieve.pipeline.alignment.measures import Pairs, Rows
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    VECTORS_SUFFIX,
    content,
    marker_path,
    round_folder,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.ledger.block_table import places_of
from pairsieve.pipeline.ledger.pool import Block, Further, Pool
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.pipeline.vectors.lengths import of_length_1_float32
from pairsieve.pipeline.vectors.model_record import read_record
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import (
    IMAGE_EMBEDDING,
    NEG_CLIP_LOSS,
    NORM_SIM,
    ROW,
    STEPS,
    TEXT_EMBEDDING,
    arrow_schema,
)
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_alignment import Alignment

TABLE = "alignment"
COLUMNS = STEPS["alignment.step"]


@dataclass(frozen=True)
class Measuring:
    """What a task needs: its round, the options, the temperature and the files of the batches."""

    store: Store
    folder: str
    options: Alignment
    temperature: float
    batches: tuple[str, ...]


def options(recipe: Recipe) -> dict[str, Any] | None:
    """Return what shapes the result, None where the recipe does not ask for it."""
    return recipe.alignment.model_dump() if recipe.alignment else None


def versions(recipe: Recipe) -> list[Any]:
    """Return what changes when the targets do."""
    section = recipe.alignment.norm_sim if recipe.alignment else None
    return targets.versions(section.targets) if section else []


def find(pool: Pool, folder: str, recipe: Recipe) -> Further:
    """Measure every task slice, in rounds in `folder`; return what gives `COLUMNS` of a block.

    Raises:
        BadOption: the targets cannot be read, or are another model's.
        Stopped: a task's process kept dying.
    """
    if recipe.alignment is None or recipe.embed is None:
        raise ValueError("the recipe asks for no alignment")
    store, engine = pool.store, pool.engine
    model, measured = model_folder(recipe.embed), round_folder(folder, TABLE)
    slices = _slices(store, model)
    if not slices:
        return partial(columns, measured)
    record = read_record(store, model)
    if recipe.alignment.norm_sim:
        targets.read(recipe.alignment.norm_sim.targets, record.dimensions)
    loss = recipe.alignment.neg_clip_loss
    drawn = batches.draw(store, engine, folder, loss, list(slices.values())) if loss else []
    temperature = loss.temperature if loss and loss.temperature else 1 / record.logit_scale
    measuring = Measuring(store, measured, recipe.alignment, temperature, tuple(drawn))
    items = {name: (name, each.vectors) for name, each in slices.items()}
    rounds.run(store, engine, measured, partial(_measure, measuring), items)
    return partial(columns, measured)


def columns(measured: str, block: Block, rows: Rows) -> dict[str, Any]:
    """Return `COLUMNS` of these rows of a block; `measured` is the folder of the last round."""
    table = block.committed(measured, arrow_schema((ROW, *COLUMNS)))
    taken = table.take(places_of(table[ROW.name].to_numpy(), rows))
    return {column.name: taken[column.name] for column in COLUMNS}


def count(columns: Mapping[str, Any]) -> int:
    """Return how many of some images were measured."""
    return max(int(pc.count(columns[column.name]).as_py()) for column in COLUMNS)


def _slices(store: Store, model: str) -> dict[str, SliceFiles]:
    """Return the files of every embedded task slice by its name, in order."""
    gathered = store.markers(GATHER_FOLDER)
    return {
        name: SliceFiles(
            gathered[name].file(".parquet"), marker.file(VECTORS_SUFFIX), marker.counts["embedded"]
        )
        for name, marker in sorted(store.markers(vectors_folder(model)).items())
    }


def _measure(measuring: Measuring, item: tuple[str, str]) -> Marker:
    """Commit what is measured of the pairs of one task slice, given with its vectors."""
    import pyarrow.parquet as pq

    name, file = item
    with checksums.open_parquet(measuring.store, file) as source:
        table = source.read([ROW.name, IMAGE_EMBEDDING.name, TEXT_EMBEDDING.name])
    pairs = Pairs(
        table[ROW.name].to_numpy(),
        of_length_1_float32(matrix(table[IMAGE_EMBEDDING.name])),
        of_length_1_float32(matrix(table[TEXT_EMBEDDING.name])),
    )
    values = [pa.array(pairs.rows), _neg_clip_loss(measuring, pairs), _norm_sim(measuring, pairs)]
    path = content(measuring.folder, name, ".parquet")
    schema = arrow_schema((ROW, *COLUMNS))
    with measuring.store.writer(path) as sink:
        made = [value.cast(field.type) for value, field in zip(values, schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(made, schema=schema), sink)
    marker = Marker(len(pairs.rows), {path: sink.entry()}, {})
    return commit(measuring.store, marker_path(measuring.folder, name), marker)


def _neg_clip_loss(measuring: Measuring, pairs: Pairs) -> pa.Array:
    """Return the column `NEG_CLIP_LOSS`, null where it is not asked for."""
    if measuring.options.neg_clip_loss is None:
        return pa.nulls(len(pairs.rows), NEG_CLIP_LOSS.type)
    drawn = [batches.read(measuring.store, file) for file in measuring.batches]
    return pa.array(measures.neg_clip_loss(pairs, drawn, measuring.temperature))


def _norm_sim(measuring: Measuring, pairs: Pairs) -> pa.Array:
    """Return the column `NORM_SIM`, null where it is not asked for."""
    section = measuring.options.norm_sim
    if section is None:
        return pa.nulls(len(pairs.rows), NORM_SIM.type)
    wanted = targets.read(section.targets, pairs.images.shape[1])
    return pa.array(measures.norm_sim(pairs.images, wanted, section.norm))
