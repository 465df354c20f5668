"""Evaluation sets: what the report shows of them, set by set, with both pictures of a pair.

The evaluation image is read from the file it came from; one that is gone is shown by its name only.
"""

from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset.store import ByteRange, Store
from pairsieve.pipeline.external import evaluation_images
from pairsieve.pipeline.external.evaluation_images import EvaluationImage, EvaluationOptions
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.stats.block_counts import NEAR_SHOWN
from pairsieve.pipeline.stats.page import thumbnail
from pairsieve.pipeline.stats.stats_db import PARTIAL
from pairsieve.schemas.errors import PairsieveError
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SETS_SHOWN = 6


def overlaps(connection: "DuckDBPyConnection") -> list[dict[str, Any]]:
    """Return for each evaluation set its name, counts of pairs, and the rows `shown`.

    Counted and shown is what a rule on evaluation sets drops and what is near by pHash; the
    nearest first.
    """
    return rows(connection, _OVERLAPS)


_OVERLAPS = f"""
    WITH sets AS (
        SELECT eval_set AS name, sum(dropped)::BIGINT AS dropped, sum(near)::BIGINT AS near,
               max(max_overlap) AS highest
        FROM {PARTIAL}.evaluated GROUP BY eval_set
    ), nearest AS (
        SELECT eval_set AS name, unnest(shown, recursive := true) FROM {PARTIAL}.evaluated
    ), shown AS (
        SELECT name, list(row ORDER BY distance NULLS LAST, overlap DESC NULLS LAST, row)
                     [:{NEAR_SHOWN}] AS shown
        FROM nearest GROUP BY name
    )
    SELECT sets.*, shown FROM sets LEFT JOIN shown USING (name)
    ORDER BY dropped DESC, name LIMIT {SETS_SHOWN}
"""


def add_evaluation_images(recipe: Recipe, store: Store, pairs: list[dict[str, Any]]) -> None:
    """Give each pair `other`: the evaluation image that it is like, as a data URI, or None."""
    locations = _locations(
        recipe, store, {(pair["eval_set"], pair["eval_image"]) for pair in pairs}
    )
    for pair in pairs:
        location = locations.get((pair["eval_set"], pair["eval_image"]))
        pair["other"] = _thumbnail(recipe, location) if location else None


def _locations(
    recipe: Recipe, store: Store, names: set[tuple[str, str]]
) -> dict[tuple[str, str], ByteRange]:
    """Return file, offset and size of the evaluation images of these sets and names."""
    options = EvaluationOptions.of(recipe)
    if options is None or not names:
        return {}
    try:
        marker = store.marker(evaluation_images.marker_of(options))
    except PairsieveError:  # a set is gone
        marker = None
    if marker is None:
        return {}
    columns = EvaluationImage.__slots__
    images = evaluation_images.read(store, marker, columns, {name for _, name in names})
    return {
        (image["set"], image["name"]): (image["file"], image["offset"], image["bytes"])
        for image in images.to_pylist()
        if (image["set"], image["name"]) in names
    }


def _thumbnail(recipe: Recipe, location: ByteRange) -> str | None:
    """Return a thumbnail of an evaluation image as the dataset would store it."""
    try:
        decoded = picture(evaluation_images.body(*location), recipe.image)
    except PairsieveError:
        return None
    return thumbnail(decoded.stored) if isinstance(decoded, Picture) else None
