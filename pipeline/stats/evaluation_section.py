"""Evaluation sets: what the report shows of them, set by set, with both pictures of a pair.

The evaluation image is read from the file it came from; one that is gone is shown by its name only.
"""

from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset.store import ByteRange, Store
from pairsieve.pipeline.external import evaluation_images, evaluation_sets
from pairsieve.pipeline.external.evaluation_images import EvaluationOptions
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.ledger.rules import reads_any, rules
from pairsieve.pipeline.ledger.sql import quoted, rows
from pairsieve.pipeline.stats.page import thumbnail
from pairsieve.schemas.errors import PairsieveError
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SETS_SHOWN = 6
PAIRS_SHOWN = 4  # per set


def overlaps(connection: "DuckDBPyConnection", recipe: Recipe) -> list[dict[str, Any]]:
    """Return for each evaluation set its name, counts of pairs, and the rows of those to show.

    Counted and shown is what a rule on evaluation sets drops and what is near by pHash; the
    nearest first.
    """
    deciding = [rule.name for rule in rules(recipe) if reads_any(rule, evaluation_sets.COLUMNS)]
    listed = ", ".join(map(quoted, deciding))
    dropped = f"list_has_any(failing, [{listed}]::VARCHAR[])"
    order = "eval_distance NULLS LAST, eval_overlap DESC NULLS LAST, row"
    return rows(
        connection,
        f"SELECT eval_set AS name, count(*) FILTER ({dropped}) AS dropped, "
        f"count(eval_distance) AS near, max(eval_overlap) AS highest, "
        f"(list(row ORDER BY {order}) FILTER ({dropped} OR eval_distance IS NOT NULL))"
        f"[:{PAIRS_SHOWN}] AS shown "
        "FROM ledger WHERE eval_set IS NOT NULL GROUP BY ALL ORDER BY dropped DESC, name "
        f"LIMIT {SETS_SHOWN}",
    )


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
    return {
        (image["set"], image["name"]): (image["file"], image["offset"], image["bytes"])
        for image in evaluation_images.read(store, marker).to_pylist()
        if (image["set"], image["name"]) in names
    }


def _thumbnail(recipe: Recipe, location: ByteRange) -> str | None:
    """Return a thumbnail of an evaluation image as the dataset would store it."""
    try:
        decoded = picture(evaluation_images.body(*location), recipe.image)
    except PairsieveError:
        return None
    return thumbnail(decoded.stored) if isinstance(decoded, Picture) else None
