"""Search: the pairs whose images are nearest to a text or a picture, by their stored vectors.

The query is embedded by the model that made the vectors, and by no other: the dataset says which it
was, with the SHA-256 of its weights. Of local files it knows only the names, so the recipe must say
where they are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.paths import EMBED_FOLDER, vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger import sql
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.stats.page import TEXT_SHOWN, render, thumbnail
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.pipeline.vectors.index import EXACT_ROWS, Nearest, check, nearest
from pairsieve.pipeline.vectors.model_record import read_record
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed, Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEVER_SHOWN = "minor_safety"  # a rule: no picture is shown of what it drops


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a text, or the picture in a file.

    Attributes:
        text: The text.
        image: The picture's file.
        count: How many pairs to return.
        exact_rows: Up to so many rows, all are compared.
    """

    text: str | None = None
    image: Path | None = None
    count: int = 20
    exact_rows: int = EXACT_ROWS

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise BadOption("search: give a text, or --image FILE, and not both")

    def __str__(self) -> str:
        """Return the query as the page shows it."""
        return self.text if self.text is not None else str(self.image)

    def vector(self, model: ClipModel) -> Vectors:
        """Return the vector of the query, (d,), of length 1.

        Raises:
            BadOption: the picture cannot be read.
        """
        if self.image is not None:
            (vector,) = model.images([_pixels(self.image)])
        else:
            (vector,) = model.texts([str(self)])
        return np.asarray(vector, np.float32)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The pairs that a search returns.

    Attributes:
        query: What was looked for.
        model: Folder of the model's vectors.
        rows: How many images were searched.
        exact: True when none can have been missed.
        pairs: The pairs, nearest first: columns of the ledger, `rank`, `cosine` and `verdict`.
    """

    query: Query
    model: str
    rows: int
    exact: bool
    pairs: list[dict[str, Any]]


def run(
    store: Store,
    query: Query,
    recipe: Recipe | None = None,
    model: str | None = None,
    selection: str = "default",
) -> SearchResult:
    """Return the pairs whose images are nearest to the query.

    Args:
        store: The dataset.
        query: A text or a picture, and how many pairs.
        recipe: Says where the files of a local model are; None for a model of open_clip's.
        model: Folder of the model's vectors; None for that of the recipe's, or the only one.
        selection: Whose verdicts to add, where it exists.

    Raises:
        BadOption: the model that made the vectors cannot be had, or the picture cannot be read.
    """
    if model is None and recipe and recipe.embed:
        model = model_folder(recipe.embed)
    folder = reader.choose_folder(store, model)
    options = _options(store, folder, recipe)
    rows = sum(unit.rows for unit in reader.units(store, folder))
    check(rows, query.exact_rows)
    vector = query.vector(_load_model(store, folder, options))
    neighbours = nearest(store, folder, vector, query.count, query.exact_rows)
    with connect(store) as connection:
        attach(connection, store, reader.latest_scores(store, folder), selection)
        pairs = _pairs(connection, neighbours)
    return SearchResult(query, folder, rows, neighbours.exact, pairs)


def page(store: Store, result: SearchResult) -> str:
    """Return the page with the pictures of a search's pairs."""
    pictured = [pair for pair in result.pairs if pair["image_file"] and not pair["withheld"]]
    images = checksums.read_images(store, checksums.located(pictured))
    bodies = dict(zip((pair["row"] for pair in pictured), images, strict=True))
    tiles = [
        pair
        | {
            "thumbnail": thumbnail(bodies[pair["row"]]) if pair["row"] in bodies else None,
            "facts": [
                (f"{pair['rank']}. cosine", f"{pair['cosine']:.4f}"),
                ("verdict", pair["verdict"]),
            ],
        }
        for pair in result.pairs
    ]
    content = {
        "query": str(result.query),
        "kind": "picture" if result.query.image else "text",
        "model": result.model,
        "rows": result.rows,
        "exact": result.exact,
        "pairs": tiles,
    }
    return render("search.html.j2", content)


def _options(store: Store, folder: str, recipe: Recipe | None) -> Embed:
    """Return how to load the model that made the vectors of a folder."""
    if recipe:
        for options in recipe.models:
            if model_folder(options) == folder:
                return options
        raise BadOption(
            f"--recipe: names no model whose vectors are in {store.location(EMBED_FOLDER)}"
        )
    record = read_record(store, folder)
    options = Embed(model=record.model, pretrained=record.pretrained)
    if model_folder(options) != folder:
        raise BadOption(
            f"search: the vectors in {store.location(vectors_folder(folder))} were made by local "
            f"files, {record.model} and {record.pretrained}; say where these are: --recipe RECIPE"
        )
    return options


def _load_model(store: Store, folder: str, options: Embed) -> ClipModel:
    """Return the model, if it is the one that made the vectors of a folder."""
    record = read_record(store, folder)
    model = clip.load(options.model_copy(update={"batch": 1}), record.precision)
    recorded = record.weights_sha256, record.settings_sha256
    if recorded != (model.weights_sha256, model.settings_sha256):
        raise BadOption(
            f"search: the vectors in {store.location(vectors_folder(folder))} were made by another "
            f"model of this name, with weights {record.weights_sha256[:16]}, "
            f"not {model.weights_sha256[:16]}"
        )
    return model


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Return the picture in a file, upright, (h, w, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadOption(f"--image: {path}: not a readable picture: {error}") from error


def _pairs(connection: "DuckDBPyConnection", neighbours: Nearest) -> list[dict[str, Any]]:
    """Return the ledger's rows of the neighbours, nearest first, with long texts cut.

    `withheld` is true of a pair whose picture must not be shown.
    """
    unsafe = [f().rule() for f in FILTERS if f.__module__.endswith(f".{NEVER_SHOWN}")]
    withheld = [
        "blocked IS NOT NULL",
        f"coalesce(list_contains(failing, '{NEVER_SHOWN}'), false)",
        *(f"NOT coalesce({condition}, false)" for condition in unsafe),
    ]
    query = f"""
        SELECT row, uid, substr(url, 1, {TEXT_SHOWN + 1}) AS url,
               substr(text, 1, {TEXT_SHOWN + 1}) AS text,
               {", ".join(column.name for column in checksums.STORED_AT)},
               CASE WHEN keep THEN 'kept' ELSE coalesce(first_failing, 'not judged') END AS verdict,
               {" OR ".join(withheld)} AS withheld
        FROM ledger WHERE row IN (SELECT unnest(?))
        """
    by_row = {pair["row"]: pair for pair in sql.rows(connection, query, [neighbours.rows])}
    return [
        by_row[row] | {"rank": rank, "cosine": cosine}
        for rank, (row, cosine) in enumerate(
            zip(neighbours.rows, neighbours.cosines, strict=True), 1
        )
    ]
