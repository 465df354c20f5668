"""The step of `group` that measures alignment: a task per slice of vectors, after the batches.

A pair meets the same random batches as every other, so that scores compare; as published, each pair
would meet those of a partition of the pool, which is the same to one pair and needs the vectors of
the whole pool to be dealt out anew for every batch.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.alignment import batches, measures, targets
from pairsieve.pipeline.alignment.batches import SliceFiles
from pairsieve.pipeline.alignment.measures import Pairs
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    VECTORS_SUFFIX,
    content,
    marker_path,
    round_folder,
    search_folder,
    task_name,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
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

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "alignment"
COLUMNS = STEPS["alignment.step"]


@dataclass(frozen=True)
class Measuring:
    """What a task needs: the options, the temperature and the files of the batches."""

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


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `alignment`: `row` and `COLUMNS`; return how many pairs it has.

    Raises:
        BadOption: the targets cannot be read, or are another model's.
        Stopped: a task's process kept dying.
    """
    if recipe.alignment is None or recipe.embed is None:
        raise ValueError("the recipe asks for no alignment")
    model = model_folder(recipe.embed)
    slices = _slices(store, model)
    if not slices:
        empty = arrow_schema((ROW, *COLUMNS)).empty_table()
        connection.from_arrow(empty).create(TABLE)
        return 0
    record = read_record(store, model)
    if recipe.alignment.norm_sim:
        targets.read(recipe.alignment.norm_sim.targets, record.dimensions)
    files = [each.vectors for each in slices]
    shaping = (options(recipe), versions(recipe), record.logit_scale)
    folder = search_folder(fingerprint(TABLE, files, shaping))
    loss = recipe.alignment.neg_clip_loss
    drawn = batches.draw(store, engine, folder, loss, slices) if loss else []
    temperature = loss.temperature if loss and loss.temperature else 1 / record.logit_scale
    measuring = Measuring(store, folder, recipe.alignment, temperature, tuple(drawn))
    measured = round_folder(folder, "measure")
    rounds.run(store, engine, measured, partial(_measure, measuring), rounds.numbered(files))
    parts = [store.location(file) for file in rounds.files(store, measured, ".parquet")]
    connection.read_parquet(parts).create(TABLE)
    return sum(each.rows for each in slices)


def _slices(store: Store, model: str) -> list[SliceFiles]:
    """Return the files of every embedded task slice, in order."""
    gathered = store.markers(GATHER_FOLDER)
    return [
        SliceFiles(
            gathered[name].file(".parquet"), marker.file(VECTORS_SUFFIX), marker.counts["embedded"]
        )
        for name, marker in sorted(store.markers(vectors_folder(model)).items())
    ]


def _measure(measuring: Measuring, item: tuple[int, str]) -> Marker:
    """Commit what is measured of the pairs of one file of vectors."""
    import pyarrow.parquet as pq

    number, file = item
    with checksums.open_parquet(measuring.store, file) as source:
        table = source.read([ROW.name, IMAGE_EMBEDDING.name, TEXT_EMBEDDING.name])
    pairs = Pairs(
        table[ROW.name].to_numpy(),
        of_length_1_float32(matrix(table[IMAGE_EMBEDDING.name])),
        of_length_1_float32(matrix(table[TEXT_EMBEDDING.name])),
    )
    values = [pa.array(pairs.rows), _neg_clip_loss(measuring, pairs), _norm_sim(measuring, pairs)]
    folder = round_folder(measuring.folder, "measure")
    path = content(folder, task_name(number), ".parquet")
    schema = arrow_schema((ROW, *COLUMNS))
    with measuring.store.writer(path) as sink:
        made = [value.cast(field.type) for value, field in zip(values, schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(made, schema=schema), sink)
    marker = Marker(len(pairs.rows), {path: sink.entry()}, {})
    return commit(measuring.store, marker_path(folder, task_name(number)), marker)


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
